/**
 * `reconcile`: storage, manifests, events, copies, checkpoint and catalog compared; with `--repair`, what can be derived
 * again is. Without it nothing is written.
 */

import { join } from 'node:path';
import { type ChainName, chainKey, checkpointFile, dataKey } from '../../actors/bronze/names.ts';
import { type LossFound, lossText, readLosses } from '../../actors/chain/losses.ts';
import type { EraSetup } from '../../actors/effects/setup.ts';
import type { DataReading } from '../../actors/reconcile/gather-facts.ts';
import { type Difference, type Repairable, weightOf } from '../../actors/reconcile/kinds.ts';
import { type Reconciled, reconcileChain } from '../../actors/reconcile/reconcile.ts';
import type { Repair, RepairPlace } from '../../actors/reconcile/repair.ts';
import { inspectLock } from '../../actors/state/lock.ts';
import { byKind, ledgersText } from '../../actors/verify/findings.ts';
import type { EraConfig } from '../../config/schema.ts';
import { type Failure, toFailure } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import { type Context, chainOf, eraSetup, openContext, openPool, signerOf } from '../context.ts';
import { printable } from '../human.ts';
import { errorText } from '../print-error.ts';
import { onSignals } from '../signals.ts';
import { print, redraw } from '../streams.ts';
import { type CommandLine, switchOption } from './command-line.ts';
import { locked } from './locked.ts';

export interface Choices {
  readonly repair: boolean;
  readonly quick: boolean;
  /** After each data object that was read. */
  readonly onPartition: (chain: string, done: number, of: number) => void;
}

/** What was found of one chain, and how it was looked at. */
interface ChainResult extends Reconciled {
  readonly chain: string;
  /** Who works on it now; null where nobody is known to. */
  readonly atWork: string | null;
  /** What was given up of it. */
  readonly losses: readonly LossFound[];
}

/** Of the chosen eras: what was found, and why some could not be looked at. */
export interface Results {
  readonly chains: readonly ChainResult[];
  readonly failures: readonly (Failure & { readonly chain: string })[];
}

function placeOf(setup: EraSetup, keys: RepairPlace['keys'], signal: AbortSignal): RepairPlace {
  const { store, storeSpec, chain, table, terms, attests, backup, neighbours, checks, pool } = setup;
  const { catalog, delivery, checkpoint, oldEvents, memories } = setup;
  return {
    ...{ store, chain, table, terms, attests, backup, neighbours, checks, delivery, oldEvents, memories, keys },
    source: setup.source.uri,
    checkpoint: checkpoint && { store: checkpoint, file: join(setup.stateDir, checkpointFile(chain)) },
    catalog: catalog && { catalog: catalog.catalog, dataset: { domain: catalog.domain, dataset: table, chain } },
    readBack: (task) => pool.run({ ...task, kind: 'readback', store: storeSpec }, { signal }),
  };
}

function readingOf(place: RepairPlace, parallel: number, choices: Choices): DataReading {
  const { chain, table, checks } = place;
  return {
    readBytes: choices.quick
      ? null
      : (range, columns) =>
          place.readBack({ depth: 'bytes', chain, range, key: dataKey(chain, table, range), columns, checks }),
    parallel,
    known: new Map(),
    onPartition: (done, of) => choices.onPartition(chainKey(chain), done, of),
  };
}

/** Looks at the chosen eras, one after the other; one that cannot be looked at does not keep the others from it. */
export async function reconcileEras(
  context: Context,
  pool: EraSetup['pool'],
  parallel: number,
  choices: Choices,
  signal: AbortSignal,
): Promise<Results> {
  const chains: ChainResult[] = [];
  const failures: Results['failures'][number][] = [];
  /** Without the key everything but the heads is looked at. */
  const keysOf = (chain: ChainName): RepairPlace['keys'] => {
    try {
      const signer = signerOf(context.config, chain);
      // Under the name of all logs: a head of another era's is to be known as such.
      return signer && [signer.key.verifier, ...signer.former].map((key) => key.named(context.config.pas.origin));
    } catch (error) {
      failures.push({ ...toFailure(error), chain: chainKey(chain) });
      return null;
    }
  };
  const reconcile = async (era: EraConfig): Promise<ChainResult> => {
    const setup = eraSetup(context, era, pool);
    const place = placeOf(setup, keysOf(setup.chain), signal);
    const options = { reading: readingOf(place, parallel, choices), repairs: choices.repair };
    const chain = chainKey(setup.chain);
    if (choices.repair) {
      const mended = await locked(setup, () => reconcileChain(place, options, signal));
      return { ...mended, chain, atWork: null, losses: await readLosses(setup, signal) };
    }
    const lock = await inspectLock(setup.stateDir, setup.chain);
    const atWork = lock === null || lock.liveness === 'dead' ? null : lock.description;
    const losses = await readLosses(setup, signal);
    return { ...(await reconcileChain(place, options, signal)), chain, atWork, losses };
  };
  for (const era of context.eras) {
    try {
      chains.push(await reconcile(era));
    } catch (error) {
      const failure = toFailure(error);
      if (failure.code === 'CANCELLED' || failure.code === 'INTERNAL') throw error;
      failures.push({ ...failure, chain: chainKey(chainOf(era)) });
    }
  }
  return { chains, failures };
}

/** 3: something is wrong. 1: something could not be looked at. */
export function exitCode({ chains, failures }: Results): 0 | 1 | 3 {
  const weights = chains.flatMap(({ differences }) => differences.map(weightOf));
  if (weights.includes('wrong')) return 3;
  return failures.length > 0 || weights.includes('unseen') ? 1 : 0;
}

const MENDERS: Readonly<Record<Repairable, string>> = {
  reconcile: 'reconcile --repair mends',
  run: 'the next run mends',
  copy: 'somebody has to put back or move aside',
  no: 'cannot be mended as it is',
};

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

function seen({ chain, facts, atWork }: ChainResult): { line: string; read: number; unread: number } {
  const { partitions, events, catalog } = facts;
  const sizes = partitions.flatMap(({ read }) => (read !== null && 'checksum' in read ? [read.byteSize] : []));
  const data = partitions.filter(({ dataBytes }) => dataBytes !== null).length;
  const megabytes = (sizes.reduce((sum, size) => sum + size, 0) / 1e6).toFixed(1);
  const parts = [
    counted(partitions.length, 'partition'),
    counted(events.length, 'event'),
    ...(catalog?.rows ? [counted(catalog.rows.length, 'row')] : []),
    `${counted(sizes.length, 'data object')} read (${megabytes} MB), ${data - sizes.length} not read`,
  ];
  const work =
    atWork === null ? '' : `\n  a copier is at work here, or was: ${atWork}; what it is doing now may show below`;
  return { line: `${chain}: ${parts.join(', ')}${work}`, read: sizes.length, unread: data - sizes.length };
}

function block({ kind, chain, range, object, what, cause, cure }: Difference): string {
  const where = range === undefined ? object : `${object} (ledgers ${rangeLabel(range)})`;
  return [`${chain}: ${kind}`, `  what: ${what}`, `  where: ${where}`, `  cause: ${cause}`, `  cure: ${cure}`].join(
    '\n',
  );
}

/** The first of each kind, and a line for the others of it: of 2,000 partitions that are gone, nobody reads 10,000 lines. */
const blocksOf = (differences: readonly Difference[]): string[] =>
  byKind(differences, ({ chain, kind }) => `${chain} ${kind}`).flatMap(({ told, rest }) => {
    const [first] = rest;
    if (first === undefined) return told.map(block);
    const ranges = rest.flatMap(({ range }) => (range === undefined ? [] : [range]));
    const where = ranges.length === 0 ? '' : `, ledgers ${ledgersText(ranges)}`;
    const { chain, kind } = first;
    return [...told.map(block), `${chain}: ${kind}: ${rest.length} more like these${where}; --json has them all`];
  });

const repairLine = ({ difference: { kind, chain, object }, failure }: Repair): string =>
  failure === null
    ? `${chain}: repaired ${kind}: ${object}`
    : `${chain}: NOT repaired ${kind}: ${object}\n  ${failure.code}: ${failure.message}${failure.hint === undefined ? '' : `\n  what to do: ${failure.hint}`}`;

/** For an operator at three in the morning: what was looked at, what is wrong, and what to do next. */
function textOf(results: Results, repairs: boolean): string {
  const { chains, failures } = results;
  const looked = chains.map(seen);
  const differences = chains.flatMap((chain) => chain.differences);
  const lines = [
    ...looked.map(({ line }) => line),
    ...chains.flatMap(({ chain, losses }) => losses.map((loss) => `${chain}: ${lossText(loss)}`)),
    ...chains.flatMap((chain) => chain.repairs.map(repairLine)),
    ...blocksOf(differences),
    ...failures.map((failure) => `${failure.chain}: could not be looked at\n${errorText(failure).trimEnd()}`),
  ];
  const wrong = differences.filter((difference) => weightOf(difference) === 'wrong');
  const unread = looked.reduce((sum, { unread: count }) => sum + count, 0);
  if (unread > 0) {
    lines.push(
      `not read: the bytes of ${counted(unread, 'data object')}; what was changed in them without changing their size is not seen`,
    );
  }
  const done = chains.flatMap((chain) => chain.repairs).filter(({ failure }) => failure === null).length;
  if (repairs) lines.push(`repaired: ${done}`);
  if (wrong.length > 0) {
    const menders = (Object.keys(MENDERS) as Repairable[]).flatMap((by) => {
      const count = wrong.filter(({ repairable }) => repairable === by).length;
      return count === 0 ? [] : [`${count} ${MENDERS[by]}`];
    });
    lines.push(`NOT OK: ${counted(wrong.length, 'difference')}${repairs ? ' left' : ''}: ${menders.join(', ')}`);
  } else if (exitCode(results) === 1) lines.push('NOT ALL WAS LOOKED AT: what was agrees');
  else lines.push(unread > 0 ? 'OK: all that was looked at agrees' : 'OK: everything agrees');
  // Blocks are of several lines.
  return `${lines
    .flatMap((each) => each.split('\n'))
    .map(printable)
    .join('\n')}\n`;
}

function jsonOf(results: Results): string {
  const { chains, failures } = results;
  const all = chains.flatMap(({ differences }) => differences);
  const of = (weight: ReturnType<typeof weightOf>) => all.filter((difference) => weightOf(difference) === weight);
  const report = {
    ok: exitCode(results) === 0,
    chains: chains.map((chain) => {
      const { partitions, events, catalog } = chain.facts;
      const { read, unread } = seen(chain);
      return {
        chain: chain.chain,
        partitions: partitions.length,
        events: events.length,
        rows: catalog?.rows?.length ?? null,
        data_read: read,
        data_not_read: unread,
        at_work: chain.atWork,
        given_up: chain.losses.map(({ key, record }) => ({ key, record })),
      };
    }),
    differences: of('wrong'),
    not_looked_at: of('unseen'),
    pending: of('pending'),
    repairs: chains.flatMap(({ repairs }) =>
      repairs.map(({ difference, failure }) => ({ ...difference, repaired: failure === null, failure })),
    ),
    failures,
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const json = switchOption(commandLine, 'json');
  const repairs = switchOption(commandLine, 'repair');
  const context = openContext(commandLine);
  const shows = commandLine.options.progress !== false && process.stderr.isTTY && !json;
  const pool = openPool(context.config);
  const stop = new AbortController();
  const takeHandlersOff = onSignals(() => stop.abort());
  let results: Results;
  try {
    const choices: Choices = {
      repair: repairs,
      quick: switchOption(commandLine, 'quick'),
      onPartition: (chain, done, of) => {
        if (shows) redraw(done === of ? '' : `${chain}: ${done} of ${of} data objects read`);
      },
    };
    results = await reconcileEras(context, pool, pool.size, choices, stop.signal);
  } finally {
    await pool.close();
    await context.catalog?.close();
    takeHandlersOff();
  }
  await print(json ? jsonOf(results) : textOf(results, repairs));
  return exitCode(results);
}
