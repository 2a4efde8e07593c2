// S40: a lake is held against what is committed. A lake that was reset or left ours on the way contradicts; one that lost
// old ledgers, or ends early, does not.
import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Committed, compareLake } from '../../actors/source/compare-lake.ts';
import { openSource } from '../../actors/source/index.ts';
import { BronzeError } from '../../machines/errors.ts';
import { failureOf, hex, tempFolder } from '../support/bronze.ts';
import { sampleLake } from '../support/lakes.ts';

const never = new AbortController().signal;
const LAST = 99;

let lake: string;
/** Partitions of ten ledgers, as Bronze has them. */
let committed: Committed[];

/** Hashes as the lake has them, read by nothing of the program's: `compareLake` itself tells them where they differ. */
async function hashOf(path: string, ledger: number): Promise<string> {
  const range = { start: ledger, end: ledger };
  const made_up = { range, ledgers: { firstHash: hex('none'), lastHash: hex('none') } };
  return (await failureOf(compare(path, [made_up]))).details.found as string;
}

async function compare(path: string, of: readonly Committed[], seen: { reads: number } = { reads: 0 }) {
  const real = openSource({ mode: 'local', path, configured: null });
  const source = {
    uri: real.uri,
    head: real.head.bind(real),
    read: (...args: Parameters<typeof real.read>) => {
      seen.reads += 1;
      return real.read(...args);
    },
  };
  const layout = await real.open(never);
  return compareLake({ source, layout, onUnreadable: () => {} }, of, never);
}

const ledgerOf = (name: string): number => Number(/--(\d+)\./.exec(name)?.[1] ?? Number.NaN);

/** The lake without the ledgers that are not wanted. */
function lakeWith(wanted: (ledger: number) => boolean): string {
  const path = tempFolder();
  cpSync(lake, path, { recursive: true });
  for (const name of readdirSync(path, { recursive: true }) as string[]) {
    if (name.includes('.xdr.') && !wanted(ledgerOf(name))) rmSync(join(path, name));
  }
  return path;
}

beforeAll(async () => {
  lake = (await sampleLake({ last: 127 })).path;
  committed = [];
  for (let start = 0; start < LAST; start += 10) {
    const range = { start: Math.max(start, 2), end: start + 9 };
    const ledgers = { firstHash: await hashOf(lake, range.start), lastHash: await hashOf(lake, range.end) };
    committed.push({ range, ledgers });
  }
});

/** Bronze of a chain that left this lake's at a ledger. */
const leftAt = (ledger: number): Committed[] =>
  committed.map(({ range, ledgers }) => ({
    range,
    ledgers: {
      firstHash: range.start < ledger ? ledgers.firstHash : hex(`other ${range.start}`),
      lastHash: range.end < ledger ? ledgers.lastHash : hex(`other ${range.end}`),
    },
  }));

describe('a lake is held against what is committed', () => {
  it('agrees with what was copied from it, at the price of two reads', async () => {
    const seen = { reads: 0 };
    expect(await compare(lake, committed, seen)).toEqual({ behind: null });
    expect(seen.reads).toBe(2);
  });

  it('is not read where nothing is committed', async () => {
    const seen = { reads: 0 };
    expect(await compare(lake, [], seen)).toEqual({ behind: null });
    expect(seen.reads).toBe(0);
  });

  it.each([
    { name: 'cut inside a partition', last: 51 },
    { name: 'cut at an edge', last: 49 },
    { name: 'cut in the first partition', last: 5 },
    { name: 'one ledger short', last: 98 },
  ])('is behind where it was $name', async ({ last }) => {
    expect(
      await compare(
        lakeWith((ledger) => ledger <= last),
        committed,
      ),
    ).toEqual({ behind: { head: last } });
  });

  it('is behind where it is empty', async () => {
    expect(
      await compare(
        lakeWith(() => false),
        committed,
      ),
    ).toEqual({ behind: { head: null } });
  });

  it('may have lost old ledgers, whole partitions of them or not', async () => {
    for (const from of [3, 10, 35, 95]) {
      expect(
        await compare(
          lakeWith((ledger) => ledger >= from),
          committed,
        ),
      ).toEqual({ behind: null });
    }
    expect(
      await compare(
        lakeWith((ledger) => ledger >= 35 && ledger <= 62),
        committed,
      ),
    ).toEqual({ behind: { head: 62 } });
    expect(
      await compare(
        lakeWith((ledger) => ledger > LAST),
        committed,
      ),
    ).toEqual({ behind: null });
  });

  it.each([
    { name: 'from the beginning', at: 2, last: 127, ledger: 2 },
    { name: 'from the beginning, and shorter', at: 2, last: 51, ledger: 2 },
    { name: 'on the way', at: 64, last: 127, ledger: 99 },
    { name: 'on the way, and shorter', at: 30, last: 51, ledger: 50 },
    { name: 'at the last ledger that both have', at: 50, last: 51, ledger: 50 },
  ])('contradicts where it is another one $name', async ({ at, last, ledger }) => {
    const failure = await failureOf(
      compare(
        lakeWith((each) => each <= last),
        leftAt(at),
      ),
    );
    expect(failure).toBeInstanceOf(BronzeError);
    const { found } = failure.details;
    expect(failure).toMatchObject({
      code: 'LAKE_CONTRADICTS',
      retryable: false,
      details: { ledger, expected: hex(`other ${ledger}`), found: await hashOf(lake, ledger) },
    });
    expect(failure.message).toContain(found);
    expect(failure.message).toContain(hex(`other ${ledger}`));
  });

  it('contradicts at the first ledger that it still has', async () => {
    const path = lakeWith((ledger) => ledger >= 35);
    const odd = committed.map((one) =>
      one.range.start === 40 ? { ...one, ledgers: { ...one.ledgers, firstHash: hex('other 40') } } : one,
    );
    expect(await failureOf(compare(path, odd))).toMatchObject({ code: 'LAKE_CONTRADICTS', details: { ledger: 40 } });
  });
});
