/**
 * Makes a proof of one ledger from what is stored (docs/proofs.md): its partition's digests, its chain's events and newest
 * signed head, and, where it is asked for, the words of validators in the ledgers after it. It must never give out a proof
 * that it has not checked itself.
 */
import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { BronzeError } from '../../machines/errors.ts';
import { sameRange } from '../../machines/partitions.ts';
import type { AttestedEvent, LedgerRange } from '../../machines/protocol.ts';
import type { Jury } from '../anchor/judge.ts';
import { readSignedLedger, type SignedLedger } from '../anchor/signed-ledger.ts';
import { sha256Hex } from '../bronze/manifest.ts';
import { chainKey, dataKey, eventKey, headsPrefix, manifestKey } from '../bronze/names.ts';
import { readChain } from '../chain/audit-chain.ts';
import { assertHeadFits, newestHead, type StoredHead } from '../chain/log-heads.ts';
import { decodeUtf8, parseJson } from '../json.ts';
import { damaged } from '../parquet/damaged.ts';
import { tlogProofText } from '../tlog/checkpoint.ts';
import { auditPath, leafHash, rootOf } from '../tlog/tree.ts';
import { checkProof, type Proved } from './check.ts';
import { PROOF_FORMAT, PROOF_LIMIT, type Proof, type ProofNetwork, packXdr, proofBytes } from './format.ts';
import { ledgersFrom, type OpenPartition, openPartition, type Shelf, shelfOf } from './shelf.ts';

/** Whose words are looked for. */
export interface NetworkWanted {
  readonly jury: Jury;
  /** Of the network; it wins over what `_bronze.json` says. Null: only that is known. */
  readonly passphrase: string | null;
}

/** Ledgers after the proved one that are read at the most. A quorum of pubnet has signed within a few dozen. */
const LOOK_AHEAD = 1000;

/** An event of the log, as its leaf is. */
const canonicalText = (bytes: Uint8Array): string => canonicalize(parseJson(bytes)) as string;

/** The event of a partition, and that it is in the log that the newest head is of. */
async function logOf(shelf: Shelf, range: LedgerRange, signal?: AbortSignal) {
  const { chain } = shelf;
  // The head first: a copier at work writes an event and then a head of it.
  const head = await newestHead(shelf, signal);
  if (head === null) {
    throw new BronzeError(
      'HEAD_INVALID',
      `the log of ${chainKey(chain)} has no signed head: nothing can be proved of it`,
      {
        details: {
          object: headsPrefix(chain),
          hint: 'bronze-copier pas keygen makes a key; set pas.signing_key and pas.origin, and run: it signs the log as it is',
        },
      },
    );
  }
  const texts: string[] = [];
  const onEvent = (sequence: number, bytes: Uint8Array): void => {
    texts[sequence] = canonicalText(bytes);
  };
  const { events, holes } = await readChain({ ...shelf, onEvent }, signal);
  const attested = events.find((event) => sameRange(event.range, range));
  const [hole] = holes;
  const isWhole = hole === undefined || hole >= head.head.size;
  const leaves = isWhole ? texts.slice(0, head.head.size).map((text) => leafHash(Buffer.from(text))) : [];
  const root = leaves.length === head.head.size ? rootOf(leaves) : null;
  assertHeadFits(head, { origin: head.head.origin, root, events: hole ?? events.length });
  if (attested === undefined || attested.sequence >= head.head.size) throw notInLog(shelf, range, head, attested);
  const path = auditPath(leaves, attested.sequence);
  const proof = tlogProofText({ index: attested.sequence, path, head: decodeUtf8(head.bytes) });
  return { attested, log: { event: texts[attested.sequence] as string, proof } };
}

function notInLog(
  { chain, table }: Shelf,
  range: LedgerRange,
  { head, object }: StoredHead,
  attested: AttestedEvent | undefined,
): BronzeError {
  const about = attested === undefined ? manifestKey(chain, table, range) : eventKey(chain, attested.sequence);
  const why = attested === undefined ? 'has no event yet' : `has event ${attested.sequence}, which no head is of yet`;
  return new BronzeError(
    'HEAD_INVALID',
    `the partition ${about} ${why}: the newest head ${object} is of ${head.size} events`,
    {
      details: {
        ...range,
        object: about,
        hint: 'bronze-copier run, with pas.signing_key set, writes both; then ask again',
      },
    },
  );
}

/** The ledger and its place among the rows. */
async function rowOf(
  { manifest, rows }: OpenPartition,
  { chain, table }: Shelf,
  attested: AttestedEvent,
  ledger: number,
): Promise<{ xdr: Buffer; partition: Proof['partition'] }> {
  const { range, ledgers } = attested;
  const found = sha256Hex(manifest);
  if (found !== attested.manifestSha256) {
    const object = manifestKey(chain, table, range);
    throw new BronzeError('MANIFEST_INVALID', `the manifest ${object} is not the one that its event names`, {
      details: { ...range, object, expected: attested.manifestSha256, found, hint: 'bronze-copier verify tells more' },
    });
  }
  const object = dataKey(chain, table, range);
  const digests = await rows.digests();
  const leaves = digests.map(leafHash);
  const root = rootOf(leaves).toString('hex');
  if (root !== ledgers.contentRoot) {
    throw damaged(object, 'content_root', root, { ...range, expected: ledgers.contentRoot });
  }
  const index = ledger - range.start;
  const { value } = await rows.ledgers(ledger).next();
  if (value === undefined) throw damaged(object, 'row_count', `no row of ledger ${ledger}`, { ledger });
  const digest = hash('sha256', value.xdr, 'hex');
  const expected = (digests[index] as Buffer).toString('hex');
  if (digest !== expected) throw damaged(object, 'xdr_sha256', digest, { ledger, expected });
  const path = auditPath(leaves, index).map((node) => node.toString('base64'));
  return { xdr: value.xdr, partition: { manifest: decodeUtf8(manifest), path } };
}

/** What a V0 set's hash is of has no count of envelopes in it (stellar-core, TxSetXDRFrame). */
function hashedSet(xdr: Uint8Array, { txSet: { start, end, form } }: SignedLedger): Buffer {
  if (form === 'generalized') return Buffer.from(xdr.subarray(start, end));
  return Buffer.concat([xdr.subarray(start, start + 32), xdr.subarray(start + 36, end)]);
}

/**
 * The first word of each organisation in the ledgers after one, until a quorum is heard.
 * @throws NOT_VOUCHED where the ledgers end before, or the thousandth does; LINK_BROKEN, and what is wrong with a ledger
 */
async function networkOf(
  shelves: readonly Shelf[],
  own: Shelf,
  first: SignedLedger,
  { jury, passphrase }: NetworkWanted & { readonly passphrase: string },
  signal?: AbortSignal,
): Promise<ProofNetwork> {
  const headers: string[] = [];
  const signed: ProofNetwork['signed'] = [];
  const heard = new Set<string>();
  let before = first;
  let header: string | null = null;
  for await (const { sequence, xdr } of ledgersFrom(shelves, own, first.sequence + 1, signal)) {
    const one = readSignedLedger(xdr, sequence, passphrase);
    if (one.previousLedgerHash !== before.ledgerHash) {
      throw new BronzeError('LINK_BROKEN', `ledger ${sequence} does not follow the ledger before it`, {
        details: { ledger: sequence, expected: before.ledgerHash, found: one.previousLedgerHash },
      });
    }
    if (header !== null) headers.push(header);
    const organisation = one.value === null ? undefined : jury.organisations.get(one.value.signer);
    if (one.value !== null && organisation !== undefined && !heard.has(organisation)) {
      heard.add(organisation);
      signed.push({
        close_time: Number(one.closeTime),
        set: hashedSet(xdr, one).toString('base64'),
        set_form: one.txSet.form,
        signature: Buffer.from(one.value.signature).toString('base64'),
        signer: one.value.signer,
      });
      if (heard.size >= jury.quorum) return { headers, passphrase, signed };
    }
    header = Buffer.from(xdr.subarray(one.header.start, one.header.end)).toString('base64');
    before = one;
    if (sequence - first.sequence >= LOOK_AHEAD) break;
  }
  throw notVouched(first.sequence, before.sequence, jury.quorum, [...heard]);
}

function notVouched(ledger: number, last: number, quorum: number, heard: readonly string[]): BronzeError {
  const isEnough = last - ledger >= LOOK_AHEAD;
  const after =
    last === ledger
      ? 'there is no ledger after it yet'
      : `of the ${quorum} organisations that it takes ${heard.length} signed one of the ledgers ${ledger + 1} to ${last}`;
  const hint = isEnough
    ? 'name the validators of that time (--validators), or ask without --network'
    : 'wait until more ledgers are copied, name other validators (--validators, --quorum), or ask without --network';
  return new BronzeError('NOT_VOUCHED', `no proof was written that ledger ${ledger} is the network's: ${after}`, {
    details: { ledger, expected: `a quorum of ${quorum}`, found: heard.length === 0 ? 'none' : heard.join(', '), hint },
  });
}

/** The passphrase that signatures are of. @throws ANCHORS_INVALID */
function passphraseOf({ chain, passphrase }: Shelf, wanted: NetworkWanted): string {
  const said = wanted.passphrase ?? passphrase;
  if (said !== null) return said;
  throw new BronzeError('ANCHORS_INVALID', `nobody has told the passphrase of the network ${chain.network}`, {
    details: { object: chainKey(chain), hint: 'set source.network_passphrase before Bronze is begun; docs/anchors.md' },
  });
}

/**
 * A proof of one ledger, checked but for the signature of the head, which the caller has no key for.
 * @param among chains that it is looked for in
 * @param shelves all chains, those that go on after it among them
 * @param wanted null: nothing is said of whose network it is
 * @throws LEDGER_MISSING, USAGE (in several chains), HEAD_INVALID, HEAD_CONTRADICTS, NOT_VOUCHED, PARTITION_DAMAGED,
 *   MANIFEST_INVALID, AUDIT_*, STORE_*, and what is wrong with a ledger
 */
export async function makeProof(
  among: readonly Shelf[],
  shelves: readonly Shelf[],
  ledger: number,
  wanted: ((network: string) => NetworkWanted) | null,
  signal?: AbortSignal,
): Promise<{ bytes: Buffer; proved: Proved }> {
  const { shelf, range } = shelfOf(among, ledger);
  const network = wanted === null ? null : wanted(shelf.chain.network);
  const passphrase = network === null ? null : passphraseOf(shelf, network);
  const { attested, log } = await logOf(shelf, range, signal);
  const partition = await openPartition(shelf, range, signal);
  let row: Awaited<ReturnType<typeof rowOf>>;
  try {
    row = await rowOf(partition, shelf, attested, ledger);
  } finally {
    await partition.close();
  }
  const proof: Proof = {
    format: PROOF_FORMAT,
    ledger: { sequence: ledger, ...packXdr(row.xdr) },
    log,
    partition: row.partition,
  };
  const bytes = proofBytes(
    network === null || passphrase === null
      ? proof
      : {
          ...proof,
          network: await networkOf(
            shelves,
            shelf,
            readSignedLedger(row.xdr, ledger, passphrase),
            { ...network, passphrase },
            signal,
          ),
        },
  );
  if (bytes.length > PROOF_LIMIT) {
    throw new BronzeError(
      'OUTPUT_FAILED',
      `the proof has ${bytes.length} bytes, and none may have more than ${PROOF_LIMIT}`,
      {
        details: { ledger, hint: 'ask without --network' },
      },
    );
  }
  return { bytes, proved: checkProof(bytes, null) };
}
