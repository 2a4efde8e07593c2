/** Up to which ledger a quorum vouches: organisations and not keys, only over links that hold, and over the edge of an era. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Jury, judge, type Piece, stretchText, TAIL } from '../../actors/anchor/judge.ts';
import { parseJson } from '../../actors/json.ts';
import { validatorsOf } from '../../config/anchors.ts';
import { encodePublicKey } from '../../config/strkey.ts';
import { BUILT_IN_VALIDATORS } from '../../config/validators.ts';
import { toFailure } from '../../machines/errors.ts';

const jury = (quorum: number): Jury => ({
  organisations: new Map([
    ['A1', 'a'],
    ['A2', 'a'],
    ['B1', 'b'],
    ['C1', 'c'],
  ]),
  quorum,
});

/** Key → the last ledger that it signed. */
const piece = (start: number, end: number, last: Record<string, number> | null, more: Partial<Piece> = {}): Piece => ({
  chain: 'one',
  range: { start, end },
  previousHash: `hash of ${start - 1}`,
  lastHash: `hash of ${end}`,
  signed: last && Object.fromEntries(Object.entries(last).map(([key, at]) => [key, { ledgers: 1, last: at }])),
  ...more,
});

const only = (pieces: readonly Piece[], quorum: number) => {
  const [told] = judge(pieces, ['one'], jury(quorum));
  const [stretch] = told?.stretches ?? [];
  if (told === undefined || stretch === undefined) throw new Error('nothing was judged');
  return { ...told, stretch };
};

describe('a quorum', () => {
  const pieces = [piece(10, 19, { A1: 19, B1: 18, C1: 12 }), piece(20, 27, { A2: 27, B1: 25 })];

  it.each([
    [1, 26],
    [2, 24],
    [3, 11],
  ])('of %i vouches up to ledger %i', (quorum, to) => {
    const { verdict, stretch } = only(pieces, quorum);
    expect(verdict).toBe('vouched');
    expect(stretch).toMatchObject({ first: 10, last: 27, vouched_to: to, not_vouched: { start: to + 1, end: 27 } });
    expect(stretch.organisations).toEqual([
      { organisation: 'a', key: 'A2', ledger: 27, vouches_to: 26 },
      { organisation: 'b', key: 'B1', ledger: 25, vouches_to: 24 },
      { organisation: 'c', key: 'C1', ledger: 12, vouches_to: 11 },
    ]);
  });

  it('is of organisations: two keys of one are one voice', () => {
    const { verdict, stretch } = only([piece(10, 29, { A1: 28, A2: 29 })], 2);
    expect([verdict, stretch.vouched_to]).toEqual(['not_vouched', null]);
    expect(stretch.why).toContain('1 of the 2 organisations that it takes has signed');
    expect(stretchText(stretch)).toMatch(/^NOT VOUCHED FOR: ledgers 10 to 29: /);
  });

  it('is not made by keys that nobody named; they are told', () => {
    const { verdict, stretch } = only([piece(10, 19, { X1: 12, X2: 19, A1: 13 })], 2);
    expect([verdict, stretch.vouched_to, stretch.stranger_keys, stretch.stranger_ledgers]).toEqual([
      'not_vouched',
      null,
      2,
      2,
    ]);
    expect(stretch.strangers.map(({ key }) => key)).toEqual(['X1', 'X2']);
    expect(stretch.why).toContain('2 keys that no organisation has signed up to ledger 19, which counts for nothing');
  });

  it('that comes too long before the end is not enough', () => {
    const of = (end: number) => only([piece(10, 19, { A1: 19, B1: 19 }), piece(20, end, { A1: end })], 2).verdict;
    expect([of(18 + TAIL), of(19 + TAIL)]).toEqual(['vouched', 'not_vouched']);
  });

  it.each([
    ['strangers alone', { X1: 29 }],
    ['nobody', {}],
    ['an organisation, and after it by a stranger', { A1: 28, X1: 29 }],
  ])('is not enough where the end is signed by %s, however short it is', (_, signed) => {
    const before = piece(10, 19, { A1: 19, B1: 19 });
    expect(only([before, piece(20, 29, signed)], 2).verdict).toBe('not_vouched');
    expect(only([before, piece(20, 29, { ...signed, A1: 29 })], 2).verdict).toBe('vouched');
  });

  it('of the first ledger alone vouches for the one before it, and for none that is here', () => {
    expect(only([piece(10, 19, { A1: 10, B1: 10 })], 2).stretch.vouched_to).toBeNull();
    expect(only([piece(10, 19, { A1: 11, B1: 11 })], 2).stretch.vouched_to).toBe(10);
  });
});

describe('a word', () => {
  it('is not carried over a link that does not hold, nor over a hole', () => {
    for (const later of [
      piece(20, 29, { A1: 29, B1: 28 }, { previousHash: 'another' }),
      piece(21, 29, { A1: 29, B1: 28 }),
    ]) {
      const { verdict, stretches } = only([piece(10, 19, {}), later], 2);
      expect(verdict).toBe('not_vouched');
      expect(stretches.map(({ vouched_to }) => vouched_to)).toEqual([null, 27]);
    }
  });

  it('is carried into an era that nobody signed, to its very end, where the next one follows', () => {
    const old = [piece(2, 9, {}), piece(10, 19, {})];
    const next = (previousHash: string) =>
      piece(20, 29, { A1: 29, B1: 27 }, { chain: 'two', ...(previousHash ? { previousHash } : {}) });
    const [one, two] = judge([...old, next('')], ['one', 'two'], jury(2));
    expect(one).toMatchObject({ verdict: 'vouched', stretches: [{ first: 2, last: 19, vouched_to: 19, why: null }] });
    expect(two).toMatchObject({ verdict: 'vouched', stretches: [{ first: 20, vouched_to: 26 }] });
    expect(judge([...old, next('of another')], ['one', 'two'], jury(2))[0]).toMatchObject({ verdict: 'not_vouched' });
  });

  it('of one version of an era is not taken for another version', () => {
    const v1 = piece(10, 19, {}, { lastHash: 'forged' });
    const v2 = piece(10, 19, {}, { chain: 'two' });
    const after = piece(20, 29, { A1: 29, B1: 29 }, { chain: 'three' });
    const verdicts = judge([v1, v2, after], ['one', 'two', 'three'], jury(2)).map(({ verdict }) => verdict);
    expect(verdicts).toEqual(['not_vouched', 'vouched', 'vouched']);
  });

  it('carried by manifests alone is told as that', () => {
    const { stretch } = only([piece(10, 19, null), piece(20, 29, { A1: 29, B1: 29 })], 2);
    expect(stretch).toMatchObject({ vouched_to: 28, not_read: [{ start: 10, end: 19 }] });
  });

  it('of nobody is no verdict', () => {
    expect(judge([], ['one'], jury(1))).toEqual([{ chain: 'one', verdict: 'not_vouched', stretches: [] }]);
  });
});

describe('validators', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bronze-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const keys = [1, 2, 3].map((n) => encodePublicKey(new Uint8Array(32).fill(n)));
  const read = (text: string, quorum: number | null = null) => {
    const file = join(folder, 'validators.json');
    writeFileSync(file, text);
    return validatorsOf('sample', file, quorum, parseJson);
  };
  const refused = (action: () => unknown) => {
    try {
      action();
    } catch (error) {
      return toFailure(error);
    }
    throw new Error('it was taken');
  };

  it('are read from a file, with more than two thirds as the quorum', () => {
    const { byKey, organisations, quorum } = read(JSON.stringify({ a: [keys[0], keys[1]], b: [keys[2]] }));
    expect([organisations, quorum, byKey.get(keys[1] as string)]).toEqual([2, 2, 'a']);
  });

  it('are built in for pubnet and testnet, dated, and for no other network', () => {
    const pubnet = validatorsOf('pubnet', '', null, parseJson);
    expect([pubnet.organisations, pubnet.quorum]).toEqual([7, 5]);
    expect(pubnet.origin).toContain(BUILT_IN_VALIDATORS.get('pubnet')?.asOf as string);
    expect(validatorsOf('testnet', '', 1, parseJson).byKey.size).toBe(3);
    expect(refused(() => validatorsOf('sample', '', null, parseJson)).code).toBe('ANCHORS_INVALID');
  });

  it.each<[string, string, number | null]>([
    ['no JSON', '{', null],
    ['a list', '[]', null],
    ['no organisation', '{}', null],
    ['an organisation without keys', '{"a": []}', null],
    ['a key that is none', JSON.stringify({ a: [keys[0]?.replace(/.$/, '2')] }), null],
    ['a number for a key', '{"a": [1]}', null],
    ['one key in two organisations', JSON.stringify({ a: [keys[0]], b: [keys[1], keys[0]] }), null],
    ['one key twice', JSON.stringify({ a: [keys[0], keys[0]] }), null],
    ['one organisation twice', `{"a": ["${keys[0]}"], "a": ["${keys[1]}"]}`, null],
    ['a quorum above the number of organisations', JSON.stringify({ a: [keys[0]], b: [keys[1]] }), 3],
    ['a quorum of none', JSON.stringify({ a: [keys[0]] }), 0],
  ])('are refused with a code: %s', (_, text, quorum) => {
    expect(refused(() => read(text, quorum))).toMatchObject({ code: 'ANCHORS_INVALID', object: expect.any(String) });
  });

  it('are refused where the file is not there', () => {
    expect(refused(() => validatorsOf('pubnet', join(folder, 'none'), null, parseJson)).code).toBe('ANCHORS_INVALID');
  });
});
