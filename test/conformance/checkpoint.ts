/**
 * What every adapter of CheckpointStore must keep: written durably and whole, replaced by the next, and a hint only:
 * reading never fails, and what cannot be used is told.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import type { ChainName } from '../../actors/bronze/names.ts';
import type { CheckpointStore } from '../../actors/ports/state.ts';
import type { LedgerRange } from '../../machines/protocol.ts';

/** One place where checkpoints may lie, empty at first. */
export interface CheckpointsUnderTest {
  /** Opens the checkpoint of a chain as a process that has just started. */
  open(chain: ChainName): CheckpointStore;
  /** Puts other bytes in the place of a chain's checkpoint. */
  spoil(chain: ChainName, bytes: Uint8Array): void | Promise<void>;
  /** The bytes of a chain's checkpoint as stored. */
  stored(chain: ChainName): Uint8Array | Promise<Uint8Array>;
  /** The same place, where writing fails. */
  readonly unwritable?: (chain: ChainName) => CheckpointStore;
}

const CHAIN: ChainName = { network: 'pubnet', eraId: 'pre_p23', versionLabel: 'v1' };
const OTHERS: readonly ChainName[] = [
  { ...CHAIN, network: 'testnet' },
  { ...CHAIN, eraId: 'p23_plus' },
  { ...CHAIN, versionLabel: 'v2' },
];

const range = (n: number): LedgerRange => ({ start: 10 * n, end: 10 * n + 9 });
const checksum = (n: number): string => `sha256:${n.toString(16).padStart(64, '0')}`;
const facts = (n: number) => ({ facts: { range: range(n), checksum: checksum(n) }, problem: null });

export function checkpointConformance(
  name: string,
  make: () => CheckpointsUnderTest | Promise<CheckpointsUnderTest>,
): void {
  describe(`${name}: a checkpoint`, () => {
    let place: CheckpointsUnderTest;
    beforeEach(async () => {
      place = await make();
    });

    it('is not there at first, which is no problem', async () => {
      expect(await place.open(CHAIN).read()).toEqual({ facts: null, problem: null });
    });

    it('is read back by everybody, and replaced by the next', async () => {
      const checkpoint = place.open(CHAIN);
      for (const n of [1, 2, 3, 3, 1]) {
        await checkpoint.write(range(n), checksum(n));
        expect(await checkpoint.read()).toEqual(facts(n));
        expect(await place.open(CHAIN).read()).toEqual(facts(n));
      }
    });

    it('holds the largest ledger there can be', async () => {
      const largest = { start: 0xffff_fffe, end: 0xffff_ffff };
      await place.open(CHAIN).write(largest, checksum(1));
      expect(await place.open(CHAIN).read()).toEqual({
        facts: { range: largest, checksum: checksum(1) },
        problem: null,
      });
    });

    it('is one of each chain', async () => {
      for (const [n, chain] of [CHAIN, ...OTHERS].entries()) await place.open(chain).write(range(n), checksum(n));
      for (const [n, chain] of [CHAIN, ...OTHERS].entries()) expect(await place.open(chain).read()).toEqual(facts(n));
    });

    it('is never seen half written', async () => {
      const checkpoint = place.open(CHAIN);
      await checkpoint.write(range(0), checksum(0));
      let isWriting = true;
      const writing = (async () => {
        for (let n = 1; n <= 30; n++) await checkpoint.write(range(n), checksum(n));
        isWriting = false;
      })();
      let last = 0;
      while (isWriting) {
        const { facts: seen, problem } = await place.open(CHAIN).read();
        expect(problem).toBeNull();
        const n = (seen?.range.start as number) / 10;
        expect(seen).toEqual(facts(n).facts);
        expect(n).toBeGreaterThanOrEqual(last);
        last = n;
      }
      await writing;
      expect(await place.open(CHAIN).read()).toEqual(facts(30));
    });

    it('that cannot be used is told and not used, and the next write mends it', async () => {
      await place.open(CHAIN).write(range(1), checksum(1));
      const whole = Buffer.from(await place.stored(CHAIN));
      await place.open(OTHERS[0] as ChainName).write(range(2), checksum(2));
      const foreign = Buffer.from(await place.stored(OTHERS[0] as ChainName));
      const half = whole.subarray(0, whole.length >> 1);
      const noise = Buffer.from([0xff, 0xfe, 0x00]);
      for (const bytes of [Buffer.alloc(0), half, noise, Buffer.from('null'), Buffer.from('{}'), foreign]) {
        await place.spoil(CHAIN, bytes);
        const { facts: seen, problem } = await place.open(CHAIN).read();
        expect(seen).toBeNull();
        expect(problem).toMatch(/\S/);
        await place.open(CHAIN).write(range(3), checksum(3));
        expect(await place.open(CHAIN).read()).toEqual(facts(3));
      }
    });

    it('that cannot be written is STATE_IO, and the last one stays', async (test) => {
      if (!place.unwritable) return test.skip();
      await place.open(CHAIN).write(range(1), checksum(1));
      await expect(place.unwritable(CHAIN).write(range(2), checksum(2))).rejects.toMatchObject({ code: 'STATE_IO' });
      expect(await place.open(CHAIN).read()).toEqual(facts(1));
    });
  });
}
