/** Links between eras, whichever was copied first. */
import { describe, expect, it } from 'vitest';
import { buildManifest, manifestBytes } from '../../actors/bronze/manifest.ts';
import { type ChainName, manifestKey } from '../../actors/bronze/names.ts';
import type { Neighbour } from '../../actors/effects/setup.ts';
import type { BronzeStore } from '../../actors/ports/store.ts';
import { compareNeighbours } from '../../actors/sequencer/check-neighbours.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import {
  CHAIN,
  type Estate,
  endsOf,
  estateIn,
  failureOf,
  hex,
  NOW,
  PRODUCER,
  putFile,
  TABLE,
} from '../support/bronze.ts';

const era = (eraId: string, network = 'pubnet'): ChainName => ({ network, eraId, versionLabel: 'v1' });

function seal(estate: Estate, chain: ChainName, range: LedgerRange, fork = ''): void {
  const rowCount = range.end - range.start + 1;
  const data = {
    file: `part-${range.start}-${range.end}.parquet`,
    checksum: `sha256:${hex('d')}`,
    rowCount,
    byteSize: 9,
  };
  const about = { chain, table: TABLE, range, data, ledgers: endsOf(range, fork), writer: {}, checks: {} };
  const manifest = buildManifest({ ...about, source: 's', producer: PRODUCER, createdAt: NOW });
  putFile(estate, manifestKey(chain, TABLE, range), manifestBytes(manifest));
}

const neighbour = (chain: ChainName, ledgerStart: number, ledgerEnd: number | null): Neighbour => ({
  chain,
  table: TABLE,
  ledgerStart,
  ledgerEnd,
});
const others = [neighbour(era('before'), 2, 99), neighbour(era('after'), 200, null), neighbour(CHAIN, 100, 199)];
const check = (estate: Estate, range: LedgerRange, store: BronzeStore = estate.store) =>
  compareNeighbours({ store, chain: CHAIN, others }, { range, ledgers: endsOf(range) });

describe('compareNeighbours', () => {
  it('is content where they link, or where nothing adjoins yet', async () => {
    const estate = estateIn();
    expect(await check(estate, { start: 100, end: 199 })).toBeNull();
    seal(estate, era('before'), { start: 90, end: 99 });
    seal(estate, era('before'), { start: 80, end: 89 }, 'fork');
    seal(estate, era('after'), { start: 200, end: 209 });
    seal(estate, era('after', 'testnet'), { start: 200, end: 209 }, 'fork');
    expect(await check(estate, { start: 100, end: 199 })).toBeNull();
  });

  it('S33: finds a broken link on either side, naming eras, ledgers and hashes', async () => {
    for (const [eraId, range] of [
      ['before', { start: 90, end: 99 }],
      ['after', { start: 200, end: 209 }],
    ] as const) {
      const estate = estateIn();
      seal(estate, era(eraId), range, 'fork');
      const failure = await failureOf(check(estate, { start: 100, end: 199 }));
      expect(failure).toMatchObject({ code: 'ERA_LINK_BROKEN', retryable: false });
      const hashes = eraId === 'before' ? endsOf(range, 'fork').lastHash : endsOf(range, 'fork').previousHash;
      for (const part of [`pubnet/${eraId}/v1`, 'pubnet/pre_p23/v1', hashes, eraId === 'before' ? '99' : '200']) {
        expect(failure.message).toContain(part);
      }
    }
  });

  it('lists nothing for a partition inside its era', async () => {
    const estate = estateIn();
    const listed: string[] = [];
    const store = new Proxy(estate.store, {
      get(target, name: keyof BronzeStore) {
        const real = target[name];
        if (name === 'list') listed.push('list');
        return typeof real === 'function' ? real.bind(target) : real;
      },
    });
    await check(estate, { start: 120, end: 129 }, store);
    expect(listed).toEqual([]);
    await check(estate, { start: 100, end: 109 }, store);
    expect(listed).toEqual(['list']);
  });

  it('a neighbour that cannot be read is an error', async () => {
    const estate = estateIn();
    putFile(estate, manifestKey(era('before'), TABLE, { start: 90, end: 99 }), 'garbage');
    expect((await failureOf(check(estate, { start: 100, end: 109 }))).code).toBe('MANIFEST_INVALID');
  });
});
