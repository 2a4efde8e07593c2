/**
 * Proofs put together by hand from the sample's ledgers, so that a test can put together false ones as well: whoever has
 * a key can sign anything. Nothing here is asked of the code that makes proofs.
 */
import { hash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import canonicalize from 'canonicalize';
import { readSignedLedger, type SignedLedger } from '../../actors/anchor/signed-ledger.ts';
import { type AuditEvent, buildEvent } from '../../actors/bronze/event.ts';
import { buildManifest, manifestBytes, sealedFacts } from '../../actors/bronze/manifest.ts';
import { type ChainName, chainKey, dataFileName } from '../../actors/bronze/names.ts';
import { makeSample, SAMPLE_FIRST, SAMPLE_PASSPHRASE } from '../../actors/sample/index.ts';
import { headText, tlogProofText } from '../../actors/tlog/checkpoint.ts';
import type { SigningKey } from '../../actors/tlog/keys.ts';
import { signNote } from '../../actors/tlog/note.ts';
import { auditPath, leafHash, rootOf } from '../../actors/tlog/tree.ts';
import { NOW, PRODUCER, TABLE } from './bronze.ts';

const SAMPLE_CHAIN: ChainName = { network: 'sample', eraId: 'sample_v1', versionLabel: 'v1' };
export const NAME = 'example.com/bronze';

/** The sample's ledgers, by their sequence. */
const sample = makeSample().ledgers;
export const sampleXdr = (sequence: number): Buffer => sample[sequence - SAMPLE_FIRST] as Buffer;
const signedSample = (sequence: number): SignedLedger =>
  readSignedLedger(sampleXdr(sequence), sequence, SAMPLE_PASSPHRASE);

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const sha256 = (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer');

export interface SignedText {
  close_time: number;
  set: string;
  set_form: string;
  signature: string;
  signer: string;
}

/** The members of a proof, which tests change as they like. */
export interface ProofText {
  format: string;
  ledger: { sequence: number; xdr_gzip: string; xdr_gzip_sha256: string };
  log: { event: string; proof: string };
  network?: { headers: string[]; passphrase: string; signed: SignedText[] };
  partition: { manifest: string; path: string[] };
}

export interface MadeFrom {
  /** Whose head it is. */
  readonly key: SigningKey;
  readonly ledger: number;
  readonly start: number;
  readonly end: number;
  /** Events in the log, and which of them is the partition's. */
  readonly events?: number;
  readonly index?: number;
  readonly chain?: ChainName;
  /** Bytes in the place of the ledger's. */
  readonly xdr?: Buffer;
  /** What a forger changes in the event before he signs. */
  readonly event?: (event: AuditEvent) => AuditEvent;
  readonly manifest?: (text: string) => string;
}

/** A head of some leaves, signed under the name of the log. */
export function madeHead(key: SigningKey, leaves: readonly Buffer[], chain = SAMPLE_CHAIN): string {
  const origin = `${NAME}/${chainKey(chain)}`;
  return signNote(headText({ origin, size: leaves.length, root: rootOf(leaves) }), [key.named(origin)]);
}

export const packed = (xdr: Uint8Array): { xdr_gzip: string; xdr_gzip_sha256: string } => {
  const bytes = gzipSync(xdr);
  return { xdr_gzip: base64(bytes), xdr_gzip_sha256: sha256(bytes).toString('hex') };
};

/** A proof of one ledger of a partition of the sample, as it is told to be. */
export function madeProof(of: MadeFrom): ProofText {
  const { key, ledger, start, end, events = 5, index = 2, chain = SAMPLE_CHAIN, xdr = sampleXdr(ledger) } = of;
  const range = { start, end };
  const rows = Array.from({ length: end - start + 1 }, (_, i) => (start + i === ledger ? xdr : sampleXdr(start + i)));
  const leaves = rows.map((row) => leafHash(sha256(row)));
  const manifest = buildManifest({
    chain,
    table: TABLE,
    range,
    data: { file: dataFileName(range), checksum: `sha256:${'ab'.repeat(32)}`, rowCount: rows.length, byteSize: 1234 },
    producer: PRODUCER,
    createdAt: NOW,
    ledgers: {
      firstHash: signedSample(start).ledgerHash,
      lastHash: signedSample(end).ledgerHash,
      previousHash: signedSample(start).previousLedgerHash,
      contentRoot: rootOf(leaves).toString('hex'),
    },
    writer: { writer: '2' },
    checks: { result_hash: true },
    source: 'file:///lake/',
  });
  const text = (of.manifest ?? ((same) => same))(Buffer.from(manifestBytes(manifest)).toString());
  const sealed = sealedFacts(manifest, Buffer.from(text), TABLE);
  const prevEventHash = index === 0 ? null : `sha256:${'cd'.repeat(32)}`;
  const made = buildEvent({
    chain,
    table: TABLE,
    storagePrefix: '',
    sealed,
    producer: PRODUCER,
    sequence: index,
    prevEventHash,
  });
  const event = canonicalize((of.event ?? ((same) => same))(made)) as string;
  const log = Array.from({ length: events }, (_, i) => leafHash(Buffer.from(i === index ? event : `event ${i}`)));
  const proof = tlogProofText({ index, path: auditPath(log, index), head: madeHead(key, log, chain) });
  return {
    format: 'bronze-ledger-proof/1',
    ledger: { sequence: ledger, ...packed(xdr) },
    log: { event, proof },
    partition: { manifest: text, path: auditPath(leaves, ledger - start).map(base64) },
  };
}

/** The signed value of a ledger of the sample. */
export function signedText(sequence: number): SignedText {
  const { closeTime, txSet, value } = signedSample(sequence);
  if (value === null) throw new Error(`ledger ${sequence} is not signed`);
  return {
    close_time: Number(closeTime),
    set: base64(sampleXdr(sequence).subarray(txSet.start, txSet.end)),
    set_form: txSet.form,
    signature: base64(value.signature),
    signer: value.signer,
  };
}

export function headerText(sequence: number): string {
  const { header } = signedSample(sequence);
  return base64(sampleXdr(sequence).subarray(header.start, header.end));
}

/** The words of ledgers `ledger` + 1 up to `ledger` + `count`. */
export const madeNetwork = (ledger: number, count: number): NonNullable<ProofText['network']> => ({
  headers: Array.from({ length: count - 1 }, (_, i) => headerText(ledger + 1 + i)),
  passphrase: SAMPLE_PASSPHRASE,
  signed: Array.from({ length: count }, (_, i) => signedText(ledger + 1 + i)),
});

/** As the format has it. */
export const written = (proof: unknown): Buffer => Buffer.from(`${canonicalize(proof)}\n`);
