import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { MerkleTree } from '../../actors/bronze/merkle.ts';

const sha256 = (...parts: Uint8Array[]): Buffer => {
  const h = createHash('sha256');
  for (const part of parts) h.update(part);
  return h.digest();
};

/** RFC 6962, section 2.1, as it is written there: split at the largest power of two below n. */
function treeHash(leaves: readonly Uint8Array[]): Buffer {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return sha256(Buffer.of(0), leaves[0] as Uint8Array);
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(Buffer.of(1), treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split)));
}

describe('the content root', () => {
  it('has a reference here that gives the known roots of the certificate-transparency test data', () => {
    const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
    const roots = [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
      'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
      '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
      '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
      'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
      '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
    ];
    const bytes = leaves.map((leaf) => Buffer.from(leaf, 'hex'));
    expect(bytes.map((_, i) => treeHash(bytes.slice(0, i + 1)).toString('hex'))).toEqual(roots);
  });

  it('is the tree hash of RFC 6962 for every number of rows', () => {
    const tree = new MerkleTree();
    const digests: Buffer[] = [];
    expect(tree.root()).toBe(sha256().toString('hex'));
    for (let n = 1; n <= 130; n++) {
      const digest = randomBytes(32);
      digests.push(digest);
      tree.append(digest);
      expect(tree.root()).toBe(treeHash(digests).toString('hex'));
      expect(tree.size).toBe(n);
    }
  });

  it('keeps nothing of the digest that it was given', () => {
    const reused = Buffer.alloc(32, 1);
    const tree = new MerkleTree();
    tree.append(reused);
    reused.fill(2);
    tree.append(reused);
    expect(tree.root()).toBe(treeHash([Buffer.alloc(32, 1), Buffer.alloc(32, 2)]).toString('hex'));
  });

  it('takes nothing but SHA-256 digests', () => {
    expect(() => new MerkleTree().append(Buffer.alloc(31))).toThrow(RangeError);
  });
});
