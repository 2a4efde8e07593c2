/** The inspector of the real program: what it shows, to whom, and that nobody who watches changes a run. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWebSocketReceiver, type StatelyInspectionEvent } from '@statelyai/inspect';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempFolder } from '../support/bronze.ts';
import { parquetHashes } from '../support/estate.ts';
import { FollowedTree, Follower, inspectorOf } from '../support/inspector.ts';
import { rewrite, sampleEra, sampleLake, sampleScene, takeOver } from '../support/lakes.ts';
import type { Running, Scene } from '../support/program.ts';

const ledgers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

const one = sampleEra({ era_id: 'one', ledger_end: 63 });
const two = sampleEra({ era_id: 'two', ledger_start: 64, ledger_end: 127 });

/** The first era ends by itself; the second follows a lake that ends at ledger 89, until it is given more or is told to end. */
async function following(more: Record<string, unknown> = {}) {
  const sample = await sampleLake();
  const scene = await sampleScene([one, { ...two, ledger_end: 0 }], { source: { poll_interval_ms: 500 }, ...more });
  const lake = join(scene.root, 'lake');
  mkdirSync(lake);
  cpSync(join(sample.path, '.config.json'), join(lake, '.config.json'));
  takeOver(sample.path, lake, ledgers(2, 89));
  scene.change({ source: { local_path: lake } });
  return { scene, lake, grow: (from: number, to: number) => takeOver(sample.path, lake, ledgers(from, to)) };
}

const isAtHead = (tree: FollowedTree): boolean =>
  JSON.stringify(tree.named('era:two')?.snapshot.value ?? null).includes('awaitingLedgers');

/** The last ones that are introduced to who comes late. */
const CHILDREN = ['one', 'two'].flatMap((era) => [`worker:${era}:1`, `worker:${era}:2`, `sequencer:${era}`]);

const isWaiting = (tree: FollowedTree): boolean =>
  tree.named('era:one')?.snapshot.status === 'done' && isAtHead(tree) && CHILDREN.every((name) => tree.named(name));

/** What a run leaves that nobody watched. */
let reference: Record<string, string> = {};

beforeAll(async () => {
  const scene = await sampleScene([one, two]);
  expect((await scene.run()).code).toBe(0);
  reference = parquetHashes(scene.bronze);
  expect(Object.keys(reference)).toHaveLength(14);
});

const get = (url: string, headers: Record<string, string> = {}, method = 'GET') =>
  new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((done, failed) => {
    request(url, { headers, method }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      answer.on('end', () => done({ status: answer.statusCode ?? 0, headers: answer.headers, body }));
    })
      .on('error', failed)
      .end();
  });

describe('a run of two eras', () => {
  let scene: Scene;
  let grow: (from: number, to: number) => void;
  let running: Running;
  let url: string;
  const log = join(tempFolder(), 'frames.jsonl');

  beforeAll(async () => {
    ({ scene, grow } = await following());
    running = scene.start('run', { args: ['--inspect=0', '--inspect-log', log] });
    url = await inspectorOf(running);
  });

  afterAll(async () => {
    running.kill('SIGKILL');
    await running.done;
  });

  it('is seen whole by who comes late: the tree, a finished era, one that waits', async () => {
    const follower = new Follower(url);
    await follower.until(isWaiting, 'the first era was done and the second at the head');
    const paths = follower.tree.paths();
    for (const era of ['one', 'two']) {
      expect(paths).toEqual(
        expect.arrayContaining([
          `supervisor/era:${era}`,
          `supervisor/era:${era}/worker:${era}:1`,
          `supervisor/era:${era}/worker:${era}:2`,
          `supervisor/era:${era}/sequencer:${era}`,
        ]),
      );
    }
    expect(paths.filter((path) => path.startsWith('?'))).toEqual([]);
    expect(follower.tree.named('supervisor')).toMatchObject({ machine: 'supervisor', snapshot: { value: 'running' } });
    expect(follower.tree.named('era:one')).toMatchObject({ machine: 'era', snapshot: { value: 'done' } });
    expect(follower.tree.named('era:two')?.snapshot.context).toMatchObject({ frontier: 90 });
    follower.socket.terminate();
  });

  it('goes on before the eyes of who is there: effects come and go, the next partition is committed', async () => {
    const follower = new Follower(url);
    await follower.until(isWaiting, 'it waited');
    grow(90, 99);
    await follower.until(
      (tree) => tree.named('era:two')?.snapshot.context?.frontier === 100,
      'ledger 99 was committed',
    );
    const events = follower.frames.flatMap((frame) => (frame.type === '@xstate.event' ? [frame.event] : []));
    const effects = follower.frames.flatMap((frame) => (frame.type === '@xstate.actor' ? [frame.name] : []));
    // A machine that is busy with something else has no time for all of them, but then it says so.
    if (!events.some(({ type }) => type === 'inspector.skipped')) {
      const types = ['partition.assigned', 'build.started', 'partition.staged', 'partition.committed'];
      expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(types));
      expect(effects).toEqual(
        expect.arrayContaining([expect.stringMatching(/building$/), expect.stringMatching(/publishing\.writing$/)]),
      );
    }
    expect(events.length + effects.length).toBeGreaterThan(10);
    expect(follower.tree.strays).toEqual([]);
    follower.socket.terminate();
  });

  it("is understood by Stately's own receiver", async () => {
    const receiver = createWebSocketReceiver({ server: url.replace(/^http/, 'ws') });
    const tree = new FollowedTree();
    const frames: StatelyInspectionEvent[] = [];
    await new Promise<void>((done) => {
      receiver.subscribe((frame) => {
        frames.push(frame);
        tree.take(frame);
        if (isWaiting(tree)) done();
      });
    });
    expect(new Set(frames.map(({ _version }) => _version))).toEqual(new Set(['0.7.2']));
    expect(tree.paths()).toContain('supervisor/era:two/sequencer:two');
  });

  it('comes back to who was cut off', async () => {
    for (let i = 0; i < 3; i++) {
      const follower = new Follower(url);
      await follower.until(isWaiting, 'it waited');
      expect(follower.tree.strays).toEqual([]);
      follower.socket.terminate();
    }
  });

  it('serves a page that needs nothing from outside', async () => {
    const page = await get(url);
    expect(page).toMatchObject({ status: 200, body: expect.stringContaining('/page.js') });
    expect(page.body).not.toMatch(/https?:\/\//);
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toMatch(/default-src 'none'.*script-src 'self'.*frame-src https:\/\/stately\.ai;/);
    const charts = JSON.parse((await get(`${url}charts.json`)).body);
    expect(charts).toMatchObject({ hosted: 'https://stately.ai/inspect', program: 'bronze-copier' });
    expect(Object.keys(charts.machines)).toEqual(['supervisor', 'era', 'worker', 'sequencer', 'courier']);
    expect(charts.machines.era).toMatch(/^stateDiagram-v2/);
    const mermaid = await get(`${url}mermaid.js`);
    expect(mermaid.body.length).toBeGreaterThan(2_000_000);
    for (const path of ['nothing', '..%2f..%2fpackage.json', 'page/html.js', '.env']) {
      expect((await get(`${url}${path}`)).status).toBe(404);
    }
    expect((await get(url, {}, 'POST')).status).toBe(405);
  });

  it('is shown to nobody else: another Host, another Origin', async () => {
    const { port } = new URL(url);
    expect((await get(url, { host: `localhost:${port}` })).status).toBe(200);
    for (const host of ['evil.example', `evil.example:${port}`, `127.0.0.1:${Number(port) + 1}`, '127.0.0.1']) {
      expect((await get(url, { host })).status).toBe(403);
    }
    expect((await get(`${url}charts.json`, { origin: 'https://evil.example' })).status).toBe(403);
    const answer = async (origin: string): Promise<string> => {
      const follower = new Follower(url, { origin });
      const refused = once(follower.socket, 'unexpected-response').then(([, { statusCode }]) => String(statusCode));
      const outcome = await Promise.race([refused, follower.until(isWaiting, 'it waited').then(() => 'shown')]);
      follower.socket.terminate();
      return outcome;
    };
    for (const origin of ['https://evil.example', 'null', `http://evil.example:${port}`, 'http://127.0.0.1:1']) {
      expect(await answer(origin)).toBe('403');
    }
    for (const origin of [`http://127.0.0.1:${port}`, `http://localhost:${port}`, `http://[::1]:${port}`]) {
      expect(await answer(origin)).toBe('shown');
    }
  });

  it('listens on the loopback interface only', () => {
    const { port } = new URL(url);
    const table =
      readFileSync(`/proc/${running.pid}/net/tcp`, 'utf8') + readFileSync(`/proc/${running.pid}/net/tcp6`, 'utf8');
    const hex = Number(port).toString(16).toUpperCase().padStart(4, '0');
    const listening = table.split('\n').filter((line) => new RegExp(`: [0-9A-F]+:${hex} [0-9A-F]+:0000 0A`).test(line));
    expect(listening.map((line) => line.trim().split(/\s+/)[1])).toEqual([`0100007F:${hex}`]);
  });

  it('ends in front of who is there, and the log has the same frames', async () => {
    const follower = new Follower(url);
    await follower.until(isWaiting, 'it waited');
    running.kill('SIGTERM');
    expect(await follower.closed).toBe(1001);
    const { code, logs } = await running.done;
    expect(code).toBe(0);
    expect(logs.filter(({ component, level }) => component === 'inspector' && level !== 'info')).toEqual([]);
    expect(follower.tree.named('supervisor')?.snapshot).toMatchObject({ status: 'done', value: 'stopped' });
    expect(follower.tree.named('era:two')?.snapshot).toMatchObject({ status: 'done', value: 'done' });
    const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1);
    const introduced = follower.frames.findIndex(({ type }) => type !== '@xstate.actor');
    const live = follower.texts.slice(introduced);
    expect(live.length).toBeGreaterThan(5);
    const seen = new Set(live);
    expect(lines.filter((line) => seen.has(line))).toEqual(live);
    expect(lines.at(-1)).toBe(live.at(-1));
    // From the first to the last: the log alone tells the whole run.
    const tree = new FollowedTree();
    for (const line of lines) tree.take(JSON.parse(line) as StatelyInspectionEvent);
    expect(tree.strays).toEqual([]);
    expect(tree.named('era:two')?.snapshot).toEqual(follower.tree.named('era:two')?.snapshot);
  });
});

describe('an era that fails', () => {
  it('is shown as failed to who comes afterwards, with the reason, and no secret in any frame', async () => {
    // Nobody is at that address: events stay undelivered, and messages name it.
    const endpoint = 'http://copier:hunter2@127.0.0.1:9/events?api_key=hunter2';
    const { scene, lake } = await following({ pas: { endpoint } });
    rewrite(lake, 42, (bytes) => {
      bytes[bytes.length - 40] = (bytes[bytes.length - 40] as number) ^ 1;
      return bytes;
    });
    const log = join(scene.root, 'frames.jsonl');
    const running = scene.start('run', { args: ['--inspect=0', '--inspect-log', log] });
    const url = await inspectorOf(running);
    await running.untilLogged(({ msg }) => msg === 'era failed', 'an era failed');
    const follower = new Follower(url);
    await follower.until(isAtHead, 'the other waited');
    const failed = follower.tree.named('era:one')?.snapshot;
    expect(failed).toMatchObject({
      status: 'done',
      value: 'failed',
      context: { failure: { code: expect.any(String) } },
    });
    expect(JSON.stringify(failed)).toContain('42');
    running.kill('SIGTERM');
    expect((await running.done).code).toBe(1);
    const text = readFileSync(log, 'utf8');
    expect(text).toContain('DELIVERY_FAILED');
    expect(text).not.toContain('hunter2');
    expect(follower.texts.join('')).not.toContain('hunter2');
  });
});

describe('who watches changes nothing', () => {
  it('clients that never read, are killed or come by the hundred: the result is that of a run alone', async () => {
    const scene = await sampleScene([one, two]);
    const running = scene.start('run', { args: ['--inspect=0'] });
    const { port } = new URL(await inspectorOf(running));
    const sockets: Socket[] = [];
    const upgrade = `GET / HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`;
    for (let i = 0; i < 100; i++) {
      const socket = connect(Number(port), '127.0.0.1').on('error', () => {});
      // Some ask and never read, some say nothing at all, some send what nobody understands.
      if (i % 3 === 0) socket.pause();
      if (i % 3 !== 1) socket.write(upgrade);
      if (i % 3 === 2) socket.write(Buffer.alloc(3_000, 0xff));
      sockets.push(socket);
    }
    const script = `const { WebSocket } = await import(${JSON.stringify(import.meta.resolve('ws'))}); new WebSocket('ws://127.0.0.1:${port}').on('message', () => process.kill(process.pid, 'SIGKILL'));`;
    const killed = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
    const { code, summary } = await running.done;
    expect(code).toBe(0);
    expect(summary?.status).toBe('done');
    expect(parquetHashes(scene.bronze)).toEqual(reference);
    for (const socket of sockets) socket.destroy();
    killed.kill('SIGKILL');
  });

  it('no more than twenty are shown anything at a time', async () => {
    const { scene } = await following();
    const running = scene.start('run', { args: ['--inspect=0'] });
    const url = await inspectorOf(running);
    const followers: Follower[] = [];
    for (let i = 0; i < 20; i++) followers.push(new Follower(url));
    await Promise.all(followers.map(({ socket }) => once(socket, 'open')));
    const [, { statusCode }] = (await once(new Follower(url).socket, 'unexpected-response')) as [
      unknown,
      { statusCode: number },
    ];
    expect(statusCode).toBe(503);
    followers[0]?.socket.terminate();
    await followers[0]?.closed;
    await sleep(50);
    const next = new Follower(url);
    await next.until(({ actors }) => actors.size > 0, 'the next one was shown something');
    running.kill('SIGTERM');
    expect((await running.done).code).toBe(0);
  });
});

describe('at the start', () => {
  const refused = async (scene: Scene, ...args: string[]) => {
    const outcome = await scene.run({ args });
    expect(outcome.code).toBe(2);
    expect(existsSync(scene.state)).toBe(false);
    expect(existsSync(scene.data)).toBe(false);
    return outcome.stderr;
  };

  it('a port that is taken is an error, unless nobody named it', async () => {
    const scene = await sampleScene([one]);
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    expect(await refused(scene, '--inspect', String(port))).toMatch(
      new RegExp(`LISTEN_FAILED.*inspector \\(--inspect\\).*127\\.0\\.0\\.1:${port}`, 's'),
    );
    holder.close();
    // It may be taken already, by whomever.
    const standard = createServer()
      .on('error', () => {})
      .listen(5150, '127.0.0.1');
    await Promise.race([once(standard, 'listening'), once(standard, 'error').catch(() => {}), sleep(200)]);
    const { code, logs } = await scene.run({ args: ['--inspect'] });
    expect(code).toBe(0);
    const url = logs.find(({ component }) => component === 'inspector')?.url;
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    expect(url).not.toContain(':5150/');
    standard.close();
  });

  it('a log that cannot be written is an error', async () => {
    const scene = await sampleScene([one]);
    expect(await refused(scene, '--inspect-log', join(scene.root, 'nowhere/frames'))).toMatch(/USAGE.*--inspect-log/s);
    expect(await refused(scene, '--inspect-log', scene.root)).toMatch(/USAGE.*it is no file/s);
    const pipe = join(scene.root, 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(await refused(scene, '--inspect-log', pipe)).toMatch(/USAGE.*it is no file/s);
  });
});

describe('the log', () => {
  it('on a full disk ends with one warning, and the run does not', async () => {
    const scene = await sampleScene([one, two]);
    const { code, logs } = await scene.run({ args: ['--inspect-log', '/dev/full'] });
    expect(code).toBe(0);
    expect(logs.filter(({ component }) => component === 'inspector')).toMatchObject([
      { level: 'warn', error: expect.stringContaining('ENOSPC') },
    ]);
    expect(parquetHashes(scene.bronze)).toEqual(reference);
  });
});

describe('off', () => {
  /** Writes the address of every module that is loaded to a file. */
  const listing = (): { env: Record<string, string>; loaded: () => string } => {
    const folder = tempFolder();
    const list = join(folder, 'loaded');
    const hooks = `import { appendFileSync } from 'node:fs'; export const load = (url, context, next) => { appendFileSync(${JSON.stringify(list)}, url + '\\n'); return next(url, context); };`;
    const main = join(folder, 'register.mjs');
    writeFileSync(join(folder, 'hooks.mjs'), hooks);
    writeFileSync(main, `import { register } from 'node:module'; register('./hooks.mjs', import.meta.url);`);
    return { env: { NODE_OPTIONS: `--import ${main}` }, loaded: () => readFileSync(list, 'utf8') };
  };
  const parts = /@statelyai|node_modules\/ws\/|mermaid|bin\/inspect-/;

  it('loads nothing of it', async () => {
    const scene = await sampleScene([one]);
    const [off, on] = [listing(), listing()];
    expect((await scene.run({ env: off.env })).code).toBe(0);
    expect(off.loaded()).toMatch(/bin\/run-eras-/);
    expect(off.loaded()).not.toMatch(parts);
    expect((await scene.run({ env: on.env, args: ['--inspect=0'] })).code).toBe(0);
    expect(on.loaded()).toMatch(/@statelyai\/inspect/);
    expect(on.loaded()).toMatch(/bin\/inspect-/);
    expect(on.loaded()).toMatch(/node_modules\/ws\//);
    expect(on.loaded()).not.toContain('mermaid');
  });
});
