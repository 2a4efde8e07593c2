// Metrics, health and readiness over HTTP of a real run: what they answer, where they listen, and that nobody who asks
// them can slow or stop the copy.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { namesIn, parquetHashes } from '../support/estate.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import type { Running, Scene, Settings } from '../support/program.ts';

const onLoopback: Settings = { metrics: { enabled: true, address: '127.0.0.1:0' } };
/** Follows the sample lake until it is told to end. */
const following = sampleEra({ ledger_end: 0 });

const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

/** Where a run listens, from its log. */
async function urlOf(running: Running): Promise<string> {
  await running.untilLogged((line) => line.component === 'metrics', 'it listened');
  return String(running.logs.find((line) => line.component === 'metrics')?.url);
}

async function get(url: string, path: string, method = 'GET') {
  const response = await fetch(`${url}${path}`, { method });
  return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() };
}

async function untilAnswer(url: string, path: string, holds: (answer: { status: number; text: string }) => boolean) {
  for (;;) {
    const answer = await get(url, path);
    if (holds(answer)) return answer;
    await sleep(20);
  }
}

/** A connection that says `words` and then nothing, and reads nothing. */
const silent = (url: string, words = ''): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket = createConnection({ host: hostname, port: Number(port) }, () => {
      socket.pause();
      if (words) socket.write(words);
      resolve(socket);
    });
    open.push(socket);
    socket.on('error', reject);
  });

const allFilesOf = (scene: Scene): string[] => [...namesIn(scene.data), ...namesIn(scene.state)];

describe('what is served', () => {
  it('metrics, health and readiness of an era that follows its lake', async () => {
    const scene = await sampleScene(following, onLoopback);
    const running = scene.start('run');
    const url = await urlOf(running);
    await running.untilLogged((line) => line.msg === 'partition committed' && line.ledger_start === 110, 'it is there');
    const { text, status, type } = await untilAnswer(url, '/metrics', (answer) =>
      /^bronze_copier_ledgers_processed_total\{[^}]*era_id="whole"[^}]*\} 118$/m.test(answer.text),
    );
    expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
    expect(text).toMatch(/^bronze_copier_last_ledger_sequence\{[^}]*network="sample"[^}]*version="v1"[^}]*\} 119$/m);
    expect(text).toMatch(/^process_resident_memory_bytes \d+/m);

    const health = await get(url, '/health');
    expect([health.status, health.type]).toEqual([200, 'application/json; charset=utf-8']);
    expect(JSON.parse(health.text)).toMatchObject({
      status: 'ok',
      last_committed_ledger: { whole: 119 },
      uptime_seconds: expect.any(Number),
    });
    const ready = await get(url, '/ready');
    expect([ready.status, JSON.parse(ready.text)]).toEqual([200, { ready: true, reason: null }]);

    expect((await get(url, '/health?verbose=1')).status).toBe(200);
    expect(await get(url, '/metrics', 'HEAD')).toMatchObject({ status: 200, text: '' });
    expect((await get(url, '/metrics', 'POST')).status).toBe(405);
    expect(await get(url, '/etc/passwd')).toMatchObject({
      status: 404,
      text: 'there are /metrics, /health and /ready\n',
    });
    running.kill('SIGTERM');
    expect((await running.done).code).toBe(0);
  });

  it('503 with the reason where an era has failed, while another one goes on', async () => {
    const scene = await sampleScene(
      [
        { ...sampleEra({ ledger_start: 2, ledger_end: 63 }), era_id: 'broken', protocol_min: 99 },
        { ...sampleEra({ ledger_start: 64, ledger_end: 0 }), era_id: 'sound' },
      ],
      onLoopback,
    );
    const running = scene.start('run');
    const url = await urlOf(running);
    const { text, status } = await untilAnswer(url, '/health', (answer) => answer.status !== 200);
    expect(status).toBe(503);
    expect(JSON.parse(text)).toMatchObject({ status: 'failed', eras: { sound: { reason: null } } });
    expect(JSON.parse(text).reason).toMatch(/^broken (?:is failing|failed): PROTOCOL_GUARD: /);
    await running.untilLogged((line) => line.msg === 'partition committed' && line.ledger_start === 110, 'it is there');
    running.kill('SIGTERM');
    expect((await running.done).code).toBe(1);
  });

  it('S36: not ready, with the reason, where an era refused to begin and another one goes on', async () => {
    const scene = await sampleScene(
      [
        { ...sampleEra({ ledger_start: 2, ledger_end: 63 }), era_id: 'bereft' },
        { ...sampleEra({ ledger_start: 64, ledger_end: 0 }), era_id: 'sound' },
      ],
      onLoopback,
    );
    expect((await scene.run({ args: ['--eras', 'bereft'] })).code).toBe(0);
    rmSync(join(scene.chain('sample', 'bereft'), '_audit'), { recursive: true });
    const running = scene.start('run');
    const url = await urlOf(running);
    await running.untilLogged((line) => line.msg === 'partition committed' && line.ledger_start === 110, 'it is there');
    for (const path of ['/ready', '/health']) {
      const { text, status } = await get(url, path);
      expect(status).toBe(503);
      expect(JSON.parse(text).reason).toContain('EVIDENCE_CONTRADICTS');
    }
    running.kill('SIGTERM');
    expect((await running.done).code).toBe(1);
  });

  it('another path for metrics, and a port from the environment', async () => {
    const scene = await sampleScene(following, { metrics: { enabled: true, address: '127.0.0.1:1', path: '/m' } });
    const running = scene.start('run', { env: { METRICS_PORT: '0' } });
    const url = await urlOf(running);
    expect(new URL(url).hostname).toBe('127.0.0.1');
    expect([(await get(url, '/m')).status, (await get(url, '/metrics')).status]).toEqual([200, 404]);
    running.kill('SIGTERM');
    await running.done;
  });

  it('on this machine only, where no address is configured', async () => {
    const scene = await sampleScene(following, { metrics: { enabled: true } });
    const running = scene.start('run', { env: { METRICS_PORT: '0' } });
    const url = await urlOf(running);
    await expect(silent(url.replace('127.0.0.1', '127.0.0.2'))).rejects.toThrow(/ECONNREFUSED/);
    running.kill('SIGTERM');
    await running.done;
  });
});

describe('what cannot be listened on is said before anything is touched', () => {
  const refused = async (address: string): Promise<string> => {
    const scene = await sampleScene(sampleEra(), { metrics: { enabled: true, address } });
    const { code, stderr } = await scene.run();
    expect(code, stderr).toBe(2);
    expect(allFilesOf(scene)).toEqual([]);
    return stderr;
  };

  it('a port that is taken', async () => {
    const taken = createServer();
    const port = await new Promise<number>((resolve) => {
      taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port));
    });
    const words = await refused(`127.0.0.1:${port}`);
    expect(words).toContain('LISTEN_FAILED');
    expect(words).toContain(`metrics (metrics.address): cannot listen on 127.0.0.1:${port}`);
    expect(words).toContain('another program, perhaps another copier, listens there');
    await new Promise((resolve) => taken.close(resolve));
  });

  it('what earlier runs wrote is still there, and no new file', async () => {
    const scene = await sampleScene(sampleEra(), { metrics: { enabled: true, address: '192.0.2.1:9090' } });
    const [kept, fresh] = [join(scene.root, 'kept'), join(scene.root, 'fresh')];
    writeFileSync(kept, 'kept');
    expect((await scene.run({ args: ['--summary', kept, '--inspect-log', kept] })).code).toBe(2);
    expect(readFileSync(kept, 'utf8')).toBe('kept');
    expect((await scene.run({ args: ['--summary', fresh] })).code).toBe(2);
    expect(existsSync(fresh)).toBe(false);
  });

  it('an address of another machine, and a name without an address', async () => {
    // RFC 5737: nobody's.
    expect(await refused('192.0.2.1:9090')).toMatch(/LISTEN_FAILED.*192\.0\.2\.1:9090(?:.|\n)*none of this machine/);
    expect(await refused('no-such-host.invalid:9090')).toMatch(/LISTEN_FAILED.*no-such-host\.invalid:9090/);
  });
});

describe('whoever asks, the copy goes on', () => {
  it('150 connections that say nothing, half a request, or do not read: the same bytes, and others are answered', async () => {
    const undisturbed = await sampleScene(sampleEra({ ledger_end: 119 }));
    expect((await undisturbed.run()).code).toBe(0);

    const scene = await sampleScene(following, onLoopback);
    const running = scene.start('run');
    const url = await urlOf(running);
    const words = [
      '',
      'GET /metrics HTTP/1.1\r\nHost: x\r\n',
      `${'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(200)}`,
    ];
    for (let n = 0; n < 150; n += 1) {
      // Beyond the limit they are closed at once.
      await silent(url, words[n % words.length]).catch(() => null);
    }
    await running.untilLogged((line) => line.msg === 'partition committed' && line.ledger_start === 110, 'it is there');
    // As soon as the patience with those is over.
    let answer: Awaited<ReturnType<typeof get>> | null = null;
    for (let tries = 0; answer === null && tries < 100; tries += 1) {
      answer = await get(url, '/health').catch(() => null);
      if (answer === null) await sleep(200);
    }
    expect(answer?.status).toBe(200);
    running.kill('SIGTERM');
    expect((await running.done).code).toBe(0);
    expect(parquetHashes(scene.bronze)).toEqual(parquetHashes(undisturbed.bronze));
  });

  it('ends at once although somebody holds a connection', async () => {
    const scene = await sampleScene(sampleEra(), onLoopback);
    const running = scene.start('run');
    await silent(await urlOf(running), 'GET /metrics HTTP/1.1\r\n');
    const { code, summary } = await running.done;
    expect([code, summary?.status]).toEqual([0, 'done']);
  });
});
