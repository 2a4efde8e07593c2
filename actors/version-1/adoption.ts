/**
 * What an estate of the old program has to be for this program to go on with it: its partitions, told by their
 * manifests, and its audit chain, whole and in agreement with them. It must never write, and never pass over an event
 * that says something else than what is there.
 */

import { join } from 'node:path';
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { DataFile, LedgerRange } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import type { ChainEvent } from '../bronze/event.ts';
import { verifyLinks } from '../bronze/links.ts';
import { manifestData, parseAnyManifest, sameData } from '../bronze/manifest.ts';
import { type ChainName, chainKey, manifestKey } from '../bronze/names.ts';
import type { BronzeStore } from '../ports/store.ts';
import { HEADS_FILE } from '../state/heads.ts';
import { type BackupFolder, OLD_EVENTS, type OldChain, readOldChain } from './old-chain.ts';

/** Manifests read at a time. */
const PARALLEL = 16;

/** What `_bronze.json` records of an adoption, for good. */
export interface AdoptedRecord {
  /** Column definition of the adopted partitions. */
  readonly columns: 1;
  /** Name and version, from the last of the old manifests. */
  readonly program: string;
  readonly ledger_start: number;
  readonly ledger_end: number;
  readonly partitions: number;
  /** Hash of the old chain's last event; null where no event was there to read. */
  readonly chain_head: string | null;
  readonly events: number;
}

/** Partitions of the old program that can be adopted. */
export interface Adoption {
  /** In ledger order. */
  readonly ranges: readonly LedgerRange[];
  readonly record: AdoptedRecord;
  /** What somebody should know of the old chain; nothing that stands in the way. */
  readonly warnings: readonly string[];
}

/** A chain in which the old program may have left something. */
export interface OldEstate {
  readonly store: Pick<BronzeStore, 'get'>;
  readonly chain: ChainName;
  readonly table: string;
  /** Partitions of which both files are there, in ledger order; whose they are, their manifests tell. */
  readonly sealed: readonly LedgerRange[];
  /** Whether the chain that goes on after the old one has an event with this hash. */
  readonly hasEvent: (hash: string) => Promise<boolean>;
}

interface OldPartition {
  readonly range: LedgerRange;
  readonly data: DataFile;
  readonly program: string;
}

async function oldPartitions(
  { store, chain, table, sealed }: OldEstate,
  signal?: AbortSignal,
  onProgress?: () => void,
): Promise<OldPartition[]> {
  const read = await mapBounded(
    sealed,
    PARALLEL,
    async (range): Promise<OldPartition | null> => {
      onProgress?.();
      const object = manifestKey(chain, table, range);
      const bytes = await store.get(object, signal);
      if (bytes === null) return null;
      const { columns, manifest } = parseAnyManifest(bytes, { chain, table, range, object });
      if (columns !== 1) return null;
      const { name, version } = manifest.producer;
      return { range, data: manifestData(manifest, table), program: `${name} ${version}` };
    },
    signal,
  );
  return read.filter((found) => found !== null);
}

/** The way out is the same whatever is wrong: the right file, or an adoption that does without the old chain. */
function refuse(dir: string, object: string, range: LedgerRange, why: string, lost = object): BronzeError {
  const hint = `bring ${lost} back as the old program wrote it; or move the events of this chain out of ${dir} (and ${OLD_EVENTS}/ below it), and this chain's line out of ${HEADS_FILE} there, to adopt the partitions without the old chain (docs/runbook.md, "Taking over an estate of version 1")`;
  return new BronzeError('AUDIT_INVALID', `the old program's audit chain cannot be taken over: ${why}; ${hint}`, {
    details: { ...range, object, hint },
  });
}

/** Throws AUDIT_INVALID where the events are no chain, or attest something else than what is there. */
function assertWhole(
  { chain, table }: OldEstate,
  dir: string,
  events: readonly ChainEvent[],
  partitions: readonly OldPartition[],
): void {
  const verdict = verifyLinks(events);
  if (!verdict.ok) {
    const { object, start, end, reason } = verdict;
    throw refuse(dir, object, { start, end }, `it breaks at ${object}: ${reason}`);
  }
  const there = new Map(partitions.map((partition) => [rangeLabel(partition.range), partition]));
  for (const event of events) {
    const { object, range, data } = event;
    const label = rangeLabel(range);
    const partition = there.get(label);
    if (event.table !== table) throw refuse(dir, object, range, `${object} is about the table ${event.table}`);
    if (!partition) {
      throw refuse(
        dir,
        object,
        range,
        `${object} attests partition ${label} of ${chainKey(chain)}, which is not there`,
      );
    }
    if (sameData(partition.data, data)) continue;
    const [said, is] = [data, partition.data].map((of) => `${of.checksum}, ${of.rowCount} rows, ${of.byteSize} bytes`);
    throw refuse(dir, object, range, `${object} attests ${said}, the manifest of partition ${label} says ${is}`);
  }
}

/**
 * Throws AUDIT_INVALID where the heads file names an event that is not there: the last ones were lost. Not where it names
 * an event of our own, as it does once an estate was adopted.
 */
async function assertHeadIsThere(
  estate: OldEstate,
  dir: string,
  { events, head }: OldChain,
  range: LedgerRange,
): Promise<void> {
  if (head === null || events.some((event) => event.eventHash === head)) return;
  if (await estate.hasEvent(head)) return;
  const last = events.at(-1);
  const found = last === undefined ? 'there are no events at all' : `the last event that is there is ${last.eventHash}`;
  const named = `its last event is ${head} by ${HEADS_FILE}, and`;
  throw refuse(
    dir,
    last?.object ?? join(dir, HEADS_FILE),
    last?.range ?? range,
    `${named} ${found}`,
    'what is missing',
  );
}

function warningsOf(dir: string, { events, head }: OldChain, partitions: readonly OldPartition[]): string[] {
  const last = events.at(-1);
  if (last === undefined) {
    return [
      `there are no events of the old program in ${dir}: its partitions are adopted without its audit chain. If that chain is kept elsewhere, stop now, bring it there and run again`,
    ];
  }
  const warnings: string[] = [];
  if (head !== last.eventHash) {
    warnings.push(
      `the head of the old chain is ${last.eventHash} by its events, and ${head ?? 'nothing'} by its heads file`,
    );
  }
  const attested = new Set(events.map((event) => rangeLabel(event.range)));
  const without = partitions.filter((partition) => !attested.has(rangeLabel(partition.range)));
  if (without.length > 0) {
    warnings.push(
      `${without.length} partitions of the old program have no event of it, the first of them ${rangeLabel((without[0] as OldPartition).range)}`,
    );
  }
  return warnings;
}

/**
 * What there is to adopt of an estate; null where the old program left nothing. `copies`: where its events are.
 * Throws AUDIT_INVALID where its chain is broken, lacks its known head or contradicts the manifests, MANIFEST_INVALID, STATE_IO, STORE_*.
 */
export async function judgeOldEstate(
  estate: OldEstate,
  copies: BackupFolder,
  signal?: AbortSignal,
  onProgress?: () => void,
): Promise<Adoption | null> {
  const partitions = await oldPartitions(estate, signal, onProgress);
  const first = partitions[0];
  const last = partitions.at(-1);
  if (first === undefined || last === undefined) return null;
  const old = await readOldChain(copies, signal, onProgress).catch((error: unknown) => {
    if (!(error instanceof BronzeError) || error.code !== 'AUDIT_INVALID') throw error;
    const { object = copies.dir, start = first.range.start, end = last.range.end } = error.details;
    throw refuse(copies.dir, object, { start, end }, error.message);
  });
  assertWhole(estate, copies.dir, old.events, partitions);
  await assertHeadIsThere(estate, copies.dir, old, last.range);
  return {
    ranges: partitions.map(({ range }) => range),
    record: {
      columns: 1,
      program: last.program,
      ledger_start: first.range.start,
      ledger_end: last.range.end,
      partitions: partitions.length,
      chain_head: old.events.at(-1)?.eventHash ?? null,
      events: old.events.length,
    },
    warnings: warningsOf(copies.dir, old, partitions),
  };
}

/** For logs and `plan`: what is adopted, in one line. */
export const adoptionText = ({ record }: Adoption): string =>
  `${record.partitions} partitions of the old program (${record.program}), ledgers ${record.ledger_start} to ${record.ledger_end}, ` +
  (record.chain_head === null
    ? 'without its audit chain'
    : `with its audit chain of ${record.events} events, head ${record.chain_head}`);
