/**
 * Keeps the rows of one chain in a catalog equal to what is committed. It knows the committed partitions of the chain
 * (from the survey, then one by one), compares them with the rows that are there, and writes what is missing, in ledger
 * order. It must never record what is not sealed, nor, where there is an audit stream, what is not attested; and never
 * count too little as pending.
 */
import { BronzeError, toFailure } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { EraFacts, LedgerRange, Recovered } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import { eventId } from '../bronze/event.ts';
import { type ChainName, dataKey } from '../bronze/names.ts';
import type { ChainPlace } from '../chain/chain-place.ts';
import { killPoint } from '../kill-points.ts';
import type { Catalog, DatasetName, LineageRow, PartitionRecord } from '../ports/catalog.ts';
import { partitionRecord } from './records.ts';

/** Partitions in one transaction, and manifests read at a time. */
const BATCH = 250;
const PARALLEL = 16;

/** A committed partition, as far as its row needs more than its manifest. */
export interface Committed {
  readonly range: LedgerRange;
  readonly checksum: string;
  /** Null where there is no audit stream. */
  readonly eventId: string | null;
}

export interface RecorderPlace extends ChainPlace {
  readonly catalog: Catalog;
  readonly dataset: DatasetName;
  /** Told once how many rows name another place of Bronze: they are left as they are. */
  readonly onMoved?: (rows: number) => void;
}

/** Whether a row that the old program wrote lacks something that is known now. */
const lacks = (row: LineageRow, of: Committed, prevHash: string | null): boolean =>
  (row.prevHash === null && prevHash !== null) || (row.pasEventId === null && of.eventId !== null);

/**
 * What earlier runs committed: attested partitions that are whole, and sealed ones that recovery takes as they are.
 * What stands on its agenda is not committed before that is worked off.
 */
export function committedIn(chain: ChainName, facts: EraFacts, { agenda, frontier }: Recovered): Committed[] {
  const attested = facts.events.map(({ range, data, sequence }) => ({
    range,
    checksum: data.checksum,
    eventId: eventId(chain, sequence),
  }));
  const isAttested = new Set(attested.map(({ range }) => rangeLabel(range)));
  const mended = new Set(
    agenda.flatMap(({ kind, range }) => (kind === 'restore' || kind === 'reseal' ? [rangeLabel(range)] : [])),
  );
  const listed = new Set(agenda.map((item) => rangeLabel(item.range)));
  const sealed = facts.partitions.flatMap(({ range, manifest, dataBytes }) => {
    const label = rangeLabel(range);
    const isTaken = range.end < frontier && !isAttested.has(label) && !listed.has(label);
    return manifest !== null && dataBytes !== null && isTaken
      ? [{ range, checksum: manifest.data.checksum, eventId: null }]
      : [];
  });
  const whole = attested.filter(({ range }) => !mended.has(rangeLabel(range)));
  return [...whole, ...sealed].sort((a, b) => a.range.start - b.range.start);
}

/** The committed partitions without their row, in ledger order. Rows with other content count as missing: recording them says so. */
export function missingRows(committed: readonly Committed[], rows: readonly LineageRow[]): Committed[] {
  const byLabel = new Map(rows.map((row) => [rangeLabel(row.range), row]));
  return committed.filter((partition, i) => {
    const row = byLabel.get(rangeLabel(partition.range));
    return row?.checksum !== partition.checksum || lacks(row, partition, precedingChecksum(committed, i));
  });
}

/** Checksum of the partition that ends where the `i`th begins; null where there is none. `committed` in ledger order. */
function precedingChecksum(committed: readonly Committed[], i: number): string | null {
  const before = committed[i - 1];
  return before !== undefined && before.range.end + 1 === committed[i]?.range.start ? before.checksum : null;
}

/** The rows of one chain in one catalog. */
export class CatalogRecorder {
  readonly #place: RecorderPlace;
  /** In ledger order. */
  readonly #committed: Committed[] = [];
  /** Labels of those whose row is known to be there. */
  readonly #recorded = new Set<string>();
  #prepared = false;
  /** Whether the rows that were there at the start have been seen. */
  #compared = false;

  constructor(place: RecorderPlace) {
    this.#place = place;
  }

  /** Takes note of a committed partition. */
  note(partition: Committed): void {
    const { range } = partition;
    let at = this.#committed.length;
    while (at > 0 && (this.#committed[at - 1] as Committed).range.start >= range.start) at -= 1;
    const same = this.#committed[at]?.range.start === range.start;
    this.#committed.splice(at, same ? 1 : 0, partition);
    // Written before the one it links to was known.
    const after = same ? undefined : this.#committed[at + 1];
    if (after?.range.start === range.end + 1) this.#recorded.delete(rangeLabel(after.range));
  }

  /** Makes the tables ready. Throws CATALOG_*. */
  async prepare(signal?: AbortSignal): Promise<void> {
    this.#prepared = (await this.#place.catalog.prepare(signal)) === 'ready';
  }

  /** Records one noted partition. `pending`: a reader holds the catalog. Throws CATALOG_*, MANIFEST_INVALID, STORE_*. */
  async record(range: LedgerRange, signal?: AbortSignal): Promise<{ pending: boolean }> {
    const at = this.#committed.findIndex((partition) => partition.range.start === range.start);
    if (at < 0) {
      throw new BronzeError('INTERNAL', `partition ${rangeLabel(range)} is to be recorded and was not committed`);
    }
    return { pending: !(await this.#write([this.#committed[at] as Committed], signal)) };
  }

  /** Records all that is missing. `left`: how many have to wait for a reader. `onProgress` after every transaction. Throws as `record`. */
  async recordMissing(signal?: AbortSignal, onProgress?: () => void): Promise<{ left: number }> {
    // Once they were compared, this copier knows what it wrote.
    const missing = this.#compared ? this.#unknown() : await this.#missing(signal);
    if (missing === null) return { left: this.#unknown().length };
    for (let at = 0; at < missing.length; at += BATCH) {
      const batch = missing.slice(at, at + BATCH);
      if (!(await this.#write(batch, signal))) return { left: missing.length - at };
      onProgress?.();
    }
    return { left: 0 };
  }

  /** How many committed partitions have no row, as far as is known without asking; null before they were compared. */
  get known(): number | null {
    return this.#compared ? this.#unknown().length : null;
  }

  /** How many committed partitions have no row, as far as the catalog tells now; never throws. */
  async pending(signal?: AbortSignal): Promise<number> {
    try {
      const missing = await this.#missing(signal);
      return (missing ?? this.#unknown()).length;
    } catch (error) {
      if (toFailure(error).code === 'INTERNAL') throw error;
      return this.#unknown().length;
    }
  }

  /** Quality row of a partition that was refused. Throws CATALOG_*. */
  async recordFailure(range: LedgerRange, message: string, signal?: AbortSignal): Promise<void> {
    if (!(await this.#ready(signal))) return;
    await this.#place.catalog.recordFailure(this.#place.dataset, range, message, signal);
  }

  /** Those whose row nobody has seen yet. */
  #unknown(): Committed[] {
    return this.#committed.filter(({ range }) => !this.#recorded.has(rangeLabel(range)));
  }

  /** Null: held by a reader. */
  async #missing(signal?: AbortSignal): Promise<Committed[] | null> {
    // Taken before the rows are read: what is committed meanwhile is the next round's.
    const committed = [...this.#committed];
    const rows = await this.#place.catalog.rows(this.#place.dataset, signal);
    if (rows === null) return null;
    if (!this.#compared) this.#tellMoved(committed, rows);
    const missing = missingRows(committed, rows);
    const isMissing = new Set(missing);
    for (const partition of committed) {
      if (!isMissing.has(partition)) this.#recorded.add(rangeLabel(partition.range));
    }
    this.#compared = true;
    return missing;
  }

  #tellMoved(committed: readonly Committed[], rows: readonly LineageRow[]): void {
    const { store, chain, table, onMoved } = this.#place;
    const ours = new Set(committed.map(({ range }) => rangeLabel(range)));
    const moved = rows.filter(
      ({ range, storageUri }) =>
        ours.has(rangeLabel(range)) &&
        storageUri !== '' &&
        storageUri !== `${store.uri}${dataKey(chain, table, range)}`,
    );
    if (moved.length > 0) onMoved?.(moved.length);
  }

  /** An unreachable catalog at the start has no tables yet. */
  async #ready(signal?: AbortSignal): Promise<boolean> {
    if (!this.#prepared) await this.prepare(signal);
    return this.#prepared;
  }

  /** In one transaction. False: held by a reader. */
  async #write(partitions: readonly Committed[], signal?: AbortSignal): Promise<boolean> {
    if (!(await this.#ready(signal))) return false;
    const records = await mapBounded(
      partitions,
      PARALLEL,
      ({ range, eventId: id }): Promise<PartitionRecord> =>
        partitionRecord(this.#place, range, { eventId: id, prevHash: this.#prevHash(range) }, signal),
      signal,
    );
    killPoint('commit:before-record');
    const answer = await this.#place.catalog.record(this.#place.dataset, records, signal);
    killPoint('commit:after-record');
    if (answer === 'held') return false;
    for (const { range, prevHash } of records) {
      // The partition before it may have become known meanwhile.
      if (prevHash === this.#prevHash(range)) this.#recorded.add(rangeLabel(range));
    }
    return true;
  }

  #prevHash({ start }: LedgerRange): string | null {
    return precedingChecksum(
      this.#committed,
      this.#committed.findIndex(({ range }) => range.start === start),
    );
  }
}
