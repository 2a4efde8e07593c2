/**
 * Checks a proof of one ledger, step by step (docs/proofs.md). Pure: it has the file, the keys, and nothing else. It must
 * never answer where a single byte of the file has not been accounted for.
 */
import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { KNOWN_PASSPHRASES } from '../../config/networks.ts';
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { LedgerEnds, LedgerRange } from '../../machines/protocol.ts';
import { attestedEvent, type ChainEvent, parseEvent } from '../bronze/event.ts';
import { manifestData, parseAnyManifest, sameData, sameLedgers, sha256Hex, toEnds } from '../bronze/manifest.ts';
import { type ChainName, chainKey } from '../bronze/names.ts';
import { LedgerChecker, type LedgerFacts } from '../check/ledger-checker.ts';
import { parseJson } from '../json.ts';
import { parseTlogProof, type TlogProof } from '../tlog/checkpoint.ts';
import { keysFor, type VerifierKey } from '../tlog/keys.ts';
import { leafHash, rootByPath } from '../tlog/tree.ts';
import { type Proof, type ProofStep, parseProof, proofInvalid, unpackXdr } from './format.ts';
import { type Word, wordsOf } from './network.ts';

/** What a proof has shown. Hashes in lower-case hex. */
export interface Proved {
  readonly ledger: Pick<LedgerFacts, 'sequence' | 'ledgerHash' | 'closeTimeMs' | 'xdrByteLength' | 'xdrSha256'>;
  readonly chain: ChainName;
  readonly range: LedgerRange;
  readonly contentRoot: string;
  readonly manifestSha256: string;
  readonly log: {
    readonly origin: string;
    /** Of the event. */
    readonly index: number;
    readonly size: number;
    readonly root: Buffer;
    /** Keys that have signed the head, under its name; none where no keys were given. */
    readonly keys: readonly VerifierKey[];
  };
  /** Null where the proof has nothing of the network. `passphrase`: that its words are of. */
  readonly network: { readonly passphrase: string; readonly words: readonly Word[] } | null;
}

/** Runs what says in errors of its own what is wrong with a part of the proof. */
function within<T>(step: ProofStep, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof BronzeError && error.code === 'PROOF_INVALID') throw error;
    const why = error instanceof Error ? error.message : String(error);
    if (!(error instanceof BronzeError)) throw proofInvalid(step, why, {}, error);
    const { expected, found } = error.details;
    const details = { ...(expected === undefined ? {} : { expected }), ...(found === undefined ? {} : { found }) };
    throw proofInvalid(step, why, details, error);
  }
}

/** Every line of signature must be by a key that was given: what nobody has verified is not let pass. */
function signersOf({ head }: TlogProof, keys: readonly VerifierKey[]): VerifierKey[] {
  const own = keysFor(keys, head.origin);
  const given = keys.map(String).join(', ');
  if (own.length === 0) {
    throw proofInvalid('head', `it is of the log ${head.origin}, and the key is of another one`, {
      expected: `a key of the name ${head.origin}, or of its beginning`,
      found: given,
      hint: 'give the key of whoever keeps this log (--key), and get it from him, not with the proof',
    });
  }
  return head.note.signatures.map(({ name, id, signature }) => {
    const signer = own.find((key) => key.name === name && key.id === id);
    if (signer === undefined) {
      throw proofInvalid('head', `a line of its signatures is by ${name} (${id}), whose key was not given`, {
        found: `${name}+${id}`,
        hint: 'give every key that has signed (--key may be given several times)',
      });
    }
    if (!signer.verifies(head.note.text, signature)) throw proofInvalid('head', `the signature by ${signer} is false`);
    return signer;
  });
}

function checkEvent({ index, path, head }: TlogProof, text: string): ChainEvent {
  const root = rootByPath(leafHash(Buffer.from(text)), index, head.size, path);
  if (root === null || !root.equals(head.root)) {
    throw proofInvalid('event', `the event is not leaf ${index} of the ${head.size} of the log`, {
      expected: head.root.toString('base64'),
      found: root?.toString('base64') ?? `a path of ${path.length} hashes`,
    });
  }
  const bytes = Buffer.from(text);
  if (canonicalize(parseJson(bytes)) !== text) throw proofInvalid('event', 'the event is not canonical JSON');
  const event = parseEvent(bytes, 'of the proof');
  if (event.sequence !== index) throw proofInvalid('event', `the event is number ${event.sequence}, its leaf ${index}`);
  if (!head.origin.endsWith(`/${chainKey(event.chain)}`)) {
    throw proofInvalid('event', `the event is of ${chainKey(event.chain)}, the log is ${head.origin}`);
  }
  return event;
}

/** The manifest that an event names. `results`: whether it says that results were checked. */
function checkManifest(text: string, event: ChainEvent): { readonly results: boolean } {
  const { chain, table, range, data, ledgers } = event;
  const bytes = Buffer.from(text);
  const found = sha256Hex(bytes);
  if (found !== event.manifestSha256) {
    throw proofInvalid('manifest', 'the event names a manifest with another SHA-256', {
      expected: event.manifestSha256 ?? 'none',
      found,
    });
  }
  const parsed = parseAnyManifest(bytes, { chain, table, range, object: 'of the proof' });
  if (!sameData(manifestData(parsed.manifest, table), data)) {
    throw proofInvalid('manifest', 'manifest and event are of different files');
  }
  // The old program's manifests know no hashes of ledgers: there the event alone has them.
  if (parsed.columns === 1) return { results: true };
  const ends = toEnds(parsed.manifest.ledgers);
  if (ledgers === null || !sameLedgers(ends, ledgers)) {
    throw proofInvalid('manifest', 'manifest and event are of different ledgers');
  }
  return { results: parsed.manifest.checks.result_hash !== false };
}

function checkContent(
  { ledger: { sequence }, partition }: Proof,
  xdr: Buffer,
  range: LedgerRange,
  contentRoot: string,
): void {
  if (sequence < range.start || sequence > range.end) {
    throw proofInvalid('content_root', `ledger ${sequence} does not lie in the partition ${rangeLabel(range)}`);
  }
  const leaf = leafHash(hash('sha256', xdr, 'buffer'));
  const path = partition.path.map((node) => Buffer.from(node, 'base64'));
  const index = sequence - range.start;
  const rows = range.end - range.start + 1;
  const found = rootByPath(leaf, index, rows, path)?.toString('hex') ?? `a path of ${path.length} hashes`;
  if (found === contentRoot) return;
  throw proofInvalid('content_root', `the ledger is not row ${index} of the ${rows} of ${rangeLabel(range)}`, {
    expected: contentRoot,
    found,
  });
}

/** A label that everybody knows may not stand for another network. */
function checkPassphrase({ network }: ChainName, found: string): void {
  const expected = KNOWN_PASSPHRASES.get(network) ?? found;
  if (found === expected) return;
  throw proofInvalid('signatures', `the passphrase is not that of ${network}`, { expected, found });
}

/**
 * Checks a proof from its first byte to its last.
 * @param keys verifier keys that the caller trusts; null: signatures of the head are not looked at, for whoever makes a
 *   proof and wants to know whether everything else is right
 * @throws PROOF_INVALID, with the step that fails as `check`
 */
export function checkProof(bytes: Uint8Array, keys: readonly VerifierKey[] | null): Proved {
  const proof = parseProof(bytes);
  const { ledger, log, partition, network } = proof;
  const xdr = unpackXdr(proof);
  const inLog = within('head', () => parseTlogProof(log.proof));
  const signers = keys === null ? [] : signersOf(inLog, keys);
  const event = within('event', () => checkEvent(inLog, log.event));
  const attested = within('event', () => attestedEvent(event));
  const { results } = within('manifest', () => checkManifest(partition.manifest, event));
  const ends: LedgerEnds = attested.ledgers;
  checkContent(proof, xdr, attested.range, ends.contentRoot);
  const facts = within('ledger', () => new LedgerChecker({ results }).check(xdr, 0, xdr.length, ledger.sequence));
  if (network !== undefined) checkPassphrase(event.chain, network.passphrase);
  return {
    ledger: facts,
    chain: event.chain,
    range: attested.range,
    contentRoot: ends.contentRoot,
    manifestSha256: attested.manifestSha256,
    log: { origin: inLog.head.origin, index: inLog.index, size: inLog.head.size, root: inLog.head.root, keys: signers },
    network:
      network === undefined
        ? null
        : {
            passphrase: network.passphrase,
            words: wordsOf(network, Buffer.from(facts.ledgerHash, 'hex'), ledger.sequence),
          },
  };
}
