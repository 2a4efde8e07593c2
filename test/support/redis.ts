/**
 * A real Redis for one test, on loopback, that the test may stop, empty and start again. Where there is no `redis-server`
 * suites are skipped by name; with CI=true that is a failure.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, describe, it } from 'vitest';
import { tempFolder } from './bronze.ts';

const isThere = spawnSync('redis-server', ['--version']).status === 0;

/** `describe` for suites that need Redis. */
export function describeRedis(name: string, body: () => void): void {
  const title = `redis: ${name}`;
  const absent = (): never => {
    throw new Error('there is no redis-server in PATH; Debian has it in the package redis-server');
  };
  if (isThere) describe(title, body);
  else if (process.env.CI === 'true') describe(title, () => it('has redis-server', absent));
  else describe.skip(title, () => it('needs redis-server', absent));
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

const started = new Set<ChildProcess>();

afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
});

export class TestRedis {
  readonly port: number;
  readonly #options: readonly string[];
  readonly #dir = tempFolder();
  #child: ChildProcess | null = null;

  private constructor(port: number, options: readonly string[]) {
    this.port = port;
    this.#options = options;
  }

  /** `options` as on the command line of redis-server: `['--maxmemory-policy', 'allkeys-lru']`. */
  static async start(...options: string[]): Promise<TestRedis> {
    const redis = await TestRedis.stopped(...options);
    await redis.start();
    return redis;
  }

  /** One that is not running yet. */
  static async stopped(...options: string[]): Promise<TestRedis> {
    return new TestRedis(await freePort(), options);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** It starts empty, unless its options make it keep what it had (`--appendonly yes`). */
  async start(): Promise<void> {
    const words = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    this.#child = spawn('redis-server', [...words, '--dir', this.#dir, ...this.#options], { stdio: 'ignore' });
    started.add(this.#child);
    for (;;) {
      const probe = new Redis({
        port: this.port,
        lazyConnect: true,
        enableReadyCheck: false,
        retryStrategy: () => null,
      });
      probe.on('error', () => undefined);
      try {
        await probe.connect();
        return;
      } catch {
        // Not yet.
      } finally {
        probe.disconnect();
      }
      await sleep(20);
    }
  }

  /** Any command: `CONFIG SET maxmemory 0`. */
  async command(name: string, ...args: string[]): Promise<unknown> {
    const client = new Redis({ port: this.port });
    client.on('error', () => undefined);
    try {
      return await client.call(name, ...args);
    } finally {
      client.disconnect();
    }
  }

  /** Loses what it kept on disk; while it is stopped. */
  lose(): void {
    rmSync(this.#dir, { recursive: true, force: true });
    mkdirSync(this.#dir);
  }

  /** As a power cut does: what it held in memory is gone. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    started.delete(child);
    this.#child = null;
  }
}
