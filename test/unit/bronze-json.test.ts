/** `_bronze.json`: what a version has fixed is kept; the old program's estates are not taken over unasked. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { compareBronze, openBronze } from '../../actors/commit/bronze-json.ts';
import { bronzeJsonKey } from '../../actors/paths.ts';
import {
  bronzeFiles,
  CHAIN,
  commitAll,
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

itShared('S28: an estate of the old program is ESTATE_FOREIGN, with the way out, and stays as it is', async () => {
  const root = tempFolder();
  cpSync(join(SHARED, 'old-estate/aligned/data'), root, { recursive: true });
  const estate = estateIn(root);
  const files = bronzeFiles(estate);
  const failure = await failureOf(openBronze(placeOf(estate), facts));
  expect(failure).toMatchObject({ code: 'ESTATE_FOREIGN', retryable: false });
  expect(failure.message).toContain('version_label');
  expect(bronzeFiles(estate)).toEqual(files);
  const v2 = { ...placeOf(estate), chain: { ...CHAIN, versionLabel: 'v2' } };
  expect(await openBronze(v2, facts)).toEqual({ created: true });
});
