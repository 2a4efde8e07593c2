/**
 * What outlives an actor or a process, symbolically: a partition's bytes are a word made of its ledgers and its writer,
 * a manifest is one of a word and a time. All values are plain, immutable and small.
 */
import type { AttestedEvent, EraSpec, LedgerEnds, LedgerRange } from '../../machines/protocol.ts';

export interface StagedObject {
  /** Nonce of the process that staged it. */
  readonly owner: string;
  readonly label: string;
  readonly checksum: string;
  readonly root: string;
  readonly writer: string;
  /** Survives a loss of power. */
  readonly synced: boolean;
}

export interface DataObject {
  readonly checksum: string;
  readonly root: string;
  readonly writer: string;
}

export interface ManifestObject extends DataObject {
  readonly time: string;
}

/** Of a catalog: what it says of the partition of its range. */
export interface CatalogRow {
  readonly checksum: string;
  /** Hash of the event; null where there is no audit stream. */
  readonly event: string | null;
}

/** Everything in the store and beyond that belongs to one era. */
export interface Chain {
  /** `_bronze.json` is there. */
  readonly bronze: boolean;
  readonly data: Readonly<Record<string, DataObject>>;
  readonly manifests: Readonly<Record<string, ManifestObject>>;
  /** The audit chain, by sequence. */
  readonly events: Readonly<Record<string, AttestedEvent>>;
  readonly staged: Readonly<Record<string, StagedObject>>;
  /** Hashes of the events that the endpoint has received, repeated ones left out as it does by their event_id. */
  readonly endpoint: readonly string[];
  /** Catalog rows, by range. */
  readonly rows: Readonly<Record<string, CatalogRow>>;
  /** How often Bronze was rolled back: what is made afterwards is made at other times. */
  readonly cut: number;
  /** Nonce of the process under which the lake became that of another network; null: it never did. */
  readonly reset: string | null;
}

/** The state folder of one copier, as far as it is about one era. */
export interface Host {
  readonly checkpoint: { readonly range: LedgerRange; readonly checksum: string } | null;
  /** Nonce of the lock's holder. */
  readonly lock: string | null;
  /** Nonces whose staging may still lie there. */
  readonly journal: readonly string[];
  /** Events that the endpoint has acknowledged. */
  readonly delivered: number;
  /** The backup folder: copies of events, by range. */
  readonly copies: Readonly<Record<string, { readonly sequence: number; readonly eventHash: string }>>;
  /** The chain's entry in its heads file: hash of the last event. */
  readonly head: string | null;
}

/** What a process keeps about one era outside of its machines. */
export interface EraSession {
  readonly locked: boolean;
  readonly terms: boolean;
  /** Anything may have been written under its nonce. */
  readonly prepared: boolean;
  /** How often its era actor was started: names of staged objects are never used twice. */
  readonly starts: number;
  /** Only a seeded bug remembers anything here. */
  readonly memory: Readonly<Record<string, string>>;
}

/** One process of one copier. */
export interface Session {
  readonly nonce: string;
  readonly writer: string;
  readonly eras: Readonly<Record<string, EraSession>>;
}

export const emptyChain: Chain = {
  bronze: false,
  data: {},
  manifests: {},
  events: {},
  staged: {},
  endpoint: [],
  rows: {},
  cut: 0,
  reset: null,
};

export const emptyHost: Host = { checkpoint: null, lock: null, journal: [], delivered: 0, copies: {}, head: null };

export const freshSession: EraSession = { locked: false, terms: false, prepared: false, starts: 0, memory: {} };

export const labelOf = (range: LedgerRange): string => `${range.start}-${range.end}`;

export function rangeOf(label: string): LedgerRange {
  const [start, end] = label.split('-');
  return { start: Number(start), end: Number(end) };
}

export const byStart = (a: string, b: string): number => rangeOf(a).start - rangeOf(b).start;

export const endsOf = (lake: string, range: LedgerRange): LedgerEnds => ({
  firstHash: `${lake}${range.start}`,
  lastHash: `${lake}${range.end}`,
  previousHash: `${lake}${range.start - 1}`,
  contentRoot: rootOf(lake, range),
});

export const rootOf = (lake: string, range: LedgerRange): string => `${lake}:${labelOf(range)}`;

/** What stands under a lake's name after the network was reset. */
export const afterReset = (lake: string): string => `${lake}'`;

/** The lake that a content root speaks of. */
export const lakeOf = (root: string): string => root.slice(0, root.indexOf(':'));

export const dataFile = (label: string, checksum: string) => {
  const { start, end } = rangeOf(label);
  return { file: `part-${label}`, checksum, rowCount: end - start + 1, byteSize: 1 };
};

/** Hash of a manifest: everything that stands in it. */
export const manifestHash = (label: string, manifest: ManifestObject): string =>
  `${label}/${manifest.checksum}/${manifest.time}`;

export const without = <T>(record: Readonly<Record<string, T>>, ...keys: string[]): Record<string, T> =>
  Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));

/** The event that a stored manifest gives at a place in the chain: a pure function, as the contract has it. */
export function deriveEvent(
  label: string,
  manifest: ManifestObject,
  sequence: number,
  prevEventHash: string | null,
): AttestedEvent {
  const range = rangeOf(label);
  const sha = manifestHash(label, manifest);
  return {
    sequence,
    range,
    // A real hash covers its predecessor's; here the words are kept short by a digest.
    eventHash: digest(`${sequence}|${sha}|${prevEventHash}`),
    prevEventHash,
    data: dataFile(label, manifest.checksum),
    ledgers: endsOf(lakeOf(manifest.root), range),
    manifestSha256: sha,
    timestamp: manifest.time,
    storagePrefix: '',
  };
}

/** FNV-1a, twice: enough for the few hundred words of an exploration, and checked by `wordOf`. */
function digest(word: string): string {
  let a = 0x811c9dc5;
  let b = 0x01000193;
  for (let i = 0; i < word.length; i++) {
    a = Math.imul(a ^ word.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ word.charCodeAt(i), 0x85ebca6b);
  }
  const hash = `h${(a >>> 0).toString(36)}${(b >>> 0).toString(36)}`;
  const known = words.get(hash);
  if (known !== undefined && known !== word) throw new Error(`the words ${known} and ${word} have one digest`);
  words.set(hash, word);
  return hash;
}

const words = new Map<string, string>();

/** The row that a partition should have, from its stored manifest and event; null where it should have none yet. */
export function rowOf(chain: Chain, spec: EraSpec, label: string): CatalogRow | null {
  const manifest = chain.manifests[label];
  const event = Object.values(chain.events).find(({ range }) => labelOf(range) === label);
  if (!manifest || (spec.attests && !event)) return null;
  return { checksum: manifest.checksum, event: event?.eventHash ?? null };
}

/** Committed partitions that the catalog has no row of, in ledger order. */
export const missingRows = (chain: Chain, spec: EraSpec): string[] =>
  spec.catalog === 'none'
    ? []
    : Object.keys(chain.manifests)
        .filter((label) => rowOf(chain, spec, label) !== null && chain.rows[label] === undefined)
        .sort(byStart);

/** Events that the endpoint has never received. */
export const undelivered = (chain: Chain, spec: EraSpec): AttestedEvent[] =>
  spec.delivery === 'none'
    ? []
    : Object.values(chain.events).filter(({ eventHash }) => !chain.endpoint.includes(eventHash));
