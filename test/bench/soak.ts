/**
 * A soak: copies are made, killed at random moments, begun again and verified, over and over, until so many minutes or
 * partitions are reached; before that, one long process that nothing disturbs. What it looks for is what only shows
 * after a while: a partition that comes out wrong, memory or descriptors that grow, files that stay.
 *
 *   npm run bench:soak -- [--minutes 120] [--partitions 20000] [--long 3000] [--catalog embedded|none] [--seed N] [--save]
 *
 * `--long`: partitions of the long process, 2000 at least. `--seed` repeats the choices, though not the moments: those
 * depend on the machine. The first round is made, and a round that is begun is finished, whatever the time. Anything
 * wrong is printed at once, its folder is kept, and the exit code is 1. Works below TMPDIR.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { makeRng } from '../support/xdr-random.ts';
import { type Lake, madeLake } from './lake.ts';
import { command, configFor, type Setup } from './product.ts';
import { record } from './record.ts';
import { copy, type Death, type Level, levelOf, type Run } from './watched.ts';

export interface Soak {
  readonly seed: number;
  /** What it took, minutes. */
  readonly minutes: number;
  readonly catalog: string;
  readonly rounds: number;
  /** Runs that SIGKILL ended, and those that SIGTERM ended, drained or at once. */
  readonly kills: number;
  readonly terms: number;
  /** How often the state folder was removed between two runs. */
  readonly losses: number;
  /** Committed by all runs, the long one among them. */
  readonly partitions: number;
  /** Copies that did not come out right. */
  readonly wrong: number;
  /** Temporary, staging and lock files that a finished run left, the most. */
  readonly temporaryLeft: number;
  /** What stays for a while by design, the most: files staged by the dead whose state folder was lost; new catalogs. */
  readonly leftByDesign: number;
  /** The process that nothing disturbed. */
  readonly long: {
    readonly partitions: number;
    readonly seconds: number;
    readonly rssMB: Level;
    readonly descriptors: Level;
  };
  /** The most in any process of the rounds. */
  readonly most: { readonly rssMB: number; readonly descriptors: number };
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '120' },
    partitions: { type: 'string', default: '20000' },
    long: { type: 'string', default: '3000' },
    catalog: { type: 'string', default: 'embedded' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    save: { type: 'boolean', default: false },
  },
});

function numberOf(name: 'minutes' | 'partitions' | 'long' | 'seed', least: number): number {
  const value = Number(values[name]);
  if (!(value >= least && value < 2 ** 31)) throw new Error(`--${name} is a number from ${least} up`);
  return value;
}

const minutes = numberOf('minutes', 0);
const partitions = numberOf('partitions', 1);
const longPartitions = numberOf('long', 2_000);
const seed = numberOf('seed', 0);
const { catalog } = values;
if (catalog !== 'none' && catalog !== 'embedded') throw new Error('--catalog is embedded or none');

const SETUP = { threads: 2, codec: 'zstd-3', eras: 2, catalog } as const;
/** Of a round: about 150 partitions. Few, so that deaths are many, and fall into every part of a run. */
const ROUND = { last: 1_501, setup: { ...SETUP, partition: 10 } };
/** As few ledgers as make many partitions: what may grow, grows with partitions. */
const LONG = { last: 1 + 2 * longPartitions, setup: { ...SETUP, partition: 2 } };
/** Where a copier writes, below its folder. */
const PLACES = ['data', 'state', 'pas'];
/** What a reader never sees, and what has to be gone at the end of a run. */
const HIDDEN = /\/_staging\/|\.(tmp|claim|wal)$|\.new-[0-9a-f]+$|\/lock_[^/]*$/;
/** A catalog that was never finished: removed when it is old, as somebody else may be making it. */
const NEW_CATALOG = /\.new-[0-9a-f]+(\.wal)?$/;

const began = Date.now();
const deadline = began + minutes * 60_000;
const work = mkdtempSync(join(tmpdir(), 'bronze-soak-'));
let keepsWork = false;
const tally = { rounds: 0, kills: 0, terms: 0, losses: 0, partitions: 0, wrong: 0, left: 0, excused: 0 };
const most = { rssMB: 0, descriptors: 0 };

/** Every file of a copier by path: of data objects the SHA-256, of others nothing, as time and place are in them. */
function look(dir: string, places: readonly string[] = PLACES): Map<string, string> {
  const found = new Map<string, string>();
  for (const place of places.filter((name) => existsSync(join(dir, name)))) {
    for (const entry of readdirSync(join(dir, place), { recursive: true, withFileTypes: true })) {
      if (entry.isDirectory()) continue;
      const path = join(entry.parentPath, entry.name);
      const hash = path.endsWith('.parquet') ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
      found.set(relative(dir, path), hash);
    }
  }
  return found;
}

/** @throws where a reader sees what the reference has not, or has otherwise */
function checkVisible(found: ReadonlyMap<string, string>, reference: ReadonlyMap<string, string>): void {
  const wrong = [...found].flatMap(([path, hash]) => {
    if (HIDDEN.test(path)) return [];
    if (reference.get(path) !== hash) return [`${path} is not what an undisturbed copy has (${hash})`];
    const data = path.replace(/range=([^/]+)\/_manifest\.json$/, 'range=$1/part-$1.parquet');
    return found.has(data) ? [] : [`${path} without its data`];
  });
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
}

/**
 * A copy that is done: proved by the program, equal to the reference where there is one, nothing left over. Counts its
 * partitions.
 * @param lost whether the state folder was, once: then the next copier cannot know what is staged by the dead.
 * @throws where any of it does not hold
 */
async function settle(
  dir: string,
  config: string,
  reference: Map<string, string> | null,
  lost: boolean,
): Promise<void> {
  const found = look(dir);
  if (reference) {
    checkVisible(found, reference);
    const missing = [...reference.keys()].filter((path) => !found.has(path));
    if (missing.length > 0) throw new Error(`missing: ${missing.join(', ')}`);
  }
  const hidden = [...found.keys()].filter((path) => HIDDEN.test(path));
  const excused = hidden.filter((path) => NEW_CATALOG.test(path) || (lost && /^data\/.*\/_staging\//.test(path)));
  const left = hidden.filter((path) => !excused.includes(path));
  tally.left = Math.max(tally.left, left.length);
  tally.excused = Math.max(tally.excused, excused.length);
  if (left.length > 0) throw new Error(`left over: ${left.join(', ')}`);
  const data = [...found].filter(([path, hash]) => hash !== '' && !HIDDEN.test(path)).length;
  // Both end with 3 where they find something, which is thrown; but what was not looked at is nothing found.
  const verified = JSON.parse((await command(['verify', '--config', config, '--json'])).stdout);
  const reconciled = JSON.parse((await command(['reconcile', '--config', config, '--json'])).stdout);
  for (const [name, said] of Object.entries({ verify: verified, reconcile: reconciled })) {
    const counts: Record<string, number>[] = said.chains;
    const sum = (key: string): number => counts.reduce((total, chain) => total + (chain[key] ?? Number.NaN), 0);
    const expected = name === 'verify' ? ['partitions', 'read', 'attested'] : ['partitions', 'events', 'data_read'];
    if (name === 'reconcile' && catalog === 'embedded') expected.push('rows');
    const short = expected.filter((key) => sum(key) !== data);
    if (!said.ok || short.length > 0 || (said.pending ?? []).length > 0)
      throw new Error(`${name}, of ${data} partitions (${short.join(', ')}): ${JSON.stringify(said)}`);
  }
  tally.partitions += data;
}

/** Says what is wrong, and keeps the folder; removes it otherwise. */
async function judged<T>(name: string, act: (dir: string) => Promise<T>): Promise<T | null> {
  const dir = mkdtempSync(join(work, `${name}-`));
  try {
    const result = await act(dir);
    rmSync(dir, { recursive: true });
    return result;
  } catch (error) {
    tally.wrong += 1;
    keepsWork = true;
    process.exitCode = 1;
    console.error(`WRONG: ${name}, seed ${seed}, kept in ${dir}:\n${(error as Error).message}`);
    return null;
  }
}

interface Whole {
  readonly run: Run;
  readonly files: Map<string, string>;
  readonly partitions: number;
}

/** A copy that nothing disturbs. */
async function undisturbed(dir: string, of: Lake, setup: Setup): Promise<Whole> {
  const config = configFor(dir, of, setup);
  const run = await copy(dir, config, 3_600_000);
  const before = tally.partitions;
  await settle(dir, config, null, false);
  return { run, files: look(dir), partitions: tally.partitions - before };
}

/** One copier from its birth to the run that gets through. */
async function round(dir: string, number: number, of: Lake, { run, files }: Whole): Promise<void> {
  const config = configFor(dir, of, ROUND.setup);
  const rng = makeRng(seed + number);
  let lost = false;
  for (let deaths = 0; ; deaths++) {
    // Longer from death to death: on a machine that has become slower nobody would get through otherwise.
    const within = run.ms * (rng.below(3) === 0 ? 1 : 0.3) * (1 + deaths / 5);
    const death: Death = { moment: rng.below(within), signal: rng.below(6) === 0 ? 'SIGTERM' : 'SIGKILL' };
    const { status, samples } = await copy(dir, config, 60_000 + 20 * run.ms, Date.now() < deadline ? death : null);
    for (const { rssMB, descriptors } of samples) {
      most.rssMB = Math.max(most.rssMB, rssMB);
      most.descriptors = Math.max(most.descriptors, descriptors);
    }
    if (status === 'done') break;
    tally[death.signal === 'SIGTERM' ? 'terms' : 'kills'] += 1;
    checkVisible(look(dir, ['data']), files);
    if (rng.below(5) > 0) continue;
    rmSync(join(dir, 'state'), { recursive: true, force: true });
    lost = true;
    tally.losses += 1;
  }
  await settle(dir, config, files, lost);
}

const byTenths = ({ start, end, max }: Level, unit = ''): string =>
  `${start}${unit} -> ${end}${unit}, at most ${max}${unit}`;

console.log(`soak: ${minutes} minutes or ${partitions} partitions, catalog ${catalog}, seed ${seed}, in ${work}`);
try {
  const lake = await madeLake(join(work, 'lake'), Math.max(ROUND.last, LONG.last));
  const ofLong = { ...lake, end: LONG.last };
  const ofRound = { ...lake, end: ROUND.last };
  const long = await judged('long', (dir) => undisturbed(dir, ofLong, LONG.setup));
  const reference = await judged('reference', (dir) => undisturbed(dir, ofRound, ROUND.setup));
  if (!long || !reference) throw new Error('nothing to compare with: an undisturbed copy was wrong');
  const levels = {
    rssMB: levelOf(long.run.samples.map(({ rssMB }) => rssMB)),
    descriptors: levelOf(long.run.samples.map(({ descriptors }) => descriptors)),
  };
  console.log(
    `one process, ${long.partitions} partitions in ${(long.run.ms / 1000).toFixed(0)} s: ` +
      `resident ${byTenths(levels.rssMB, ' MB')}; descriptors ${byTenths(levels.descriptors)}`,
  );
  do {
    const { kills, terms, losses } = tally;
    const number = ++tally.rounds;
    await judged(`round-${number}`, (dir) => round(dir, number, ofRound, reference));
    console.log(
      `round ${number}: ${tally.kills - kills} SIGKILL, ${tally.terms - terms} SIGTERM, state lost ${tally.losses - losses} times; ` +
        `${tally.partitions} partitions so far, ${tally.wrong} wrong`,
    );
  } while (Date.now() < deadline && tally.partitions < partitions);
  const { left, excused, ...counts } = tally;
  const soak: Soak = {
    seed,
    minutes: Math.round((Date.now() - began) / 6_000) / 10,
    catalog,
    ...counts,
    temporaryLeft: left,
    leftByDesign: excused,
    long: { partitions: long.partitions, seconds: Math.round(long.run.ms / 1_000), ...levels },
    most: { ...most, rssMB: Math.round(most.rssMB) },
  };
  console.log(
    `${soak.minutes} minutes: ${counts.rounds} rounds, ${counts.kills} SIGKILL, ${counts.terms} SIGTERM, state lost ` +
      `${counts.losses} times; ${counts.partitions} partitions, ${counts.wrong} wrong; temporary files left: ${left} ` +
      `(by design: ${excused}); in the rounds at most ${soak.most.rssMB} MB, ${most.descriptors} descriptors`,
  );
  record('soak', soak, values.save);
} finally {
  if (!keepsWork) rmSync(work, { recursive: true });
}
