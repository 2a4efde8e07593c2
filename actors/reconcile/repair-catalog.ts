/**
 * Makes the rows of one chain what Bronze says: rows that differ are forgotten, then whatever is missing is
 * recorded, in ledger order. It must never forget a row of a partition that is not whole, or that is not there: a row may be
 * the last that is known of one.
 */
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import { dataKey } from '../bronze/names.ts';
import { partitionRecord } from '../catalog/records.ts';
import { killPoint } from '../kill-points.ts';
import type { LineageRow } from '../ports/catalog.ts';
import { expectedRows } from './compare-catalog.ts';
import type { ChainFacts } from './facts.ts';
import type { ReconcilePlace } from './gather-facts.ts';
import type { Difference } from './kinds.ts';
import { type View, viewOf } from './view.ts';

/** Partitions in one transaction, and manifests read at a time. */
const BATCH = 500;
const PARALLEL = 16;

const held = (uri: string): BronzeError =>
  new BronzeError('CATALOG_UNAVAILABLE', `a reader holds the catalog ${uri} open`, {
    details: { object: uri, hint: 'close the reader, then reconcile again' },
  });

/** Ranges of which manifest and data agree with what is expected of them, as far as they were read. */
function wholeIn({ partitions, truthOf }: View, expected: readonly LineageRow[]): Set<string> {
  const found = new Map(partitions.map((partition) => [rangeLabel(partition.range), partition]));
  const isWhole = ({ range, checksum, byteSize }: LineageRow): boolean => {
    const label = rangeLabel(range);
    const partition = found.get(label);
    if (partition?.dataBytes !== byteSize || partition.manifest?.data.checksum !== checksum) return false;
    const { read, manifest } = partition;
    if (manifest.sha256 !== (truthOf.get(label)?.manifestSha256 ?? manifest.sha256)) return false;
    return read === null || ('checksum' in read && read.checksum === checksum);
  };
  return new Set(expected.filter(isWhole).map(({ range }) => rangeLabel(range)));
}

/** Throws CATALOG_*, and PARTITION_DAMAGED where a partition that is to be recorded is not whole; STORE_*. */
export async function repairCatalog(
  place: ReconcilePlace,
  facts: ChainFacts,
  differences: readonly Difference[],
  signal?: AbortSignal,
): Promise<void> {
  if (place.catalog === null) return;
  const { catalog, dataset } = place.catalog;
  if ((await catalog.prepare(signal)) === 'held') throw held(catalog.uri);
  const view = viewOf(facts);
  const expected = expectedRows(view);
  const whole = wholeIn(view, expected);
  const differing = expected.filter(({ range }) => differs(differences, range)).map(({ range }) => range);
  const wrong = differing.filter((range) => whole.has(rangeLabel(range)));
  if (wrong.length > 0) {
    killPoint('reconcile:before-forget');
    if ((await catalog.forget(dataset, wrong, signal)) === 'held') throw held(catalog.uri);
    killPoint('reconcile:after-forget');
  }
  // Read again: what was asked for a moment ago may be there by now.
  const rows = await catalog.rows(dataset, signal);
  if (rows === null) throw held(catalog.uri);
  const there = new Set(rows.map(({ range }) => rangeLabel(range)));
  const missing = expected.filter(({ range }) => !there.has(rangeLabel(range)));
  const ready = missing.filter(({ range }) => whole.has(rangeLabel(range)));
  for (let at = 0; at < ready.length; at += BATCH) {
    const records = await mapBounded(
      ready.slice(at, at + BATCH),
      PARALLEL,
      ({ range, pasEventId, prevHash }) => partitionRecord(place, range, { eventId: pasEventId, prevHash }, signal),
      signal,
    );
    killPoint('commit:before-record');
    if ((await catalog.record(dataset, records, signal)) === 'held') throw held(catalog.uri);
    killPoint('commit:after-record');
  }
  const left = [...missing.map(({ range }) => range), ...differing].find((range) => !whole.has(rangeLabel(range)));
  if (left === undefined) return;
  throw new BronzeError('PARTITION_DAMAGED', `partition ${rangeLabel(left)} is not whole: its row is left as it is`, {
    details: {
      ...left,
      object: dataKey(place.chain, place.table, left),
      hint: 'mend the partition first, then reconcile again',
    },
  });
}

/** Whether one of the differences says that the row of this partition is wrong. */
const differs = (differences: readonly Difference[], { start, end }: LedgerRange): boolean =>
  differences.some(({ kind, range }) => {
    if (kind === 'row.missing' || kind === 'catalog.empty' || range === undefined) return false;
    return range.start <= start && end <= range.end;
  });
