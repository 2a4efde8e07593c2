/**
 * What the explorer assumes of the outside world: one function per effect, stating what it reads, what it makes
 * durable, and what it answers. It follows what runtime/session.ts and actors/ do, object by object.
 *
 * Assumptions about the ports:
 * - What is acknowledged is durable, once it was asked for: an answer by itself may be a lie (`lies`). What is durable may not be acknowledged (the answer is lost, or the process dies).
 * - Published data, manifests, events and `_bronze.json` are created only if absent. Where a store does not enforce
 *   that, its adapter aborts every upload on the final key (`fence`), looks, and only then completes; what a late
 *   completion needs is gone by then. A completion that nothing fences replaces what stands there.
 * - A listing and a read see everything that was acknowledged before they started.
 * - Reading back tells the bytes (checksum) and, row by row, the ledgers (content root).
 * - Staged objects carry the nonce of the process that wrote them; a sweep removes those of the nonces it is given.
 * - Two builds of one range from one lake by one writer have the same bytes; by another writer the same content root.
 * - A request of a process that died, or of an actor that was stopped, may still land (`late`), or not.
 * - What is remembered outside of Bronze (evidence.ts) is read with the chain and held against it by the machines' own
 *   judgement. Before that only the lock and its journal are written.
 *
 * Assumptions about a catalog (`recordPartition`, `recordPending`) and an endpoint (`deliverPending`), in words that
 * their conformance suites can take over; docs/failure-model.md has them for readers:
 * - A row is durable before it is acknowledged, and is one transaction: a reader sees all of it or none.
 * - A row follows from the *stored* manifest and event of its range alone. Written again, by whomever, it is the same:
 *   nothing is added, nothing changes. So a request that lands late is harmless.
 * - There is no row without its manifest; where there is an audit stream, none without its event.
 * - A range that overlaps a row of another range is refused, and so is other content of the same range
 *   (`CATALOG_CONFLICT`, lasting). A catalog that does not answer is `CATALOG_UNAVAILABLE`, passing.
 * - `recordPending` finds by itself what is missing, also what another process, or an older state folder, left.
 * - What a reader holds open is answered (`pending`, `left`), not thrown, and nothing is written then.
 * - `deliverPending` posts in the order of sequences, none before the one before it is acknowledged; it stops at a hole
 *   in the chain. The place reached is noted after the acknowledgement, so one event may be posted twice, and where the
 *   state folder is lost, all of them. The endpoint knows an event again by its event_id and keeps one.
 * - Another event under a sequence that the endpoint knows is `AUDIT_FORK`, lasting; anything that may pass is
 *   `DELIVERY_FAILED`.
 * - `closeChain` counts what is pending from the same facts, never too little.
 */
import type { EffectName } from '../../machines/effects.ts';
import { BronzeError, type ErrorCode } from '../../machines/errors.ts';
import type {
  AttestedEvent,
  ChainHead,
  Effects,
  EraFacts,
  EraSpec,
  FoundPartition,
  Job,
  LakeHead,
  LedgerEnds,
  LedgerRange,
  PublishedPartition,
  SealedPartition,
  StagedPartition,
} from '../../machines/protocol.ts';
import { assess } from '../../machines/recovery.ts';
import {
  byStart,
  type Chain,
  type DataObject,
  dataFile,
  deriveEvent,
  type EraSession,
  endsOf,
  type Host,
  labelOf,
  lakeOf,
  type ManifestObject,
  manifestHash,
  missingRows,
  rangeOf,
  rootOf,
  rowOf,
  type StagedObject,
  without,
} from './durable.ts';
import { memoriesOf, missingCopies, withCopy, withHead } from './evidence.ts';

/** Everything an effect may see. */
export interface Place {
  readonly spec: EraSpec;
  readonly nonce: string;
  readonly writer: string;
  /** Name of the lake that this era is copied from: partitions of two lakes never link. */
  readonly lake: string;
  readonly head: LakeHead;
  /** Last ledger that the lake has. */
  readonly lakeEnd: number;
  readonly conditional: boolean;
  /** Whether copies of events are written. */
  readonly copies: boolean;
  /** What an earlier phase of the effect has read. */
  readonly kept: unknown;
  /** Other eras' chains. */
  readonly neighbours: readonly Chain[];
  readonly chain: Chain;
  readonly host: Host;
  readonly session: EraSession;
}

export interface Result {
  readonly chain?: Chain;
  readonly host?: Host;
  readonly session?: EraSession;
  /** Key of the store under which every other upload is aborted. */
  readonly fences?: string;
  /** What comes next: another phase of the effect, or its end. */
  readonly next:
    | { readonly phase: number; readonly kept?: unknown }
    | { readonly answer: unknown }
    | { readonly error: ErrorCode };
}

// biome-ignore lint/suspicious/noExplicitAny: inputs differ by effect; each function below names its own
type Input = any;

export interface EffectModel {
  /** `write`: durable first, answered in another move. `read`: what it does last is answered in the same move. */
  readonly kind: 'write' | 'read';
  readonly perform: (place: Place, input: Input, phase: number) => Result;
  /** What a request that nobody waits for any more still does when it lands; null where none can be under way. */
  readonly late: ((place: Place, input: Input, phase: number) => Result) | null;
  /** Key of the store that a request in this phase is about to complete without a condition. */
  readonly fencedBy?: (input: Input, phase: number) => string | null;
  /** Phases whose request may be answered with success by something that did nothing; then comes the phase `ASKS`. */
  readonly lies?: (conditional: boolean) => number;
  /** What each phase makes durable, in a word, for traces. */
  readonly phases?: readonly string[];
  /** It does the same whoever asked for it, and doing it again changes nothing: of late ones that are equal, one is kept. */
  readonly isAnonymous?: boolean;
  /** It goes on where whoever asked for it has cancelled it: it is not in this process. */
  readonly outlives?: boolean;
  /** Its answer where a reader holds the catalog: nothing failed, nothing was written. */
  readonly held?: unknown;
  /** A passing and a lasting failure. */
  readonly passing: ErrorCode;
  readonly lasting: ErrorCode;
}

export type EffectModels = Readonly<Record<EffectName, EffectModel>>;

const answer = (value: unknown): Pick<Result, 'next'> => ({ next: { answer: value } });
const fail = (error: ErrorCode): Result => ({ next: { error } });

const errors = new Map<ErrorCode, BronzeError>();

/** One error object per code, so that equal failures are equal. */
export function errorOf(code: ErrorCode): BronzeError {
  const known = errors.get(code) ?? new BronzeError(code, code);
  errors.set(code, known);
  return known;
}

// ── recovery ─────────────────────────────────────────────────────────────────────────────────────────────────────

const sweep = (chain: Chain, owners: readonly string[]): Chain => ({
  ...chain,
  staged: Object.fromEntries(Object.entries(chain.staged).filter(([, { owner }]) => !owners.includes(owner))),
});

/** Lock and journal; `_bronze.json` is compared, never written. */
function openChain({ host, nonce, chain, session }: Place): Result {
  const opened = { ...session, locked: true, terms: chain.bronze };
  if (session.locked) return { session: opened, ...answer({ created: chain.bronze }) };
  const formers = host.lock === null ? [] : [host.lock];
  const owners = [...new Set([...host.journal, ...formers])].filter((owner) => owner !== nonce);
  const journal = [...owners, nonce].sort();
  return { host: { ...host, lock: nonce, journal }, session: opened, ...answer({ created: chain.bronze }) };
}

const sealedFacts = (label: string, manifest: ManifestObject): SealedPartition => ({
  range: rangeOf(label),
  data: dataFile(label, manifest.checksum),
  ledgers: endsOf(lakeOf(manifest.root), rangeOf(label)),
  manifestSha256: manifestHash(label, manifest),
  createdAt: manifest.time,
});

const eventsInOrder = (chain: Chain): AttestedEvent[] =>
  Object.values(chain.events).sort((a, b) => a.sequence - b.sequence);

/** Events that stored manifests give for holes; null where they do not lead to what the successor names. */
function rederive(chain: Chain, events: readonly AttestedEvent[]): AttestedEvent[] | null {
  const found: AttestedEvent[] = [];
  let before: AttestedEvent | null = null;
  for (const event of events) {
    const from = before === null ? 0 : before.range.end + 1;
    const missing = event.sequence - (before === null ? 0 : before.sequence + 1);
    if (missing > 0) {
      const between = Object.keys(chain.manifests)
        .filter((label) => rangeOf(label).start >= from && rangeOf(label).end < event.range.start)
        .sort(byStart);
      if (between.length !== missing) return null;
      let prev: string | null = before?.eventHash ?? null;
      for (const label of between) {
        const sequence: number = (found.at(-1)?.sequence ?? before?.sequence ?? -1) + 1;
        const made = deriveEvent(label, chain.manifests[label] as ManifestObject, sequence, prev);
        found.push(made);
        prev = made.eventHash;
      }
      if (prev !== event.prevEventHash) return null;
    }
    before = event;
  }
  return found;
}

/** What is there and what is remembered of it; or why it cannot be used. */
export function factsOf(chain: Chain, host: Host): EraFacts | ErrorCode {
  const events = eventsInOrder(chain);
  for (const [i, event] of events.entries()) {
    const before = events[i - 1];
    if (before?.sequence === event.sequence - 1 && before.eventHash !== event.prevEventHash) return 'AUDIT_INVALID';
    if (events.some((other) => other !== event && labelOf(other.range) === labelOf(event.range))) return 'AUDIT_FORK';
  }
  const rederived = rederive(chain, events);
  if (rederived === null) return 'AUDIT_HOLE';
  const attested = new Map(events.map((event) => [labelOf(event.range), event]));
  const last = events.at(-1);
  const labels = [...new Set([...Object.keys(chain.data), ...Object.keys(chain.manifests)])].sort(byStart);
  const partitions: FoundPartition[] = [];
  for (const label of labels) {
    const stored = chain.manifests[label];
    const event = attested.get(label);
    const wanted = event === undefined || event === last || rederived.length > 0;
    if (stored && wanted && event && event.manifestSha256 !== manifestHash(label, stored)) return 'AUDIT_INVALID';
    partitions.push({
      range: rangeOf(label),
      dataBytes: chain.data[label] ? 1 : null,
      hasManifest: stored !== undefined,
      manifest: stored && wanted ? sealedFacts(label, stored) : null,
    });
  }
  const memories = memoriesOf(chain, host);
  return { partitions, events, checkpoint: host.checkpoint, rederived, memories, oldChain: null };
}

/** Reads and judges; where nothing is refused, sweeps what the dead staged and completes what is beside the chain. */
function surveyChain(place: Place, _: Input, phase: number): Result {
  const { chain, host, session, nonce, spec, copies } = place;
  if (phase === 0) {
    const facts = factsOf(chain, host);
    if (typeof facts === 'string') return fail(facts);
    // Where the era ends plays no part in what is committed.
    const judged = assess(facts, { ...spec.grid, ledgerEnd: null }, spec.attests);
    return 'failure' in judged ? answer(facts) : { next: { phase: 1, kept: facts } };
  }
  const facts = place.kept as EraFacts;
  const missing = copies ? missingCopies(facts, host) : [];
  if (phase === 1) {
    const orphaned = host.journal.filter((owner) => owner !== nonce);
    const { events, partitions } = facts;
    // `_bronze.json` was lost: what is there says that the configuration is the one it was written with.
    const terms =
      session.terms ||
      events.length > 0 ||
      partitions.some(({ hasManifest, dataBytes }) => hasManifest && dataBytes !== null);
    return {
      chain: { ...sweep(chain, orphaned), bronze: chain.bronze || terms },
      host: { ...host, journal: [nonce] },
      session: { ...session, terms, prepared: true },
      ...(missing.length > 0 ? { next: { phase: 2, kept: facts } } : answer(facts)),
    };
  }
  const [event] = missing;
  if (event === undefined) return answer(facts);
  const isThere = host.copies[labelOf(event.range)] !== undefined;
  const changed = isThere ? withHead(chain, host, event) : withCopy(host, event);
  if (changed === null) return fail('EVIDENCE_CONTRADICTS');
  const isLeft = missingCopies(facts, changed).length > 0 && changed !== host;
  return { host: changed, ...(isLeft ? { next: { phase: 2, kept: facts } } : answer(facts)) };
}

/** Against every partition that is sealed or attested: of which the edges are read plays no part here. */
function compareLake({ chain, lake }: Place): Result {
  const roots = [
    ...Object.values(chain.manifests).map(({ root }) => root),
    ...Object.values(chain.events).map(({ ledgers }) => ledgers.contentRoot),
  ];
  return roots.every((root) => lakeOf(root) === lake) ? answer({ behind: null }) : fail('LAKE_CONTRADICTS');
}

function findHead({ head }: Place, { from }: { from: number }): Result {
  const holeAt = head.holeAt !== null && head.holeAt >= from ? head.holeAt : null;
  const contiguousTo = holeAt === null ? (head.head ?? from - 1) : holeAt - 1;
  return answer({ head: head.head, contiguousTo, holeAt });
}

// ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────

const stagedName = (place: Place, job: Job, retries: number): string =>
  `${place.nonce}.${place.session.starts}/${job.ticket}.${retries}`;

/** Leaves a staged object, not yet durable. A build that is cancelled removes what it wrote, so it is one move. */
function buildPartition(place: Place, input: { job: Job; retries: number }): Result {
  const { job, retries } = input;
  const { chain, lake, writer, lakeEnd } = place;
  if (job.range.end > lakeEnd) return fail('LEDGER_MISSING');
  const label = labelOf(job.range);
  const handle = stagedName(place, job, retries);
  const root = rootOf(lake, job.range);
  const checksum = `${root}/${writer}`;
  const object: StagedObject = { owner: place.nonce, label, checksum, root, writer, synced: false };
  const staged: StagedPartition = {
    range: job.range,
    ticket: job.ticket,
    correlationId: job.correlationId,
    handle,
    data: dataFile(label, checksum),
    ledgers: endsOf(lake, job.range),
    writer: { writer },
    checks: {},
    source: lake,
    sourceBytes: 0,
    rawBytes: 0,
    retries,
  };
  return { chain: { ...chain, staged: { ...chain.staged, [handle]: object } }, ...answer(staged) };
}

/**
 * The same by a remote worker: the coordinator begins the upload, so that its journal knows of it, then a worker sends
 * the parts. A worker that was given up may go on, and a task that was taken twice is done twice: both write the same
 * parts to the one upload, or find that it is gone.
 */
function buildRemotely(place: Place, input: { job: Job; retries: number }, phase: number): Result {
  const handle = stagedName(place, input.job, input.retries);
  const { chain, nonce } = place;
  if (phase === 0) {
    const begun: StagedObject = {
      owner: nonce,
      label: labelOf(input.job.range),
      checksum: 'nothing',
      root: 'nothing',
      writer: 'nobody',
      synced: false,
    };
    return { chain: { ...chain, staged: { ...chain.staged, [handle]: begun } }, next: { phase: 1 } };
  }
  return chain.staged[handle] ? buildPartition(place, input) : fail('STAGED_GONE');
}

/** A task that runs on: only where its upload is still there. An upload that nobody heard of is the day rule's. */
function lateRemotely(place: Place, input: { job: Job; retries: number }, phase: number): Result {
  const result = phase === 0 ? answer(null) : buildRemotely(place, input, phase);
  return 'error' in result.next ? answer(null) : result;
}

function stagePartition({ chain }: Place, { staged }: { staged: StagedPartition }): Result {
  const object = chain.staged[staged.handle];
  if (!object) return fail('STAGED_GONE');
  return {
    chain: { ...chain, staged: { ...chain.staged, [staged.handle]: { ...object, synced: true } } },
    ...answer(staged),
  };
}

// ── commit ───────────────────────────────────────────────────────────────────────────────────────────────────────

function verifySealed({ chain }: Place, { sealed }: { sealed: SealedPartition }): Result {
  const found = chain.data[labelOf(sealed.range)];
  return found?.checksum === sealed.data.checksum ? answer(sealed) : fail('PARTITION_DAMAGED');
}

interface Publishing {
  readonly staged: StagedPartition;
  readonly attested: AttestedEvent | null;
}

const published = (staged: StagedPartition, stored: DataObject, found: boolean): PublishedPartition => ({
  range: staged.range,
  data: dataFile(labelOf(staged.range), stored.checksum),
  ledgers: endsOf(lakeOf(stored.root), staged.range),
  writer: { writer: stored.writer },
  checks: {},
  source: staged.source,
  found,
});

/** Something stands there: it is read and counts if it holds the same ledgers; a manifest's word is checked. */
function readBack({ chain }: Place, { staged, attested }: Publishing): Result {
  const label = labelOf(staged.range);
  const stored = chain.data[label] as DataObject;
  const manifest = chain.manifests[label];
  if ((manifest ?? stored).root !== staged.ledgers.contentRoot) return fail('PARTITION_CONFLICT');
  if (manifest && manifest.checksum !== stored.checksum) return fail('PARTITION_DAMAGED');
  if (attested !== null && stored.checksum !== attested.data.checksum) return fail('AUDIT_ORPHAN');
  return {
    chain: { ...chain, staged: without(chain.staged, staged.handle) },
    ...answer(published(staged, manifest ?? stored, true)),
  };
}

/** The phase in which an effect asks for what a store said to have done. */
export const ASKS = 3;
/** The first phase in which an event is copied. */
export const COPIES = 4;

const dataKey = (range: LedgerRange): string => `data ${labelOf(range)}`;

/** Makes the staged object the published one, replacing what stands there: whoever calls this has looked. */
function complete(chain: Chain, staged: StagedPartition): { chain: Chain; stored: DataObject } {
  const { checksum, root, writer } = chain.staged[staged.handle] as StagedObject;
  const stored = { checksum, root, writer };
  return {
    chain: {
      ...chain,
      data: { ...chain.data, [labelOf(staged.range)]: stored },
      staged: without(chain.staged, staged.handle),
    },
    stored,
  };
}

/** Another partition of this era that shares ledgers with one. */
function overlaps(chain: Chain, range: LedgerRange): boolean {
  return [...Object.keys(chain.data), ...Object.keys(chain.manifests)].some((label) => {
    const other = rangeOf(label);
    return label !== labelOf(range) && other.start <= range.end && other.end >= range.start;
  });
}

/** Looks, then completes: between the two somebody else may have been there. */
function publishPartition(place: Place, input: Publishing, phase: number): Result {
  const { chain, session, conditional } = place;
  const { staged, attested } = input;
  const label = labelOf(staged.range);
  const stands = chain.data[label] !== undefined;
  if (phase === 0 && !session.terms) {
    return { chain: { ...chain, bronze: true }, session: { ...session, terms: true }, next: { phase: 1 } };
  }
  if (phase < 2) {
    if (overlaps(chain, staged.range)) return fail('PARTITION_OVERLAP');
    const sealed = chain.manifests[label];
    if (sealed && !stands && sealed.checksum !== staged.data.checksum) return fail('PARTITION_DAMAGED');
    if (attested !== null && staged.data.checksum !== attested.data.checksum) {
      return stands ? readBack(place, input) : fail('AUDIT_ORPHAN');
    }
    if (conditional) return { next: { phase: 2 } };
    const others = Object.keys(chain.staged).filter(
      (handle) => handle !== staged.handle && chain.staged[handle]?.label === label,
    );
    const fenced = { ...chain, staged: without(chain.staged, ...others) };
    const fences = dataKey(staged.range);
    if (stands) return { ...readBack({ ...place, chain: fenced }, input), fences };
    return { chain: fenced, fences, next: { phase: 2 } };
  }
  // What was said to be done is asked.
  if (phase === ASKS && !stands) return fail('ANSWER_UNTRUE');
  if (phase === ASKS) return readBack(place, input);
  // Without conditions what stands there is replaced: that nothing does is what the fence is for.
  if (stands && (conditional || !chain.staged[staged.handle])) return readBack(place, input);
  if (!chain.staged[staged.handle]) return fail('STAGED_GONE');
  const done = complete(chain, staged);
  return { chain: done.chain, ...answer(published(staged, done.stored, false)) };
}

function latePublish({ chain, conditional }: Place, { staged }: Publishing, phase: number): Result {
  const stands = chain.data[labelOf(staged.range)] !== undefined;
  if (phase < 2 || !chain.staged[staged.handle] || (conditional && stands)) return answer(null);
  return { chain: complete(chain, staged).chain, ...answer(null) };
}

/** The other era's partition right before or after this one, if it is sealed, has to link. */
function checkNeighbours(place: Place, { range, ledgers }: { range: LedgerRange; ledgers: LedgerEnds }): Result {
  for (const other of place.neighbours) {
    for (const [label, manifest] of Object.entries(other.manifests)) {
      const theirs = rangeOf(label);
      const ends = endsOf(lakeOf(manifest.root), theirs);
      if (theirs.end === range.start - 1 && ends.lastHash !== ledgers.previousHash) return fail('ERA_LINK_BROKEN');
      if (theirs.start === range.end + 1 && ledgers.lastHash !== ends.previousHash) return fail('ERA_LINK_BROKEN');
    }
  }
  return answer(null);
}

interface Sealing {
  readonly published: PublishedPartition;
  readonly attested: AttestedEvent | null;
}

type SealingAsked = Effects['sealPartition']['input'];

/** A time that no manifest of this partition has: two attempts never seal at the same time. */
function freshTime(chain: Chain, label: string): string {
  const taken = new Set([chain.manifests[label]?.time]);
  for (const event of Object.values(chain.events)) if (labelOf(event.range) === label) taken.add(event.timestamp);
  const clock = 'tuv'[chain.cut];
  for (let n = 0; ; n++) if (!taken.has(`${clock}${n}`)) return `${clock}${n}`;
}

/** The manifest that this attempt would write; null where an event promises another one. */
export function manifestOf(chain: Chain, { published, attested }: Sealing): ManifestObject | null {
  const label = labelOf(published.range);
  const made: ManifestObject = {
    checksum: published.data.checksum,
    root: published.ledgers.contentRoot,
    writer: published.writer.writer as string,
    time: attested?.timestamp ?? freshTime(chain, label),
  };
  return attested !== null && manifestHash(label, made) !== attested.manifestSha256 ? null : made;
}

const withManifest = (chain: Chain, label: string, manifest: ManifestObject): Chain => ({
  ...chain,
  manifests: { ...chain.manifests, [label]: manifest },
});

/** What is stored decides, whoever wrote it. */
function sealedThere(chain: Chain, { published, attested }: Sealing): Result {
  const label = labelOf(published.range);
  const stored = chain.manifests[label];
  if (!stored) return fail(attested === null ? 'STORE_IO' : 'AUDIT_ORPHAN');
  if (stored.checksum !== published.data.checksum || stored.root !== published.ledgers.contentRoot) {
    return fail('MANIFEST_CONFLICT');
  }
  const facts = sealedFacts(label, stored);
  if (attested !== null && facts.manifestSha256 !== attested.manifestSha256) return fail('AUDIT_ORPHAN');
  return { chain, ...answer(facts) };
}

const manifestKey = (range: LedgerRange): string => `manifest ${labelOf(range)}`;

/** What is sealed again is made of what stands there, and of its event; no build has a part in it. */
function askedFor({ chain, lake }: Place, asked: SealingAsked): Sealing | null {
  if (asked.published !== null) return asked as Sealing;
  const attested = asked.attested as AttestedEvent;
  const stored = chain.data[labelOf(attested.range)];
  if (stored?.checksum !== attested.data.checksum) return null;
  const { range, data, ledgers } = attested;
  const published = { range, data, ledgers, writer: { writer: stored.writer }, checks: {}, source: lake, found: true };
  return { published, attested };
}

function sealPartition(place: Place, asked: SealingAsked, phase: number): Result {
  const { chain, conditional } = place;
  const input = askedFor(place, asked);
  if (input === null) return fail('PARTITION_DAMAGED');
  const label = labelOf(input.published.range);
  const stands = chain.manifests[label] !== undefined;
  if (phase === ASKS) return stands ? sealedThere(chain, input) : fail('ANSWER_UNTRUE');
  // Of two copiers that published at the same moment the later one sees the other. The order of this look and
  // of the manifest is nobody's: the earlier look sees less.
  if (phase === 0 && overlaps(chain, input.published.range)) return fail('PARTITION_OVERLAP');
  if (conditional && phase === 0) return { next: { phase: 1 } };
  if (!conditional && phase === 0) {
    const fences = manifestKey(input.published.range);
    return stands ? { ...sealedThere(chain, input), fences } : { fences, next: { phase: 2 } };
  }
  const ours = manifestOf(chain, input);
  const writes = ours !== null && (!stands || !conditional);
  return sealedThere(writes ? withManifest(chain, label, ours) : chain, input);
}

function lateSeal(place: Place, asked: SealingAsked, phase: number): Result {
  const { chain, conditional } = place;
  const input = askedFor(place, asked);
  if (input === null) return answer(null);
  const label = labelOf(input.published.range);
  const ours = manifestOf(chain, input);
  const lands = conditional ? chain.manifests[label] === undefined : phase === 2;
  return ours === null || !lands ? answer(null) : { chain: withManifest(chain, label, ours), ...answer(null) };
}

interface Attesting {
  readonly range: LedgerRange;
  readonly chain: ChainHead;
  readonly expected: AttestedEvent | null;
}

const eventKey = (sequence: number): string => `event ${sequence}`;

const withEvent = (chain: Chain, event: AttestedEvent): Chain => ({
  ...chain,
  events: { ...chain.events, [event.sequence]: event },
});

/** From the stored manifest; null where there is none. */
function eventOf(chain: Chain, { range, chain: head }: Attesting): AttestedEvent | null {
  const manifest = chain.manifests[labelOf(range)];
  return manifest ? deriveEvent(labelOf(range), manifest, head.nextSequence, head.prevEventHash) : null;
}

/** The copy of an event that is stored, and then the head; not that of one that was put back into a hole. */
function copyEvent(
  { chain, host }: Place,
  { range, chain: { nextSequence }, expected }: Attesting,
  phase: number,
): Result {
  const event = chain.events[nextSequence] as AttestedEvent;
  const changed = phase === COPIES ? withCopy(host, event) : withHead(chain, host, event);
  if (changed === null) return fail('EVIDENCE_CONTRADICTS');
  if (phase === COPIES && expected === null) return { host: changed, next: { phase: COPIES + 1 } };
  const { sequence, eventHash } = event;
  return { host: changed, ...answer({ attested: labelOf(event.range) === labelOf(range), sequence, eventHash }) };
}

function attestPartition(place: Place, input: Attesting, phase: number): Result {
  const { conditional, copies } = place;
  if (phase >= COPIES) return copyEvent(place, input, phase);
  const { range, chain: head, expected } = input;
  const sequence = head.nextSequence;
  const ours = eventOf(place.chain, input);
  if (ours === null) return fail('PARTITION_DAMAGED');
  if (expected !== null && ours.eventHash !== expected.eventHash) return fail('AUDIT_HOLE');
  const stands = place.chain.events[sequence] !== undefined;
  if (phase === ASKS && !stands) return fail('ANSWER_UNTRUE');
  const copy = copies && expected === null ? place.host.copies[labelOf(range)] : undefined;
  // A second copier may have been first, with the event as with its copy.
  if (copy !== undefined && place.chain.events[sequence]?.eventHash !== copy.eventHash)
    return fail('EVIDENCE_CONTRADICTS');
  if (!conditional && phase === 0 && !stands) return { fences: eventKey(sequence), next: { phase: 2 } };
  const writes = !stands || (!conditional && phase === 2);
  const chain = writes ? withEvent(place.chain, ours) : place.chain;
  const stored = chain.events[sequence] as AttestedEvent;
  if (stored.eventHash === ours.eventHash && copies) return { chain, next: { phase: COPIES } };
  if (stored.eventHash === ours.eventHash)
    return { chain, ...answer({ attested: true, sequence, eventHash: stored.eventHash }) };
  const isBefore = stored.range.end + 1 === range.start && stored.prevEventHash === head.prevEventHash;
  if (!isBefore || expected !== null) return fail('AUDIT_FORK');
  return answer({ attested: false, sequence, eventHash: stored.eventHash });
}

function lateAttest({ chain, conditional }: Place, input: Attesting, phase: number): Result {
  const ours = eventOf(chain, input);
  const lands = conditional ? chain.events[input.chain.nextSequence] === undefined : phase === 2;
  return ours === null || !lands ? answer(null) : { chain: withEvent(chain, ours), ...answer(null) };
}

/** One transaction. The row of a range follows from what is stored, so whoever writes it writes the same. */
function withRow({ chain, spec }: Place, label: string): Chain | ErrorCode {
  const manifest = chain.manifests[label];
  if (!manifest) return 'PARTITION_DAMAGED';
  const range = rangeOf(label);
  const overlapping = Object.keys(chain.rows).map(rangeOf);
  if (
    overlapping.some(({ start, end }) => labelOf({ start, end }) !== label && start <= range.end && end >= range.start)
  )
    return 'CATALOG_CONFLICT';
  const stored = chain.rows[label];
  if (stored && stored.checksum !== manifest.checksum) return 'CATALOG_CONFLICT';
  const row = rowOf(chain, spec, label) ?? { checksum: manifest.checksum, event: null };
  // A row that knows its event keeps it.
  return { ...chain, rows: { ...chain.rows, [label]: { ...row, event: row.event ?? stored?.event ?? null } } };
}

function recordPartition(place: Place, { range }: { range: LedgerRange }): Result {
  const chain = withRow(place, labelOf(range));
  return typeof chain === 'string' ? fail(chain) : { chain, ...answer({ pending: false }) };
}

/** One row after another, in ledger order, each a transaction of its own. */
function recordPending(place: Place): Result {
  const [first, second] = missingRows(place.chain, place.spec);
  if (first === undefined) return answer({ left: 0 });
  const chain = withRow(place, first);
  if (typeof chain === 'string') return fail(chain);
  return { chain, ...(second === undefined ? answer({ left: 0 }) : { next: { phase: 0 } }) };
}

function writeCheckpoint({ host }: Place, { range, checksum }: { range: LedgerRange; checksum: string }): Result {
  return { host: { ...host, checkpoint: { range, checksum } }, ...answer(null) };
}

function discardStaged({ chain }: Place, { handles }: { handles: readonly string[] }): Result {
  return { chain: { ...chain, staged: without(chain.staged, ...handles) }, ...answer(null) };
}

/** Sweeps what this process staged, counts what is pending, gives the lock back. */
function closeChain({ chain, host, nonce, session, spec }: Place, _: Input, phase: number): Result {
  if (phase === 0) return { chain: sweep(chain, [nonce]), next: { phase: 1 } };
  const lock = host.lock === nonce ? null : host.lock;
  const journal = session.prepared || lock !== null ? host.journal : host.journal.filter((owner) => owner !== nonce);
  // The place reached is what is known of the endpoint: it may have received one more.
  const events = spec.delivery === 'none' ? 0 : Math.max(Object.keys(chain.events).length - host.delivered, 0);
  const pending = { rows: missingRows(chain, spec).length, events };
  return { host: { ...host, lock, journal }, session: { ...session, locked: false }, ...answer(pending) };
}

// ── delivery ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** One POST after another, in order; the place reached is noted after each, so that one may be repeated. */
function deliverPending({ chain, host }: Place, _: Input, phase: number): Result {
  if (phase === 1) return { host: { ...host, delivered: host.delivered + 1 }, next: { phase: 0 } };
  const event = chain.events[host.delivered];
  if (!event) return answer(null);
  const known = chain.endpoint[event.sequence];
  if (known !== undefined && known !== event.eventHash) return fail('AUDIT_FORK');
  return { chain: received(chain, event), next: { phase: 1 } };
}

const received = (chain: Chain, { eventHash }: AttestedEvent): Chain =>
  chain.endpoint.includes(eventHash) ? chain : { ...chain, endpoint: [...chain.endpoint, eventHash] };

function latePost({ chain, host }: Place, _: Input, phase: number): Result {
  const event = chain.events[host.delivered];
  return phase === 0 && event ? { chain: received(chain, event), ...answer(null) } : answer(null);
}

// ── all of them ──────────────────────────────────────────────────────────────────────────────────────────────────

const store = { passing: 'STORE_IO', lasting: 'STORE_DENIED' } as const;
const lake = { passing: 'SOURCE_READ', lasting: 'LEDGER_MISSING' } as const;
const catalog = { passing: 'CATALOG_UNAVAILABLE', lasting: 'CATALOG_CONFLICT' } as const;

/** A write whose late request does what a timely one does. */
const asEver = (perform: EffectModel['perform']) => ({ kind: 'write', perform, late: perform }) as const;
const read = (perform: EffectModel['perform']) => ({ kind: 'read', perform, late: null }) as const;

export const effectModels: EffectModels = {
  // Local file calls: they end with their process.
  openChain: {
    kind: 'write',
    perform: openChain,
    late: null,
    phases: ['takes the lock'],
    passing: 'STATE_IO',
    lasting: 'LOCK_HELD',
  },
  surveyChain: {
    ...read(surveyChain),
    phases: ['reads and judges', 'sweeps what the dead staged', 'writes a copy or the head that is missing'],
    ...store,
  },
  openLake: {
    ...read(({ lake: name }) => answer({ source: name })),
    passing: 'SOURCE_READ',
    lasting: 'LAKE_NOT_FOUND',
  },
  compareLake: { ...read(compareLake), passing: 'SOURCE_READ', lasting: 'LAKE_CONTRADICTS' },
  findHead: { ...read(findHead), ...lake },
  closeChain: { kind: 'write', perform: closeChain, late: null, phases: ['sweeps', 'gives the lock back'], ...store },
  buildPartition: { kind: 'read', perform: buildPartition, late: buildPartition, ...lake },
  stagePartition: { kind: 'read', perform: stagePartition, late: stagePartition, ...store },
  verifySealed: { ...read(verifySealed), ...store },
  publishPartition: {
    kind: 'write',
    perform: publishPartition,
    late: latePublish,
    phases: ['fixes _bronze.json, or looks where it is fixed', 'looks'],
    fencedBy: (input: Publishing, phase) => (phase === 2 ? dataKey(input.staged.range) : null),
    lies: () => 2,
    ...store,
  },
  checkNeighbours: { ...read(checkNeighbours), ...store },
  sealPartition: {
    kind: 'write',
    perform: sealPartition,
    late: lateSeal,
    fencedBy: (input: Sealing, phase) => (phase === 2 ? manifestKey(input.published.range) : null),
    lies: (conditional) => (conditional ? 1 : 2),
    ...store,
  },
  attestPartition: {
    kind: 'write',
    perform: attestPartition,
    late: lateAttest,
    phases: ['writes the event', '', 'writes the event', 'asks for the event', 'writes its copy', 'makes it the head'],
    fencedBy: (input: Attesting, phase) => (phase === 2 ? eventKey(input.chain.nextSequence) : null),
    lies: (conditional) => (conditional ? 0 : 2),
    ...store,
  },
  recordPartition: { ...asEver(recordPartition), isAnonymous: true, held: { pending: true }, ...catalog },
  recordPending: { ...asEver(recordPending), isAnonymous: true, held: { left: 1 }, ...catalog },
  writeCheckpoint: { ...asEver(writeCheckpoint), passing: 'STATE_IO', lasting: 'STATE_IO' },
  discardStaged: { kind: 'read', perform: discardStaged, late: null, ...store },
  deliverPending: {
    kind: 'write',
    perform: deliverPending,
    late: latePost,
    isAnonymous: true,
    phases: ['posts the next event', 'notes it'],
    passing: 'DELIVERY_FAILED',
    lasting: 'AUDIT_FORK',
  },
};

/** Instead of `buildPartition`, where builds go to remote workers. */
export const remoteBuild: EffectModel = {
  kind: 'write',
  perform: buildRemotely,
  late: lateRemotely,
  outlives: true,
  phases: ['begins the upload', 'is staged by a remote worker'],
  passing: 'SOURCE_READ',
  lasting: 'LEDGER_MISSING',
};
