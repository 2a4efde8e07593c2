/** The sample lake: decoded and re-checked by the official SDK, accepted by our own checker, the same bytes each time. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FeeBumpTransaction, Keypair, type Transaction, TransactionBuilder, xdr } from '@stellar/stellar-sdk';
import { afterAll, describe, expect, it } from 'vitest';
import { checkLink, LedgerChecker } from '../../actors/check/ledger-checker.ts';
import { makeSample, SAMPLE_PASSPHRASE, writeSampleLake } from '../../actors/sample/index.ts';
import { SAMPLE_VALIDATORS } from '../../actors/sample/validators.ts';
import { BronzeError } from '../../machines/errors.ts';

const root = mkdtempSync(join(tmpdir(), 'sample-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const sha = (...parts: Uint8Array[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The envelopes of a generalized set, flattened; the sample's phases are classic and an empty Soroban one. */
function envelopesOf(set: xdr.GeneralizedTransactionSet): xdr.TransactionEnvelope[] {
  if (set.type !== 'v1TxSet') throw new Error(`unexpected set ${set.type}`);
  return set.v1TxSet.phases.flatMap((phase) => {
    if (phase.type !== 'v0Components') return [];
    return phase.v0Components.flatMap((component) => [...component.txsMaybeDiscountedFee.txs]);
  });
}

function bodyOf(meta: xdr.LedgerCloseMeta): xdr.LedgerCloseMetaV1 | xdr.LedgerCloseMetaV2 {
  if (meta.type === 'v0') throw new Error('the sample has no V0');
  return meta.type === 'v1' ? meta.v1 : meta.v2;
}

describe('the sample lake', () => {
  const { files, ledgers } = makeSample();

  it('is accepted by the checker, link by link, and counts operations by the one definition', () => {
    const checker = new LedgerChecker({ results: true, networkPassphrase: SAMPLE_PASSPHRASE });
    const signers = new Set<string | null>();
    const counts = new Set<string>();
    let previous: string | null = null;
    ledgers.forEach((bytes, i) => {
      const facts = checker.check(bytes, 0, bytes.length, i + 2);
      if (previous !== null) checkLink(facts, previous);
      signers.add(facts.signer);
      previous = facts.ledgerHash;
      expect([facts.lcmVersion, facts.protocolVersion]).toEqual(i + 2 < 64 ? [1, 22] : [2, 23]);
      counts.add(`${facts.txCount} transactions, ${facts.operationCount} operations`);
    });
    expect(signers).toEqual(new Set(Object.values(SAMPLE_VALIDATORS)));
    const example = new URL('../../config/examples/sample-validators.json', import.meta.url);
    const named = Object.entries(SAMPLE_VALIDATORS).map(([organisation, key]) => [organisation, [key]]);
    expect(JSON.parse(readFileSync(example, 'utf8'))).toEqual(Object.fromEntries(named));
    expect([...counts].sort()).toEqual([
      '0 transactions, 0 operations',
      '1 transactions, 1 operations',
      '2 transactions, 3 operations',
      '2 transactions, 4 operations',
    ]);
  });

  it('is what the SDK decodes: round trip, every hash, every signature', () => {
    const kinds = new Set<string>();
    let previous: string | null = null;
    ledgers.forEach((bytes, i) => {
      const meta = xdr.LedgerCloseMeta.fromXDR(bytes);
      expect(hex(meta.toXDR())).toBe(hex(bytes));
      const body = bodyOf(meta);
      const { header } = body.ledgerHeader;
      expect(header.ledgerSeq).toBe(i + 2);
      expect(hex(body.ledgerHeader.hash.toXDR())).toBe(sha(header.toXDR()));
      expect(hex(header.scpValue.txSetHash.toXDR())).toBe(sha(body.txSet.toXDR()));
      if (previous !== null) expect(hex(header.previousLedgerHash.toXDR())).toBe(previous);
      previous = sha(header.toXDR());
      const pairs = body.txProcessing.map((p) => p.result);
      const count = Buffer.alloc(4);
      count.writeUInt32BE(pairs.length);
      expect(hex(header.txSetResultHash.toXDR())).toBe(sha(count, ...pairs.map((p) => p.toXDR())));
      const transactions = envelopesOf(body.txSet).map((envelope) =>
        TransactionBuilder.fromXDR(Buffer.from(envelope.toXDR()).toString('base64'), SAMPLE_PASSPHRASE),
      );
      expect(pairs.map((p) => hex(p.transactionHash.toXDR()))).toEqual(transactions.map((t) => hex(t.hash())));
      for (const [at, transaction] of transactions.entries()) {
        kinds.add(pairs[at]?.result.result.type ?? 'none');
        const bump = transaction instanceof FeeBumpTransaction;
        const signers: [FeeBumpTransaction | Transaction, string][] = bump
          ? [
              [transaction, transaction.feeSource],
              [transaction.innerTransaction, transaction.innerTransaction.source],
            ]
          : [[transaction, transaction.source]];
        for (const [signed, source] of signers) {
          const signature = signed.signatures[0]?.signature.value;
          expect(
            signature && Keypair.fromPublicKey(source).verify(Buffer.from(signed.hash()), Buffer.from(signature)),
          ).toBe(true);
        }
      }
    });
    expect([...kinds].sort()).toEqual(['txFailed', 'txFeeBumpInnerSuccess', 'txSuccess']);
  });

  it('has the same bytes each time', () => {
    const digest = (made: Map<string, Buffer>): string => sha(...[...made].flatMap(([k, v]) => [Buffer.from(k), v]));
    expect(digest(makeSample().files)).toBe(digest(files));
    // Written down, so that a change of it is meant.
    expect(sha(...ledgers)).toMatchInlineSnapshot(`"b39e818848097aa2b3596c7a2d4a4da2772ce812ecf2a0e11ed5634f5bd0d187"`);
  });

  it('is written once, completed where a part is missing, and never over anything else', async () => {
    const out = join(root, 'lake');
    const first = await writeSampleLake(out);
    expect(first).toMatchObject({ ledgerStart: 2, ledgerEnd: 127, boundary: 64, files: 127, written: true });
    const folder = join(out, 'FFFFFFFF--0-63999');
    expect(readdirSync(folder)).toHaveLength(126);
    const file = join(folder, 'FFFFFFFD--2.xdr.zst');
    const before = statSync(file).mtimeMs;
    expect(await writeSampleLake(out)).toEqual({ ...first, written: false });
    expect(statSync(file).mtimeMs).toBe(before);
    const bytes = readFileSync(file);
    unlinkSync(file);
    expect((await writeSampleLake(out)).written).toBe(true);
    expect(readFileSync(file).equals(bytes)).toBe(true);
    writeFileSync(file, bytes.subarray(1));
    await expect(writeSampleLake(out)).rejects.toMatchObject({ code: 'USAGE' });
    writeFileSync(file, bytes);
    writeFileSync(join(out, 'letter.txt'), 'mine');
    await expect(writeSampleLake(out)).rejects.toThrow(/letter\.txt/);
    await expect(writeSampleLake(join(file, 'below'))).rejects.toBeInstanceOf(BronzeError);
  });

  it('can be cut as any lake', () => {
    const cut = makeSample({ ledgersPerFile: 64, filesPerPartition: 1, suffix: 'zstd', config: false });
    expect([...cut.files.keys()]).toEqual(['FFFFFFFF--0-63.xdr.zstd', 'FFFFFFBF--64-127.xdr.zstd']);
    expect(() => makeSample({ ledgersPerFile: 0 })).toThrow(BronzeError);
  });
});
