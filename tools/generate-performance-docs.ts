/** Writes docs/performance.md: what the benchmarks measured last (test/bench/history.jsonl), and how to repeat it. */
import { join } from 'node:path';
import type { Case, LakeFigures, Throughput } from '../test/bench/bench.ts';
import type { CommitCost } from '../test/bench/commits.ts';
import type { Estate } from '../test/bench/estate.ts';
import { ROOT } from '../test/bench/lake.ts';
import type { Layout } from '../test/bench/layout.ts';
import type { Memory } from '../test/bench/memory.ts';
import type { QueueCost } from '../test/bench/queue.ts';
import { type Entry, lastEntry } from '../test/bench/record.ts';
import type { Remote } from '../test/bench/remote.ts';
import type { SignatureCost } from '../test/bench/signatures.ts';
import type { Soak } from '../test/bench/soak.ts';
import { writeGenerated } from './generated.ts';

const INTRODUCTION = `# Performance

<!-- Generated from test/bench/history.jsonl by tools/generate-performance-docs.ts: npm run generate -->

How fast it copies, what of that is the price of checking, how much memory it needs, and why row groups and levels are as they are. Every figure was measured by a command that is named beside it; figures of different machines, or of one machine at different hours, cannot be compared, ratios within one run can. MB = 10^6 bytes, "raw" = unpacked XDR.

The yardstick is the *ideal loop*: one thread that reads, unpacks, hashes, compresses, hashes and writes the same files with the same libraries, with nothing around it: no XDR is walked, no result or header is compared, no Parquet, no commit, no other column. It is not part of this project; where it is absent, \`npm run bench\` leaves its rows out.
`;

const LEVELS_OF_RUNS = `### Levels

Shorter runs, of which the start is a larger part, with one thread.
`;

const STAGES = `### Where the time goes

Per cent of the processor time of all threads, by V8's sampling profiler, one worker, zstd-3. Reading, unpacking, SHA-256, compressing and writing are what the ideal loop does as well, though less of it: here the transaction set, the results, the header and the Merkle tree are hashed besides the ledger, and four columns of hashes are compressed that hardly get smaller. The older the ledgers, the more of the time is system calls for files of 400 bytes, and rows.

These lakes repeat one ledger (ten of 2026): what compresses 110 times leaves hashing and unpacking, of which the ideal loop does two thirds. Those of 2018 and 2016 are copied in two to three seconds, of which the start (half a second of processor time, once a run, and more with a second thread) is a fifth; two threads have the main thread beside them on two cores.
`;

const PLAN = `### What \`plan\` had said

Its estimate divided by what happened: 1 is exact.
`;

const LAYOUT = `## Row groups and levels

\`npm run bench:layout\`: ledgers of about 1 MB that are in memory and checked; writing is compressing, hashing and framing. Reading is DuckDB with one thread on a file in the page cache: a scan of small columns (milliseconds a thousand ledgers), one ledger with its XDR by \`ledger_sequence\`, ten by \`close_time\`.

Row groups end at 8 MB of XDR. Smaller ones compress less and make scans slower; larger ones make whoever wants one ledger unpack more, over a network also fetch more, and each thread holds one and its compressed bytes. With 16 MB scans would be quicker and files 1.5 % smaller, for 9 MB more in every thread and other bytes than before: not worth it yet. Several pages in one group do not help: DuckDB unpacks all of them. (Tried once, by code that was not kept, on a busy machine, with groups of 128 MB in pages of 8 MB: 96 ms for one ledger instead of 12, and 630 MB of DuckDB's memory instead of 160 for all of xdr_bytes; a scan took 2 ms instead of 18.) Old ledgers are so small that a group ends at 10,000 rows.
`;

const LEVELS = `Levels, in row groups of 8 MB. zstd-3 is the default. zstd-1 compresses faster, but of a whole copy that is a tenth of the time, and the files grow by a fifth; levels 6 and 9 cost more than they save unless storage is what hurts. Readers hardly care.
`;

const REMOTE = `## A lake in a bucket

\`npm run bench:remote\`: objects of a real lake from a store that answers from memory, so many milliseconds late, over plain HTTP on the same machine. It is a process of its own and takes its share of the cores, which is told: where that and the client's add up to all there are, objects a second are of the machine, and processor time is what can be compared. The bare loop is undici's \`Pool.dispatch\` with 128 requests in flight and nothing else: no checksum, no order, no bound. The reader is this program's, in one thread; the program makes whole copies with two, every check on, to a local disk. Processor time of bare loop and reader is without the start of the process, that of the program with it.

How an object is asked for is told in [object-storage.md](object-storage.md#a-lake-in-a-bucket). Measured before, per GET of 420 bytes with 128 in flight: \`node:http\` 0.116 ms, the built-in \`fetch\` 0.345, undici's \`Pool.request\` 0.097, \`Pool.dispatch\` 0.076; the AWS SDK 0.73 to 0.86, over undici still 0.56 to 0.75. One signature: \`aws4\` 0.014 ms, \`@smithy/signature-v4\` 0.038. CRC32C of 138 kB: native 0.025 ms, tables of eight bytes in JavaScript 0.17, the SDK's own 0.38; CRC32 by Node 0.03; CRC64NVME by the SDK 0.30, of which no native one is well kept.

HTTP/2 and pipelining are not used, because they do not help. Tried over TLS with 10,000 answers of 420 bytes, each 30 ms late, on a busy machine, in turn: 128 connections of HTTP/1.1 took 0.084 to 0.100 CPU-ms per GET; 32 with four requests in each pipeline 0.094 to 0.101, at half the rate, because an answer waits for those before it; HTTP/2 on one connection 0.136 to 0.180, on eight 0.131 to 0.146. S3 offers no HTTP/2 anyway.
`;

const MEMORY = `## Memory

\`npm run bench:memory\`: resident size of the process, sampled every 50 ms; medians of the second and the last tenth of a run, and the most the kernel saw, beside what \`plan\` says (expected, at most). A thread holds one row group, its compressed bytes, one unpacked object and what is read ahead, whatever the partition.
`;

const ESTATE = `## Large estates

\`npm run bench:estate\`: full pubnet has about 6,000 partitions of 10,000 ledgers. Here they have two made-up ledgers each, which is all the same to whoever looks at manifests, events and catalog. Wall time and the most resident memory, the start of the program included.
`;

const SOAK = `## Soak

\`npm run bench:soak\`: copies of a made-up lake, two eras at a time, killed at random moments and started again until they are done, then verified, reconciled and compared byte for byte with an undisturbed copy, over and over.

The long process grows with the estate, by about 6 kB a partition, where the catalog is embedded: one that begins with 6,000 partitions has as much from its first second and stays there (230 MB, over 800 more). Without a catalog it is flat. Memory of a copier by itself is in the section above.
`;

const NUMBER = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 4 });
const n = (value: number | null): string => (value === null || Number.isNaN(value) ? '' : NUMBER.format(value));

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows.map((r) => `| ${r.join(' | ')} |`),
    '',
  ];
}

const measuredOn = ({ date, machine, node, commit }: Entry): string =>
  `Measured ${date.slice(0, 10)} on ${machine}, Node ${node}, commit ${commit}.`;

function row(one: Case, all: readonly Case[]): string[] {
  const ideal = all.find(({ who, codec }) => who === 'ideal loop' && codec === one.codec);
  const single = all.find(({ who, codec, threads }) => who === one.who && codec === one.codec && threads === 1);
  const percent = (part: number): string => `${Math.round(100 * part)} %`;
  return [
    one.who,
    one.codec,
    n(one.threads),
    n(one.wallMBps),
    n(one.cpuMBps),
    ideal && ideal !== one ? percent(one.cpuMBps / ideal.cpuMBps) : '',
    single && single !== one ? `${n(one.wallMBps / single.wallMBps)}` : '',
    n(one.ledgersPerSecond),
    n(one.ratio),
    n(Math.round(one.peakRssMB)),
  ];
}

function throughput(entry: Entry<Throughput> | null): string[] {
  if (!entry) return [];
  const { runs } = entry.data;
  const hasLevels = ({ cases }: LakeFigures): boolean => new Set(cases.map(({ codec }) => codec)).size > 1;
  const lakes = entry.data.lakes.filter((lake) => !hasLevels(lake));
  const levels = entry.data.lakes.filter(hasLevels);
  const head = ['', 'codec', 'threads', 'MB/s', 'MB per CPU-second', 'of the ideal loop', 'times one thread'];
  const bySize = (lake: LakeFigures): string =>
    `### Ledgers of ${lake.lake}: ${n(lake.ledgers)} of ${n((1e3 * lake.rawMB) / lake.ledgers)} kB, partitions of ${n(lake.partition)}`;
  const names = [...new Set(lakes.flatMap(({ stages }) => Object.keys(stages)))];
  return [
    '## Throughput',
    '',
    `\`npm run bench\`: whole copies by the shipped program, local disk to local disk, files in the page cache, every check on; ideal loop and product in turn, medians of ${runs}. Processor time is that of all threads, without the start of the program. ${measuredOn(entry)}`,
    '',
    ...lakes.flatMap((lake) => [
      bySize(lake),
      '',
      ...table(
        [...head, 'ledgers/s', 'raw per byte', 'peak RSS, MB'],
        lake.cases.map((one) => row(one, lake.cases)),
      ),
    ]),
    LEVELS_OF_RUNS,
    ...table(
      ['ledgers of', ...head, 'ledgers/s', 'raw per byte', 'peak RSS, MB'],
      levels.flatMap((lake) => lake.cases.map((one) => [lake.lake, ...row(one, lake.cases)])),
    ),
    STAGES,
    ...table(
      ['', ...lakes.map(({ lake }) => lake)],
      names.map((name) => [name, ...lakes.map(({ stages }) => n(stages[name] ?? null))]),
    ),
    PLAN,
    ...table(
      ['ledgers', 'threads', 'time', 'memory', 'bytes written'],
      lakes.flatMap(({ lake, estimate }) =>
        estimate.map((one) => [lake, n(one.threads), n(one.time), n(one.memory), n(one.bronzeBytes)]),
      ),
    ),
  ];
}

function layout(entry: Entry<Layout> | null): string[] {
  if (!entry) return [];
  const { figures } = entry.data;
  const usual = figures.find(({ rowGroupMB, codec }) => rowGroupMB === 8 && codec === 'zstd-3');
  const cells = (one: Layout['figures'][number]): string[] => [
    n(one.writeMBps),
    n(one.ratio),
    n(one.scanMs),
    n(one.pointMs),
    n(one.tenMs),
  ];
  const head = ['written, MB per CPU-second', 'raw per byte', 'scan, ms', 'one ledger, ms', 'ten ledgers, ms'];
  const levels = figures.filter(({ rowGroupMB }) => rowGroupMB === 8).toSorted((a, b) => a.ratio - b.ratio);
  return [
    LAYOUT,
    measuredOn(entry),
    '',
    ...table(
      ['row group, MB', ...head],
      figures.filter(({ codec }) => codec === usual?.codec).map((one) => [n(one.rowGroupMB), ...cells(one)]),
    ),
    LEVELS,
    ...table(
      ['codec', ...head],
      levels.map((one) => [one.codec, ...cells(one)]),
    ),
  ];
}

/** One size of objects, as it was measured last. */
function objectsOf(size: string, entry: Entry<Remote> | null): string[] {
  const lake = entry?.data.lakes.find((one) => one.size === size);
  if (!entry || !lake) return [];
  const { runs, figures } = entry.data;
  const head = ['', 'store', 'late by, ms', 'objects/s', 'CPU ms per object', 'RSS, MB', 'at most, MB'];
  return [
    `### ${n(lake.objects)} objects of ${n(lake.bytes / 1e3)} kB`,
    '',
    `${runs > 1 ? `Medians of ${n(runs)}. ` : ''}${measuredOn(entry)}`,
    '',
    ...table(
      [...head, "the store's cores", 'in flight'],
      figures
        .filter((one) => one.size === size)
        .map((one) => [
          one.who,
          one.place,
          n(one.ms),
          n(one.perSecond),
          n(one.cpuMs),
          n(Math.round(one.rssMB)),
          n(one.boundMB === null ? null : Math.round(one.boundMB)),
          n(one.storeCores),
          n(one.mostInFlight),
        ]),
    ),
  ];
}

const remote = (): string[] => [
  REMOTE,
  ...['small', 'large'].flatMap((size) =>
    objectsOf(
      size,
      lastEntry<Remote>('remote', ({ lakes }) => lakes.some((one) => one.size === size)),
    ),
  ),
];

const SIGNATURES = `## Signatures

\`npm run bench:signatures\`: the same copy of real ledgers, signed anew, with every signature verified and with none looked at, in turn, one thread. Ledgers of before protocol 14 carry none.
`;

function signatures(entry: Entry<SignatureCost> | null): string[] {
  if (!entry) return [];
  return [
    SIGNATURES,
    `Medians of ${n(entry.data.runs)} pairs. ${measuredOn(entry)}`,
    '',
    ...table(
      ['ledgers of', 'ledgers', 'all: CPU-ms a ledger', 'off: CPU-ms a ledger', 'more, %'],
      entry.data.lakes.map(({ year, ledgers, cpuMs, morePercent }) => [
        year,
        n(ledgers),
        n(cpuMs.all),
        n(cpuMs.off),
        n(morePercent),
      ]),
    ),
  ];
}

const COMMITS = `## Commits to a bucket

\`npm run bench:commits\`: partitions of two made-up ledgers, from a folder into a bucket of a real Ceph, four workers, each answer so much later. Commits are one after another: what they take decides how fast tiny partitions go. In the ordinary case a commit waits for six answers, one after another; what is left is the store's own time.
`;

function commits(entry: Entry<CommitCost> | null): string[] {
  if (!entry) return [];
  return [
    COMMITS,
    `${n(entry.data.partitions)} partitions. ${measuredOn(entry)}`,
    '',
    ...table(
      [
        'answers late, ms',
        'a commit, ms',
        'one in ten takes longer than',
        'partitions a minute',
        'requests a partition',
      ],
      entry.data.rows.map(({ late, commit, requests }) => [
        n(late),
        n(commit.median),
        n(commit.p90),
        n(Math.round(60_000 / commit.median)),
        n(requests),
      ]),
    ),
  ];
}

const QUEUE = `## Another process that builds

\`npm run bench:queue\`: the same ledgers, into the same kind of folder, copied by one process with two threads, and by a coordinator and one remote worker with two threads over a Redis, all on one machine. Processor time of whole processes, their start included.
`;

function queue(entry: Entry<QueueCost> | null): string[] {
  if (!entry) return [];
  const { year, ledgers, partitions, runs, alone, remote: there } = entry.data;
  const cpu = there.coordinator + there.worker;
  return [
    QUEUE,
    `${n(ledgers)} ledgers of ${year} in ${n(partitions)} partitions, medians of ${n(runs)}. ${measuredOn(entry)}`,
    '',
    ...table(
      ['', 'CPU, s', 'time, s'],
      [
        ['one process', n(alone.cpu), n(alone.wall)],
        ['coordinator', n(there.coordinator), n(there.wall)],
        ['worker', n(there.worker), ''],
        ['Redis', n(there.redis), ''],
        [
          'coordinator and worker, against one process',
          `${n(cpu / alone.cpu)} times`,
          `${n(there.wall / alone.wall)} times`,
        ],
      ],
    ),
  ];
}

function memory(entry: Entry<Memory> | null): string[] {
  if (!entry) return [];
  return [
    MEMORY,
    measuredOn(entry),
    '',
    ...table(
      ['', 'threads', 'partitions', 'raw MB', 'early, MB', 'late, MB', 'peak, MB', 'expected, MB', 'at most, MB'],
      entry.data.figures.map((one) => [
        one.what,
        ...[
          one.threads,
          one.partitions,
          one.rawMB,
          one.earlyMB,
          one.lateMB,
          one.peakMB,
          one.expectedMB,
          one.boundMB,
        ].map(n),
      ]),
    ),
  ];
}

function estate(entry: Entry<Estate> | null): string[] {
  if (!entry) return [];
  const { partitions, commands } = entry.data;
  return [
    ESTATE,
    `${n(partitions)} partitions, embedded catalog. ${measuredOn(entry)}`,
    '',
    ...table(
      ['command', 'seconds', 'MB'],
      commands.map(({ name, seconds, peakRssMB }) => [`\`${name}\``, n(seconds), n(peakRssMB)]),
    ),
  ];
}

function soak(entry: Entry<Soak> | null): string[] {
  if (!entry) return [];
  const { data } = entry;
  const { rssMB, descriptors } = data.long;
  const rows: [string, string][] = [
    ['minutes', n(Math.round(data.minutes))],
    ['catalog', data.catalog],
    [
      'rounds; processes killed; ended by SIGTERM; state folders lost',
      [data.rounds, data.kills, data.terms, data.losses].map(n).join('; '),
    ],
    ['partitions committed', n(data.partitions)],
    ['**wrong**', `**${n(data.wrong)}**`],
    ['temporary files left by a finished run, at most', n(data.temporaryLeft)],
    [
      `one process, ${n(data.long.partitions)} partitions: resident MB, tenth by tenth`,
      rssMB.tenths.map((mb) => n(Math.round(mb))).join(', '),
    ],
    ['its open descriptors, tenth by tenth', descriptors.tenths.map(n).join(', ')],
    [
      'the most in any process that was killed: MB; descriptors',
      `${n(Math.round(data.most.rssMB))}; ${n(data.most.descriptors)}`,
    ],
  ];
  return [SOAK, measuredOn(entry), '', ...table(['', ''], rows)];
}

const page = [
  INTRODUCTION,
  ...throughput(lastEntry('throughput')),
  ...signatures(lastEntry('signatures')),
  ...layout(lastEntry('layout')),
  ...remote(),
  ...commits(lastEntry('commits')),
  ...queue(lastEntry('queue')),
  ...memory(lastEntry('memory')),
  ...estate(lastEntry('estate')),
  ...soak(lastEntry('soak')),
];
writeGenerated(join(ROOT, 'docs/performance.md'), `${page.join('\n').trimEnd()}\n`);
