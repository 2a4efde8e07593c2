/**
 * What has to hold between Bronze and those outside of it after any number of accidents: catalog rows, manifests,
 * events and delivered events say the same, in the same order, once each. Looks from outside: at files, with
 * PostgreSQL's own client, at what the endpoint kept. It does not use the program's own code for a catalog.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { AuditServer } from './audit-endpoint.ts';
import { catalogFile, queryCatalog } from './catalog.ts';
import { filesIn, readJson, TABLE } from './estate.ts';
import { inSession } from './postgres.ts';
import type { Scene } from './program.ts';

export interface OutsideRow {
  readonly chain: string;
  readonly start: number;
  readonly end: number;
  readonly rows: number;
  readonly bytes: number;
  readonly checksum: string;
  readonly before: string | null;
  readonly event: string | null;
  readonly passed: boolean | null;
  readonly backfills: number;
}

/** Of every chain, by chain and ledger. `quality` and `changes` of the same range are joined. */
const ROWS = `
  SELECT d.network || '/' || d.era_id || '/' || d.version AS chain, l.ledger_start AS start, l.ledger_end AS end,
         l.row_count AS rows, l.byte_size AS bytes, l.checksum, l.prev_hash AS before, l.pas_event_id AS event,
         (SELECT q.passed FROM _meta_quality q WHERE q.dataset_id = l.dataset_id
            AND q.ledger_start = l.ledger_start AND q.ledger_end = l.ledger_end) AS passed,
         (SELECT count(*) FROM _meta_changes c WHERE c.dataset_id = l.dataset_id AND c.change_type = 'backfill'
            AND c.ledger_start = l.ledger_start AND c.ledger_end = l.ledger_end) AS backfills
  FROM _meta_lineage l JOIN _meta_datasets d ON d.id = l.dataset_id
  ORDER BY chain, l.ledger_start`;

const numbers = (row: Record<string, unknown>): OutsideRow =>
  ({
    ...row,
    start: Number(row.start),
    end: Number(row.end),
    rows: Number(row.rows),
    bytes: Number(row.bytes),
    backfills: Number(row.backfills),
  }) as OutsideRow;

/** All rows of a PostgreSQL catalog; none where it has no tables. */
export async function postgresRows(dsn: string): Promise<OutsideRow[]> {
  return inSession(dsn, async (client) => {
    const there = await client.query(`SELECT to_regclass('_meta_lineage') AS name`);
    if (there.rows[0].name === null) return [];
    return (await client.query(ROWS)).rows.map(numbers);
  });
}

/** All rows of the embedded catalog in a folder; none where there is no file. */
export const embeddedRows = async (dir: string): Promise<OutsideRow[]> =>
  existsSync(catalogFile(dir)) ? (await queryCatalog(dir, ROWS)).map(numbers) : [];

const chainsIn = (bronze: string): string[] =>
  Object.keys(filesIn(bronze)).flatMap((path) =>
    path.endsWith('/_bronze.json') ? [path.slice(0, -'/_bronze.json'.length)] : [],
  );

/** What the rows have to be, from the events and the manifests that stand in Bronze. */
export function rowsOf({ bronze }: Scene): OutsideRow[] {
  return chainsIn(bronze)
    .sort()
    .flatMap((chain) => {
      const audit = join(bronze, chain, '_audit');
      let before: string | null = null;
      return (existsSync(audit) ? readdirSync(audit).sort() : []).map((name) => {
        const { partition, event_id } = readJson(audit, name);
        const { ledger_start: start, ledger_end: end } = partition;
        const manifest = readJson(join(bronze, chain, TABLE, `range=${start}-${end}`), '_manifest.json');
        const { checksum, row_count: rows, byte_size: bytes } = manifest.tables[TABLE];
        const row = { chain, start, end, rows, bytes, checksum, before, event: event_id, passed: true, backfills: 1 };
        before = checksum;
        return row;
      });
    });
}

/** Whether an endpoint kept exactly the events of Bronze, byte for byte, those of each chain in order. */
export function expectDelivered({ bronze }: Scene, server: AuditServer): void {
  const kept = [...server.kept.values()].map((body) => ({ body, event: JSON.parse(body.toString()) }));
  let all = 0;
  for (const chain of chainsIn(bronze)) {
    const audit = join(bronze, chain, '_audit');
    const stored = readdirSync(audit).sort();
    const delivered = kept.filter(({ event: { partition } }) => {
      return `${partition.network}/${partition.era_id}/${partition.version_label}` === chain;
    });
    expect(delivered.map(({ event }) => event.chain.sequence)).toEqual(stored.map((_, sequence) => sequence));
    expect(delivered.map(({ body }) => body.toString())).toEqual(
      stored.map((name) => readFileSync(join(audit, name), 'utf8')),
    );
    all += stored.length;
  }
  expect(kept.length).toBe(all);
}
