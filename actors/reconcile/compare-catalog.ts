/**
 * What is wrong with the rows of the catalog, given what is attested (or, without an audit stream, sealed). Pure. Bronze
 * is the truth: a row is never believed against it.
 */
import { rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { DataFile, LedgerRange } from '../../machines/protocol.ts';
import { eventId } from '../audit/event.ts';
import { dataKey } from '../paths.ts';
import type { LineageRow } from '../ports.ts';
import type { Difference, Kind } from './kinds.ts';
import { isUnknown, neighbours, type View } from './view.ts';

/** What is committed, so that it should have a row. */
interface Committed {
  readonly range: LedgerRange;
  readonly data: DataFile;
  readonly sequence: number | null;
}

function committed(view: View): Committed[] {
  const { truths, partitions, facts } = view;
  const attested = truths.map(({ range, data, sequence }) => ({ range, data, sequence }));
  if (facts.attests) return attested;
  const known = new Set(attested.map(({ range }) => rangeLabel(range)));
  // What the checkpoint does not say to be verified gets its row from the run that verifies it.
  const end = facts.checkpoint?.facts?.range.end ?? -1;
  const sealed = partitions.flatMap(({ range, manifest }) =>
    manifest === null || known.has(rangeLabel(range)) || range.end > end
      ? []
      : [{ range, data: manifest.data, sequence: null }],
  );
  return [...attested, ...sealed].sort((a, b) => a.range.start - b.range.start);
}

/** The rows as they should be, in ledger order. */
export function expectedRows(view: View): LineageRow[] {
  const { chain, table, storePrefix, storeUri } = view.facts;
  const all = committed(view);
  return all.map(({ range, data, sequence }, i) => {
    const before = all[i - 1];
    const key = dataKey(chain, table, range);
    return {
      range,
      rowCount: data.rowCount,
      byteSize: data.byteSize,
      checksum: data.checksum,
      prevHash: before !== undefined && before.range.end + 1 === range.start ? before.data.checksum : null,
      storagePath: `${storePrefix}${key}`,
      storageUri: `${storeUri}${key}`,
      pasEventId: sequence === null ? null : eventId(chain, sequence),
    };
  });
}

const FIELDS = [
  'rowCount',
  'byteSize',
  'checksum',
  'prevHash',
  'storagePath',
  'storageUri',
  'pasEventId',
] as const satisfies readonly (keyof LineageRow)[];

function kindOf(wrong: readonly (typeof FIELDS)[number][]): Kind {
  if (wrong.length > 1) return 'row.differs';
  return wrong[0] === 'prevHash' ? 'row.prev_hash' : wrong[0] === 'pasEventId' ? 'row.event_id' : 'row.differs';
}

export function compareCatalog(view: View): Difference[] {
  const { catalog, partitions } = view.facts;
  if (catalog === null) return [];
  const { uri: object, rows, failure } = catalog;
  if (failure !== null) {
    const what = `the catalog could not be asked: ${failure.code}: ${failure.message}`;
    const cure = failure.hint ?? 'take away the cause, then reconcile again';
    const cause = 'it is down, refuses, or is at another address';
    return [view.difference({ kind: 'catalog.unreachable', object, what, cause, cure, repairable: 'no' })];
  }
  if (rows === null) {
    const what = 'a reader holds the catalog open: its rows were not compared';
    const cause = 'somebody works in it, in a DuckDB shell for instance';
    const cure = 'close the reader, then reconcile again';
    return [view.difference({ kind: 'catalog.held', object, what, cause, cure, repairable: 'no' })];
  }
  const expected = expectedRows(view);
  const repair = { cure: 'reconcile --repair: rows are written again from Bronze', repairable: 'reconcile' as const };
  const [first, last] = [expected[0], expected.at(-1)];
  if (rows.length === 0 && first !== undefined && last !== undefined) {
    const range = { start: first.range.start, end: last.range.end };
    const what = `the catalog has no row of the ${expected.length} partitions of this chain`;
    const cause = 'it was dropped, it is new, or its tables are not there';
    return [view.difference({ kind: 'catalog.empty', range, object, what, cause, ...repair })];
  }
  const byLabel = new Map(rows.map((row) => [rangeLabel(row.range), row]));
  const missing = expected.filter(({ range }) => !byLabel.has(rangeLabel(range)));
  const found = neighbours(missing, (a, b) => a.range.end + 1 === b.range.start).map((run) => {
    const range = { start: (run[0] as LineageRow).range.start, end: (run.at(-1) as LineageRow).range.end };
    const isEnd = run.at(-1) === last;
    return view.difference({
      kind: 'row.missing',
      range,
      object,
      what: `${run.length} partition${run.length === 1 ? ' has' : 's have'} no row: ledgers ${rangeLabel(range)}`,
      cause: isEnd ? 'the catalog could not be reached then, or a run was interrupted' : 'somebody removed it',
      ...repair,
    });
  });
  for (const is of expected) {
    const row = byLabel.get(rangeLabel(is.range));
    const wrong = row === undefined ? [] : FIELDS.filter((field) => row[field] !== is[field]);
    if (row === undefined || wrong.length === 0) continue;
    found.push(
      view.difference({
        kind: kindOf(wrong),
        range: is.range,
        object,
        what: `the row of partition ${rangeLabel(is.range)}: ${wrong.map((field) => `${field} is ${row[field]} and not ${is[field]}`).join('; ')}`,
        cause: 'somebody changed the row, or it was written for another storage or event',
        ...repair,
      }),
    );
  }
  const known = new Set(expected.map(({ range }) => rangeLabel(range)));
  for (const { range } of rows) {
    if (known.has(rangeLabel(range)) || isUnknown(view, range)) continue;
    // Recorded, and not yet what a run takes for committed: its next one does.
    if (!view.facts.attests && partitions.some((found) => sameRange(found.range, range) && found.manifest)) continue;
    found.push(
      view.difference({
        kind: 'row.stray',
        range,
        object,
        what: `there is a row of partition ${rangeLabel(range)}, and no such partition is committed`,
        cause: 'the catalog belongs to another storage, or storage was rolled back and has lost it',
        ...repair,
      }),
    );
  }
  return found;
}
