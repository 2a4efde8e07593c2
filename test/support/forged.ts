/**
 * Histories that somebody forged: from one ledger on every header differs, hashes and links are right again, and the
 * signatures are the old ones, or the forger's own. Real ledgers go in and come out as bare LedgerCloseMeta.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decompress as zstdDecompress } from 'zstd-napi';
import { LedgerChecker } from '../../actors/check/ledger-checker.ts';
import { signedBytes } from '../../actors/check/value-signature.ts';
import { encodePublicKey } from '../../config/strkey.ts';
import { tempFolder } from './bronze.ts';
import { PASSPHRASES } from './lakes.ts';
import { SHARED } from './shared.ts';
import { writeLake } from './small-lake.ts';

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** Offsets in a LedgerHeader of protocol 0 and later: ledgerVersion, previousLedgerHash, scpValue.txSetHash. */
const PREVIOUS = 4;
const TX_SET_HASH = 36;
const CLOSE_TIME = 68;

/** The key of a forger: the same for the same name. */
export function forgersKey(name: string): { readonly key: KeyObject; readonly nodeId: Buffer; readonly text: string } {
  const head = Buffer.from('302e020100300506032b657004220420', 'hex');
  const key = createPrivateKey({ key: Buffer.concat([head, sha256(Buffer.from(name))]), format: 'der', type: 'pkcs8' });
  const nodeId = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
  return { key, nodeId, text: encodePublicKey(nodeId) };
}

/**
 * The same history with another one from ledger `from` on: its header has another fee pool.
 * @param ledgers in order, the first of them `first`; not changed
 * @param forger who signs what is forged; absent: the signatures stay, which are false from the ledger after `from` on
 */
export function forge(
  ledgers: readonly Buffer[],
  { first, from, forger }: { readonly first: number; readonly from: number; readonly forger?: string },
): Buffer[] {
  const passphrase = PASSPHRASES.testnet;
  const key = forger === undefined ? null : forgersKey(forger);
  const checker = new LedgerChecker({ results: true });
  let previous: Buffer | null = null;
  return ledgers.map((ledger, i) => {
    const sequence = first + i;
    if (sequence < from) return ledger;
    const facts = checker.check(ledger, 0, ledger.length, sequence);
    const { header, txSet, signature } = checker.places();
    const bytes = Buffer.from(ledger);
    if (previous !== null) {
      previous.copy(bytes, header.start + PREVIOUS);
      const isV0 = facts.lcmVersion === 0;
      previous.copy(bytes, txSet.start + (isV0 ? 0 : 4));
      const set = bytes.subarray(txSet.start, txSet.end);
      const hash = isV0 ? sha256(set.subarray(0, 32), set.subarray(36)) : sha256(set);
      hash.copy(bytes, header.start + TX_SET_HASH);
    }
    // The last bit of feePool, 8 bytes: it stands 160 bytes and the extension's 4 before the end, with
    // inflationSeq, idPool, baseFee, baseReserve, maxTxSetSize and skipList between.
    const feePool = header.end - 4 - 128 - 12 - 8 - 4 - 8;
    bytes[feePool + 7] = (bytes[feePool + 7] as number) ^ 1;
    if (key !== null && signature !== null) {
      const networkId = sha256(Buffer.from(passphrase));
      const closeTime = bytes.readBigUInt64BE(header.start + CLOSE_TIME);
      const said = signedBytes(networkId, bytes.subarray(header.start + TX_SET_HASH).subarray(0, 32), closeTime);
      key.nodeId.copy(bytes, signature.nodeId);
      sign(null, said, key.key).copy(bytes, signature.bytes);
    }
    previous = sha256(bytes.subarray(header.start, header.end));
    previous.copy(bytes, header.start - 32);
    return bytes;
  });
}

/** The real, signed ledgers of testnet that its history archive has as well, ledger 2 first: all three validators' words. */
export const ARCHIVE = { first: 2, last: 10_047 };

const stream = join(SHARED, 'ledgers', 'archive', 'testnet-2-10047.xdr.zst');

/** Bare LedgerCloseMeta, in order. */
export function archiveLedgers(): Buffer[] {
  // Streamed: the frame does not say how long it is.
  const all = zstdDecompress(readFileSync(stream));
  const ledgers: Buffer[] = [];
  for (let at = 0; at < all.length; ) {
    const length = all.readUInt32BE(at) & 0x7fff_ffff;
    ledgers.push(all.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return ledgers;
}

/** A lake of these ledgers of testnet, as recorded; its path. */
export function lakeOf(ledgers: readonly Buffer[], first = ARCHIVE.first): string {
  const path = join(tempFolder(), 'lake');
  const numbers = { ledgersPerFile: 64, filesPerPartition: 1_000 };
  const layout = { ...numbers, networkPassphrase: PASSPHRASES.testnet, origin: 'lake', suffix: 'zst' } as const;
  writeLake(path, new Map(ledgers.map((ledger, i) => [first + i, ledger])), layout);
  return path;
}
