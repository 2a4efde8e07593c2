/**
 * Which moves there are in a state of the world. A *benign* move is what a healthy world does by itself; every other
 * one is a fault or somebody's wish. Deadlock and liveness are judged by benign moves alone, so that no state counts as
 * alive because a crash or a restart would help it out.
 */
import type { EffectName } from '../../machines/effects.ts';
import type { Fault } from './configurations.ts';
import { missingRows, undelivered, without } from './durable.ts';
import { factsOf } from './effects.ts';
import { contradictions, giveUp, rollBacks } from './evidence.ts';
import type { Slot, World } from './world.ts';

/** Who does what to whom, for a trace. */
export interface Label {
  readonly from: string;
  readonly to: string;
  readonly text: string;
}

/** Called with the world as it is after the move. */
export type Visit = (move: Move) => void;

export interface Move {
  readonly kind: string;
  readonly benign: boolean;
  /** Nonce of the process whose move it is; empty = the outside's. */
  readonly mover: string;
  readonly label: () => Label;
}

/** Timers of which a healthy world may not need one. */
const IMPATIENT = new Set([
  'stall.suspected',
  'stall.detected',
  'patience.exhausted',
  'hole.overdue',
  'crash.forgiven',
]);

export function isOver(world: World, copier: number): boolean {
  const status = world.snapshot(copier, 0)?.status;
  return status === 'done';
}

/** Whether the catalog or the endpoint has still to be told something: the next run does it. */
export const isAnythingPending = (world: World): boolean =>
  world.config.eras.some(({ spec }, era) => {
    const chain = world.chain(era);
    return missingRows(chain, spec).length > 0 || undelivered(chain, spec).length > 0;
  });

export const outcomeOf = (world: World, copier: number): string => world.output(copier)?.outcome ?? 'running';

/** Every move out of the row at `at`; the world is that row again before each. */
export function forEachMove(world: World, rows: Int32Array, at: number, visit: Visit): void {
  const { config, slots } = world;
  const name = (slot: number, copier: number): string =>
    `${(slots[slot] as Slot).actorId}${config.copiers > 1 ? ` of copier ${copier + 1}` : ''}`;
  const process = (copier: number): string => (config.copiers > 1 ? `copier ${copier + 1}` : 'process');

  let mover = '';

  /** Applies one move to a fresh copy of the state and shows it. */
  const make = (kind: string, benign: boolean, apply: () => void, label: () => Label): void => {
    world.load(rows, at);
    apply();
    if (world.problem === null) world.settle();
    visit({ kind, benign, mover, label });
  };
  const withFault = (fault: Fault, apply: () => void) => (): void => {
    world.spend(fault);
    apply();
  };

  for (let copier = 0; copier < config.copiers; copier++) {
    world.load(rows, at);
    mover = world.session(copier).nonce;
    const over = isOver(world, copier);
    const pending = world.pending(copier);
    const timers = world.timersOf(copier);
    const left = Object.fromEntries(world.faults.map((fault) => [fault, world.left(fault)])) as Record<Fault, number>;

    // 1. the head of a queue is delivered
    world.channelEnds.forEach(({ from, to }, channel) => {
      world.load(rows, at);
      const [head] = world.queue(copier, channel);
      if (head === undefined) return;
      make(
        'deliver',
        true,
        () => world.deliver(copier, to, world.shift(copier, channel)),
        () => ({ from: name(from, copier), to: name(to, copier), text: world.describe(head) }),
      );
    });

    // 2. effects
    let before = -1;
    for (const id of pending) {
      if (id === before) continue;
      before = id;
      const effect = world.effects.value(id);
      const model = world.model(effect);
      const who = name(effect.slot, copier);
      const on = rangeText(effect.input);
      const says = (text: string) => () => ({ from: who, to: 'the outside', text: `${effect.name}${on}: ${text}` });
      if (effect.outcome >= 0) {
        make(
          'answer',
          true,
          () => world.answer(copier, id),
          () => ({
            from: 'the outside',
            to: who,
            text: `${effect.name}${on} is answered: ${answerText(world, effect.outcome)}`,
          }),
        );
        continue;
      }
      const partName = model.kind === 'write' ? 'durable' : 'complete';
      make(
        partName,
        true,
        () => world.perform(copier, id, 'ok'),
        says(model.phases?.[effect.phase] ?? (model.kind === 'write' ? 'is durable' : 'done')),
      );
      if (!mayFail(config.faultsAt, effect.name)) continue;
      if (left.fail > 0)
        make(
          'fail',
          false,
          withFault('fail', () => world.fail(copier, id, 'passing')),
          says('fails'),
        );
      if (left.fatal > 0) {
        make(
          'fail for good',
          false,
          withFault('fatal', () => world.fail(copier, id, 'lasting')),
          says('fails for good'),
        );
      }
      if (left.held > 0 && model.held !== undefined) {
        make(
          'a reader holds the catalog',
          false,
          withFault('held', () => world.hold(copier, id)),
          says('is not written, because a reader holds the catalog'),
        );
      }
      if (left.lie > 0 && model.lies?.(config.conditional) === effect.phase) {
        make(
          'the answer was a lie',
          false,
          withFault('lie', () => world.lie(copier, id)),
          says('is answered with success, and nothing was done'),
        );
      }
      const canRepeat = model.kind === 'write' || effect.name === 'stagePartition';
      if (canRepeat && (left.lost > 0 || left.twice > 0)) {
        world.load(rows, at);
        if (!world.wouldEnd(copier, id)) continue;
        if (left.lost > 0) {
          make(
            'lose the answer',
            false,
            withFault('lost', () => world.perform(copier, id, 'lost')),
            says('it is durable, the answer is lost'),
          );
        }
        if (left.twice > 0) {
          make(
            'perform twice',
            false,
            withFault('twice', () => world.perform(copier, id, 'twice')),
            says('is performed twice'),
          );
        }
      }
    }

    // 3. timers
    before = -1;
    for (const id of timers) {
      if (id === before) continue;
      before = id;
      const timer = world.timers.value(id);
      const patient = !IMPATIENT.has(timer.name);
      const fault: Fault | null = patient ? null : 'timer';
      if (fault !== null && !(left.timer > 0)) continue;
      const apply = (): void => world.fire(copier, id);
      make(`timer ${timer.name}`, patient, fault === null ? apply : withFault(fault, apply), () => ({
        from: 'the clock',
        to: name(timer.slot, copier),
        text: timer.name,
      }));
    }

    // 4. an actor throws
    slots.forEach(({ machine }, slot) => {
      const fault: Fault | null =
        machine === 'worker' ? 'crash' : machine === 'sequencer' || machine === 'courier' ? 'crashOther' : null;
      if (fault === null || !(left[fault] > 0)) return;
      world.load(rows, at);
      if (!world.isAlive(copier, slot)) return;
      make(
        `crash ${machine}`,
        false,
        withFault(fault, () => world.crash(copier, slot)),
        () => ({
          from: name(slot, copier),
          to: name(slot, copier),
          text: 'throws',
        }),
      );
    });

    // 5. the process is killed and another one starts
    if (!over && left.restart > 0) {
      for (const writer of config.writers) {
        make(
          'restart',
          false,
          withFault('restart', () => {
            world.kill(copier);
            world.start(copier, writer);
          }),
          () => ({ from: process(copier), to: process(copier), text: `is killed; another starts (writer ${writer})` }),
        );
      }
    }

    // 6. a signal
    if (!over && left.drain > 0) {
      const message = world.messages.id({ type: 'drain.requested' });
      make(
        'signal',
        false,
        withFault('drain', () => world.deliver(copier, 0, message)),
        () => ({
          from: 'the operator',
          to: name(0, copier),
          text: 'drain.requested',
        }),
      );
    }

    // 7. what a process finds again is gone
    config.eras.forEach(({ spec }, era) => {
      world.load(rows, at);
      const host = world.host(copier, era);
      if (left.loseCheckpoint > 0 && host.checkpoint !== null) {
        make(
          'lose the checkpoint',
          false,
          withFault('loseCheckpoint', () => world.setHost(copier, era, { ...host, checkpoint: null, delivered: 0 })),
          () => ({
            from: 'the operator',
            to: process(copier),
            text: `the checkpoint of ${spec.eraId} is lost, and how far was delivered`,
          }),
        );
      }
      if (left.loseCopies > 0 && Object.keys(host.copies).length > 0) {
        make(
          'lose the copies',
          false,
          withFault('loseCopies', () => world.setHost(copier, era, { ...host, copies: {}, head: null })),
          () => ({ from: 'the operator', to: process(copier), text: `the backup folder of ${spec.eraId} is lost` }),
        );
      }
      if (left.loseLock > 0 && (host.lock !== null || host.journal.length > 0)) {
        make(
          'lose lock and journal',
          false,
          withFault('loseLock', () => world.setHost(copier, era, { ...host, lock: null, journal: [] })),
          () => ({
            from: 'the operator',
            to: process(copier),
            text: `lock and journal of ${spec.eraId} are lost`,
          }),
        );
      }
    });

    // 8. Bronze is not what it was, found by the next run; and what the operator does about it
    config.eras.forEach(({ spec }, era) => {
      world.load(rows, at);
      const chain = world.chain(era);
      const host = world.host(copier, era);
      const text = `of ${spec.eraId}`;
      if (left.rollback > 0) {
        for (const { what, chain: other } of rollBacks(chain)) {
          make(
            `rolled back: ${what}`,
            false,
            withFault('rollback', () => {
              world.setChain(era, other);
              // What was finished is not any more.
              world.again = 0;
              restart(world, copier);
            }),
            () => ({ from: 'somebody', to: 'the outside', text: `Bronze ${text}: ${what}; the copier is started` }),
          );
        }
      }
      if (!over || chain.cut === 0) return;
      const facts = factsOf(chain, host);
      const [first] = typeof facts === 'string' ? [] : contradictions(facts, spec);
      if (first === undefined) return;
      make(
        'give up',
        true,
        () => {
          const after = giveUp(chain, host, first.memory);
          world.setChain(era, after.chain);
          world.setHost(copier, era, after.host);
        },
        () => ({ from: 'the operator', to: process(copier), text: `gives ${first.memory.object} up: ${first.why}` }),
      );
    });

    // 9. the lake becomes another one, whoever reads it
    config.eras.forEach(({ spec }, era) => {
      world.load(rows, at);
      const chain = world.chain(era);
      if (!(left.reset > 0)) return;
      const { nonce } = world.session(copier);
      make(
        'the lake is reset',
        false,
        withFault('reset', () => world.setChain(era, { ...chain, reset: nonce })),
        () => ({ from: 'somebody', to: 'the outside', text: `the lake of ${spec.eraId} is that of another network` }),
      );
    });

    // 10. a run that is over and left something is started again; one that is done may be
    world.load(rows, at);
    if (over && config.copiers === 1) {
      const done = outcomeOf(world, copier) === 'done' && !isAnythingPending(world);
      if (!done && !config.staysFailed) {
        make(
          'start again',
          true,
          () => restart(world, copier),
          () => ({
            from: 'the operator',
            to: process(copier),
            text: 'starts it again',
          }),
        );
      } else if (config.again && world.again === 0 && world.lateRequests().length === 0) {
        make(
          'run again',
          false,
          () => {
            world.again = 1;
            restart(world, copier);
          },
          () => ({ from: 'the operator', to: process(copier), text: 'starts it again although it is done' }),
        );
      }
    }
  }

  // 11. the outside
  mover = '';
  world.load(rows, at);
  if (world.left('vanish') > 0) {
    config.eras.forEach((_, era) => {
      world.load(rows, at);
      const chain = world.chain(era);
      for (const handle of Object.keys(chain.staged)) {
        make(
          'staged data vanishes',
          false,
          () => {
            world.spend('vanish');
            world.setChain(era, { ...chain, staged: without(chain.staged, handle) });
          },
          () => ({
            from: 'somebody',
            to: 'the outside',
            text: `removes what was staged as ${handle} (${chain.staged[handle]?.label})`,
          }),
        );
      }
    });
  }
  world.load(rows, at);
  for (const id of world.lateRequests()) {
    const { name: effect, nonce, input } = world.late.value(id);
    mover = nonce;
    make(
      `late ${effect}`,
      false,
      () => world.land(id),
      () => ({
        from: 'the past',
        to: 'the outside',
        text: `the late ${effect}${rangeText(input)} of ${nonce || 'the dead'} lands`,
      }),
    );
  }
  mover = '';
  world.load(rows, at);
  const heads = Math.max(0, ...config.eras.map((era) => era.heads?.length ?? 0));
  if (world.head + 1 < heads) {
    make(
      'the lake grows',
      true,
      () => {
        world.head = world.head + 1;
      },
      () => ({ from: 'the lake', to: 'the outside', text: 'has more ledgers' }),
    );
  }
}

function restart(world: World, copier: number): void {
  const { writer } = world.session(copier);
  world.kill(copier);
  world.start(copier, writer);
}

const mayFail = (faultsAt: readonly EffectName[] | undefined, effect: EffectName): boolean =>
  faultsAt === undefined || faultsAt.includes(effect);

interface WithRange {
  readonly range?: { readonly start: number; readonly end: number };
}

function rangeText(input: unknown): string {
  const of = input as WithRange & { job?: WithRange; staged?: WithRange; sealed?: WithRange; published?: WithRange };
  const range = of.range ?? of.job?.range ?? of.staged?.range ?? of.sealed?.range ?? of.published?.range;
  return range ? ` ${range.start}-${range.end}` : '';
}

function answerText(world: World, message: number): string {
  const event = world.messages.value(message);
  return event.error instanceof Error ? event.error.message : 'done';
}
