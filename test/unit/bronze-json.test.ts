/** `_bronze.json`: what a version has fixed is kept, and what was adopted of the old program is recorded. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { bronzeJsonKey } from '../../actors/bronze/names.ts';
import {
  assertOnGrid,
  type BronzeFacts,
  compareBronze,
  expectBronze,
  openBronze,
  readBronze,
  restoreBronze,
} from '../../actors/chain/bronze-json.ts';
import { findAdoption } from '../../actors/chain/find-adoption.ts';
import { surveyChain } from '../../actors/chain/survey.ts';
import type { BackupFolder } from '../../actors/version-1/old-chain.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import {
  bronzeFiles,
  CHAIN,
  commitAll,
  type Estate,
  estateIn,
  failureOf,
  placeOf,
  putFile,
  rangesOf,
  tempFolder,
} from '../support/bronze.ts';
import { itShared, SHARED } from '../support/shared.ts';

const KEY = bronzeJsonKey(CHAIN);
const facts = { grid: { size: 10000, origin: 0, ledgerStart: 2 }, networkPassphrase: 'A network ; 2015' };

it('is created once and agrees from then on, without another write', async () => {
  const estate = estateIn();
  expect(await compareBronze(placeOf(estate), facts)).toBeNull();
  expect(await openBronze(placeOf(estate), facts)).toEqual({ created: true });
  const files = bronzeFiles(estate);
  expect(JSON.parse(files[KEY] ?? '')).toEqual({
    chain_key: 'pubnet/pre_p23/v1',
    primary_table: 'ledgers_lcm_raw',
    network_passphrase: 'A network ; 2015',
    ledger_start: 2,
    partition_size: 10000,
    partition_origin: 0,
    columns: 2,
    storage_prefix: 'bronze/',
  });
  expect(await openBronze(placeOf(estate), facts)).toEqual({ created: false });
  expect(await openBronze(placeOf(estate), { ...facts, networkPassphrase: null })).toEqual({ created: false });
  expect(await compareBronze(placeOf(estate), facts)).toEqual([]);
  expect(bronzeFiles(estate)).toEqual(files);
});

it('S15: every difference is named, and nothing is changed', async () => {
  const estate = estateIn();
  await openBronze(placeOf(estate), facts);
  const other = { grid: { size: 5000, origin: 2, ledgerStart: 3 }, networkPassphrase: 'Another' };
  const failure = await failureOf(openBronze({ ...placeOf(estate), table: 'raw' }, other));
  expect(failure).toMatchObject({ code: 'BRONZE_MISMATCH', retryable: false });
  for (const part of [
    'partition_size: stored 10000, configured 5000',
    'partition_origin: stored 0, configured 2',
    'ledger_start: stored 2, configured 3',
    'network_passphrase: stored "A network ; 2015", configured "Another"',
    'primary_table: stored "ledgers_lcm_raw", configured "raw"',
    'version_label',
  ]) {
    expect(failure.message).toContain(part);
  }
});

it('S7: of two that come first both agree on one', async () => {
  const estate = estateIn();
  const both = await Promise.all([
    openBronze(placeOf(estate), facts),
    openBronze(placeOf(estateIn(estate.root)), facts),
  ]);
  expect(both.filter(({ created }) => created)).toHaveLength(1);
});

it('garbage is BRONZE_INVALID', async () => {
  for (const content of ['', '{', '{}', JSON.stringify({ chain_key: 1 })]) {
    const estate = estateIn();
    putFile(estate, KEY, content);
    expect(await failureOf(openBronze(placeOf(estate), facts))).toMatchObject({ code: 'BRONZE_INVALID' });
  }
});

it('lost from an estate of this program, it is made again', async () => {
  const estate = estateIn();
  await commitAll(estate, rangesOf(2, 10, 2));
  expect(await openBronze(placeOf(estate), facts)).toEqual({ created: true });
});

const OF_ALIGNED = { ...facts, grid: { size: 10, origin: 0, ledgerStart: 64000 } };

/** A copy of an estate that the old program left. */
function oldEstate(which: 'aligned' | 'unaligned'): Estate & { backup: BackupFolder } {
  const root = tempFolder();
  cpSync(join(SHARED, 'old-estate', which, 'data'), root, { recursive: true });
  const dir = tempFolder();
  cpSync(join(SHARED, 'old-estate', which, 'pas-backup'), dir, { recursive: true });
  return { ...estateIn(root), backup: { dir, chain: CHAIN } };
}

async function restore(estate: ReturnType<typeof oldEstate>, terms: BronzeFacts): Promise<boolean> {
  const found = await surveyChain({ ...placeOf(estate), checkpoint: null, memories: null });
  return restoreBronze(placeOf(estate), terms, found, await findAdoption(placeOf(estate), estate.backup));
}

itShared('S28: what was adopted of the old program is recorded, and compared with nothing', async () => {
  const estate = oldEstate('aligned');
  expect(await restore(estate, OF_ALIGNED)).toBe(true);
  const record = {
    columns: 1,
    program: 'bronze-copier v0.1.0',
    ledger_start: 64000,
    ledger_end: 64024,
    partitions: 3,
    chain_head: 'sha256:37fa28e0930a464c3f1280a17d4f3d1bdb14570f2441493a10ed2b2a48d4017d',
    events: 3,
  };
  const files = bronzeFiles(estate);
  expect(JSON.parse(files[KEY] ?? '')).toEqual({
    chain_key: 'pubnet/pre_p23/v1',
    primary_table: 'ledgers_lcm_raw',
    network_passphrase: 'A network ; 2015',
    ledger_start: 64000,
    partition_size: 10,
    partition_origin: 0,
    columns: 2,
    storage_prefix: 'bronze/',
    adopted: record,
  });
  expect(await openBronze(placeOf(estate), OF_ALIGNED)).toEqual({ created: false });
  expect(await compareBronze(placeOf(estate), OF_ALIGNED)).toEqual([]);
  expect(await readBronze(estate.store, CHAIN)).toMatchObject({ columns: 2, adopted: record });
  expect(bronzeFiles(estate)).toEqual(files);
});

itShared('S28: a grid that began at ledger_start is refused with the origin that fits, and taken with it', async () => {
  const estate = oldEstate('unaligned');
  const files = bronzeFiles(estate);
  const at = (origin: number, size = 10) => ({ ...facts, grid: { size, origin, ledgerStart: 64003 } });
  const failure = await failureOf(restore(estate, at(0)));
  expect(failure).toMatchObject({ code: 'BRONZE_MISMATCH', details: { check: 'partition_origin', expected: '3' } });
  expect(failure.details.hint).toContain('partition_origin: 3');
  // Where no origin helps, none is proposed.
  const other = await failureOf(restore(estate, at(0, 7)));
  expect(other.code).toBe('BRONZE_MISMATCH');
  expect(other.message).not.toMatch(/partition_origin: \d/);
  expect(bronzeFiles(estate)).toEqual(files);
  expect(await restore(estate, at(3))).toBe(true);
});

itShared(
  'another ledger_start than the first partition has is refused with the right one, and fixes nothing',
  async () => {
    const estate = oldEstate('aligned');
    const files = bronzeFiles(estate);
    const at = (ledgerStart: number) => ({ ...facts, grid: { size: 10, origin: 0, ledgerStart } });
    for (const ledgerStart of [63000, 63999, 64005]) {
      const failure = await failureOf(restore(estate, at(ledgerStart)));
      expect(failure).toMatchObject({ code: 'BRONZE_MISMATCH', details: { check: 'ledger_start', expected: '64000' } });
      expect(failure.details.hint).toContain('set ledger_start: 64000');
      expect(failure.details.hint).toContain('nothing was written');
    }
    expect(bronzeFiles(estate)).toEqual(files);
    expect(await restore(estate, at(64000))).toBe(true);
  },
);

it('partitions without _bronze.json fit a grid, or do not', () => {
  const grid = { size: 10, origin: 0, ledgerStart: 2 };
  const ranges = (text: string): LedgerRange[] =>
    text.split(' ').map((label) => {
      const [start = 0, end = 0] = label.split('-').map(Number);
      return { start, end };
    });
  const check =
    (text: string, terms = grid) =>
    () =>
      assertOnGrid(CHAIN, { grid: terms, networkPassphrase: null }, ranges(text), null);
  // The second and third: sealed and attested; `ledger_end` was raised, once or twice, behind a whole cell.
  for (const fits of ['2-9 10-19', '2-9 2-9 10-14', '2-9 10-14 15-19 20-29', '2-5 6-7 8-9 10-19 20-24']) {
    expect(check(fits), fits).not.toThrow();
  }
  for (const text of ['12-19', '2-9 10-19 10-14', '2-9 10-19 15-19', '2-9 10-14 16-19 20-29', '2-9 10-25']) {
    expect(check(text), text).toThrow(expect.objectContaining({ code: 'BRONZE_MISMATCH' }));
  }
  // Every partition lies within a cell of twice its size, too: that alone does not make it the grid.
  expect(check('2-9 10-19 20-29 30-39', { ...grid, size: 20 })).toThrow(/does not fit the configured grid/);
});

itShared('partitions of the old program in another table are ESTATE_FOREIGN, with the way out', async () => {
  const estate = oldEstate('aligned');
  const files = bronzeFiles(estate);
  const place = { ...placeOf(estate), table: 'raw' };
  for (const attempt of [openBronze, expectBronze]) {
    const failure = await failureOf(attempt(place, OF_ALIGNED));
    expect(failure).toMatchObject({ code: 'ESTATE_FOREIGN', retryable: false });
    expect(failure.details.hint).toContain('ledgers_lcm_raw');
  }
  expect(bronzeFiles(estate)).toEqual(files);
  const v2 = { ...place, chain: { ...CHAIN, versionLabel: 'v2' } };
  expect(await openBronze(v2, OF_ALIGNED)).toEqual({ created: true });
});
