/**
 * What the tests of the catalog in PostgreSQL have in common: made-up partitions, and catalogs that are closed again.
 */
import { afterEach, expect } from 'vitest';
import { openPostgres } from '../../actors/catalog/postgres.ts';
import { LIMITS } from '../../actors/catalog/postgres-session.ts';
import type { Catalog, DatasetName, PartitionRecord } from '../../actors/ports/catalog.ts';

export const dataset = (versionLabel = 'v1'): DatasetName => ({
  domain: 'mainnet',
  dataset: 'ledgers_lcm_raw',
  chain: { network: 'pubnet', eraId: 'pre_p23', versionLabel },
});

export const checksum = (digits: string): string => `sha256:${digits.repeat(32)}`;

export function partition(start: number, end: number, change: Partial<PartitionRecord> = {}): PartitionRecord {
  return {
    range: { start, end },
    rowCount: end - start + 1,
    byteSize: 1000,
    checksum: checksum('cc'),
    prevHash: null,
    storagePath: `bronze/part-${start}-${end}.parquet`,
    storageUri: `file:///data/bronze/part-${start}-${end}.parquet`,
    pasEventId: 'pas_evt_0123456789abcdef',
    producerVersion: '2.0.0',
    producerGitSha: 'unknown',
    sourceType: 'local',
    sourceLocation: 'file:///lake',
    createdAt: '2026-11-24T03:04:02.791123456Z',
    checks: { xdr: true, link: true },
    columns: 2,
    ...change,
  };
}

/** An error with this code whose message holds all of this, in this order. */
export const refused = (code: string, ...said: string[]) =>
  expect.objectContaining({
    code,
    message: expect.stringMatching(
      new RegExp(said.map((one) => one.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')),
    ),
  });

const opened: Catalog[] = [];
/** Closed when the test is over. */
export const catalogAt = (dsn: string, limits = LIMITS): Catalog => {
  const catalog = openPostgres({ backend: 'postgres', dsn }, limits);
  opened.push(catalog);
  return catalog;
};

/** Once for each file that uses `catalogAt`. */
export const closeCatalogs = (): void =>
  afterEach(async () => {
    for (const catalog of opened.splice(0)) await catalog.close();
  });
