// A proof of one ledger: what is right is taken, and whatever is not is refused at the step that shows it.
import { createHash, sign } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { eventHash } from '../../actors/bronze/event.ts';
import { signedBytes } from '../../actors/check/value-signature.ts';
import { checkProof } from '../../actors/proof/check.ts';
import { PROOF_FORMAT, parseProof, proofBytes } from '../../actors/proof/format.ts';
import { SAMPLE_PASSPHRASE } from '../../actors/sample/index.ts';
import { SAMPLE_VALIDATORS } from '../../actors/sample/validators.ts';
import { tlogProofText } from '../../actors/tlog/checkpoint.ts';
import { SigningKey } from '../../actors/tlog/keys.ts';
import { leafHash } from '../../actors/tlog/tree.ts';
import { failureOf } from '../support/bronze.ts';
import { forgersKey } from '../support/forged.ts';
import {
  headerText,
  madeHead,
  madeNetwork,
  madeProof,
  NAME,
  type ProofText,
  packed,
  sampleXdr,
  signedText,
  written,
} from '../support/made-proof.ts';

const { key } = SigningKey.generate(NAME);
const other = SigningKey.generate(NAME).key;
const stranger = SigningKey.generate('example.org').key;
const keys = [key.verifier];
const PLACE = { key, ledger: 20, start: 16, end: 31 };

/** A right proof, with the words of three validators. */
const right = (): ProofText => ({ ...madeProof(PLACE), network: madeNetwork(20, 3) });

/** The step at which a proof fails. */
async function stepOf(proof: ProofText | Uint8Array, by = keys): Promise<string | undefined> {
  const bytes = proof instanceof Uint8Array ? proof : written(proof);
  const error = await failureOf((async () => checkProof(bytes, by))());
  expect(error.code).toBe('PROOF_INVALID');
  expect(error.message).toContain(`at its step ${error.details.check}`);
  return error.details.check;
}

describe('a right proof', () => {
  it('shows the ledger, its partition, its log, and who vouches', () => {
    const { ledger, range, log, network, chain } = checkProof(written(right()), keys);
    expect(ledger).toMatchObject({
      sequence: 20,
      xdrSha256: createHash('sha256').update(sampleXdr(20)).digest('hex'),
      xdrByteLength: sampleXdr(20).length,
    });
    expect([range, chain]).toEqual([
      { start: 16, end: 31 },
      { network: 'sample', eraId: 'sample_v1', versionLabel: 'v1' },
    ]);
    expect(log).toMatchObject({ origin: `${NAME}/sample/sample_v1/v1`, index: 2, size: 5 });
    expect(log.keys.map(String)).toEqual([String(key.verifier.named(log.origin))]);
    expect(network?.passphrase).toBe(SAMPLE_PASSPHRASE);
    expect(network?.words.map(({ ledger, vouches_to }) => [ledger, vouches_to])).toEqual([
      [21, 20],
      [22, 21],
      [23, 22],
    ]);
    expect(new Set(network?.words.map(({ signer }) => signer))).toEqual(new Set(Object.values(SAMPLE_VALIDATORS)));
  });

  it('may be without the network, at either end of its partition, of a partition of one, and alone in its log', () => {
    expect(checkProof(written(madeProof(PLACE)), keys).network).toBeNull();
    for (const [ledger, start, end] of [
      [16, 16, 31],
      [31, 16, 31],
      [70, 70, 70],
      [2, 2, 12],
    ] as const) {
      const proof = madeProof({ key, ledger, start, end, events: 1, index: 0 });
      expect(checkProof(written(proof), keys).ledger.sequence).toBe(ledger);
    }
  });

  it('may carry words of some of the ledgers only, as long as the headers lead to the last of them', () => {
    const { headers, passphrase } = madeNetwork(20, 3);
    const network = { headers, passphrase, signed: [signedText(21), signedText(23)] };
    expect(checkProof(written({ ...madeProof(PLACE), network }), keys).network?.words).toMatchObject([
      { ledger: 21 },
      { ledger: 23 },
    ]);
  });

  it('is taken with any of several keys, and is written as it was read', () => {
    const bytes = written(right());
    expect(checkProof(bytes, [stranger.verifier, other.verifier, key.verifier]).log.keys).toHaveLength(1);
    expect(Buffer.compare(proofBytes(parseProof(bytes)), bytes)).toBe(0);
  });

  it('is right however its ledger is packed', () => {
    const proof = right();
    const bytes = gzipSync(sampleXdr(20), { level: 0 });
    proof.ledger.xdr_gzip = bytes.toString('base64');
    proof.ledger.xdr_gzip_sha256 = createHash('sha256').update(bytes).digest('hex');
    expect(checkProof(written(proof), keys).ledger.sequence).toBe(20);
  });
});

describe('format', () => {
  let proof: ProofText;
  beforeAll(() => {
    proof = right();
  });

  it('is that of a file that is written in one way', async () => {
    const text = written(proof).toString();
    const broken: (string | Buffer)[] = [
      '',
      '\n',
      '{}\n',
      'null\n',
      '[]\n',
      text.slice(0, -1),
      `${text}\n`,
      ` ${text}`,
      text.slice(0, text.length / 2),
      `\ufeff${text}`,
      JSON.stringify(proof, null, 2),
      `${JSON.stringify(proof)}\n`,
      text.replace('"sequence":20', '"sequence":2e1'),
      text.replace('"sequence":20', '"sequence":20,"sequence":20'),
      text.replace('"sequence":20', '"sequence":-0'),
      text.replace('bronze_partition', '\\u0062ronze_partition'),
      text.replace('"event":"', '"event":"\\ud800'),
      Buffer.concat([Buffer.from(text.slice(0, -3)), Buffer.of(0xff), Buffer.from(text.slice(-3))]),
      `${'['.repeat(200_000)}\n`,
    ];
    for (const bytes of broken) expect(await stepOf(Buffer.from(bytes)), String(bytes).slice(0, 60)).toBe('format');
  });

  it('has all its members and no others, each of its kind', async () => {
    const { signed } = proof.network as NonNullable<ProofText['network']>;
    const odd: object[] = [
      { ...proof, extra: 1 },
      { ...proof, ledger: { ...proof.ledger, extra: 1 } },
      { ...proof, log: { event: proof.log.event } },
      { ...proof, network: null },
      { ...proof, network: { ...proof.network, signed: [] } },
      {
        ...proof,
        network: { ...proof.network, signed: [{ ...signed[0], signer: `${signed[0]?.signer.slice(0, -1)}A` }] },
      },
      { ...proof, network: { ...proof.network, signed: [{ ...signed[0], close_time: 1.5 }] } },
      { ...proof, network: { ...proof.network, headers: ['AAAA'] } },
      { ...proof, partition: { ...proof.partition, path: [...proof.partition.path, 'AAAA'] } },
      // Two ways to write the same bytes, of which one is exact.
      { ...proof, partition: { ...proof.partition, path: proof.partition.path.map((each) => each.replace('=', '')) } },
      { ...proof, ledger: { ...proof.ledger, sequence: 2 ** 32 } },
      { ...proof, ledger: { ...proof.ledger, sequence: '20' } },
    ];
    for (const [i, each] of odd.entries()) expect(await stepOf(written(each)), String(i)).toBe('format');
  });

  it('says of another version what it is', async () => {
    const next = written({ ...proof, format: 'bronze-ledger-proof/2', more: {} });
    const error = await failureOf((async () => checkProof(next, keys))());
    expect(error).toMatchObject({
      code: 'PROOF_INVALID',
      details: { check: 'format', expected: PROOF_FORMAT, found: 'bronze-ledger-proof/2', hint: /newer release/ },
    });
  });
});

describe('what somebody else changed', () => {
  it('xdr: another packing than the one that was hashed; what does not unpack; what unpacks without end', async () => {
    const again = right();
    again.ledger.xdr_gzip = gzipSync(sampleXdr(20), { level: 0 }).toString('base64');
    expect(await stepOf(again)).toBe('xdr');
    for (const bytes of [sampleXdr(20), gzipSync(Buffer.alloc(300 * 1024 * 1024), { level: 9 })]) {
      const proof = right();
      proof.ledger.xdr_gzip = bytes.toString('base64');
      proof.ledger.xdr_gzip_sha256 = createHash('sha256').update(bytes).digest('hex');
      expect(await stepOf(proof)).toBe('xdr');
    }
  });

  it('head: not the key that was given, a line that nobody can check, a false one beside a right one', async () => {
    const proof = right();
    const { proof: log } = proof.log;
    expect(await stepOf(proof, [other.verifier])).toBe('head');
    expect(await stepOf(proof, [stranger.verifier])).toBe('head');
    expect(await stepOf(madeProof({ ...PLACE, key: other }))).toBe('head');
    const lines = madeProof({ ...PLACE, key: other }).log.proof.split('\n');
    const foreign = lines[lines.length - 2] as string;
    expect(await stepOf({ ...proof, log: { ...proof.log, proof: `${log}${foreign}\n` } })).toBe('head');
    expect(
      checkProof(written({ ...proof, log: { ...proof.log, proof: `${log}${foreign}\n` } }), [
        key.verifier,
        other.verifier,
      ]).log.keys,
    ).toHaveLength(2);
    const odd = [
      log.replace('index 2', 'index 02'),
      log.replace('index 2\n', 'index 2\nextra AAAA\n'),
      log.replace('\n5\n', '\n5\n\n'),
      log.replace('tlog-proof@v1', 'tlog-proof@v2'),
      log.slice(0, -1),
      `${log}\n`,
      '',
    ];
    for (const [i, each] of odd.entries()) {
      expect(await stepOf({ ...proof, log: { ...proof.log, proof: each } }), String(i)).toBe('head');
    }
    const bigger = log.replace('\n5\n', '\n6\n');
    expect(await stepOf({ ...proof, log: { ...proof.log, proof: bigger } })).toBe('head');
  });

  it('event: another one, another place, a path that is too short or too long', async () => {
    const proof = right();
    const elsewhere = madeProof({ ...PLACE, ledger: 40, start: 32, end: 47, index: 3 });
    expect(await stepOf({ ...proof, log: { ...proof.log, event: elsewhere.log.event } })).toBe('event');
    const { proof: log } = proof.log;
    const [first = '', second = '', node = '', ...rest] = log.split('\n');
    for (const lines of [
      [first, 'index 3', node, ...rest],
      [first, 'index 5', node, ...rest],
      [first, second, ...rest],
      [first, second, node, node, ...rest],
    ]) {
      expect(await stepOf({ ...proof, log: { ...proof.log, proof: lines.join('\n') } })).toBe('event');
    }
  });

  it('manifest: one byte more than the event names', async () => {
    const proof = right();
    proof.partition.manifest += ' ';
    expect(await stepOf(proof)).toBe('manifest');
  });

  it('content_root: another ledger, another place, a path that is too long', async () => {
    const proof = right();
    const next = { ...proof.ledger, ...packed(sampleXdr(21)) };
    expect(await stepOf({ ...proof, ledger: next })).toBe('content_root');
    expect(await stepOf({ ...proof, ledger: { ...next, sequence: 21 } })).toBe('content_root');
    for (const sequence of [0, 15, 21, 32]) {
      expect(await stepOf({ ...proof, ledger: { ...proof.ledger, sequence } })).toBe('content_root');
    }
    const path = [...proof.partition.path, proof.partition.path[0] as string];
    expect(await stepOf({ ...proof, partition: { ...proof.partition, path } })).toBe('content_root');
    expect(await stepOf({ ...proof, partition: { ...proof.partition, path: path.slice(0, 3) } })).toBe('content_root');
  });

  it('headers: one left out, one of another ledger, one that no signed set names', async () => {
    const { headers, passphrase, signed } = madeNetwork(20, 3);
    const withHeaders = (each: string[]): ProofText => ({
      ...madeProof(PLACE),
      network: { passphrase, signed, headers: each },
    });
    expect(await stepOf(withHeaders(headers.slice(1)))).toBe('headers');
    expect(await stepOf(withHeaders([headers[0] as string, headerText(30)]))).toBe('headers');
    expect(await stepOf(withHeaders([...headers, headerText(23)]))).toBe('headers');
    expect(await stepOf(withHeaders([...headers, headerText(24)]))).toBe('headers');
  });

  it('signatures: of another ledger, in another order, by another key, of another network, of another form', async () => {
    const { headers, passphrase, signed } = madeNetwork(20, 3);
    const [a, b, c] = signed as [(typeof signed)[0], (typeof signed)[0], (typeof signed)[0]];
    const withSigned = (each: typeof signed, more = passphrase): ProofText => ({
      ...madeProof(PLACE),
      network: { headers, passphrase: more, signed: each },
    });
    const broken = [
      withSigned([b, a, c]),
      withSigned([a, a, c]),
      withSigned([a, b, c, signedText(24)]),
      withSigned([a, { ...b, signer: a.signer }, c]),
      withSigned([a, { ...b, signature: a.signature }, c]),
      withSigned([a, { ...b, close_time: b.close_time + 1 }, c]),
      withSigned([a, { ...b, set: a.set }, c]),
      withSigned([a, b, { ...c, set_form: 'v0' }]),
      withSigned([a, b, { ...c, set: Buffer.alloc(32).toString('base64') }]),
      withSigned([a, b, c], 'Test SDF Network ; September 2015'),
    ];
    for (const [i, each] of broken.entries()) expect(await stepOf(each), String(i)).toBe('signatures');
    const without = withSigned([a, b]);
    expect(await stepOf(without)).toBe('headers');
  });

  it('signatures: over a set that was dropped (CAP-83), which names nothing', async () => {
    const { key: secret, text: signer } = forgersKey('drops');
    const { headers, passphrase, signed } = madeNetwork(20, 2);
    const [first, second] = signed as [(typeof signed)[0], (typeof signed)[0]];
    const networkId = createHash('sha256').update(passphrase).digest();
    const said = (hash: Uint8Array): Buffer =>
      sign(null, signedBytes(networkId, hash, BigInt(second.close_time)), secret);
    // The empty set that a dropped one is applied as; it names the ledger before, and nobody has signed it.
    const named = Buffer.from(second.set, 'base64').subarray(4, 36);
    const tail = Buffer.from('000000020000000000000000000000010000000000000000', 'hex');
    const set = Buffer.concat([Buffer.from('00000001', 'hex'), named, tail]);
    const withSignature = (signature: Buffer): ProofText => {
      const dropped = { ...second, signer, set: set.toString('base64'), signature: signature.toString('base64') };
      return { ...madeProof(PLACE), network: { headers, passphrase, signed: [first, dropped] } };
    };
    expect(await stepOf(withSignature(said(Buffer.alloc(32))))).toBe('signatures');
    // The same set, signed as a set, is a word like any other.
    const word = withSignature(said(createHash('sha256').update(set).digest()));
    expect(checkProof(written(word), keys).network?.words).toMatchObject([{ ledger: 21 }, { ledger: 22, signer }]);
  });

  it('signatures: a label that everybody knows stands for no other network', async () => {
    const chain = { network: 'pubnet', eraId: 'sample_v1', versionLabel: 'v1' };
    const proof = { ...madeProof({ ...PLACE, chain }), network: madeNetwork(20, 3) };
    expect(await stepOf(proof)).toBe('signatures');
    delete (proof as ProofText).network;
    expect(checkProof(written(proof), keys).chain).toEqual(chain);
  });
});

describe('what the owner of the key signed, and is not right', () => {
  it('an event of another chain, of another place, with another hash than it says', async () => {
    const chain = { network: 'sample', eraId: 'another', versionLabel: 'v1' };
    const foreign = madeProof({ ...PLACE, chain });
    const leaf = leafHash(Buffer.from(foreign.log.event));
    const moved = tlogProofText({ index: 0, path: [], head: madeHead(key, [leaf]) });
    expect(await stepOf({ ...foreign, log: { ...foreign.log, proof: moved } })).toBe('event');
    const home = tlogProofText({ index: 0, path: [], head: madeHead(key, [leaf], chain) });
    // Its sequence is 2.
    expect(await stepOf({ ...foreign, log: { ...foreign.log, proof: home } })).toBe('event');
    const lied = madeProof({ ...PLACE, event: (event) => ({ ...event, manifest_sha256: '00'.repeat(32) }) });
    expect(await stepOf(lied)).toBe('event');
  });

  it('a manifest that is of something else than its event', async () => {
    const rehashed = madeProof({
      ...PLACE,
      event: (event) => {
        const changed = { ...event, ledgers: { ...event.ledgers, content_root: '11'.repeat(32) } };
        return { ...changed, chain: { ...changed.chain, event_hash: eventHash(changed) } };
      },
    });
    expect(await stepOf(rehashed)).toBe('manifest');
    for (const [from, to] of [
      ['"byte_size": 1234', '"byte_size": 1235'],
      ['"start": 16', '"start": 17'],
      ['"columns": 2', '"columns": 2, "columns": 2'],
    ] as const) {
      expect(await stepOf(madeProof({ ...PLACE, manifest: (text) => text.replace(from, to) }))).toBe('manifest');
    }
  });

  it('a ledger that is none: cut, with bytes after it, of another number, with a header that was changed', async () => {
    const xdr = sampleXdr(20);
    const changed = Buffer.from(xdr);
    // ledgerVersion, the first four bytes of the header of a LedgerCloseMetaV1 without ext.
    changed.writeUInt32BE(21, 4 + 4 + 32);
    for (const bytes of [
      xdr.subarray(0, -4),
      Buffer.concat([xdr, Buffer.alloc(4)]),
      sampleXdr(25),
      changed,
      Buffer.of(1),
    ]) {
      const step = await stepOf(madeProof({ ...PLACE, xdr: bytes }));
      expect(step).toBe('ledger');
    }
  });
});
