// Times that nobody could read back are refused before anything is published: a clock that no manifest can say, and
// close times that no date holds.
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { LedgerRange } from '../../machines/protocol.ts';
import { tempFolder } from '../support/bronze.ts';
import { namesIn } from '../support/estate.ts';
import { runInProcess } from '../support/in-process.ts';
import { hashOf, makeLedger } from '../support/made-ledger.ts';
import { Scene } from '../support/program.ts';
import { layoutOf, madeLedgers, writeLake } from '../support/small-lake.ts';

const RANGE: LedgerRange = { start: 100, end: 119 };

function sceneOf(ledgers: ReadonlyMap<number, Buffer>): Scene {
  const lake = tempFolder();
  writeLake(lake, ledgers, layoutOf(1, 1));
  const era = { era_id: 'small', version_label: 'v1', network: 'testnet', partition_size: 10 };
  const range = { ledger_start: RANGE.start, ledger_end: RANGE.end };
  // Made-up ledgers name a signer and hold no signature of his.
  return new Scene(lake, { ...era, ...range }, { checks: { signatures: 'off' } });
}

/** The made ledgers, the last one closed at another time. */
function closedAt(closeTime: bigint): ReadonlyMap<number, Buffer> {
  const ledgers = madeLedgers(RANGE);
  const previousHash = hashOf(ledgers.get(RANGE.end - 1) as Buffer);
  return ledgers.set(RANGE.end, makeLedger({ version: 1, sequence: RANGE.end, previousHash, closeTime }));
}

const published = (scene: Scene): string[] => namesIn(scene.bronze).filter((name) => name.endsWith('.parquet'));

afterEach(() => {
  vi.useRealTimers();
});

describe('a clock', () => {
  it.each([
    ['beyond the year 9999', '+010000-01-01T00:00:00.000Z'],
    ['before 1970', '1969-12-31T23:59:59.000Z'],
  ])('%s publishes nothing, and the next run begins from nothing', async (_, shown) => {
    const scene = sceneOf(madeLedgers(RANGE));
    vi.useFakeTimers({ toFake: ['Date'], now: new Date(shown) });
    const { outcome, eras } = await runInProcess(scene);
    expect(outcome).toBe('failed');
    expect(eras[0]?.failure).toMatchObject({ code: 'CLOCK_INVALID', start: 100, end: 109, found: shown });
    expect(namesIn(scene.bronze)).toEqual([]);
    vi.useRealTimers();
    expect((await runInProcess(scene)).outcome).toBe('done');
    expect(published(scene)).toHaveLength(2);
  });
});

describe('a close time', () => {
  it('that no date holds ends the era before its partition, naming ledger and value', async () => {
    const scene = sceneOf(closedAt(8_640_000_000_001n));
    const { outcome, eras } = await runInProcess(scene);
    expect(outcome).toBe('failed');
    expect(eras[0]?.failure).toMatchObject({
      code: 'XDR_INVALID',
      ledger: 119,
      check: 'close_time',
      found: '8640000000001 s',
    });
    expect(published(scene)).toHaveLength(1);
  });

  it('of the last second that a date holds is copied, and verified', async () => {
    const scene = sceneOf(closedAt(8_640_000_000_000n));
    expect((await runInProcess(scene)).outcome).toBe('done');
    const { code, stdout } = await scene.verify();
    expect(stdout).toContain('OK: all 2 partitions were read and checked');
    expect(code).toBe(0);
  });
});
