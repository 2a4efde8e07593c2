/**
 * What the checker lets through and what it refuses, by code: every real ledger passes but the one that is wrong at its
 * source, every kind of damage is named, and counts follow one definition in all versions.
 */
import { describe, expect, it } from 'vitest';
import { checkBatch, readBatchRange } from '../../actors/check/batch.ts';
import { type CheckOptions, checkLink, LedgerChecker, type LedgerFacts } from '../../actors/check/ledger-checker.ts';
import { BronzeError, type Details, type ErrorCode } from '../../machines/errors.ts';
import {
  component,
  envelopeV0,
  envelopeV1,
  feeBump,
  fill,
  hashOf,
  type Making,
  makeBatch,
  makeLedger,
  parallel,
} from '../support/made-ledger.ts';
import { oracleFacts, oracleHashes, sdkDecode } from '../support/oracle.ts';
import { lakeBatches, singleLedgers, streams } from '../support/real-ledgers.ts';
import { describeShared } from '../support/shared.ts';

const checker = new LedgerChecker({ results: true });
const check = (bytes: Buffer, sequence: number, options?: CheckOptions): LedgerFacts =>
  (options ? new LedgerChecker(options) : checker).check(bytes, 0, bytes.length, sequence);

/** Runs `action`, which must throw a BronzeError of this code; returns its details. */
function failing(code: ErrorCode, action: () => unknown): Details {
  let thrown: unknown;
  try {
    action();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(BronzeError);
  const error = thrown as BronzeError;
  expect(error.code, error.message).toBe(code);
  expect(error.retryable).toBe(false);
  return error.details;
}

const flipped = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 1;
  return copy;
};

const SEQUENCE = 5000;
const makings: readonly (Making & { readonly name: string })[] = [
  { name: 'V0', version: 0, sequence: SEQUENCE, txs: [envelopeV0(1), envelopeV1(3), feeBump(2)], results: 3 },
  {
    name: 'V1',
    version: 1,
    sequence: SEQUENCE,
    phases: [component(envelopeV0(1), feeBump(2)), component(envelopeV1(3))],
    results: 3,
  },
  {
    name: 'V2',
    version: 2,
    sequence: SEQUENCE,
    phases: [component(envelopeV0(1)), parallel([[envelopeV1(3)], []], [[feeBump(2)]])],
    results: 3,
  },
];

describe.each(makings)('a made-up ledger, $name', (making) => {
  const ledger = makeLedger(making);
  const find = (bytes: Uint8Array): number => {
    const at = ledger.indexOf(bytes);
    expect(at).toBeGreaterThan(0);
    return at;
  };

  it('passes with the facts that the SDK sees', () => {
    const facts = check(ledger, SEQUENCE);
    expect(facts).toEqual(oracleFacts(sdkDecode(ledger), ledger));
    expect(facts.closeTimeMs).toBe(1_700_000_000_000n);
    expect(facts.lcmVersion).toBe(making.version);
  });

  it('counts transactions and operations of its set by one definition: failed ones too, a fee-bump by what it wraps', () => {
    const facts = check(ledger, SEQUENCE);
    expect([facts.txCount, facts.operationCount]).toEqual([3, 6]);
  });

  it('passes inside a larger buffer, alone and with others after it', () => {
    const around = Buffer.concat([fill(0xff, 3), ledger, ledger, fill(0xff, 50)]);
    const end = 3 + ledger.length;
    const alone = check(ledger, SEQUENCE);
    expect(checker.check(around, 3, end, SEQUENCE)).toEqual(alone);
    expect(checker.checkNext(around, 3, around.length, SEQUENCE)).toEqual(alone);
    expect(checker.checkNext(around, end, around.length, SEQUENCE)).toEqual(alone);
    expect(checker.skipNext(around, 3, around.length, SEQUENCE)).toBe(end);
    const details = failing('XDR_INVALID', () => checker.check(around, 3, end + 16, SEQUENCE));
    expect(details).toMatchObject({ ledger: SEQUENCE, check: 'xdr' });
  });

  it('sees new bytes in a buffer that is used again', () => {
    const reused = Buffer.from(ledger);
    check(reused, SEQUENCE);
    makeLedger({ ...making, previousHash: fill(0x12) }).copy(reused);
    expect(check(reused, SEQUENCE).previousLedgerHash).toBe('12'.repeat(32));
  });

  it('is refused with a flipped bit in the header, the previous hash, the hash itself', () => {
    const header = find(fill(0x11)) - 4;
    for (const at of [header + 3, header + 4, header + 36, header + 75]) {
      const details = failing('LEDGER_HASH', () => check(flipped(ledger, at), SEQUENCE));
      expect(details).toMatchObject({ ledger: SEQUENCE, check: 'ledger_hash' });
      expect(details.expected).not.toBe(details.found);
    }
    failing('LEDGER_HASH', () => check(flipped(ledger, header - 1), SEQUENCE));
  });

  it('is refused with a flipped bit in the transaction set', () => {
    const details = failing('TX_SET_HASH', () => check(flipped(ledger, find(fill(7)) + 5), SEQUENCE));
    expect(details).toMatchObject({ ledger: SEQUENCE, check: 'tx_set_hash' });
  });

  it('is refused with a flipped bit in a result, unless results are not checked', () => {
    const damaged = flipped(ledger, find(fill(3)) + 9);
    expect(failing('RESULT_HASH', () => check(damaged, SEQUENCE))).toMatchObject({ check: 'result_hash' });
    expect(check(damaged, SEQUENCE, { results: false }).txCount).toBe(3);
  });

  it('is refused as another ledger', () => {
    const details = failing('LEDGER_SEQUENCE', () => check(ledger, SEQUENCE + 1));
    expect(details).toMatchObject({ ledger: SEQUENCE + 1, expected: '5001', found: '5000' });
    failing('LEDGER_SEQUENCE', () => checker.skipNext(ledger, 0, ledger.length, SEQUENCE + 1));
  });

  it('is refused with 16 bytes after it, cut anywhere, or empty', () => {
    const trailing = Buffer.concat([ledger, fill(0xab, 16)]);
    expect(failing('XDR_INVALID', () => check(trailing, SEQUENCE)).found).toBe(`${trailing.length} bytes`);
    for (let length = 0; length < ledger.length; length += 1) {
      failing('XDR_INVALID', () => check(ledger.subarray(0, length), SEQUENCE));
    }
    failing('XDR_INVALID', () => checker.check(ledger, 0, ledger.length + 1, SEQUENCE));
  });

  it('is refused outside the protocol guard', () => {
    const guard = (protocolMin: number | null, protocolMax: number | null) => ({
      results: true,
      protocolMin,
      protocolMax,
    });
    expect(check(ledger, SEQUENCE, guard(28, 28)).protocolVersion).toBe(28);
    expect(check(ledger, SEQUENCE, guard(null, null)).protocolVersion).toBe(28);
    const above = failing('PROTOCOL_GUARD', () => check(ledger, SEQUENCE, guard(0, 27)));
    expect(above).toMatchObject({ ledger: SEQUENCE, check: 'protocol', expected: '0 to 27', found: '28' });
    expect(failing('PROTOCOL_GUARD', () => check(ledger, SEQUENCE, guard(29, null))).expected).toBe('29 or more');
    failing('PROTOCOL_GUARD', () =>
      check(makeLedger({ ...making, protocol: 0x80000000 }), SEQUENCE, { results: true }),
    );
  });

  it('links to the ledger before', () => {
    const next = makeLedger({ ...making, sequence: SEQUENCE + 1, previousHash: hashOf(ledger) });
    const facts = check(next, SEQUENCE + 1);
    checkLink(facts, check(ledger, SEQUENCE).ledgerHash);
    const details = failing('LINK_BROKEN', () => checkLink(facts, '00'.repeat(32)));
    expect(details).toMatchObject({ ledger: SEQUENCE + 1, check: 'link', found: facts.previousLedgerHash });
  });

  it('is refused with a close time that no date holds', () => {
    const last = 8_640_000_000_000n;
    const at = (closeTime: bigint) => check(makeLedger({ ...making, closeTime }), SEQUENCE);
    expect(at(last).closeTimeMs).toBe(last * 1000n);
    expect(failing('XDR_INVALID', () => at(last + 1n))).toMatchObject({ check: 'close_time' });
    failing('XDR_INVALID', () => at(2n ** 64n - 1n));
  });

  it('passes empty, and with more results than the first buffer holds', () => {
    const empty = check(makeLedger({ version: making.version, sequence: SEQUENCE }), SEQUENCE);
    expect([empty.txCount, empty.operationCount]).toEqual([0, 0]);
    const txs = Array.from({ length: 5000 }, () => envelopeV1(1));
    const many = makeLedger({ ...making, txs, phases: [component(...txs)], results: 5000 });
    expect(check(many, SEQUENCE).xdrByteLength).toBe(many.length);
    const damaged = flipped(many, many.lastIndexOf(fill(3)));
    failing('RESULT_HASH', () => check(damaged, SEQUENCE));
  });

  it.each([-1, 1])('is refused with %i results more than transactions, although all hashes fit', (more) => {
    const count = (making.results as number) + more;
    const odd = makeLedger({ ...making, results: count });
    for (const results of [true, false]) {
      expect(failing('RESULT_COUNT', () => check(odd, SEQUENCE, { results }))).toEqual({
        ledger: SEQUENCE,
        check: 'result_count',
        expected: `${making.results} results`,
        found: `${count} results`,
      });
    }
  });

  it('is refused with results and no transaction, and the other way round', () => {
    const { version } = making;
    failing('RESULT_COUNT', () => check(makeLedger({ version, sequence: SEQUENCE, results: 1 }), SEQUENCE));
    failing('RESULT_COUNT', () => check(makeLedger({ ...making, results: 0 }), SEQUENCE));
  });
});

const all = (bytes: Uint8Array) => ({ start: 0, end: bytes.length });

describe('a large V0 set', () => {
  it('is hashed without a copy to the same hash', () => {
    const txs = Array.from({ length: 200 }, () => envelopeV1(5));
    const ledger = makeLedger({ version: 0, sequence: 9, txs, results: txs.length });
    expect(check(ledger, 9).operationCount).toBe(1000);
    failing('TX_SET_HASH', () => check(flipped(ledger, ledger.indexOf(fill(7)) + 3), 9));
  });
});

describe('an unknown version of LedgerCloseMeta', () => {
  it.each([3, -1, 0x01000000])('%i is refused by name', (version) => {
    const ledger = makeLedger({ version: 2, sequence: 9 });
    ledger.writeInt32BE(version, 0);
    const details = failing('XDR_INVALID', () => check(ledger, 9));
    expect(details).toMatchObject({
      ledger: 9,
      check: 'lcm_version',
      expected: 'one of 0, 1, 2',
      found: String(version),
    });
  });
});

describe('a ledger whose transaction set was dropped (CAP-83)', () => {
  const emptySet = [component(), parallel()].map((phase) =>
    phase.v === 0
      ? { ...phase, v0Components: [] }
      : { ...phase, parallelTxsComponent: { baseFee: null, executionStages: [] } },
  );
  const dropped = (more: Partial<Making> = {}): Buffer =>
    makeLedger({ version: 2, sequence: 9, phases: emptySet, dropped: {}, ...more });
  const refused = (ledger: Buffer): Details => failing('TX_SET_HASH', () => check(ledger, 9));

  it('passes with a zero hash and no transactions', () => {
    const facts = check(dropped(), 9);
    expect(facts).toMatchObject({ txSetHash: '0'.repeat(64), txCount: 0, operationCount: 0 });
    expect(facts).toEqual(oracleFacts(sdkDecode(dropped()), dropped()));
  });

  it('is refused unless its set is the empty one, phase by phase', () => {
    refused(dropped({ phases: [] }));
    refused(dropped({ phases: emptySet.slice(0, 1) }));
    refused(dropped({ phases: [component(), parallel()] }));
    refused(dropped({ phases: [component(envelopeV1(1)), parallel()] }));
    refused(dropped({ version: 0 }));
  });

  it('is refused where the proposed value is for another ledger or an older protocol', () => {
    refused(dropped({ dropped: { previousHash: fill(0x22) } }));
    expect(refused(dropped({ dropped: { previousVersion: 27 } }))).toMatchObject({ found: '27' });
    expect(check(dropped({ dropped: { previousVersion: 29 } }), 9).txCount).toBe(0);
  });

  it('is refused with any other hash than zero, right or wrong', () => {
    const right = Buffer.from(oracleHashes(sdkDecode(dropped())).txSet[1] as string, 'hex');
    refused(dropped({ txSetHash: right }));
    refused(dropped({ txSetHash: fill(1) }));
  });

  it('a zero hash without the vote is refused', () => {
    refused(makeLedger({ version: 2, sequence: 9, phases: emptySet, txSetHash: fill(0) }));
    refused(makeLedger({ version: 0, sequence: 9, txSetHash: fill(0) }));
  });
});

describe('a batch', () => {
  const ledgers: Buffer[] = [];
  for (let sequence = 2; sequence <= 9; sequence += 1) {
    const last = ledgers[ledgers.length - 1];
    const making = makings[sequence % 3] as Making;
    ledgers.push(makeLedger({ ...making, sequence, previousHash: last ? hashOf(last) : fill(0) }));
  }
  const named = { start: 0, end: 63 };
  const whole = makeBatch(2, 9, ledgers);
  const visits = (bytes: Uint8Array, name = named, only?: { start: number; end: number }) => {
    const seen: [number, Buffer][] = [];
    const options = only ? { object: 'FFFFFFFF--0-63.xdr.zst', only } : { object: 'FFFFFFFF--0-63.xdr.zst' };
    checkBatch(
      bytes,
      all(bytes),
      name,
      checker,
      (f, start, end) => seen.push([f.sequence, Buffer.from(bytes.subarray(start, end))]),
      options,
    );
    return seen;
  };

  it('gives every ledger with its bytes, and may hold fewer than its name says', () => {
    expect(visits(whole)).toEqual(ledgers.map((l, i) => [i + 2, l]));
    expect(readBatchRange(whole, all(whole), named)).toEqual({ start: 2, end: 9 });
    expect(visits(whole, { start: 2, end: 9 }).length).toBe(8);
  });

  it('gives only the ledgers that are wanted, and still walks the others', () => {
    expect(visits(whole, named, { start: 4, end: 6 }).map(([s]) => s)).toEqual([4, 5, 6]);
    const shifted = makeBatch(2, 9, [...ledgers.slice(0, 6), ledgers[7] as Buffer, ledgers[6] as Buffer]);
    failing('LEDGER_SEQUENCE', () => visits(shifted, named, { start: 4, end: 6 }));
  });

  it('is refused where its range is not within its name', () => {
    for (const other of [
      { start: 3, end: 63 },
      { start: 0, end: 8 },
      { start: 64, end: 127 },
    ]) {
      const details = failing('BATCH_INVALID', () => visits(whole, other));
      expect(details).toMatchObject({ ...other, object: 'FFFFFFFF--0-63.xdr.zst', found: '2-9' });
    }
    failing('BATCH_INVALID', () => visits(makeBatch(9, 2, ledgers)));
  });

  it('is refused where its count is not that of its sequences', () => {
    expect(failing('BATCH_INVALID', () => visits(makeBatch(2, 9, ledgers, 7)))).toMatchObject({
      expected: '8',
      found: '7',
    });
    failing('BATCH_INVALID', () => visits(makeBatch(2, 10, ledgers)));
    failing('BATCH_INVALID', () => visits(makeBatch(2, 9, [], 0)));
  });

  it('is refused with bytes after its last ledger, without its last ledger, or without a head', () => {
    const trailing = Buffer.concat([whole, fill(0xab, 16)]);
    expect(failing('BATCH_INVALID', () => visits(trailing)).found).toBe(`${trailing.length} bytes`);
    const short = makeBatch(2, 9, ledgers.slice(0, 7), 8);
    expect(failing('XDR_INVALID', () => visits(short))).toMatchObject({ ledger: 9, object: 'FFFFFFFF--0-63.xdr.zst' });
    for (let length = 0; length < 12; length += 1) failing('BATCH_INVALID', () => visits(whole.subarray(0, length)));
  });

  it('names the object of a ledger that fails, and leaves what the visitor throws alone', () => {
    const damaged = flipped(whole, 12 + 60);
    expect(failing('LEDGER_HASH', () => visits(damaged))).toMatchObject({
      ledger: 2,
      object: 'FFFFFFFF--0-63.xdr.zst',
    });
    const own = new Error('own');
    expect(() =>
      checkBatch(whole, all(whole), named, checker, () => {
        throw own;
      }),
    ).toThrow(own);
  });
});

describeShared('real ledgers', () => {
  /** Wrong where it was made: neither its set nor its results have the header's hashes. */
  const WRONG = 'load/load-63-v2.xdr';

  it('all pass, with the facts of their index, but the one that is wrong at its source', () => {
    const ledgers = singleLedgers();
    expect(ledgers.length).toBeGreaterThan(60);
    for (const { name, bytes, sequence, index } of ledgers) {
      if (name === WRONG) {
        expect(failing('TX_SET_HASH', () => check(bytes, sequence))).toMatchObject({
          ledger: 63,
          check: 'tx_set_hash',
        });
        continue;
      }
      const facts = check(bytes, sequence);
      expect(facts, name).toEqual(oracleFacts(sdkDecode(bytes), bytes));
      expect(facts, name).toMatchObject({
        sequence: index?.ledgerSequence,
        lcmVersion: index?.lcmVersion,
        protocolVersion: index?.protocolVersion,
        // The index has none for core's test ledgers.
        closeTimeMs: index?.closeTime == null ? facts.closeTimeMs : BigInt(index.closeTime) * 1000n,
        ledgerHash: index?.ledgerHash,
        previousLedgerHash: index?.previousLedgerHash,
        xdrSha256: index?.sha256,
        xdrByteLength: index?.rawBytes,
      });
    }
  });

  it('have tx_count and operation_count by one definition: fee-bump, failed, Soroban, empty; V0, V1, V2', () => {
    const versions = new Set<number>();
    const all = [...singleLedgers().filter((l) => l.name !== WRONG), ...streams().flatMap((s) => s.ledgers)];
    for (const { name, bytes, sequence, counts } of all) {
      const facts = check(bytes, sequence);
      versions.add(facts.lcmVersion);
      expect([facts.txCount, facts.operationCount], name).toEqual(counts);
    }
    expect(versions).toEqual(new Set([0, 1, 2]));
  });

  it('link within their streams, the empty set of protocol 28 among them', () => {
    const dropped: string[] = [];
    for (const { ledgers } of streams()) {
      let before: LedgerFacts | null = null;
      for (const { name, bytes, sequence } of ledgers) {
        const facts = check(bytes, sequence);
        if (before) checkLink(facts, before.ledgerHash);
        before = facts;
        if (facts.txSetHash === '0'.repeat(64)) dropped.push(name);
      }
    }
    expect(dropped).toEqual(['streams/p28-cap83-empty-txset.xdr#0']);
  });

  it('in batches pass as their names say', () => {
    const batches = lakeBatches();
    expect(batches.length).toBeGreaterThan(3);
    for (const { name, bytes, sequence } of batches) {
      const seen: number[] = [];
      const range = { start: sequence, end: sequence };
      expect(
        checkBatch(bytes, all(bytes), range, checker, (f) => seen.push(f.sequence)),
        name,
      ).toEqual(range);
      expect(seen, name).toEqual([sequence]);
    }
  });

  it('are refused with one bit flipped in header, set or results, or with bytes after them', () => {
    for (const { name, bytes, sequence, index } of singleLedgers()) {
      if (name === WRONG || !index) continue;
      const set = index.txSetOffset;
      // The set's previousLedgerHash: any bit of it leaves the XDR valid.
      failing('TX_SET_HASH', () => check(flipped(bytes, set + (index.lcmVersion === 0 ? 9 : 13)), sequence));
      // skipList, the last 128 bytes of a header but for its extension, which is 4 or 8 bytes, as 4 more before the set.
      failing('LEDGER_HASH', () => check(flipped(bytes, set - 40), sequence));
      failing('XDR_INVALID', () => check(Buffer.concat([bytes, fill(0xab, 16)]), sequence));
      failing('XDR_INVALID', () => check(bytes.subarray(0, -4), sequence));
      failing('LEDGER_SEQUENCE', () => check(bytes, sequence + 1));
      if (index.txCount === 0) continue;
      const decoded = sdkDecode(bytes);
      const first = (decoded.v === 0 ? decoded.v0 : decoded.v === 1 ? decoded.v1 : decoded.v2).txProcessing[0];
      const at = bytes.indexOf(Buffer.from(first?.result.transactionHash as Uint8Array), set + index.txSetLength);
      failing('RESULT_HASH', () => check(flipped(bytes, at), sequence));
    }
  });
});
