// Keys, notes, heads and proofs of a log against C2SP's own examples, RFC 6962's known roots, and Sigstore's verifier.
import { createPublicKey } from 'node:crypto';
import { verifyCheckpoint } from '@sigstore/verify/dist/tlog/checkpoint.js';
import { verifyMerkleInclusion } from '@sigstore/verify/dist/tlog/merkle.js';
import { describe, expect, it } from 'vitest';
import { MerkleTree } from '../../actors/bronze/merkle.ts';
import { headText, parseHead, parseTlogProof, tlogProofText } from '../../actors/tlog/checkpoint.ts';
import { keysFor, SigningKey, VerifierKey } from '../../actors/tlog/keys.ts';
import { parseNote, signersOf, signNote } from '../../actors/tlog/note.ts';
import { auditPath, leafHash, rootByPath, rootOf } from '../../actors/tlog/tree.ts';

/** From c2sp.org/signed-note, "Example". */
const C2SP_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const C2SP_NOTE = `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`;
/** From the tests of golang.org/x/mod/sumdb/note. */
const GO_PRIVATE = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
const GO_PUBLIC = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';

const leaves = (count: number): Buffer[] => Array.from({ length: count }, (_, n) => Buffer.from(`leaf ${n}`));

describe('a tree of RFC 6962', () => {
  it('has the roots that a tree has which grows leaf by leaf, and a path for every leaf', () => {
    const tree = new MerkleTree();
    const hashes: Buffer[] = [];
    for (const [n, leaf] of leaves(70).entries()) {
      hashes.push(leafHash(leaf));
      tree.appendHash(leafHash(leaf));
      const root = rootOf(hashes);
      expect(root.toString('hex')).toBe(tree.root());
      for (const index of new Set([0, n >> 1, n])) {
        const path = auditPath(hashes, index);
        expect(rootByPath(hashes[index] as Buffer, index, n + 1, path)).toEqual(root);
        expect(rootByPath(hashes[index] as Buffer, index, n + 1, [...path, root])).toBeNull();
        if (path.length > 0) expect(rootByPath(hashes[index] as Buffer, index, n + 1, path.slice(1))).toBeNull();
      }
    }
    expect(() => auditPath(hashes, 70)).toThrow(RangeError);
    expect(rootByPath(hashes[0] as Buffer, 70, 70, [])).toBeNull();
    // Sizes that a logarithm of doubles takes for the next power of two.
    for (const [size, depth] of [
      [2 ** 49, 49],
      [2 ** 52 + 1, 53],
      [Number.MAX_SAFE_INTEGER, 53],
    ] as const) {
      const path = Array.from({ length: depth }, () => hashes[0] as Buffer);
      expect(rootByPath(hashes[0] as Buffer, 0, size, path)).not.toBeNull();
      expect(rootByPath(hashes[0] as Buffer, 0, size, path.slice(1))).toBeNull();
    }
  });

  it('has the paths of the example of RFC 6962, section 2.1.3', () => {
    const [a, b, c, d, e, f, g] = leaves(7).map(leafHash) as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer];
    const all = [a, b, c, d, e, f, g];
    const node = (...of: Buffer[]) => rootOf(of);
    expect(auditPath(all, 0)).toEqual([b, node(c, d), node(e, f, g)]);
    expect(auditPath(all, 3)).toEqual([c, node(a, b), node(e, f, g)]);
    expect(auditPath(all, 4)).toEqual([f, g, node(a, b, c, d)]);
    expect(auditPath(all, 6)).toEqual([node(e, f), node(a, b, c, d)]);
  });
});

describe('keys', () => {
  it('are read and written as C2SP and Go write them', () => {
    expect(String(VerifierKey.parse(C2SP_KEY))).toBe(C2SP_KEY);
    const key = SigningKey.parse(GO_PRIVATE);
    expect(String(key.verifier)).toBe(GO_PUBLIC);
    const { key: fresh, secret } = SigningKey.generate('example.com/bronze');
    expect(String(SigningKey.parse(secret).verifier)).toBe(String(fresh.verifier));
  });

  it('show nothing of what is secret in them', () => {
    const { key, secret } = SigningKey.generate('example.com/bronze');
    const seed = secret.slice(-40);
    for (const shown of [JSON.stringify(key), String(key), JSON.stringify({ ...key })]) {
      expect(shown).not.toContain(seed.slice(4, 20));
    }
  });

  it('are refused where anything of them is changed', () => {
    const kinds: [string, RegExp][] = [
      ['', /not name\+id\+key/],
      ['example.com/foo', /not name\+id\+key/],
      ['exa mple+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k', /not name\+id\+key/],
      [C2SP_KEY.replace('530d', '530e'), /its id is 530e903a/],
      [C2SP_KEY.replace('foo', 'fox'), /its id is 530d903a/],
      [C2SP_KEY.replace('U2k', 'U2l'), /its last part is not base64|its id/],
      [`${C2SP_KEY}=`, /not base64/],
      [C2SP_KEY.replace('+Ae', '+Be'), /kind other than Ed25519/],
      ['a+00000000+AQ==', /has 0 bytes/],
    ];
    for (const [text, why] of kinds) expect(() => VerifierKey.parse(text)).toThrow(why);
    expect(() => SigningKey.parse(GO_PUBLIC)).toThrow(/begin with PRIVATE\+KEY\+/);
    expect(() => SigningKey.parse(GO_PRIVATE.replace('c74f', 'c74e'))).toThrow(/its id is c74e20a3/);
  });

  it('of an origin stand for the logs below it, under their names', () => {
    const key = SigningKey.parse(GO_PRIVATE).verifier;
    const names = (origin: string) => keysFor([key], origin).map(({ name }) => name);
    expect(names('PeterNeumann')).toEqual(['PeterNeumann']);
    expect(names('PeterNeumann/pubnet/a/v1')).toEqual(['PeterNeumann/pubnet/a/v1']);
    expect(names('PeterNeumannX/pubnet/a/v1')).toEqual([]);
    expect(names('Peter')).toEqual([]);
  });
});

describe('a signed note', () => {
  const key = VerifierKey.parse(C2SP_KEY);
  const mine = SigningKey.parse(GO_PRIVATE);

  it('of C2SP is taken, by its key and beside signatures of unknown keys', () => {
    const note = parseNote(Buffer.from(C2SP_NOTE));
    expect(note.text).toBe('This is an example message.\n');
    expect(signersOf(note, [key])).toEqual([key]);
    expect(signersOf(note, [mine.verifier, key])).toEqual([key]);
    expect(() => signersOf(note, [mine.verifier])).toThrow(/none of the keys/);
    expect(() => signersOf(note, [])).toThrow(/none of the keys/);
  });

  it('is signed by several keys, and refused where one that is known did not sign it', () => {
    const second = SigningKey.generate('example.com/second').key;
    const text =
      "If you think cryptography is the answer to your problem,\n\nthen you don't know what your problem is.\n";
    const both = signNote(text, [mine, second]);
    expect(signersOf(parseNote(Buffer.from(both)), [mine.verifier, second.verifier])).toHaveLength(2);
    const forged = both.replace(/(second \S{8})./, '$1A').replace(/(second \S{9})./, '$1A');
    expect(signersOf(parseNote(Buffer.from(forged)), [mine.verifier])).toHaveLength(1);
    expect(() => signersOf(parseNote(Buffer.from(forged)), [mine.verifier, second.verifier])).toThrow(/is false/);
  });

  it('comes out as Go makes it', () => {
    const text =
      "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const go =
      '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
    expect(signNote(text, [mine])).toBe(`${text}\n${go}`);
  });

  it('is refused where it is none', () => {
    const kinds: [Uint8Array | string, RegExp][] = [
      ['', /no blank line/],
      [C2SP_NOTE.replace('\n\n', '\n'), /no blank line/],
      [C2SP_NOTE.slice(0, -1), /end with a newline/],
      [C2SP_NOTE.replace('message', 'mess\tage'), /control characters/],
      [C2SP_NOTE.replace('message', 'mess\r\nage'), /control characters/],
      [C2SP_NOTE.replace('—', '-'), /no signature/],
      [C2SP_NOTE.replace('aQM=', 'aQN='), /no signature/],
      [`${C2SP_NOTE}\n`, /no signature/],
      [C2SP_NOTE.replace('foo Uw', 'foo  Uw'), /no signature/],
      [Buffer.from([0xff, 0x0a, 0x0a]), /not UTF-8/],
      ['x'.repeat(200_000), /more than/],
    ];
    for (const [bytes, why] of kinds) expect(() => parseNote(Buffer.from(bytes as string))).toThrow(why);
  });
});

describe('heads and proofs', () => {
  const { key } = SigningKey.generate('example.com/bronze/sample/a/v1');
  const bodies = leaves(11);
  const hashes = bodies.map(leafHash);
  const head = signNote(headText({ origin: key.name, size: 11, root: rootOf(hashes) }), [key]);

  it("are taken by Sigstore's verifier, which is not ours", () => {
    const { id, publicKey, name } = key.verifier;
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') };
    const log = {
      validFor: { start: new Date(0), end: new Date(8.64e15) },
      logID: Buffer.from(id, 'hex'),
      baseURL: name,
      publicKey: createPublicKey({ key: jwk, format: 'jwk' }),
    };
    const entryOf = (index: number, body = bodies[index], envelope = head) => {
      const proof = tlogProofText({ index, path: auditPath(hashes, index), head: envelope });
      const { path } = parseTlogProof(proof);
      const inclusionProof = { logIndex: index, hashes: path, checkpoint: { envelope } };
      // The rest of an entry is about Sigstore's own log, and nothing of it is looked at.
      return { canonicalizedBody: body, inclusionProof } as unknown as Parameters<typeof verifyMerkleInclusion>[0];
    };
    for (let index = 0; index < 11; index++) {
      const checkpoint = verifyCheckpoint(entryOf(index), [log]);
      expect(Number(checkpoint.logSize)).toBe(11);
      expect(() => verifyMerkleInclusion(entryOf(index), checkpoint)).not.toThrow();
      expect(() => verifyMerkleInclusion(entryOf(index, Buffer.from('another')), checkpoint)).toThrow();
    }
    expect(() => verifyCheckpoint(entryOf(0, bodies[0], head.replace('\n11\n', '\n12\n')), [log])).toThrow();
  });

  it('are refused with any bit of them flipped', () => {
    const proof = Buffer.from(tlogProofText({ index: 4, path: auditPath(hashes, 4), head }));
    const holds = (bytes: Buffer): boolean => {
      const { index, path, head: its } = parseTlogProof(bytes.toString());
      signersOf(its.note, [key.verifier]);
      return index === 4 && its.root.equals(rootByPath(hashes[4] as Buffer, index, its.size, path) ?? Buffer.alloc(0));
    };
    expect(holds(proof)).toBe(true);
    for (let bit = 0; bit < proof.length * 8; bit++) {
      const changed = Buffer.from(proof);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      let isTaken = false;
      try {
        isTaken = holds(changed);
      } catch {
        continue;
      }
      expect(isTaken, `bit ${bit}`).toBe(false);
    }
  });

  it('are refused where they are none', () => {
    const kinds: [string, RegExp][] = [
      ['a\n1\n', /no blank line/],
      ['\n1\nAA==\n\n', /no origin|no signature|blank/],
      [signNote('a\n01\nAA==\n', [key]), /tree size is no number/],
      [signNote('a\n1\nAA==\n', [key]), /root hash is no SHA-256/],
      [signNote(`${headText({ origin: 'a', size: 1, root: rootOf([]) })}more\n`, [key]), /lines after its root/],
      [signNote('a\n', [key]), /tree size is no number/],
    ];
    for (const [text, why] of kinds) expect(() => parseHead(Buffer.from(text))).toThrow(why);
    expect(() => parseTlogProof('x')).toThrow(/no empty line/);
    expect(() => parseTlogProof(`c2sp.org/tlog-proof@v2\nindex 0\n\n${head}`)).toThrow(/does not begin with/);
    expect(() => parseTlogProof(`c2sp.org/tlog-proof@v1\nextra AA==\nindex 0\n\n${head}`)).toThrow(/second line/);
    expect(() => parseTlogProof(`c2sp.org/tlog-proof@v1\nindex 00\n\n${head}`)).toThrow(/index is no number/);
    expect(() => parseTlogProof(`c2sp.org/tlog-proof@v1\nindex 0\nAA==\n\n${head}`)).toThrow(/path is no SHA-256/);
  });
});
