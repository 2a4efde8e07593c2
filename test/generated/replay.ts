/**
 * Replays a generated case against a real actor: XState's own simulated clock, effects that the case ends, stand-ins
 * for those whom the machine talks to. After every move the actor must be where the pure step says, with the same context,
 * must have asked for the same effects and sent the same messages in the same order.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  type AnyActorRef,
  type AnyStateMachine,
  createActor,
  fromPromise,
  fromTransition,
  SimulatedClock,
  setup,
  spawnChild,
} from 'xstate';
import type { EffectName } from '../../machines/effects.ts';
import { isChildMachine, type Loose, type Message } from '../support/stepper.ts';
import type { Case } from './generate.ts';
import type { Model, Move, Sent, Situation } from './stepper.ts';

interface Pending {
  readonly id: string;
  readonly name: EffectName;
  readonly input: unknown;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What the real actor did; one per case. */
class Recording {
  readonly pending: Pending[] = [];
  sent: Sent[] = [];
  failure: unknown = null;
}

let recording = new Recording();

/** Writes down what it is told, and throws when the case says so. */
const standIn = fromTransition((state: null, event: Message, { self }) => {
  if (event.type === 'crash') throw new Error(`${self.id} crashed`);
  if (!event.type.startsWith('xstate.')) recording.sent.push({ to: self.id, event });
  return state;
}, null);

const effectOf = (name: EffectName) =>
  fromPromise<unknown, unknown>(({ input, signal, self }) => {
    const of = recording;
    return new Promise((resolve, reject) => {
      const entry: Pending = { id: self.id, name, input, resolve, reject };
      of.pending.push(entry);
      signal.addEventListener('abort', () => void of.pending.splice(of.pending.indexOf(entry), 1));
    });
  });

/** The machine with controlled effects and stand-ins for its children. */
export function controlled(machine: AnyStateMachine): AnyStateMachine {
  const actors = Object.keys((machine as Loose).implementations.actors).map((name) => [
    name,
    isChildMachine(name) ? standIn : effectOf(name as EffectName),
  ]);
  return (machine as Loose).provide({ actors: Object.fromEntries(actors) });
}

/** Lets all promises that are settled be seen. */
async function settle(): Promise<void> {
  for (let i = 0; i < 6; i++) await null;
}

const host = (model: Model) =>
  setup({ actors: { subject: model.machine as Loose } }).createMachine({
    entry: spawnChild('subject', { id: model.id, input: ({ event }: Loose) => event.input } as Loose),
    on: {
      'xstate.error.actor.*': {
        actions: ({ event }: Loose) => {
          recording.failure = event.error;
        },
      },
    },
  } as Loose);

const hosts = new WeakMap<Model, ReturnType<typeof host>>();

/** Throws where the actor differs. */
export async function replay(model: Model, test: Case): Promise<void> {
  recording = new Recording();
  const of = recording;
  const clock = new SimulatedClock();
  const logic = hosts.get(model) ?? host(model);
  hosts.set(model, logic);
  const { parent } = model.input;
  const above = parent === undefined ? null : createActor(standIn, { id: (parent as AnyActorRef).id });
  above?.start();
  const root = createActor(logic, { clock, input: { ...model.input, ...(above && { parent: above }) } as Loose });
  root.start();
  const subject = root.getSnapshot().children[model.id] as AnyActorRef;
  try {
    await settle();
    for (const [n, expected] of test.expected.entries()) {
      const move = test.moves[n - 1];
      if (move) {
        of.sent = [];
        await act(subject, clock, of, move, expected);
      }
      compare(model, test, n, subject.getSnapshot(), of, expected);
    }
  } finally {
    root.stop();
    above?.stop();
  }
}

async function act(
  subject: AnyActorRef,
  clock: SimulatedClock,
  of: Recording,
  move: Move,
  expected: Situation,
): Promise<void> {
  clock.set(move.kind === 'wait' ? expected.now : clock.now() + 1);
  if (move.kind === 'send') subject.send(move.event as never);
  if (move.kind === 'crash') subject.getSnapshot().children[move.child]?.send({ type: 'crash' });
  if (move.kind === 'resolve' || move.kind === 'reject') {
    const at = of.pending.findIndex((entry) => entry.name === move.effect);
    const [entry] = of.pending.splice(at, at < 0 ? 0 : 1);
    if (!entry) throw new Error(`the actor did not ask for ${move.effect}`);
    if (move.kind === 'resolve') entry.resolve(move.output);
    else entry.reject(move.error);
  }
  await settle();
}

/** As JSON has it: an absent field and one that is undefined are the same. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, field) => (field instanceof Error ? { error: field.message } : field)) ?? 'null',
  );

function compare(model: Model, test: Case, n: number, actual: Loose, of: Recording, expected: Situation): void {
  const { snapshot } = expected;
  const seen = plain({
    status: actual.status,
    value: actual.value,
    context: actual.context,
    output: actual.output ?? null,
    effects: of.pending.map(({ id, name, input }) => ({ id, name, input })),
    sent: of.sent,
    failure: of.failure === null ? null : String(of.failure),
  });
  const wanted = plain({
    status: snapshot.status,
    value: snapshot.value,
    context: snapshot.context,
    output: snapshot.output ?? null,
    effects: expected.effects,
    sent: expected.sent,
    failure: null,
  });
  if (isDeepStrictEqual(seen, wanted)) return;
  const story = test.moves.slice(0, n).map((move, i) => `  ${i + 1}. ${move.type}`);
  throw new Error(
    [
      `${model.name} (${model.scenario}) is not where the model says after`,
      ...story,
      `model: ${JSON.stringify(wanted, null, 1)}`,
      `actor: ${JSON.stringify(seen, null, 1)}`,
    ].join('\n'),
  );
}
