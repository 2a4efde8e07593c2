/**
 * A history archive of the network, asked for the hashes of its checkpoints (docs/anchors.md). Archives are hosted by many
 * and signed by nobody: another hash contradicts, and no answer is no answer. It must never take a file that is not whole,
 * or a header that does not have its hash, for a word of the archive.
 */
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import type { LedgerRange } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import { parseJson } from '../json.ts';
import { type Bounds, boundedGet, type Silence, type Silent, silent } from './bounded-get.ts';

/** Ledgers from one checkpoint to the next: 63, 127, … */
const EVERY = 64;
/** 64 headers are about 30 kB, upgrades included not much more. */
const USUAL: Bounds = { timeoutMs: 30_000, limit: 1024 * 1024, redirects: 5 };
const UNPACKED_LIMIT = 8 * 1024 * 1024;
/** Files that are asked for at once, of one partition. */
const AT_ONCE = 4;
/** So many requests without a file, one after the other, and it is not asked any more; 404 is not among them. */
const PATIENCE = 8;

/** Checkpoints of a range, rising. */
export function checkpointsIn({ start, end }: LedgerRange): number[] {
  const found: number[] = [];
  for (let at = Math.ceil((start + 1) / EVERY) * EVERY - 1; at <= end; at += EVERY) found.push(at);
  return found;
}

/** Key of the file of headers that ends with a checkpoint: `ledger/00/00/00/ledger-0000003f.xdr.gz`. */
export function headersKey(checkpoint: number): string {
  const hex = checkpoint.toString(16).padStart(8, '0');
  return `ledger/${hex.slice(0, 2)}/${hex.slice(2, 4)}/${hex.slice(4, 6)}/ledger-${hex}.xdr.gz`;
}

/** The records of a stream, or null where it does not end with one. */
function recordsOf(bytes: Buffer): Buffer[] | null {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 4 > bytes.length) return null;
    const mark = bytes.readUInt32BE(at);
    const end = at + 4 + (mark & 0x7fff_ffff);
    if (mark < 0x8000_0000 || end > bytes.length) return null;
    records.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return records;
}

/** Where a LedgerHeader has its sequence number, from its first byte. Throws RangeError where the bytes end. */
function sequenceIn(header: Buffer): number | null {
  // ledgerVersion, previousLedgerHash; of the value txSetHash, closeTime, upgrades.
  let at = 4 + 32 + 32 + 8;
  const opaque = (): void => {
    at += 4 + ((header.readUInt32BE(at) + 3) & ~3);
  };
  const upgrades = header.readUInt32BE(at);
  at += 4;
  for (let i = 0; i < upgrades; i += 1) opaque();
  const arm = header.readInt32BE(at);
  at += 4;
  if (arm < 0 || arm > 2) return null;
  // CAP-83: the proposed set's hash, previous ledger's hash and its protocol.
  if (arm === 2) at += 32 + 32 + 4;
  if (arm > 0) {
    at += 4 + 32;
    opaque();
  }
  // txSetResultHash, bucketListHash.
  return header.readUInt32BE(at + 64);
}

/** The hash of a checkpoint in its file of headers. */
export function checkpointHash(file: Buffer, checkpoint: number): string | Silent {
  let bytes: Buffer;
  try {
    bytes = gunzipSync(file, { maxOutputLength: UNPACKED_LIMIT });
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ERR_BUFFER_TOO_LARGE') return silent('too_large', `it unpacks to more than ${UNPACKED_LIMIT} bytes`);
    if (code === 'Z_BUF_ERROR') return silent('cut', 'its gzip ends early');
    return silent('damaged', 'it is no gzip');
  }
  const records = recordsOf(bytes);
  const last = records?.at(-1);
  if (records === null || last === undefined) return silent('cut', 'its last record is not whole');
  try {
    // The hash, the header, and the union's discriminant after it, which is 0.
    const header = last.subarray(32, last.length - 4);
    const sequence = sequenceIn(header);
    if (sequence !== checkpoint) return silent('damaged', `its last header is of ledger ${sequence}`);
    const hash = last.toString('hex', 0, 32);
    const is = createHash('sha256').update(header).digest('hex');
    return is === hash ? hash : silent('damaged', 'its last header does not have the hash that stands beside it');
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return silent('damaged', 'its last record is no ledger header');
  }
}

export interface ArchivePlace {
  readonly organisation: string;
  /** Without a slash at its end. */
  readonly url: string;
}

/** Another hash than Bronze has. */
export interface Dissent {
  readonly ledger: number;
  /** Hex: the archive's. */
  readonly expected: string;
  /** Hex: Bronze's. */
  readonly found: string;
  /** URL of the file. */
  readonly object: string;
}

export interface ArchiveReport extends ArchivePlace {
  /** The last ledger that it says it has; null where it does not say. */
  readonly current_ledger: number | null;
  readonly agrees: number;
  readonly contradicts: number;
  /** Checkpoints without an answer, by reason: `first` is the first of them that was asked for. */
  readonly no_answer: readonly { readonly reason: Silence; readonly why: string; count: number; first: number }[];
}

export class HistoryArchive {
  readonly #place: ArchivePlace;
  readonly #passphrase: string | null;
  readonly #bounds: Bounds;
  #state: Promise<{ readonly current: number | null; readonly silent: Silent | null }> | null = null;
  #current: number | null = null;
  #agrees = 0;
  #contradicts = 0;
  readonly #silences = new Map<Silence, { reason: Silence; why: string; count: number; first: number }>();
  /** Requests without a file, one after the other. */
  #failures = 0;

  /** @param passphrase null: not compared with the archive's */
  constructor(place: ArchivePlace, passphrase: string | null, bounds: Partial<Bounds> = {}) {
    this.#place = place;
    this.#passphrase = passphrase;
    this.#bounds = { ...USUAL, ...bounds };
  }

  get organisation(): string {
    return this.#place.organisation;
  }

  report(): ArchiveReport {
    return {
      ...this.#place,
      current_ledger: this.#current,
      agrees: this.#agrees,
      contradicts: this.#contradicts,
      no_answer: [...this.#silences.values()],
    };
  }

  /** Asks for these checkpoints, with the hashes that Bronze has. Throws CANCELLED. */
  async compare(known: ReadonlyMap<number, string>, signal: AbortSignal): Promise<Dissent[]> {
    const asked = await mapBounded([...known], AT_ONCE, async ([ledger, found]): Promise<Dissent[]> => {
      const answer = await this.#hashOf(ledger, signal);
      if (typeof answer !== 'string') {
        const { silence, why } = answer;
        const tally = this.#silences.get(silence) ?? { reason: silence, why, count: 0, first: ledger };
        tally.count += 1;
        tally.first = Math.min(tally.first, ledger);
        this.#silences.set(silence, tally);
        return [];
      }
      if (answer === found) {
        this.#agrees += 1;
        return [];
      }
      this.#contradicts += 1;
      return [{ ledger, expected: answer, found, object: this.#urlOf(headersKey(ledger)) }];
    });
    return asked.flat();
  }

  #urlOf(key: string): string {
    return `${this.#place.url}/${key}`;
  }

  async #get(key: string, signal: AbortSignal): Promise<Buffer | Silent> {
    if (this.#failures >= PATIENCE) return silent('not_asked', 'it had no file to give several times in a row');
    const answer = await boundedGet(this.#urlOf(key), this.#bounds, signal);
    const isAway = !Buffer.isBuffer(answer) && answer.silence !== 'not_found';
    this.#failures = isAway ? this.#failures + 1 : 0;
    return answer;
  }

  async #hashOf(checkpoint: number, signal: AbortSignal): Promise<string | Silent> {
    this.#state ??= this.#readState(signal);
    const state = await this.#state;
    if (state.silent !== null) return state.silent;
    if (state.current !== null && checkpoint > state.current) {
      return silent('behind', `it ends with ledger ${state.current}`);
    }
    const file = await this.#get(headersKey(checkpoint), signal);
    return Buffer.isBuffer(file) ? checkpointHash(file, checkpoint) : file;
  }

  /** Where it ends, and of which network it is. An archive without that file is asked all the same. */
  async #readState(signal: AbortSignal) {
    const answer = await this.#get('.well-known/stellar-history.json', signal);
    const nothing = { current: null, silent: null };
    if (!Buffer.isBuffer(answer)) return answer.silence === 'not_found' ? nothing : { current: null, silent: answer };
    let value: { currentLedger?: unknown; networkPassphrase?: unknown } | null;
    try {
      value = parseJson(answer) as typeof value;
    } catch {
      return { current: null, silent: silent('damaged', 'its stellar-history.json is not JSON') };
    }
    const { currentLedger, networkPassphrase } = value ?? {};
    if (typeof currentLedger === 'number') this.#current = currentLedger;
    const isOther =
      typeof networkPassphrase === 'string' && this.#passphrase !== null && networkPassphrase !== this.#passphrase;
    return {
      current: this.#current,
      silent: isOther ? silent('other_network', `it is of "${networkPassphrase.slice(0, 80)}"`) : null,
    };
  }
}
