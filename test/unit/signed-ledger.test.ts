/**
 * What one ledger says about the ledger before it: SET_PREVIOUS for every form of set, every signature by the value's
 * arm, and whose word is counted. Made-up ledgers signed here with node:crypto, and real ones.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { StrKey } from '@stellar/stellar-sdk';
import { describe, expect, it } from 'vitest';
import { readSignedLedger } from '../../actors/anchor/signed-ledger.ts';
import { LedgerChecker } from '../../actors/check/ledger-checker.ts';
import { signedBytes, ValueVerifier } from '../../actors/check/value-signature.ts';
import { KNOWN_PASSPHRASES } from '../../config/networks.ts';
import { decodePublicKey, encodePublicKey } from '../../config/strkey.ts';
import { BUILT_IN_VALIDATORS, organisationOfKeys, usualQuorum } from '../../config/validators.ts';
import { toFailure } from '../../machines/errors.ts';
import { component, envelopeV1, fill, type Making, makeLedger } from '../support/made-ledger.ts';
import { singleLedgers } from '../support/real-ledgers.ts';
import { describeShared } from '../support/shared.ts';

const PASSPHRASE = 'a network of this test';
const SEQUENCE = 5000;

/** The bytes of docs/anchors.md, put together a second time. */
const said = (passphrase: string, txSetHash: Uint8Array, closeTime: bigint): Buffer =>
  Buffer.from(
    createHash('sha256').update(passphrase).digest('hex') +
      '00000004' +
      Buffer.from(txSetHash).toString('hex') +
      closeTime.toString(16).padStart(16, '0'),
    'hex',
  );

const pair = generateKeyPairSync('ed25519');
const nodeId = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
const KEY = StrKey.encodeEd25519PublicKey(nodeId);

const signing =
  (passphrase = PASSPHRASE): NonNullable<Making['sign']> =>
  (txSetHash, closeTime) => ({
    nodeId,
    signature: sign(null, said(passphrase, txSetHash, closeTime), pair.privateKey),
  });

const forms: readonly Making[] = [
  { version: 0, sequence: SEQUENCE, txs: [envelopeV1(1)], results: 1 },
  { version: 1, sequence: SEQUENCE, phases: [component(envelopeV1(1))], results: 1 },
  { version: 2, sequence: SEQUENCE, phases: [component(envelopeV1(1))], results: 1 },
];

const check = (ledger: Buffer, networkPassphrase: string | null = PASSPHRASE) =>
  new LedgerChecker({ results: true, networkPassphrase }).check(ledger, 0, ledger.length, SEQUENCE);
const failing = (action: () => unknown) => {
  try {
    action();
  } catch (error) {
    return toFailure(error);
  }
  throw new Error('it was let through');
};

describe('keys as text', () => {
  it('are the ones of the SDK, both ways', () => {
    for (let i = 0; i < 100; i += 1) {
      const raw = createHash('sha256').update(String(i)).digest();
      const text = encodePublicKey(raw);
      expect(text).toBe(StrKey.encodeEd25519PublicKey(raw));
      expect(decodePublicKey(text)).toEqual(Uint8Array.from(raw));
    }
  });

  it('are refused with one character wrong, of another kind, too short, in lower case', () => {
    for (let i = 0; i < KEY.length; i += 1) {
      expect(decodePublicKey(`${KEY.slice(0, i)}${KEY[i] === 'A' ? 'B' : 'A'}${KEY.slice(i + 1)}`)).toBeNull();
    }
    const others = [StrKey.encodeEd25519SecretSeed(nodeId), KEY.slice(1), `${KEY}A`, KEY.toLowerCase(), ''];
    for (const text of others) expect(decodePublicKey(text)).toBeNull();
  });

  it('of the built-in lists are keys, each of one organisation', () => {
    for (const [network, { organisations }] of BUILT_IN_VALIDATORS) {
      const keys = Object.values(organisations).flat();
      expect(
        keys.filter((key) => !StrKey.isValidEd25519PublicKey(key)),
        network,
      ).toEqual([]);
      expect(organisationOfKeys(organisations).size).toBe(keys.length);
    }
    expect([1, 2, 3, 4, 7].map(usualQuorum)).toEqual([1, 2, 3, 3, 5]);
  });
});

describe('the previous ledger that a set names', () => {
  it.each(forms)('has to be the header’s, in version $version, without any key', (making) => {
    const ledger = makeLedger({ ...making, setPrevious: fill(0x77) });
    const { code, ledger: at, check: which, expected, found } = failing(() => check(ledger, null));
    expect({ code, at, which, expected, found }).toEqual({
      code: 'SET_PREVIOUS',
      at: SEQUENCE,
      which: 'set_previous',
      expected: '11'.repeat(32),
      found: '77'.repeat(32),
    });
  });
});

describe('the signature of a value', () => {
  it.each(forms)('names its signer, in version $version', (making) => {
    const ledger = makeLedger({ ...making, sign: signing() });
    expect(check(ledger).signer).toBe(KEY);
    expect(check(ledger, null).signer).toBeNull();
    const read = readSignedLedger(ledger, SEQUENCE, PASSPHRASE);
    expect(read.value?.signer).toBe(KEY);
    expect(Buffer.from(read.value?.nodeId ?? [])).toEqual(nodeId);
    const header = ledger.subarray(read.header.start, read.header.end);
    expect(createHash('sha256').update(header).digest('hex')).toBe(read.ledgerHash);
    expect(read.txSet.form).toBe(making.version === 0 ? 'v0' : 'generalized');
    const previous = read.txSet.start + (making.version === 0 ? 0 : 4);
    expect(ledger.toString('hex', previous, previous + 32)).toBe(read.previousLedgerHash);
  });

  it('is by the arm and not by the protocol', () => {
    const making = { ...(forms[1] as Making), protocol: 0 };
    expect(check(makeLedger({ ...making, sign: signing() })).signer).toBe(KEY);
    expect(failing(() => check(makeLedger(making))).code).toBe('SIGNATURE_INVALID');
    expect(check(makeLedger({ ...making, protocol: 23, unsigned: true })).signer).toBeNull();
  });

  it('of another network, another set, another second, another length is refused', () => {
    const making = forms[2] as Making;
    const wrong: NonNullable<Making['sign']>[] = [
      signing('another network'),
      (_, time) => signing()(fill(1), time),
      (set, time) => signing()(set, time + 1n),
      (set, time) => ({ ...signing()(set, time), nodeId: fill(9) }),
      (set, time) => ({ nodeId, signature: signing()(set, time).signature.subarray(0, 60) }),
      () => ({ nodeId, signature: Buffer.alloc(0) }),
    ];
    for (const sign of wrong) {
      const { code, ledger, check: which } = failing(() => check(makeLedger({ ...making, sign })));
      expect({ code, ledger, which }).toEqual({ code: 'SIGNATURE_INVALID', ledger: SEQUENCE, which: 'signature' });
    }
  });

  it('over a set that was dropped vouches for nothing', () => {
    const phases = [component(), { v: 1, parallelTxsComponent: { baseFee: null, executionStages: [] } }] as const;
    const empty = { v: 0, v0Components: [] } as const;
    const dropped = makeLedger({ version: 2, sequence: SEQUENCE, phases: [empty, phases[1]] as never, dropped: {} });
    expect(check(dropped).signer).toBeNull();
    expect(readSignedLedger(dropped, SEQUENCE, PASSPHRASE).value).toBeNull();
  });

  it('in an arm that is not known is an error of its own', () => {
    const ledger = makeLedger(forms[2] as Making);
    const arm = ledger.indexOf(Buffer.concat([Buffer.from([0, 0, 0, 1, 0, 0, 0, 0]), fill(8)]));
    ledger.writeInt32BE(3, arm);
    const { code, check: which, found, hint } = failing(() => check(ledger));
    expect({ code, which, found }).toEqual({ code: 'XDR_INVALID', which: 'value_arm', found: '3' });
    expect(hint).toContain('newer release');
  });

  it('is over the 76 bytes of docs/anchors.md', () => {
    const bytes = signedBytes(createHash('sha256').update(PASSPHRASE).digest(), fill(5), 0x0102030405060708n);
    expect(bytes).toEqual(said(PASSPHRASE, fill(5), 0x0102030405060708n));
    const verifier = new ValueVerifier(PASSPHRASE);
    // More keys than are kept, twice: none is mistaken for another.
    for (let i = 0; i < 2100; i += 1) {
      const other = createHash('sha256')
        .update(`key ${i % 1050}`)
        .digest();
      expect(verifier.signer(other, fill(5, 64), fill(5), 1n)).toBeNull();
    }
    expect(verifier.signer(nodeId, sign(null, said(PASSPHRASE, fill(5), 1n), pair.privateKey), fill(5), 1n)).toBe(KEY);
  });
});

describeShared('real ledgers', () => {
  it('are signed by a validator wherever they are signed at all, in their own network only', () => {
    const signers = new Map<string, string>();
    for (const { name, index, sequence, bytes } of singleLedgers()) {
      const network = index?.network ?? '';
      const passphrase = KNOWN_PASSPHRASES.get(network);
      if (passphrase === undefined) continue;
      let read: ReturnType<typeof readSignedLedger>;
      try {
        read = readSignedLedger(bytes, sequence, passphrase);
      } catch (error) {
        expect(toFailure(error).code, name).not.toMatch(/SIGNATURE|SET_PREVIOUS/);
        continue;
      }
      if (read.value === null) continue;
      signers.set(`${network} ${sequence}`, read.value.signer);
      expect(failing(() => readSignedLedger(bytes, sequence, PASSPHRASE)).code, name).toBe('SIGNATURE_INVALID');
    }
    const organisations = organisationOfKeys(BUILT_IN_VALIDATORS.get('pubnet')?.organisations ?? {});
    const recent = Array.from({ length: 10 }, (_, i) => signers.get(`pubnet ${63092982 + i}`) ?? '');
    expect(new Set(recent).size).toBe(9);
    expect(new Set(recent.map((key) => organisations.get(key))).size).toBe(6);
    expect(signers.size).toBeGreaterThanOrEqual(18);
  });
});
