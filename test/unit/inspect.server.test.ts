// The inspector over real sockets and files, of a machine in this process that can be made to say as much as one likes.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { assign, createActor, setup } from 'xstate';
import { type InspectOptions, openInspector } from '../../runtime/inspect/index.ts';
import type { Watcher } from '../../runtime/watcher.ts';
import { tempFolder } from '../support/bronze.ts';
import { Follower } from '../support/inspector.ts';

const throws = setup({}).createMachine({
  id: 'throws',
  on: {
    GO: {
      actions: () => {
        throw new Error('postgres://u:hunter2@db/: broken');
      },
    },
  },
});

const talker = setup({
  types: { context: {} as { n: number; said: readonly string[] } },
  actors: { throws },
  actions: {
    say: assign(({ context: { n } }) => ({
      n: n + 1,
      said: Array.from({ length: 14 }, () => `${n}`.padEnd(900, '.')),
    })),
  },
}).createMachine({
  id: 'talker',
  context: { n: 0, said: [] },
  invoke: { id: 'worker:one:1', src: 'throws', onError: {} },
  on: { SAY: { actions: 'say' } },
});

let watcher: Watcher | null = null;
afterEach(async () => {
  await watcher?.close();
  watcher = null;
});

async function open(options: Partial<InspectOptions> = {}) {
  const said: Record<string, unknown>[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void said.push(JSON.parse(line)) });
  const inspector = await openInspector({
    port: 0,
    logFile: null,
    hosted: 'https://stately.ai/inspect',
    ...options,
    log,
  });
  watcher = inspector;
  const actor = createActor(talker, { id: 'supervisor', inspect: inspector.inspect });
  actor.subscribe({ error: () => {} });
  return { inspector, actor, said, url: String(said.find(({ url }) => url)?.url) };
}

describe('a client that does not read', () => {
  it('is let go before much waits for it; who reads sees everything', async () => {
    const { actor, inspector, url, said } = await open();
    actor.start();
    const deaf = new Follower(url);
    await deaf.until(({ actors }) => actors.size > 1, 'it was shown the actors');
    deaf.socket.pause();
    const reader = new Follower(url);
    await reader.until(({ actors }) => actors.size > 1, 'it was shown the actors');
    // Of each actor one snapshot may wait to be made into a frame.
    const crowd = Array.from({ length: 1_500 }, (_, i) => {
      const one = createActor(talker, { id: `worker:one:${i + 2}`, parent: actor } as never);
      one.start();
      return one;
    });
    const before = process.memoryUsage().rss;
    // Some thirty megabytes, made at once because the run is over; the system's own buffers take up to ten.
    const more = Array.from({ length: 6 }, () => 'x'.repeat(900));
    for (const one of crowd) one.send({ type: 'SAY', more } as never);
    await inspector.close();
    watcher = null;
    expect(said.filter(({ msg }) => msg === 'a client does not read: it is disconnected')).toHaveLength(1);
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
    expect(await reader.closed).toBe(1001);
    for (const { id } of crowd) expect(reader.tree.named(id)?.snapshot.context?.n).toBe(1);
    deaf.socket.terminate();
  });
});

describe('an actor that crashes', () => {
  it('is shown as such, at once and to who comes later', async () => {
    const { actor, url } = await open();
    actor.start();
    const early = new Follower(url);
    await early.until(({ actors }) => actors.size === 2, 'it was shown the actors');
    actor.getSnapshot().children['worker:one:1']?.send({ type: 'GO' });
    await early.until((tree) => tree.named('worker:one:1')?.snapshot.status === 'error', 'it crashed');
    const late = new Follower(url);
    await late.until((tree) => tree.named('worker:one:1') !== undefined, 'it was shown');
    for (const follower of [early, late]) {
      expect(follower.tree.named('worker:one:1')?.snapshot).toMatchObject({
        status: 'error',
        error: { name: 'Error', message: expect.stringContaining('broken') },
      });
      expect(follower.texts.join('')).not.toContain('hunter2');
      follower.socket.terminate();
    }
  });
});

describe('the log', () => {
  it('goes on behind what stood there, and has every frame', async () => {
    const logFile = join(tempFolder(), 'frames.jsonl');
    writeFileSync(logFile, 'something old\n');
    const { actor, inspector, said } = await open({ port: null, logFile });
    expect(said).toEqual([]);
    actor.start();
    for (let i = 0; i < 3; i++) actor.send({ type: 'SAY' });
    await inspector.close();
    watcher = null;
    const [old, ...lines] = readFileSync(logFile, 'utf8').trimEnd().split('\n');
    expect(old).toBe('something old');
    const frames = lines.map((line) => JSON.parse(line));
    expect(frames.map(({ type }) => type).sort()).toEqual([
      ...Array(2).fill('@xstate.actor'),
      ...Array(5).fill('@xstate.event'),
      ...Array(5).fill('@xstate.snapshot'),
    ]);
    expect(frames.at(-1)).toMatchObject({ snapshot: { context: { n: 3 } } });
  });
});

describe('the end', () => {
  it('waits for the last frames to be taken, but not for who takes nothing', async () => {
    const { actor, inspector, url } = await open();
    actor.start();
    const reader = new Follower(url);
    await reader.until(({ actors }) => actors.size > 0, 'it was shown something');
    const stuck = new Follower(url);
    await stuck.until(({ actors }) => actors.size > 0, 'it was shown something');
    stuck.socket.pause();
    for (let i = 0; i < 500; i++) actor.send({ type: 'SAY' });
    const begun = performance.now();
    await inspector.close();
    watcher = null;
    expect(performance.now() - begun).toBeLessThan(5_000);
    expect(await reader.closed).toBe(1001);
    expect(reader.tree.named('supervisor')?.snapshot.context?.n).toBe(500);
    stuck.socket.terminate();
  });
});
