/**
 * What is wrong with the rows of the catalog, given what is attested (or, without an audit stream, sealed). Pure. Bronze
 * is the truth: a row is never believed against it.
 */
import { rangeLabel } from '../../machines/partitions.ts';
import type { DataFile, LedgerRange } from '../../machines/protocol.ts';
import { eventId } from '../bronze/event.ts';
import { dataKey } from '../bronze/names.ts';
import type { LineageRow } from '../ports/catalog.ts';
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

/** The rows as they should be, in ledger order; without those of which nobody knows what comes before them. */
export function expectedRows(view: View): LineageRow[] {
  const { chain, table, storePrefix, storeUri } = view.facts;
  const all = committed(view);
  const sealedEnds = new Map(view.partitions.map((found) => [found.range.end, found.manifest?.data.checksum]));
  return all.flatMap(({ range, data, sequence }, i): LineageRow[] => {
    const before = all[i - 1];
    const end = range.start - 1;
    const adjoins = before?.range.end === end;
    const isHidden = !adjoins && isUnknown(view, { start: end, end });
    // Its event is lost; its manifest may still be there.
    const prevHash = adjoins ? before.data.checksum : (isHidden && sealedEnds.get(end)) || null;
    if (isHidden && prevHash === null) return [];
    const key = dataKey(chain, table, range);
    return [
      {
        range,
        rowCount: data.rowCount,
        byteSize: data.byteSize,
        checksum: data.checksum,
        prevHash,
        storagePath: `${storePrefix}${key}`,
        storageUri: `${storeUri}${key}`,
        pasEventId: sequence === null ? null : eventId(chain, sequence),
      },
    ];
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

/** Whether a row differs only in where Bronze lies: it was written before an estate was moved or copied. */
const isMoved = (row: LineageRow, key: string, wrong: readonly (typeof FIELDS)[number][]): boolean =>
  wrong.every((field) => (field === 'storagePath' || field === 'storageUri') && row[field].endsWith(key));

function kindOf(wrong: readonly (typeof FIELDS)[number][]): Kind {
  if (wrong.length > 1) return 'row.differs';
  return wrong[0] === 'prevHash' ? 'row.prev_hash' : wrong[0] === 'pasEventId' ? 'row.event_id' : 'row.differs';
}

/** `contradicting`: partitions whose rows are told already, as what contradicts Bronze. */
export function compareCatalog(view: View, contradicting: ReadonlySet<string>): Difference[] {
  const { catalog, chain, table, storeUri } = view.facts;
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
  const wrongFields = (is: LineageRow): (typeof FIELDS)[number][] => {
    const row = byLabel.get(rangeLabel(is.range));
    return row === undefined ? [] : FIELDS.filter((field) => row[field] !== is[field]);
  };
  const differing = expected
    .map((is) => ({ is, wrong: wrongFields(is) }))
    .filter(({ is, wrong }) => wrong.length > 0 && !contradicting.has(rangeLabel(is.range)));
  const alike = neighbours(
    differing,
    (a, b) => a.is.range.end + 1 === b.is.range.start && a.wrong.join() === b.wrong.join(),
  );
  for (const run of alike) {
    const { is, wrong } = run[0] as (typeof run)[number];
    const row = byLabel.get(rangeLabel(is.range)) as LineageRow;
    const range = { start: is.range.start, end: run.at(-1)?.is.range.end as number };
    const more = run.length === 1 ? '' : `; so have ${run.length - 1} more, to ledger ${range.end}`;
    const isStale = isMoved(row, dataKey(chain, table, is.range), wrong);
    const says = wrong.map((field) => `${field} ${row[field]} and not ${is[field]}`).join('; ');
    found.push(
      view.difference({
        kind: isStale ? 'row.moved' : kindOf(wrong),
        range,
        object,
        what: `the row of partition ${rangeLabel(is.range)} has ${says}${more}`,
        cause: isStale
          ? `Bronze was moved or copied to ${storeUri} since the row was written`
          : 'somebody changed the row, or it was written for another event',
        ...repair,
      }),
    );
  }
  return found;
}
