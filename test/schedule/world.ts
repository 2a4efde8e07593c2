/**
 * A world in memory for the real actors: what is durable, changed only by effects, each of which first lands and then
 * answers, at moments that a fast-check scheduler picks. Faults hit the n-th effect. It checks, at every change, what
 * must hold of durable contents: data before manifest before event before checkpoint, in ledger order, each once.
 */
import type { Scheduler } from 'fast-check';
import { eraActorId, sequencerActorId, workerActorId } from '../../machines/actor-ids.ts';
import type { EffectInput, EffectName } from '../../machines/effects.ts';
import { BronzeError, type ErrorCode } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type {
  AttestedEvent,
  Effects,
  EraFacts,
  EraSpec,
  LakeHead,
  LedgerRange,
  SealedPartition,
} from '../../machines/protocol.ts';
import { attestedEvent, sealedPartition, stagedPartition } from '../support/pure-values.ts';

export type Fault =
  /** Fails before anything happened; a retry can help. */
  | 'passing'
  /** It happened, and its answer is lost. */
  | 'unanswered'
  /** No retry can help. */
  | 'lasting'
  /** Everything staged and not yet published vanishes. */
  | 'vanished'
  | 'worker crashes'
  | 'sequencer crashes'
  | 'era crashes'
  | 'drain'
  /** Some time passes. */
  | 'pause'
  /** More time than an era may be silent. */
  | 'stall';

export interface Plan {
  readonly faults: readonly { readonly at: number; readonly kind: Fault }[];
}

interface Hands {
  readonly crash: (actorId: string) => void;
  readonly drain: () => void;
  readonly pass: (ms: number) => void;
}

/** What is durable of one era. */
class Chain {
  readonly published: LedgerRange[] = [];
  readonly sealed: LedgerRange[] = [];
  readonly events: AttestedEvent[] = [];
  readonly staged = new Set<string>();
  checkpoint: LedgerRange | null = null;
  /** Starts of the partitions that the catalog has a row of. */
  readonly rows = new Set<number>();
  /** Events that the endpoint has received. */
  delivered = 0;
  /** Faults that hit this era. */
  readonly faults: Fault[] = [];
  /** Starts of the partitions whose build failed for good. */
  readonly lost: number[] = [];
  head = 0;
}

export const STALL_MS = 300_000;
/** Together less than a stall, however many there are. */
const PAUSE_MS = 20_000;

const starts = (ranges: readonly LedgerRange[]): string => ranges.map((range) => range.start).join(' ');

export class World {
  readonly chains = new Map<string, Chain>();
  readonly #scheduler: Scheduler;
  readonly #plan: Plan;
  readonly #specs: readonly EraSpec[];
  #count = 0;
  #handles = 0;
  hands: Hands | null = null;

  constructor(scheduler: Scheduler, plan: Plan, specs: readonly EraSpec[]) {
    this.#scheduler = scheduler;
    this.#plan = plan;
    this.#specs = specs;
    for (const { eraId } of specs) this.chains.set(eraId, new Chain());
  }

  chain(eraId: string): Chain {
    return this.chains.get(eraId) as Chain;
  }

  async run<K extends EffectName>(name: K, input: EffectInput<K>): Promise<Effects[K]['output']> {
    const chain = this.chain(input.eraId);
    const n = ++this.#count;
    const faults = this.#plan.faults.filter((fault) => fault.at === n).map((fault) => fault.kind);
    chain.faults.push(...faults);
    for (const fault of faults) this.#happen(fault, input.eraId);
    const label = `${input.eraId}: ${name}${'range' in input ? ` ${input.range.start}` : ''}`;
    await this.#scheduler.schedule(Promise.resolve(), label);
    if (faults.includes('lasting')) {
      const { job } = input as EffectInput<'buildPartition'>;
      // At the head of a lake even this is tried again.
      if (job && !job.patient) chain.lost.push(job.range.start);
      throw failed(name === 'buildPartition' ? 'LEDGER_MISSING' : 'STORE_DENIED');
    }
    if (faults.includes('passing')) throw failed(name === 'buildPartition' ? 'SOURCE_READ' : 'STORE_IO');
    const output = this.#perform(name, input, chain);
    if (CHANGES.has(name)) await this.#scheduler.schedule(Promise.resolve(), `${label} answers`);
    if (faults.includes('unanswered')) throw failed('STORE_IO');
    return output as Effects[K]['output'];
  }

  /** What the plan does beside effects, at a moment of its own. */
  #happen(fault: Fault, eraId: string): void {
    const later = (run: () => void): void =>
      void this.#scheduler.schedule(Promise.resolve(), `${eraId}: ${fault}`).then(run);
    const { crash, drain, pass } = this.hands as Hands;
    if (fault === 'vanished') later(() => this.chain(eraId).staged.clear());
    if (fault === 'worker crashes') later(() => crash(workerActorId(eraId, 1)));
    if (fault === 'sequencer crashes') later(() => crash(sequencerActorId(eraId)));
    if (fault === 'era crashes') later(() => crash(eraActorId(eraId)));
    if (fault === 'drain') later(drain);
    if (fault === 'pause') later(() => pass(PAUSE_MS));
    // Once until it is suspected, once until it is certain.
    if (fault === 'stall') {
      later(() => {
        pass(STALL_MS + 1);
        pass(STALL_MS + 1);
      });
    }
  }

  #perform(name: EffectName, input: Loose, chain: Chain): unknown {
    switch (name) {
      case 'openChain':
        return { created: true };
      case 'surveyChain':
        return facts(chain);
      case 'openLake':
        return { source: 'file:///lake' };
      case 'compareLake':
        return { behind: null };
      case 'findHead':
        return this.#head(chain, input);
      case 'buildPartition':
        return { ...stagedPartition(input.job, input.retries), handle: `staged-${++this.#handles}` };
      case 'stagePartition':
        chain.staged.add(input.staged.handle);
        return input.staged;
      case 'verifySealed':
        return input.sealed;
      case 'publishPartition':
        return publish(chain, input);
      case 'sealPartition':
        return seal(chain, input);
      case 'attestPartition':
        return attest(chain, input);
      case 'writeCheckpoint':
        checkpoint(chain, input.range);
        return null;
      case 'discardStaged':
        for (const handle of input.handles) chain.staged.delete(handle);
        return null;
      case 'recordPartition':
        record(chain, input.range);
        return { pending: false };
      case 'recordPending':
        for (const { range } of chain.events) record(chain, range);
        return { left: 0 };
      case 'deliverPending':
        chain.delivered = chain.events.length;
        return null;
      case 'closeChain':
        return { rows: chain.events.length - chain.rows.size, events: chain.events.length - chain.delivered };
      default:
        return null;
    }
  }

  /** A lake that grows by half a partition between two looks. */
  #head(chain: Chain, input: EffectInput<'findHead'>): LakeHead {
    const { grid } = this.#specs.find((spec) => spec.eraId === input.eraId) as EraSpec;
    chain.head = Math.max(chain.head + 5, grid.ledgerStart + 4);
    return { head: chain.head, contiguousTo: Math.max(chain.head, input.from - 1), holeAt: null };
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the input of an effect whose name is only known when it runs
type Loose = any;

const CHANGES: ReadonlySet<EffectName> = new Set([
  'stagePartition',
  'publishPartition',
  'sealPartition',
  'attestPartition',
  'recordPartition',
  'recordPending',
  'deliverPending',
  'writeCheckpoint',
]);

const failed = (code: ErrorCode): BronzeError => new BronzeError(code, code);

function has(ranges: readonly LedgerRange[], range: LedgerRange): boolean {
  return ranges.some((other) => other.start === range.start);
}

/** Adds what must be the next in ledger order. */
function append(what: string, ranges: LedgerRange[], range: LedgerRange): void {
  const last = ranges.at(-1);
  const expected = last ? last.end + 1 : 10;
  if (range.start !== expected) throw new Error(`${what} ${rangeLabel(range)} after ${starts(ranges)}`);
  ranges.push(range);
}

function publish(chain: Chain, { staged }: EffectInput<'publishPartition'>): unknown {
  if (has(chain.published, staged.range)) return { ...staged, found: true };
  if (!chain.staged.delete(staged.handle)) throw failed('STAGED_GONE');
  append('published', chain.published, staged.range);
  return { ...staged, found: false };
}

function seal(chain: Chain, { published, attested }: EffectInput<'sealPartition'>): SealedPartition {
  const range = (published ?? attested)?.range as LedgerRange;
  if (!has(chain.published, range)) throw new Error(`sealed ${rangeLabel(range)} without data`);
  if (!has(chain.sealed, range)) append('sealed', chain.sealed, range);
  return sealedPartition(range);
}

function attest(chain: Chain, input: EffectInput<'attestPartition'>): Effects['attestPartition']['output'] {
  const { range, chain: head } = input;
  const sequence = head.nextSequence;
  if (!has(chain.sealed, range)) throw new Error(`attested ${rangeLabel(range)} without a manifest`);
  const there = chain.events[sequence];
  if (!there) {
    const attested = chain.events.map((event) => event.range);
    append('attested', attested, range);
    if (sequence !== chain.events.length) throw new Error(`event ${sequence} after ${chain.events.length} others`);
    chain.events.push(attestedEvent(sequence, range, head.prevEventHash));
    return { attested: true, sequence, eventHash: `event-${sequence}` };
  }
  return { attested: there.range.start === range.start, sequence, eventHash: there.eventHash };
}

function record(chain: Chain, range: LedgerRange): void {
  const attested = chain.events.map((event) => event.range);
  if (!has(attested, range)) throw new Error(`row ${rangeLabel(range)} without an event`);
  chain.rows.add(range.start);
}

function checkpoint(chain: Chain, range: LedgerRange): void {
  const attested = chain.events.map((event) => event.range);
  if (!has(attested, range)) throw new Error(`checkpoint ${rangeLabel(range)} without an event`);
  chain.checkpoint = range;
}

/** What recovery finds. */
function facts(chain: Chain): EraFacts {
  const last = chain.checkpoint;
  return {
    partitions: chain.published.map((range) => ({
      range,
      dataBytes: 1,
      hasManifest: has(chain.sealed, range),
      manifest: has(chain.sealed, range) ? sealedPartition(range) : null,
    })),
    events: [...chain.events],
    checkpoint: last && { range: last, checksum: sealedPartition(last).data.checksum },
    rederived: [],
    memories: [],
    oldChain: null,
  };
}
