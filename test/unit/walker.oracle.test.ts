/**
 * The walker against the SDK's full decode: the same verdict and the same values on every real ledger, on valid values
 * of every arm in the type graph, and on damaged bytes. BRONZE_SEED=n repeats a run; the seed is printed.
 */
import { LedgerCloseMeta } from '@stellar/stellar-sdk/xdr';
import { describe, expect, it } from 'vitest';
import { LedgerChecker } from '../../actors/check/ledger-checker.ts';
import { WalkRecord, XdrFault } from '../../actors/check/walk-record.ts';
import { walkLedger } from '../../actors/check/walker.gen.ts';
import { BronzeError } from '../../machines/errors.ts';
import { SDK_MAX_DEPTH } from '../../tools/generate-walker.ts';
import { component, envelopeV0, envelopeV1, feeBump, makeLedger, parallel } from '../support/made-ledger.ts';
import { oracleFacts, oracleNotes, sdkAccepts, sdkDecode, walkNotes } from '../support/oracle.ts';
import { allRealLedgers } from '../support/real-ledgers.ts';
import { describeShared } from '../support/shared.ts';
import { makeRng, mutate, type Rng, resized, seedOf, ValueMaker } from '../support/xdr-random.ts';

/** No value nests deeper than this outside recursive types; below it the walker does not count. */
const PLAIN_DEPTH = 30;

const record = new WalkRecord();
const checker = new LedgerChecker({ results: true });

/** Whether the walker accepts exactly `bytes`, which lie at `start` of `inside`. Only an XdrFault is a refusal. */
function walkerAccepts(inside: Buffer, start: number, end: number, open = 0): boolean {
  const view = new DataView(inside.buffer, inside.byteOffset, inside.byteLength);
  try {
    return walkLedger(view, start, end, record, open) === end;
  } catch (error) {
    if (error instanceof XdrFault) return false;
    throw error;
  }
}

/** Every comparison for one input. Returns the verdict. */
function compare(bytes: Buffer, rng: Rng | null, name: string): boolean {
  const accepted = sdkAccepts(bytes);
  // Inside a larger buffer, unaligned, with bytes around that belong to something else.
  const before = rng ? rng.below(9) : 5;
  const filler = rng ? rng.below(3) : 0;
  const inside = Buffer.concat([Buffer.alloc(before, 0xa5), bytes, Buffer.alloc(64, filler)]);
  const verdicts = { alone: walkerAccepts(bytes, 0, bytes.length), inside: false };
  if (verdicts.alone && accepted) expect(walkNotes(bytes, record), name).toEqual(oracleNotes(sdkDecode(bytes)));
  verdicts.inside = walkerAccepts(inside, before, before + bytes.length);
  if (verdicts.alone !== accepted || verdicts.inside !== accepted) {
    throw new Error(
      `${name}: SDK ${accepted}, walker ${JSON.stringify(verdicts)}\n${bytes.toString('base64').slice(0, 20_000)}`,
    );
  }
  if (accepted) {
    expect(walkNotes(inside, record), name).toEqual(oracleNotes(sdkDecode(bytes)));
  }
  compareChecker(bytes, accepted, name);
  return accepted;
}

/** The checker throws BronzeErrors only, XDR_INVALID where the SDK rejects, and has the oracle's facts otherwise. */
function compareChecker(bytes: Buffer, accepted: boolean, name: string): void {
  const oracle = accepted ? oracleFacts(sdkDecode(bytes), bytes) : null;
  try {
    const facts = checker.check(bytes, 0, bytes.length, oracle?.sequence ?? 1);
    expect(facts, name).toEqual(oracle);
  } catch (error) {
    if (!(error instanceof BronzeError)) throw error;
    if (accepted && error.code === 'XDR_INVALID') expect(error.details.check, name).toBe('close_time');
    if (!accepted) expect(error.code, name).toBe('XDR_INVALID');
  }
}

const madeLedgers = (): Buffer[] => [
  makeLedger({ version: 0, sequence: 3, txs: [envelopeV0(1), envelopeV1(2), feeBump(3)], results: 2 }),
  makeLedger({ version: 1, sequence: 4, phases: [component(envelopeV1(2), feeBump(1))], results: 1 }),
  makeLedger({
    version: 2,
    sequence: 5,
    phases: [component(envelopeV1(1)), parallel([[envelopeV1(1)], [feeBump(1)]])],
    results: 3,
  }),
  makeLedger({ version: 2, sequence: 6, dropped: {} }),
];

describe('the walker and the SDK, on valid values', () => {
  it('agree on made-up ledgers', () => {
    for (const [i, bytes] of madeLedgers().entries()) expect(compare(bytes, null, `made ${i}`)).toBe(true);
  });

  it('agree on random values of every arm and every enum member in the type graph', { timeout: 120_000 }, () => {
    const seed = seedOf(20_260_801);
    console.log(`seed ${seed}`);
    const rng = makeRng(seed);
    const maker = new ValueMaker(LedgerCloseMeta.schema, rng);
    let verdicts = [0, 0];
    for (let i = 0; i < 1500; i += 1) {
      const bytes = maker.make();
      expect(compare(bytes, rng, `value ${i} of seed ${seed}`)).toBe(true);
      if (bytes.length > 30_000) continue;
      for (let k = 0; k < 4; k += 1) {
        const accepted = compare(mutate(bytes, rng), rng, `value ${i}, damage ${k} of seed ${seed}`);
        verdicts = [(verdicts[0] as number) + Number(!accepted), (verdicts[1] as number) + Number(accepted)];
      }
    }
    console.log(`1500 values; of damaged ones ${verdicts[0]} rejected, ${verdicts[1]} accepted, by both`);
    expect([...maker.uses].filter(([, uses]) => uses === 0).map(([label]) => label)).toEqual([]);
  });
});

describe('the walker and the SDK, on values with one thing wrong', () => {
  it('agree about every tag, flag, padding and maximum in the type graph', { timeout: 240_000 }, () => {
    const seed = seedOf(1);
    console.log(`seed ${seed}`);
    const rng = makeRng(seed);
    const maker = new ValueMaker(LedgerCloseMeta.schema, rng);
    const tried = new Map<string, number>();
    const untried = maker.kindsOfSites();
    let wrongs = 0;
    for (let i = 0; i < 1200 || (untried.size > 0 && i < 20_000); i += 1) {
      const value = maker.make();
      for (const site of maker.sites) {
        const times = tried.get(site.label) ?? 0;
        if (times >= 3) continue;
        tried.set(site.label, times + 1);
        untried.delete(site.label);
        const name = `${site.label} in value ${i} of seed ${seed}`;
        for (const wrong of site.wrong) {
          const damaged = Buffer.from(value);
          damaged.writeInt32BE(wrong, site.offset);
          // Not by the oracle's mercy: each of these is wrong by the type graph itself.
          expect(walkerAccepts(damaged, 0, damaged.length), `${name}: ${wrong}`).toBe(false);
          expect(sdkAccepts(damaged), `${name}: ${wrong}`).toBe(false);
          wrongs += 1;
        }
        if (!site.bounded) continue;
        const { max } = site.bounded;
        expect(compare(resized(value, site, max), rng, `${name}: ${max} long`)).toBe(true);
        expect(compare(resized(value, site, max + 1), rng, `${name}: ${max + 1} long`)).toBe(false);
        wrongs += 1;
      }
    }
    console.log(`${tried.size} kinds of places, ${wrongs} wrong values`);
    expect([...untried]).toEqual([]);
  });
});

describe('the walker and the SDK, at the limit of nesting', () => {
  it('agree on random deep values, wherever the limit falls', { timeout: 120_000 }, () => {
    const seed = seedOf(20_260_803);
    console.log(`seed ${seed}`);
    const rng = makeRng(seed);
    const maker = new ValueMaker(LedgerCloseMeta.schema, rng, 44, 6);
    const verdicts = [0, 0];
    for (let i = 0; i < 500; i += 1) {
      const bytes = maker.make();
      for (let limit = PLAIN_DEPTH; limit < 100; limit += 1) {
        const sdk = LedgerCloseMeta.schema.validateXdr(bytes, { maxDepth: limit });
        const walker = walkerAccepts(bytes, 0, bytes.length, SDK_MAX_DEPTH - limit);
        if (walker !== sdk) throw new Error(`value ${i} of seed ${seed}, limit ${limit}: SDK ${sdk}, walker ${walker}`);
        verdicts[Number(sdk)]! += 1;
        if (sdk) break;
      }
    }
    console.log(`${verdicts[0]} too deep, ${verdicts[1]} not`);
    expect(verdicts[0]).toBeGreaterThan(5_000);
  });

  const ledger = makeLedger({ version: 2, sequence: 5 });
  const word = (...values: number[]): Buffer => {
    const b = Buffer.alloc(4 * values.length);
    values.forEach((v, i) => {
      b.writeInt32BE(v, 4 * i);
    });
    return b;
  };
  const zeros = (n: number): Buffer => Buffer.alloc(n);
  /** The ledger with one evicted key: contract data whose key is `value`. Its last word is the empty list of keys. */
  const withKey = (value: Buffer): Buffer =>
    Buffer.concat([ledger.subarray(0, -4), word(1, 6, 1), zeros(32), value, word(1)]);
  const leaves: [string, Buffer][] = [
    ['void', word(1)],
    ['i128', Buffer.concat([word(10), zeros(16)])],
    ['error', word(2, 0, 7)],
    ['account', Buffer.concat([word(18, 0, 0), zeros(32)])],
    ['muxed account', Buffer.concat([word(18, 2), zeros(40)])],
    ['empty vector', word(16, 1, 0)],
    ['no vector', word(16, 0)],
    ['instance', Buffer.concat([word(19, 0), zeros(32), word(0)])],
    ['nonce', Buffer.concat([word(21), zeros(8)])],
  ];

  it.each(leaves)('agree about vectors in vectors around %s', (_name, leaf) => {
    const verdicts = new Set<boolean>();
    for (let levels = 355; levels < 385; levels += 1) {
      const vectors = Buffer.concat([...Array.from({ length: levels }, () => word(16, 1, 1)), leaf]);
      const bytes = withKey(vectors);
      verdicts.add(compare(bytes, null, `${levels} levels`));
      // A level is four schemas: so the leaf comes to lie at every distance from the limit.
      for (let open = 1; open < 4; open += 1) {
        const sdk = LedgerCloseMeta.schema.validateXdr(bytes, { maxDepth: SDK_MAX_DEPTH - open });
        expect(walkerAccepts(bytes, 0, bytes.length, open), `${levels} levels, ${open} more`).toBe(sdk);
      }
    }
    expect(verdicts, 'the limit lies within the levels tried').toEqual(new Set([true, false]));
  });

  it('agree about maps in maps', () => {
    const verdicts = new Set<boolean>();
    for (let levels = 200; levels < 400; levels += 1) {
      const maps = Buffer.concat([...Array.from({ length: levels }, () => word(17, 1, 1, 1)), word(1)]);
      verdicts.add(compare(withKey(maps), null, `${levels} levels`));
    }
    expect(verdicts).toEqual(new Set([true, false]));
  });

  it('agree about claim predicates', () => {
    const v1 = makeLedger({ version: 1, sequence: 5 });
    const verdicts = new Set<boolean>();
    for (let levels = 300; levels < 1000; levels += 1) {
      // not(not(...)): the predicate of the one claimant of a claimable balance among `unused`.
      const predicate = Buffer.concat([...Array.from({ length: levels }, () => word(3, 1)), word(0)]);
      const entry = Buffer.concat([
        ...[word(1, 0, 4, 0), zeros(32), word(1, 0, 0), zeros(32), predicate],
        ...[word(0), zeros(8), word(0, 0)],
      ]);
      verdicts.add(compare(Buffer.concat([v1.subarray(0, -4), entry]), null, `${levels} levels`));
    }
    expect(verdicts).toEqual(new Set([true, false]));
  });
});

describeShared('the walker and the SDK, on real ledgers', () => {
  it('agree on every ledger, with all values', { timeout: 120_000 }, () => {
    const ledgers = allRealLedgers();
    expect(ledgers.length).toBeGreaterThan(700);
    for (const { name, bytes, sequence } of ledgers) {
      expect(compare(bytes, null, name), name).toBe(true);
      expect(LedgerCloseMeta.fromXdr(bytes).type, name).toMatch(/^v[012]$/);
      expect(oracleFacts(sdkDecode(bytes), bytes).sequence, name).toBe(sequence);
    }
  });

  it('agree on 20,000 damaged ledgers', { timeout: 240_000 }, () => {
    const seed = seedOf(63_092_982);
    console.log(`seed ${seed}`);
    const rng = makeRng(seed);
    const all = [...allRealLedgers().map((l) => l.bytes), ...madeLedgers()];
    const small = all.filter((b) => b.length <= 6_000);
    const middle = all.filter((b) => b.length > 6_000 && b.length <= 50_000);
    const large = all.filter((b) => b.length > 50_000);
    let rejected = 0;
    let accepted = 0;
    const run = (from: Buffer[], times: number): void => {
      for (let i = 0; i < times; i += 1) {
        const base = rng.below(from.length);
        const damaged = mutate(from[base] as Buffer, rng);
        if (compare(damaged, rng, `ledger ${base} damaged, round ${i} of seed ${seed}`)) accepted += 1;
        else rejected += 1;
      }
    };
    run(small, 19_000);
    run(middle, 1_000);
    run(large, 40);
    console.log(`${rejected} rejected and ${accepted} accepted by both`);
    expect(rejected).toBeGreaterThan(5_000);
    expect(accepted).toBeGreaterThan(1_000);
  });
});
