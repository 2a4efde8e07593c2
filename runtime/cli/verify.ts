/** `verify [path]`: reads Bronze back and proves it. Needs no state and, with a path, no configuration. */

import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { chainKey } from '../../actors/bronze/names.ts';
import { openStore } from '../../actors/store/index.ts';
import { ThreadPool } from '../../actors/threads/pool.ts';
import { type FoundChain, findChains, hasLayoutName, layoutNamedChains } from '../../actors/verify/chains.ts';
import { countOf, type Finding, ledgersText, summedUp } from '../../actors/verify/findings.ts';
import { gatherFolder } from '../../actors/verify/gather.ts';
import {
  type ChainReport,
  missingOf,
  type VerifyOptions,
  verifyChain,
  verifyEraLinks,
} from '../../actors/verify/verify-chain.ts';
import type { AnchorsConfig } from '../../config/schema.ts';
import { BronzeError, type ErrorCode, type Failure, toFailure } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import { chainOf, openContext } from '../context.ts';
import { counted, printable } from '../human.ts';
import { onSignals } from '../signals.ts';
import { print, redraw, say } from '../streams.ts';
import { accessOption, type CommandLine, ledgerOption, switchOption, textOption, usage } from './command-line.ts';
import { type AnchorReport, anchorLines, anchorsOf } from './verify-anchor.ts';

/** Another part at every call, so that on a schedule everything is read in time. */
function sampleOf(commandLine: CommandLine): { take: number; of: number; offset: number } {
  const text = textOption(commandLine, 'sample');
  if (text === undefined) return { take: 1, of: 1, offset: 0 };
  const match = /^([1-9]\d{0,8})\/([1-9]\d{0,8})$/.exec(text);
  const [take, of] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || take > of) throw usage(`--sample takes a fraction such as 1/10, not ${text}`);
  return { take, of, offset: randomInt(of) };
}

function threadsOf(commandLine: CommandLine): number {
  const text = textOption(commandLine, 'threads');
  if (text === undefined) return availableParallelism();
  if (!/^[1-9]\d{0,2}$/.test(text)) throw usage(`--threads takes a number from 1 to 999, not ${text}`);
  return Number(text);
}

interface Subject {
  /** `era`: what the configuration says has to be there. */
  readonly chains: readonly (FoundChain & Pick<VerifyOptions, 'era'>)[];
  /** Chains beside them that no configuration can name; those below a path are among `chains`. */
  readonly hidden: readonly string[];
  /** Rows by range label; null where there is no catalog. */
  readonly rowsOf: (chain: FoundChain['chain'], signal: AbortSignal) => Promise<VerifyOptions['rows']>;
  readonly signatures: boolean;
  /** Null where no configuration was asked. */
  readonly anchors: AnchorsConfig | null;
  readonly close: () => Promise<void>;
}

/** What `--signatures` says; null where it is not given. */
function signaturesOf(commandLine: CommandLine): boolean | null {
  const text = textOption(commandLine, 'signatures');
  if (text === undefined) return null;
  if (text !== 'all' && text !== 'off') throw usage(`--signatures takes all or off, not ${text}`);
  return text === 'all';
}

/** From the path, or from the configuration where none is given. Only a configuration knows of a catalog. */
async function subjectOf(commandLine: CommandLine): Promise<Subject> {
  const [path] = commandLine.args;
  const signatures = signaturesOf(commandLine);
  if (path !== undefined) {
    const chains = await findChains(path, accessOption(commandLine));
    const hidden = chains.filter(({ chain }) => hasLayoutName(chain)).map(({ chain }) => chainKey(chain));
    const rowsOf = async (): Promise<null> => null;
    return { chains, hidden, rowsOf, signatures: signatures ?? true, anchors: null, close: async () => undefined };
  }
  const { eras, store, storeSpec, catalog, config } = openContext(commandLine);
  return {
    signatures: signatures ?? config.checks.signatures === 'all',
    anchors: config.anchors,
    hidden: await layoutNamedChains(store, eras.map(chainOf)),
    chains: eras.map((era) => ({
      chain: chainOf(era),
      store: storeSpec,
      era: { start: era.ledger_start, end: era.ledger_end },
    })),
    rowsOf: async (chain, signal) => {
      const rows = await catalog?.rows(
        { domain: config.catalog.namespace, dataset: config.bronze.primary_table, chain },
        signal,
      );
      return rows ? new Map(rows.map((row) => [rangeLabel(row.range), row])) : null;
    },
    close: async () => catalog?.close(),
  };
}

const GUARANTEES = [
  'read: every row of these partitions was checked from its bytes up: ledger hash, links, transaction set, results, columns, checksum, content root',
  'not read: manifest, event and size agree; the bytes were not looked at',
  'not promised: ledger-entry changes in the meta, which no header authenticates; they are as they were in the source',
  'not promised: that nothing was exchanged whole, or removed at the end: signed heads show it (pas verify --key), and those kept elsewhere (--heads)',
];

/** Said where nobody asked whose word the history is. */
const NOT_ANCHORED =
  'not promised: that it is the history of the network, whoever signed it: verify --anchor judges whose keys these are';

const guaranteesOf = (anchor: AnchorReport | null): readonly string[] =>
  anchor === null ? [...GUARANTEES, NOT_ANCHORED] : GUARANTEES;

/** Findings that stand for many count as what they stand for. */
const found = (findings: readonly Finding[]): string => counted(countOf(findings), 'finding');

/** Said only where partitions of the old program are among them. */
const definitions = (columns: ChainReport['columns']): string =>
  columns.includes(1) ? `column definition${columns.length > 1 ? 's' : ''} ${columns.join(' and ')}; ` : '';

/** Of what was read. */
function signed({ signers }: ChainReport): string {
  if (signers === null) return 'signatures not looked at';
  const counts = Object.values(signers);
  const ledgers = counts.reduce((sum, count) => sum + count, 0);
  return ledgers === 0
    ? 'no ledger signed'
    : `${counted(ledgers, 'ledger')} signed by ${counted(counts.length, 'key')}`;
}

/** How far that is vouched for which is called OK. */
const vouched = (anchor: AnchorReport | null): string =>
  (anchor?.networks ?? [])
    .flatMap(({ chains }) => chains)
    .map(({ chain, stretches }) => `; ${chain} is vouched for up to ledger ${stretches[0]?.vouched_to}, not after it`)
    .join('');

function text(reports: readonly ChainReport[], findings: readonly Finding[], anchor: AnchorReport | null): string {
  const lines = reports.map(
    (report) =>
      `${report.chain}: ${counted(report.partitions, 'partition')}, ledgers ${report.first ?? '-'} to ${report.last ?? '-'}; ` +
      `${report.read} read (${(report.bytes_read / 1e6).toFixed(1)} MB), ${report.not_read} not read` +
      (report.not_looked_at > 0 ? `, ${report.not_looked_at} not looked at; ` : '; ') +
      (report.staged > 0 ? `${counted(report.staged, 'object')} being written, or left by a dead run; ` : '') +
      `${signed(report)}; ${report.attested} attested, ${report.recorded === null ? 'no catalog asked' : `${report.recorded} in the catalog`}; ${definitions(report.columns)}${report.findings.length === 0 ? 'nothing wrong found' : found(report.findings)}`,
  );
  for (const finding of findings) {
    lines.push(`${finding.chain}: ${finding.code}: ${finding.message}`);
    for (const key of ['object', 'check', 'expected', 'found', 'hint'] as const) {
      if (finding[key] !== undefined) lines.push(`  ${key === 'hint' ? 'what to do' : key}: ${finding[key]}`);
    }
  }
  for (const { chain, not_read, not_read_ledgers } of reports) {
    if (not_read > 0) lines.push(`${chain}: not read: ledgers ${ledgersText(not_read_ledgers)}`);
  }
  const unread = reports.reduce((sum, report) => sum + report.not_read + report.not_looked_at, 0);
  const read = reports.reduce((sum, report) => sum + report.read, 0);
  if (anchor !== null) lines.push(...anchorLines(anchor));
  if (findings.length > 0) lines.push(`NOT OK: ${found(findings)}`);
  else if (anchor?.verdict === 'not_vouched')
    lines.push(
      `NOT VOUCHED FOR: nothing wrong was found in the ${counted(read, 'partition that was', 'partitions that were')} read` +
        `${unread > 0 ? `, ${counted(unread, 'was', 'were')} not read` : ''}; that it is the history of the network is not shown`,
    );
  else if (unread > 0)
    lines.push(
      `OK for the ${counted(read, 'partition that was', 'partitions that were')} read; ${counted(unread, 'was', 'were')} not read${vouched(anchor)}`,
    );
  else
    lines.push(
      `OK: ${read === 1 ? '1 partition was' : `all ${counted(read, 'partition')} were`} read and checked${vouched(anchor)}`,
    );
  return `${[...lines, ...guaranteesOf(anchor).map((line) => `  ${line}`)].map(printable).join('\n')}\n`;
}

const badName = (chain: string): Finding => ({
  chain,
  code: 'BRONZE_NAME',
  message: 'network, era or version has a name that the layout of Bronze uses for itself',
  retryable: false,
  hint: 'no configuration can name it any more; docs/errors.md says how to go on',
});

/** Of a chain that could not even be listed: nothing was found wrong in it, and nothing right. */
const UNREACHED: ReadonlySet<ErrorCode> = new Set([
  'STORE_DENIED',
  'BUCKET_MISSING',
  'BUCKET_REGION',
  'CREDENTIALS_INVALID',
  'ENDPOINT_INVALID',
]);

/** STORE_IO that does not pass is about what stands there: a folder, a link or a pipe in the place of a file. */
const isUnreached = ({ code, retryable }: Failure): boolean => (code === 'STORE_IO' ? retryable : UNREACHED.has(code));

/** Exit code where nothing is wrong, and no quorum of organisations says that it is the network's history. */
const NOT_VOUCHED = 4;

export async function execute(commandLine: CommandLine): Promise<number> {
  const sample = sampleOf(commandLine);
  const threads = threadsOf(commandLine);
  const range = { from: ledgerOption(commandLine, 'from'), to: ledgerOption(commandLine, 'to') };
  const events = textOption(commandLine, 'events');
  if (range.from !== null && range.to !== null && range.from > range.to) {
    throw usage(`--from ${range.from} comes after --to ${range.to}`);
  }
  const copied = events === undefined ? null : await gatherFolder(resolve(events));
  const { chains, hidden, rowsOf, signatures, anchors: configured, close } = await subjectOf(commandLine);

  const anchors = anchorsOf(
    commandLine,
    chains.map(({ chain }) => chain.network),
    configured,
  );

  const pool = new ThreadPool(threads);
  const stop = new AbortController();
  const takeHandlersOff = onSignals(() => stop.abort());
  const shows = commandLine.options.progress !== false && process.stderr.isTTY && !switchOption(commandLine, 'json');
  /** A catalog that cannot be asked proves nothing and disproves nothing: it is said, and Bronze is verified. */
  const rows = (chain: FoundChain['chain']): Promise<VerifyOptions['rows']> =>
    rowsOf(chain, stop.signal).catch((error: unknown) => {
      const { code, message } = toFailure(error);
      if (code === 'CANCELLED') throw error;
      say(`${printable(`${chainKey(chain)}: not compared with the catalog: ${code}: ${message}`)}\n`);
      return null;
    });
  const reports: { report: ChainReport; chain: FoundChain['chain'] }[] = [];
  const findings: Finding[] = summedUp(copied?.failures ?? []).map((failure) => ({
    ...failure,
    chain: 'copies of events',
  }));
  const unreached = new Map<Finding, FoundChain['chain']>();
  try {
    for (const { chain, store: spec, era } of chains) {
      const store = openStore(spec);
      try {
        const report = await verifyChain(store, spec, chain, {
          sample,
          ...range,
          // Who vouches is known by nothing else.
          signatures: signatures || anchors !== null,
          ...(era === undefined ? {} : { era }),
          copies: copied,
          rows: await rows(chain),
          parallel: threads,
          signal: stop.signal,
          readBack: (task) => pool.run(task, { signal: stop.signal }),
          ...(anchors === null ? {} : { anchor: anchors.options(chain.network) }),
          onPartition: (done, of) => {
            if (shows) redraw(`${chainKey(chain)}: ${done} of ${of} partitions`);
          },
        });
        reports.push({ report, chain });
        findings.push(...report.findings);
      } catch (error) {
        const failure = toFailure(error);
        if (failure.code === 'CANCELLED') throw error;
        const finding: Finding = { ...failure, chain: chainKey(chain) };
        findings.push(finding);
        if (isUnreached(failure)) unreached.set(finding, chain);
      }
      if (shows) redraw('');
    }
  } finally {
    await pool.close();
    takeHandlersOff();
    await close();
  }
  findings.push(...verifyEraLinks(reports), ...hidden.map(badName));
  const only = reports.map(({ report }) => report);
  const unknown = new Set([...unreached.values()].map(({ network }) => network));
  for (const network of new Set(chains.map(({ chain }) => chain.network))) {
    // What was asked for may be where nobody could look.
    if (unknown.has(network)) continue;
    const its = reports.filter(({ chain }) => chain.network === network).map(({ report }) => report);
    const missing = missingOf(network, range, its);
    if (missing !== null) findings.push(missing);
  }
  const anchor = anchors?.report(reports) ?? null;
  const isWhole = findings.length === 0;
  const ok = isWhole && anchor?.verdict !== 'not_vouched';
  if (isWhole && only.every(({ read }) => read === 0))
    throw new BronzeError('INTERNAL', 'nothing was read, and nothing said so');
  if (switchOption(commandLine, 'json')) {
    const chainsJson = only.map(({ ends: _ends, accounted: _accounted, pieces: _pieces, ...report }) => report);
    const told = {
      ok,
      chains: chainsJson,
      ...(anchor === null ? {} : { anchor }),
      findings,
      guarantees: guaranteesOf(anchor),
    };
    await print(`${JSON.stringify(told, null, 2)}\n`);
  } else {
    await print(text(only, findings, anchor));
  }
  if (isWhole) return ok ? 0 : NOT_VOUCHED;
  return findings.every((finding) => unreached.has(finding)) ? 1 : 3;
}
