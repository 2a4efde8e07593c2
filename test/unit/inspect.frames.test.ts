// Frames as Stately's inspector understands them, of real actors; and what becomes of them when there are too many.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatelyInspectionEvent } from '@statelyai/inspect';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type AnyActorLogic, assign, createActor, fromPromise, type InspectionEvent, setup } from 'xstate';
import { FRAME, Frames } from '../../runtime/inspect/frames.ts';
import { ActorTree } from '../../runtime/inspect/tree.ts';
import { FollowedTree } from '../support/inspector.ts';
import { describeShared, SHARED } from '../support/shared.ts';

/** The machine of the recorded frames. */
const batch = setup({
  types: { context: {} as { n: number } },
  actors: { work: fromPromise(async () => 42) },
}).createMachine({
  id: 'batch',
  initial: 'idle',
  context: { n: 0 },
  states: {
    idle: { on: { GO: 'copying' } },
    copying: {
      invoke: {
        id: 'w',
        src: 'work',
        onDone: { target: 'done', actions: assign({ n: ({ event }) => event.output as number }) },
      },
    },
    done: { type: 'final' },
  },
});

class Listener {
  readonly texts: string[] = [];
  readonly tree = new FollowedTree();
  present = 0;

  readonly sink = (text: string, isPresent: boolean): void => {
    this.texts.push(text);
    if (isPresent) this.present += 1;
    this.tree.take(JSON.parse(text) as StatelyInspectionEvent);
  };

  get frames(): StatelyInspectionEvent[] {
    return this.texts.map((text) => JSON.parse(text) as StatelyInspectionEvent);
  }
}

function watched(logic: AnyActorLogic, input?: unknown) {
  const tree = new ActorTree();
  const frames = new Frames(tree);
  const actor = createActor(logic, {
    input,
    inspect: (event: InspectionEvent) => {
      tree.note(event);
      frames.inspect(event);
    },
  });
  // A crash that a test wants is not to end the test.
  actor.subscribe({ error: () => {} });
  return { tree, frames, actor };
}

/** Type, session, event and names of the fields, in the order of arrival. */
const shape = (frame: StatelyInspectionEvent) => ({
  type: frame.type,
  session: frame.sessionId.replace(/\d+$/, (n) => (n === '0' ? '0' : '1')),
  event: 'event' in frame ? frame.event.type : null,
  keys: Object.keys(frame).sort(),
});

describeShared('beside the frames that were recorded', () => {
  const recorded = readFileSync(join(SHARED, 'facts/stately-inspect-frames.txt'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{"_version"'))
    .map((line) => JSON.parse(line) as StatelyInspectionEvent);

  it('have the same types, fields and definitions, in the same order', async () => {
    expect(recorded).toHaveLength(12);
    const { frames, actor } = watched(batch);
    const listener = new Listener();
    frames.listen(listener.sink);
    actor.start();
    actor.send({ type: 'GO' });
    await new Promise<void>((done) => actor.subscribe({ complete: done }));
    await frames.flush();
    const seen = listener.frames;
    const relative = (all: readonly StatelyInspectionEvent[]) => {
      const root = all[0]?.sessionId;
      return all.map((frame) => shape({ ...frame, sessionId: frame.sessionId === root ? 'x:0' : 'x:1' }));
    };
    expect(relative(seen)).toEqual(relative(recorded));
    const births = (all: readonly StatelyInspectionEvent[]) =>
      all.flatMap((frame) => (frame.type === '@xstate.actor' ? [[frame.name, frame._version, frame.definition]] : []));
    expect(births(seen)).toEqual(births(recorded));
    const states = (all: readonly StatelyInspectionEvent[]) =>
      all.flatMap((frame) => (frame.type === '@xstate.snapshot' ? [frame.snapshot] : []));
    expect(states(seen)).toEqual(states(recorded));
  });
});

const counter = setup({
  types: { context: {} as { n: number; more: unknown }, input: {} as { more?: unknown } },
  actions: { count: assign({ n: ({ context }) => context.n + 1 }) },
}).createMachine({
  id: 'counter',
  context: ({ input }) => ({ n: 0, more: input?.more ?? null }),
  on: { 'number.raised': { actions: 'count' } },
});

const last = (listener: Listener, name: string) => listener.tree.named(name)?.snapshot;

describe('who listens', () => {
  it('nobody: nothing is converted', async () => {
    let looked = 0;
    const more = {};
    Object.defineProperty(more, 'looked', { enumerable: true, get: () => ++looked });
    const { frames, actor } = watched(counter, { more });
    actor.start();
    actor.send({ type: 'number.raised' });
    await sleep(50);
    expect(looked).toBe(0);
    const listener = new Listener();
    frames.listen(listener.sink);
    await frames.flush();
    expect(looked).toBeGreaterThan(0);
    expect(last(listener, 'counter')?.context?.n).toBe(1);
  });

  it('comes late: what lives and machines that have ended, parents first, as they stand; ended effects not', async () => {
    const held = setup({
      actors: { batch, slow: fromPromise(() => new Promise(() => {})), quick: fromPromise(async () => 1) },
    }).createMachine({
      id: 'parent',
      invoke: [
        { id: 'child', src: 'batch' },
        { id: 'slow', src: 'slow' },
        { id: 'quick', src: 'quick', onDone: {} },
      ],
      on: { GO: { actions: ({ system }) => system.get('none')?.send({ type: 'GO' }) } },
    });
    const { frames, actor } = watched(held);
    actor.start();
    actor.getSnapshot().children.child.send({ type: 'GO' });
    await sleep(20);
    const listener = new Listener();
    frames.listen(listener.sink);
    await frames.flush();
    expect(listener.tree.paths()).toEqual(['parent', 'parent/child', 'parent/slow']);
    expect(listener.tree.named('child')?.snapshot).toMatchObject({ status: 'done', value: 'done', context: { n: 42 } });
    expect(listener.present).toBe(3);
    expect(listener.texts).toHaveLength(3);
    actor.stop();
  });

  it('the second one gets no event from before it came, and the first one no second introduction', async () => {
    const { frames, actor } = watched(counter);
    const [early, late] = [new Listener(), new Listener()];
    frames.listen(early.sink);
    actor.start();
    actor.send({ type: 'number.raised' });
    frames.listen(late.sink);
    actor.send({ type: 'number.raised' });
    await frames.flush();
    expect(early.frames.map(({ type }) => type.slice(8))).toEqual([
      'actor',
      ...Array(3).fill(['event', 'snapshot']).flat(),
    ]);
    expect(late.frames.map(({ type }) => type.slice(8))).toEqual(['actor', 'event', 'snapshot']);
    expect(late.frames[0]).toMatchObject({ snapshot: { context: { n: 1 } } });
    expect(late.texts.slice(1)).toEqual(early.texts.slice(-2));
  });

  it('leaves: gets nothing more, nor is anything kept for it', async () => {
    const { frames, actor } = watched(counter);
    const listener = new Listener();
    frames.listen(listener.sink);
    actor.start();
    frames.leave(listener.sink);
    actor.send({ type: 'number.raised' });
    await frames.flush();
    expect(listener.texts).toEqual([]);
  });
});

describe('the tree', () => {
  const parent = setup({}).createMachine({ id: 'parent' });

  it('keeps one machine of a name, however often it is replaced', async () => {
    const { tree, actor } = watched(parent);
    actor.start();
    for (let i = 0; i < 20; i++) {
      createActor(counter, { id: 'era:one', parent: actor, input: {} } as never).start();
    }
    expect(tree.present().map(({ ref }) => ref.id)).toEqual([actor.id, 'era:one']);
  });

  it('forgets effects that end, a thousand of them', async () => {
    const { tree, actor } = watched(parent);
    actor.start();
    for (let i = 0; i < 1_000; i++) {
      createActor(
        fromPromise(async () => i),
        { id: `effect${i}`, parent: actor } as never,
      ).start();
    }
    await sleep(10);
    expect(tree.present()).toHaveLength(1);
  });

  it('forgets effects that were stopped before they began', async () => {
    const { tree, actor } = watched(parent);
    actor.start();
    for (let i = 0; i < 1_000; i++)
      createActor(
        fromPromise(async () => i),
        { id: `effect${i}`, parent: actor } as never,
      );
    await sleep(10);
    expect(tree.size).toBeLessThan(600);
    expect(tree.present()).toHaveLength(1);
  });
});

describe('too much', () => {
  it('a flood ends in the true state; what was left out is counted', async () => {
    const { frames, actor } = watched(counter);
    const listener = new Listener();
    frames.listen(listener.sink);
    actor.start();
    for (let i = 0; i < 20_000; i++) actor.send({ type: 'number.raised' });
    await frames.flush();
    expect(last(listener, 'counter')?.context?.n).toBe(20_000);
    expect(listener.tree.strays).toEqual([]);
    expect(listener.texts.length).toBeLessThan(4_000);
    const skips = listener.frames.flatMap((frame) =>
      frame.type === '@xstate.event' && frame.event.type === 'inspector.skipped' ? [Number(frame.event.frames)] : [],
    );
    const sum = skips.reduce((all, n) => all + n, 0);
    // A birth, an init and twenty thousand events with their snapshots.
    expect(listener.texts.length - skips.length + sum).toBe(3 + 40_000);
  });

  it('of what comes and goes meanwhile nothing is shown that was not introduced', async () => {
    const { frames, actor, tree } = watched(counter);
    const listener = new Listener();
    frames.listen(listener.sink);
    actor.start();
    // Longer than anything is left waiting.
    const until = performance.now() + 3_000;
    let born = 0;
    while (performance.now() < until) {
      for (let i = 0; i < 100; i++) {
        const logic = fromPromise(async () => i);
        createActor(logic, { id: `effect${++born}`, parent: actor } as never).start();
        actor.send({ type: 'number.raised' });
      }
      await sleep(1);
    }
    await frames.flush();
    expect(born).toBeGreaterThan(2_000);
    expect(listener.tree.strays).toEqual([]);
    expect(listener.frames.some((frame) => 'event' in frame && frame.event.type === 'inspector.skipped')).toBe(true);
    const running = [...listener.tree.actors.values()].filter(({ snapshot }) => snapshot.status === 'active');
    expect(running.map(({ name }) => name)).toEqual(['counter']);
    expect(tree.present()).toHaveLength(1);
  });

  it('work for those who watch stays a small part of the time', () => {
    // Time passes where this test says so: a frame takes a while to be prepared, and again to be sent.
    const STEP_MS = 0.05;
    let now = 0;
    let worked = 0;
    const work = (): void => {
      worked += STEP_MS;
      now += STEP_MS;
    };
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    onTestFinished(() => {
      vi.useRealTimers();
      vi.restoreAllMocks();
    });
    const { frames, actor } = watched(counter);
    const listener = new Listener();
    frames.listen((text, isPresent) => {
      work();
      listener.sink(text, isPresent);
    });
    actor.start();
    const event = (): { type: 'number.raised' } =>
      Object.defineProperty({ type: 'number.raised' }, 'costs', { enumerable: true, get: work });
    for (let ms = 0; ms < 5_000; ms++) {
      for (let i = 0; i < 20; i++) actor.send(event());
      now += 1;
      vi.advanceTimersByTime(1);
    }
    expect(listener.texts.length).toBeGreaterThan(500);
    // What was saved before, a hundredth of the time, and one turn too much.
    expect(worked).toBeLessThan(50 + now / 100 + 3);
    expect(worked).toBeGreaterThan(now / 100);
  });

  it.each([
    ['long lists', Array.from({ length: 5_000 }, (_, i) => ({ range: { start: i, end: i + 1 } }))],
    ['long texts', Array.from({ length: 100 }, () => 'x'.repeat(100_000))],
    ['control characters', Array.from({ length: 100 }, () => '\u0001'.repeat(1_000))],
    ['other scripts', Array.from({ length: 100 }, () => '帳'.repeat(1_000))],
  ])('%s: no frame is larger than it may be', async (_, more) => {
    const { frames, actor } = watched(counter, { more });
    const listener = new Listener();
    frames.listen(listener.sink);
    actor.start();
    actor.send({ type: 'number.raised', more } as never);
    await frames.flush();
    const sizes = listener.texts.map((text) => Buffer.byteLength(text));
    expect(sizes).toHaveLength(5);
    // The definition, of some hundred bytes here, does not count.
    expect(Math.max(...sizes)).toBeLessThan(FRAME + 500);
  });
});
