/**
 * The world as a row of numbers: snapshots of all actors, queues between them, pending effects, timers, late requests,
 * durable contents, what faults are left. `World` holds one row, changes it by what machines ask for, and can say what
 * every number stands for. Which moves there are is said in moves.ts.
 *
 * Reductions (switched off by `exact`; a test compares the ends that both reach):
 * - `era.progressed`, `worker.progressed`, `sequencer.progressed` change no snapshot and cause nothing but each other
 *   as long as the stall timer is not part of the configuration: they are left out. Every one left out is tried on its
 *   receiver first, and it is a fault of the model if that changes anything.
 * - `wait.declared`, `wait.ended`, `attempt.failed`, `era.counted` change only waits and counts, which no guard reads:
 *   at the head of their queue they are delivered at once.
 * - Effects named in `instant` depend on nothing that another move of that configuration changes, and are answered at
 *   once.
 */
import type { AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import { courierActorId, eraActorId, SUPERVISOR_ID, sequencerActorId } from '../../machines/actor-ids.ts';
import { courierMachine } from '../../machines/courier.ts';
import { workerIds } from '../../machines/dispatch.ts';
import type { EffectName } from '../../machines/effects.ts';
import { eraMachine } from '../../machines/era.ts';
import type { ErrorCode } from '../../machines/errors.ts';
import type { EraSpec } from '../../machines/protocol.ts';
import { sequencerMachine } from '../../machines/sequencer.ts';
import { type RunSummary, supervisorMachine } from '../../machines/supervisor.ts';
import { workerMachine } from '../../machines/worker.ts';
import type { Configuration, Fault } from './configurations.ts';
import { afterReset, type Chain, emptyChain, emptyHost, freshSession, type Host, type Session } from './durable.ts';
import {
  ASKS,
  COPIES,
  type EffectModel,
  type EffectModels,
  effectModels,
  errorOf,
  type Place,
  type Result,
} from './effects.ts';
import { Interner, Lists } from './intern.ts';
import { type MachineEvent, type MachineName, Stepper } from './stepper.ts';

export interface PendingEffect {
  readonly slot: number;
  /** The id under which the machine waits for it. */
  readonly id: string;
  readonly name: EffectName;
  readonly input: unknown;
  readonly phase: number;
  /** What an earlier phase has read. */
  readonly kept?: unknown;
  /** Message that will answer it: what it does is durable. -1 = not done. */
  readonly outcome: number;
}

interface Timer {
  readonly slot: number;
  readonly id: string;
  readonly name: string;
  readonly message: number;
}

/** A request under way of a process or an actor that is gone. */
export interface LateRequest {
  readonly copier: number;
  readonly era: number;
  readonly nonce: string;
  readonly starts: number;
  readonly writer: string;
  readonly name: EffectName;
  readonly input: unknown;
  readonly phase: number;
}

export interface Slot {
  readonly actorId: string;
  readonly machine: MachineName;
  /** Index of its era; -1 for the supervisor. */
  readonly era: number;
  readonly parent: number;
}

/** Not spawned, or stopped. */
const ABSENT = -1;
/** Threw; its parent does not know yet. */
const CRASHED = -2;

const LOGIC: Readonly<Record<MachineName, AnyStateMachine>> = {
  supervisor: supervisorMachine,
  era: eraMachine,
  sequencer: sequencerMachine,
  courier: courierMachine,
  worker: workerMachine,
};

const INERT = new Set(['era.progressed', 'worker.progressed', 'sequencer.progressed']);
const NOTICES = new Set(['wait.declared', 'wait.ended', 'attempt.failed', 'era.counted']);
/** Timers that may fire at any time in every configuration. */
const ALWAYS = new Set(['retryBackoff', 'pollInterval', 'courierPatience']);

export class World {
  readonly messages = new Interner<MachineEvent>();
  readonly lists = new Lists();
  readonly effects = new Interner<PendingEffect>();
  readonly timers = new Interner<Timer>();
  readonly late = new Interner<LateRequest>();
  readonly chains = new Interner<Chain>();
  readonly hosts = new Interner<Host>();
  readonly sessions = new Interner<Session>();
  readonly budgets = new Interner<readonly number[]>();
  readonly models: EffectModels;
  readonly slots: readonly Slot[];
  readonly steppers: readonly Stepper[];
  readonly faults: readonly Fault[];
  readonly width: number;
  /** The row that is worked on. */
  readonly row: Int32Array;
  /** Set where a step broke a rule that no later state would show. */
  problem: string | null = null;

  readonly #slotOf: ReadonlyMap<string, number>;
  /** Sender and receiver → place in a copier's part of the row. */
  readonly #channels = new Map<number, number>();
  readonly channelEnds: readonly { readonly from: number; readonly to: number }[];
  readonly #perCopier: number;
  readonly #chainsAt: number;
  readonly #hostsAt: number;
  readonly #lateAt: number;
  readonly #headsAt: number;
  readonly #budgetAt: number;
  readonly #againAt: number;
  readonly #memo = new Map<string, { result: Result; chain: number; host: number; session: Place['session'] }>();
  /** Numbers of objects that are themselves memoised: outputs of steps, ends of effects. */
  readonly #known = new Map<object, number>();
  readonly #failures = new Map<string, number>();
  readonly #variants = new Map<number, number>();
  readonly #timers: ReadonlySet<string>;
  readonly #instant: ReadonlySet<string>;

  readonly config: Configuration;

  constructor(config: Configuration) {
    this.config = config;
    this.models = { ...effectModels, ...config.models };
    this.#timers = new Set([...ALWAYS, ...(config.timers ?? [])]);
    this.#instant = new Set(config.exact ? [] : (config.instant ?? []));
    const slots: Slot[] = [{ actorId: SUPERVISOR_ID, machine: 'supervisor', era: -1, parent: -1 }];
    config.eras.forEach(({ spec }, era) => {
      const parent = slots.length;
      slots.push({ actorId: eraActorId(spec.eraId), machine: 'era', era, parent: 0 });
      slots.push({ actorId: sequencerActorId(spec.eraId), machine: 'sequencer', era, parent });
      slots.push({ actorId: courierActorId(spec.eraId), machine: 'courier', era, parent });
      for (const actorId of workerIds(spec)) slots.push({ actorId, machine: 'worker', era, parent });
    });
    this.slots = slots;
    this.#slotOf = new Map(slots.map(({ actorId }, slot) => [actorId, slot]));
    const logic = { ...LOGIC, ...config.logic };
    this.steppers = slots.map(({ actorId, machine }) => new Stepper(actorId, logic[machine], this.messages));
    const ends: { from: number; to: number }[] = [];
    slots.forEach(({ parent }, slot) => {
      if (parent >= 0) ends.push({ from: parent, to: slot }, { from: slot, to: parent });
    });
    this.channelEnds = ends;
    for (const [i, { from, to }] of ends.entries()) this.#channels.set(from * 100 + to, 1 + slots.length + i);
    // session, snapshots, queues, effects, timers
    this.#perCopier = 1 + slots.length + ends.length + 2;
    this.#chainsAt = config.copiers * this.#perCopier;
    this.#hostsAt = this.#chainsAt + config.eras.length;
    this.#lateAt = this.#hostsAt + config.eras.length * config.copiers;
    this.#headsAt = this.#lateAt + 1;
    this.#budgetAt = this.#headsAt + 1;
    this.#againAt = this.#budgetAt + 1;
    this.width = this.#againAt + 1;
    this.row = new Int32Array(this.width);
    this.faults = Object.keys(config.budget) as Fault[];
  }

  // ── the parts of the row ───────────────────────────────────────────────────────────────────────────────────────

  session(copier: number): Session {
    return this.sessions.value(this.row[copier * this.#perCopier] as number);
  }

  snapshotId(copier: number, slot: number): number {
    return this.row[copier * this.#perCopier + 1 + slot] as number;
  }

  /** Null where there is no such actor, or it crashed. */
  snapshot(copier: number, slot: number): AnyMachineSnapshot | null {
    const id = this.snapshotId(copier, slot);
    return id < 0 ? null : (this.steppers[slot] as Stepper).snapshot(id);
  }

  /** What the supervisor of a copier said at its end. */
  output(copier: number): RunSummary | undefined {
    return this.snapshot(copier, 0)?.output as RunSummary | undefined;
  }

  isAlive(copier: number, slot: number): boolean {
    return this.snapshot(copier, slot)?.status === 'active';
  }

  queue(copier: number, channel: number): readonly number[] {
    return this.lists.get(this.row[copier * this.#perCopier + 1 + this.slots.length + channel] as number);
  }

  pending(copier: number): readonly number[] {
    return this.lists.get(this.row[this.#effectsAt(copier)] as number);
  }

  timersOf(copier: number): readonly number[] {
    return this.lists.get(this.row[this.#effectsAt(copier) + 1] as number);
  }

  lateRequests(): readonly number[] {
    return this.lists.get(this.row[this.#lateAt] as number);
  }

  chainId(era: number): number {
    return this.row[this.#chainsAt + era] as number;
  }

  chain(era: number): Chain {
    return this.chains.value(this.chainId(era));
  }

  host(copier: number, era: number): Host {
    return this.hosts.value(this.row[this.#hostAt(copier, era)] as number);
  }

  hostId(copier: number, era: number): number {
    return this.row[this.#hostAt(copier, era)] as number;
  }

  get head(): number {
    return this.row[this.#headsAt] as number;
  }

  set head(index: number) {
    this.row[this.#headsAt] = index;
  }

  /** 1 once a finished world was started again. */
  get again(): number {
    return this.row[this.#againAt] as number;
  }

  set again(value: number) {
    this.row[this.#againAt] = value;
  }

  left(fault: Fault): number {
    const at = this.faults.indexOf(fault);
    return at < 0 ? 0 : (this.budgets.value(this.row[this.#budgetAt] as number)[at] as number);
  }

  /** What of a fault's budget was spent. */
  spent(fault: Fault): number {
    return (this.config.budget[fault] ?? 0) - this.left(fault);
  }

  spend(fault: Fault): void {
    const budget = [...this.budgets.value(this.row[this.#budgetAt] as number)];
    const at = this.faults.indexOf(fault);
    budget[at] = (budget[at] as number) - 1;
    this.row[this.#budgetAt] = this.budgets.id(budget, budget.join());
  }

  #effectsAt(copier: number): number {
    return (copier + 1) * this.#perCopier - 2;
  }

  #hostAt(copier: number, era: number): number {
    return this.#hostsAt + copier * this.config.eras.length + era;
  }

  setChain(era: number, chain: Chain): void {
    this.row[this.#chainsAt + era] = this.chains.id(chain);
  }

  setHost(copier: number, era: number, host: Host): void {
    this.row[this.#hostAt(copier, era)] = this.hosts.id(host);
  }

  #setSession(copier: number, session: Session): void {
    this.row[copier * this.#perCopier] = this.sessions.id(session);
  }

  load(rows: Int32Array, at: number): void {
    this.row.set(rows.subarray(at * this.width, (at + 1) * this.width));
    this.problem = null;
  }

  /** The era as this copier is configured. */
  spec(copier: number, era: number): EraSpec {
    const { spec } = this.config.eras[era] as Configuration['eras'][number];
    const end = this.config.ends?.[copier];
    return end === undefined ? spec : { ...spec, grid: { ...spec.grid, ledgerEnd: end } };
  }

  // ── processes ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** The first world: nothing durable but the configuration's estate, every copier started. */
  begin(): void {
    const { config, row } = this;
    row.fill(0);
    const budget = Object.values(config.budget);
    row[this.#budgetAt] = this.budgets.id(budget, budget.join());
    const estate = config.estate?.() ?? { chains: [], hosts: [] };
    config.eras.forEach((_, era) => {
      this.setChain(era, estate.chains[era] ?? emptyChain);
      for (let copier = 0; copier < config.copiers; copier++) this.setHost(copier, era, estate.hosts[era] ?? emptyHost);
    });
    for (let copier = 0; copier < config.copiers; copier++) {
      row[copier * this.#perCopier] = -1;
    }
    for (let copier = 0; copier < config.copiers; copier++) {
      this.start(copier, config.writers[copier % config.writers.length] as string);
    }
    this.settle();
  }

  /** A new process of a copier. Its nonce is the first one that the world does not know. */
  start(copier: number, writer: string): void {
    const { row } = this;
    const nonce = this.#freshNonce(copier);
    const base = copier * this.#perCopier;
    row.fill(ABSENT, base + 1, base + 1 + this.slots.length);
    row.fill(0, base + 1 + this.slots.length, base + this.#perCopier);
    const eras = Object.fromEntries(this.config.eras.map(({ spec }) => [spec.eraId, freshSession]));
    this.#setSession(copier, { nonce, writer, eras });
    this.#spawn(copier, 0, { eras: this.config.eras.map((_, era) => this.spec(copier, era)) });
  }

  /** The process is no more. What it had asked of the store may still land. */
  kill(copier: number): void {
    for (const id of this.pending(copier)) this.#leaveBehind(copier, this.effects.value(id));
    const base = copier * this.#perCopier;
    this.row.fill(ABSENT, base + 1, base + 1 + this.slots.length);
    this.row.fill(0, base + 1 + this.slots.length, base + this.#perCopier);
  }

  #freshNonce(copier: number): string {
    const taken = new Set<string>();
    this.config.eras.forEach((_, era) => {
      for (const { owner } of Object.values(this.chain(era).staged)) taken.add(owner);
      for (let c = 0; c < this.config.copiers; c++) {
        const { lock, journal } = this.host(c, era);
        if (lock !== null) taken.add(lock);
        for (const nonce of journal) taken.add(nonce);
      }
    });
    for (const id of this.lateRequests()) taken.add(this.late.value(id).nonce);
    for (let n = 1; ; n++) if (!taken.has(`${'pq'[copier]}${n}`)) return `${'pq'[copier]}${n}`;
  }

  // ── actors ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The actor throws: its parent finds out behind everything that it sent before. */
  crash(copier: number, slot: number): void {
    const { actorId, parent } = this.slots[slot] as Slot;
    // What it had started goes on: XState stops the children of a crashed actor no more than anybody else would.
    this.#silence(copier, slot, true);
    this.row[copier * this.#perCopier + 1 + slot] = CRASHED;
    const event = { type: `xstate.error.actor.${actorId}`, actorId, error: errorOf('INTERNAL') };
    this.#push(copier, slot, parent, this.messages.id(event));
  }

  deliver(copier: number, slot: number, message: number): void {
    if (!this.isAlive(copier, slot)) return;
    const stepper = this.steppers[slot] as Stepper;
    this.#absorb(copier, slot, stepper.step(this.snapshotId(copier, slot), message));
  }

  shift(copier: number, channel: number): number {
    const at = copier * this.#perCopier + 1 + this.slots.length + channel;
    const [first] = this.queue(copier, channel);
    this.row[at] = this.lists.shift(this.row[at] as number);
    return first as number;
  }

  #spawn(copier: number, slot: number, input: unknown): void {
    const stepper = this.steppers[slot] as Stepper;
    if (this.snapshotId(copier, slot) >= 0) this.#fault(`${stepper.actorId} is spawned while it is there`);
    const { machine, era } = this.slots[slot] as Slot;
    if (machine === 'era') {
      const session = this.session(copier);
      const { eraId } = (this.config.eras[era] as Configuration['eras'][number]).spec;
      const before = session.eras[eraId] ?? freshSession;
      const eras = { ...session.eras, [eraId]: { ...before, starts: before.starts + 1 } };
      this.#setSession(copier, { ...session, eras });
    }
    this.#absorb(copier, slot, stepper.init(input));
  }

  #absorb(copier: number, slot: number, step: ReturnType<Stepper['init']>): void {
    const { actorId } = this.slots[slot] as Slot;
    if (step.error !== null) {
      this.#fault(`${actorId} is wrong: ${step.error}`);
      return;
    }
    this.row[copier * this.#perCopier + 1 + slot] = step.snapshot;
    for (const output of step.outputs) {
      switch (output.kind) {
        case 'send':
          this.#send(copier, slot, output.to, output.message);
          break;
        case 'timer':
          if (this.#timers.has(output.name)) {
            const { id, name, message } = output;
            this.#timersAdd(
              copier,
              this.#once(output, () => this.timers.id({ slot, id, name, message })),
            );
          }
          break;
        case 'cancel':
          this.#timersRemove(copier, (timer) => timer.slot === slot && timer.id === output.id);
          break;
        case 'effect': {
          const { id, name, input } = output;
          this.#effectsAdd(
            copier,
            this.#once(output, () => this.effects.id({ slot, id, name, input, phase: 0, outcome: -1 })),
          );
          break;
        }
        case 'child':
          this.#spawn(copier, this.#slotOf.get(output.id) as number, output.input);
          break;
        case 'stop':
          this.#stop(copier, slot, output.id);
          break;
      }
    }
    if (this.isAlive(copier, slot)) return;
    this.#silence(copier, slot, false);
    if (slot === 0) this.#leave(copier);
  }

  /** The run is over: an era that was stopped in the middle has not given its lock back; the process does. */
  #leave(copier: number): void {
    const { nonce, eras } = this.session(copier);
    this.config.eras.forEach(({ spec }, era) => {
      if (!eras[spec.eraId]?.locked) return;
      const chain = this.chain(era);
      const staged = Object.entries(chain.staged).filter(([, { owner }]) => owner !== nonce);
      this.setChain(era, { ...chain, staged: Object.fromEntries(staged) });
      const host = this.host(copier, era);
      if (host.lock === nonce) this.setHost(copier, era, { ...host, lock: null });
    });
  }

  /** A child actor or an effect is stopped by the one who started it. */
  #stop(copier: number, slot: number, id: string): void {
    const child = this.#slotOf.get(id);
    if (child === undefined) {
      this.#effectsRemove(copier, (effect) => effect.slot === slot && effect.id === id, false);
      return;
    }
    this.#silence(copier, child, false);
    this.slots.forEach(({ parent, actorId }, other) => {
      if (parent === child && this.snapshotId(copier, other) !== ABSENT) this.#stop(copier, child, actorId);
    });
    this.row[copier * this.#perCopier + 1 + child] = ABSENT;
    // XState delivers at once: nothing of an actor is under way when another event makes its parent stop it.
    this.#clear(copier, child, (this.slots[child] as Slot).parent);
  }

  /** Effects, timers and mail of an actor that handles nothing any more. */
  #silence(copier: number, slot: number, crashed: boolean): void {
    this.#effectsRemove(copier, (effect) => effect.slot === slot, crashed);
    this.#timersRemove(copier, (timer) => timer.slot === slot);
    this.channelEnds.forEach(({ from, to }) => {
      if (to === slot) this.#clear(copier, from, to);
    });
  }

  #send(copier: number, from: number, toId: string, message: number): void {
    const to = this.#slotOf.get(toId);
    const { type } = this.messages.value(message);
    const sender = (this.slots[from] as Slot).actorId;
    if (to === undefined) {
      this.#fault(`${sender} sends ${type} to ${toId}, which does not exist`);
      return;
    }
    if (!this.isAlive(copier, to)) {
      // It is over and its last words are on their way to its parent: to XState there is no moment between the two.
      const { parent } = this.slots[to] as Slot;
      const parting = parent >= 0 && this.snapshotId(copier, to) !== ABSENT && this.#channel(copier, to, parent) !== 0;
      if (!parting) this.#fault(`${sender} sends ${type} to ${toId}, which is not there`);
      return;
    }
    if (INERT.has(type) && !this.#timers.has('stall.suspected') && !this.config.exact)
      this.#assertInert(copier, to, message);
    else this.#push(copier, from, to, message);
  }

  #assertInert(copier: number, slot: number, message: number): void {
    const stepper = this.steppers[slot] as Stepper;
    const before = this.snapshotId(copier, slot);
    const { snapshot, outputs, error } = stepper.step(before, message);
    const harmless = outputs.every(
      (output) =>
        output.kind === 'timer' ||
        output.kind === 'cancel' ||
        (output.kind === 'send' && INERT.has(this.messages.value(output.message).type)),
    );
    if (snapshot === before && error === null && harmless) return;
    this.#fault(`${this.messages.value(message).type} is not inert for ${stepper.actorId}: the model is wrong`);
  }

  #fault(what: string): void {
    this.problem ??= what;
  }

  // ── queues, effects, timers ────────────────────────────────────────────────────────────────────────────────────

  #channelAt(copier: number, from: number, to: number): number {
    const at = this.#channels.get(from * 100 + to);
    if (at === undefined) throw new Error(`no channel from ${from} to ${to}`);
    return copier * this.#perCopier + at;
  }

  #channel(copier: number, from: number, to: number): number {
    return this.row[this.#channelAt(copier, from, to)] as number;
  }

  #push(copier: number, from: number, to: number, message: number): void {
    const at = this.#channelAt(copier, from, to);
    this.row[at] = this.lists.push(this.row[at] as number, message);
  }

  #clear(copier: number, from: number, to: number): void {
    if (this.#channels.has(from * 100 + to)) this.row[this.#channelAt(copier, from, to)] = 0;
  }

  #once(object: object, make: () => number): number {
    let id = this.#known.get(object);
    if (id === undefined) {
      id = make();
      this.#known.set(object, id);
    }
    return id;
  }

  #effectsAdd(copier: number, effectId: number): void {
    const at = this.#effectsAt(copier);
    this.row[at] = this.lists.add(this.row[at] as number, effectId);
  }

  /** The same effect in another phase (`outcome` -1), or with its outcome. */
  #variant(effectId: number, phase: number, outcome: number): number {
    const key = (effectId * 8 + phase) * 0x100_0000 + outcome + 1;
    let id = this.#variants.get(key);
    if (id === undefined) {
      id = this.effects.id({ ...this.effects.value(effectId), phase, outcome });
      this.#variants.set(key, id);
    }
    return id;
  }

  /** The same effect in its next phase. */
  #next(effectId: number, then: Extract<Result['next'], { phase: number }>): number {
    const { phase, kept } = then;
    if (kept === undefined) return this.#variant(effectId, phase, -1);
    return this.#once(then, () => this.effects.id({ ...this.effects.value(effectId), phase, kept }));
  }

  #effectsRemove(copier: number, match: (effect: PendingEffect) => boolean, crashed: boolean): void {
    const at = this.#effectsAt(copier);
    for (const id of this.pending(copier)) {
      const effect = this.effects.value(id);
      if (!match(effect)) continue;
      this.row[at] = this.lists.remove(this.row[at] as number, id);
      const isWorkers = effect.name === 'buildPartition' || effect.name === 'stagePartition';
      // A build that is cancelled ends and removes what it wrote; one whose worker crashed goes on, and so does a remote one.
      if (!isWorkers || crashed || this.models[effect.name].outlives) this.#leaveBehind(copier, effect);
    }
  }

  /** A request that nobody waits for any more may land later. */
  #leaveBehind(copier: number, effect: PendingEffect): void {
    const { name, input, outcome } = effect;
    if (outcome >= 0 || !this.config.late?.includes(name) || this.models[name].late === null) return;
    const { era } = this.slots[effect.slot] as Slot;
    const { nonce, writer, eras } = this.session(copier);
    const session = eras[(this.config.eras[era] as Configuration['eras'][number]).spec.eraId] ?? freshSession;
    // A publication that only looks is no request that could land.
    if (name === 'publishPartition' && effect.phase < 2) return;
    // Nor is a question.
    if (effect.phase === ASKS) return;
    // Nor is a note in the state folder or a copy of an event, which end with their process.
    if (name === 'deliverPending' && effect.phase === 1) return;
    if (name === 'attestPartition' && effect.phase >= COPIES) return;
    const { isAnonymous } = this.models[name];
    const sender = isAnonymous ? { nonce: '', starts: 0, writer: '' } : { nonce, starts: session.starts, writer };
    // Who asked for it is gone.
    const { askedBy: _, ...asked } = input as { askedBy?: unknown };
    const request = this.late.id({ copier, era, ...sender, name, input: asked, phase: effect.phase });
    // Where a run is started again and again, such requests would pile up without end, and one does what all would.
    if (isAnonymous && this.lateRequests().includes(request)) return;
    this.row[this.#lateAt] = this.lists.add(this.row[this.#lateAt] as number, request);
  }

  dropLate(id: number): void {
    this.row[this.#lateAt] = this.lists.remove(this.row[this.#lateAt] as number, id);
  }

  #timersAdd(copier: number, timer: number): void {
    const at = this.#effectsAt(copier) + 1;
    this.row[at] = this.lists.add(this.row[at] as number, timer);
  }

  #timersRemove(copier: number, match: (timer: Timer) => boolean): void {
    const at = this.#effectsAt(copier) + 1;
    for (const id of this.timersOf(copier)) {
      if (match(this.timers.value(id))) this.row[at] = this.lists.remove(this.row[at] as number, id);
    }
  }

  fire(copier: number, timerId: number): void {
    const at = this.#effectsAt(copier) + 1;
    this.row[at] = this.lists.remove(this.row[at] as number, timerId);
    const { slot, message } = this.timers.value(timerId);
    this.deliver(copier, slot, message);
  }

  // ── effects ────────────────────────────────────────────────────────────────────────────────────────────────────

  model(effect: PendingEffect): EffectModel {
    return this.models[effect.name];
  }

  /** An effect does its next part. Where it is a write that ends, its answer is another move. */
  perform(copier: number, effectId: number, how: 'ok' | 'lost' | 'twice'): void {
    const effect = this.effects.value(effectId);
    const model = this.model(effect);
    let then = this.#advance(copier, effectId);
    if (how === 'twice') then = this.#advance(copier, effectId);
    this.#remove(copier, effectId);
    if ('phase' in then) {
      this.#effectsAdd(copier, this.#next(effectId, then));
      return;
    }
    const outcome = how === 'lost' ? this.#failure(effect, model.passing) : this.#answer(effectId, then);
    if (model.kind === 'read' || this.#instant.has(effect.name)) this.deliver(copier, effect.slot, outcome);
    else this.#effectsAdd(copier, this.#variant(effectId, effect.phase, outcome));
  }

  /** Whether an effect would end if it did its next part now. */
  wouldEnd(copier: number, effectId: number): boolean {
    const saved = this.row.slice();
    const then = this.#advance(copier, effectId);
    this.row.set(saved);
    return 'answer' in then;
  }

  #answer(effectId: number, then: Exclude<Result['next'], { phase: number }>): number {
    const effect = this.effects.value(effectId);
    const { id } = effect;
    if ('error' in then) return this.#failure(effect, then.error);
    // A result belongs to one effect: it is memoised with it.
    return this.#once(then, () =>
      this.messages.id({ type: `xstate.done.actor.${id}`, output: then.answer, actorId: id }),
    );
  }

  #failure({ id }: PendingEffect, code: ErrorCode): number {
    const key = `${id}/${code}`;
    let message = this.#failures.get(key);
    if (message === undefined) {
      message = this.messages.id({ type: `xstate.error.actor.${id}`, error: errorOf(code), actorId: id });
      this.#failures.set(key, message);
    }
    return message;
  }

  /** A reader holds the catalog: it is answered and has written nothing more. */
  hold(copier: number, effectId: number): void {
    const effect = this.effects.value(effectId);
    const { id, slot } = effect;
    this.#remove(copier, effectId);
    const event = { type: `xstate.done.actor.${id}`, output: this.model(effect).held, actorId: id };
    this.deliver(copier, slot, this.messages.id(event));
  }

  /** It fails before it did anything more. */
  fail(copier: number, effectId: number, error: 'passing' | 'lasting'): void {
    const effect = this.effects.value(effectId);
    this.#remove(copier, effectId);
    const outcome = this.#failure(effect, this.model(effect)[error]);
    this.deliver(copier, effect.slot, outcome);
  }

  /** Something answers that it is done, and has done nothing: what was to stand there is asked for. */
  lie(copier: number, effectId: number): void {
    this.#remove(copier, effectId);
    this.#effectsAdd(copier, this.#variant(effectId, ASKS, -1));
  }

  /** The answer of a write arrives. */
  answer(copier: number, effectId: number): void {
    const { slot, outcome } = this.effects.value(effectId);
    this.#remove(copier, effectId);
    this.deliver(copier, slot, outcome);
  }

  /** A late request lands. */
  land(lateId: number): void {
    const request = this.late.value(lateId);
    this.dropLate(lateId);
    const { copier, era, nonce, starts, writer, name, input, phase } = request;
    const session = { ...freshSession, terms: true, starts };
    const place = this.#place(copier, era, { nonce, writer, session, kept: undefined });
    const result = this.models[name].late?.(place, input, phase);
    if (result?.chain) this.setChain(era, result.chain);
    if (result?.host) this.setHost(copier, era, result.host);
  }

  #remove(copier: number, effectId: number): void {
    const at = this.#effectsAt(copier);
    this.row[at] = this.lists.remove(this.row[at] as number, effectId);
  }

  #place(copier: number, era: number, of: Pick<Place, 'nonce' | 'writer' | 'session' | 'kept'>): Place {
    const { spec, lake, lakeEnd, heads } = this.config.eras[era] as Configuration['eras'][number];
    return {
      ...of,
      spec,
      lake: this.chain(era).reset === null ? lake : afterReset(lake),
      lakeEnd: lakeEnd ?? Number.MAX_SAFE_INTEGER,
      head: heads?.[Math.min(this.head, heads.length - 1)] ?? { head: null, contiguousTo: 0, holeAt: null },
      conditional: this.config.conditional,
      copies: this.config.copies === true,
      neighbours: this.config.eras.flatMap((_, other) => (other === era ? [] : [this.chain(other)])),
      chain: this.chain(era),
      host: this.host(copier, era),
    };
  }

  #advance(copier: number, effectId: number): Result['next'] {
    const { name, input, slot, phase, kept } = this.effects.value(effectId);
    const { era } = this.slots[slot] as Slot;
    const { spec } = this.config.eras[era] as Configuration['eras'][number];
    const all = this.session(copier);
    const session = all.eras[spec.eraId] ?? freshSession;
    const others = name === 'checkNeighbours' ? this.config.eras.map((_, other) => this.chainId(other)).join() : '';
    const key = `${effectId}/${this.chainId(era)}/${this.hostId(copier, era)}/${this.row[copier * this.#perCopier]}/${this.head}/${others}`;
    let known = this.#memo.get(key);
    if (!known) {
      const place = this.#place(copier, era, { nonce: all.nonce, writer: all.writer, session, kept });
      const result = this.models[name].perform(place, input, phase);
      known = {
        result,
        chain: result.chain ? this.chains.id(result.chain) : -1,
        host: result.host ? this.hosts.id(result.host) : -1,
        session: result.session ?? session,
      };
      this.#memo.set(key, known);
    }
    const { result } = known;
    if (known.chain >= 0) this.row[this.#chainsAt + era] = known.chain;
    if (known.host >= 0) this.row[this.#hostAt(copier, era)] = known.host;
    if (result.session) {
      this.#setSession(copier, { ...all, eras: { ...all.eras, [spec.eraId]: known.session } });
    }
    if (result.fences !== undefined) this.#abortLate(era, result.fences);
    return result.next;
  }

  /** Late completions of a fenced key find nothing. */
  #abortLate(era: number, key: string): void {
    for (const id of this.lateRequests()) {
      const request = this.late.value(id);
      if (request.era === era && this.models[request.name].fencedBy?.(request.input, request.phase) === key) {
        this.dropLate(id);
      }
    }
  }

  /** Delivers and answers what no other move can make a difference to. */
  settle(): void {
    if (this.config.exact) return;
    for (let settled = false; !settled && this.problem === null; ) {
      settled = true;
      for (let copier = 0; copier < this.config.copiers; copier++) {
        this.channelEnds.forEach(({ to }, channel) => {
          const [head] = this.queue(copier, channel);
          if (head === undefined || !NOTICES.has(this.messages.value(head).type)) return;
          if (this.#timers.has('stall.suspected')) return;
          this.shift(copier, channel);
          this.deliver(copier, to, head);
          settled = false;
        });
        const instant = this.pending(copier).find((id) => this.#instant.has(this.effects.value(id).name));
        if (instant !== undefined) {
          this.perform(copier, instant, 'ok');
          settled = false;
        }
      }
    }
  }

  /** A word for a message, for traces. */
  describe(message: number): string {
    const event = this.messages.value(message);
    const { type } = event;
    const range = (event.range ??
      (event.job as { range?: unknown })?.range ??
      (event.staged as { range?: unknown })?.range ??
      (event.facts as { range?: unknown })?.range) as { start: number; end: number } | undefined;
    return range ? `${type} ${range.start}-${range.end}` : type;
  }
}
