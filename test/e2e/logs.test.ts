/**
 * The log of a run (contract, section 11): one correlation id follows a partition from its dispatch to its checkpoint
 * through retries and threads, at info a partition costs few lines, and as text it reads well.
 */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type AuditServer, startAuditServer } from '../support/audit-endpoint.ts';
import { said } from '../support/copier.ts';
import { copyOf, objectOf, SAMPLE_SOURCE, sampleEra, sampleLake, sampleScene, takeAway } from '../support/lakes.ts';
import { type LogLine, Scene, SIDE_BY_SIDE } from '../support/program.ts';

const endpoints: AuditServer[] = [];
afterAll(async () => {
  for (const server of endpoints) await server.stop();
});

const between = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);

/** What is told of a partition that needed no second attempt, at debug; queueing for a thread left out. */
const WAY = [
  'partition dispatched',
  'build started',
  'partition staged',
  'publishing',
  'sealing',
  'attesting',
  'checkpointing',
  'partition committed',
];

describe('a partition that is built several times', () => {
  it('keeps its correlation id on all its way, and nobody else has it', async () => {
    // At the head of a lake what cannot be read may be half written: it is tried again.
    const lake = copyOf((await sampleLake()).path);
    for (const ledger of between(40, 127)) takeAway(lake, ledger);
    const path = join(lake, objectOf(lake, 35));
    const whole = readFileSync(path);
    truncateSync(path, 0);
    const settings = {
      source: { ...SAMPLE_SOURCE, poll_interval_ms: 100 },
      logging: { level: 'debug' },
      ...SIDE_BY_SIDE,
    };
    const scene = new Scene(lake, sampleEra({ ledger_end: 0 }), settings);
    const running = scene.start('run');
    const failures = () => running.logs.filter(({ msg }) => msg === 'attempt failed');
    await running.until(() => failures().length >= 3, 'three attempts failed');
    writeFileSync(path, whole);
    await running.untilLogged(
      (line) => line.msg === 'partition committed' && line.ledger_start === 30,
      'the last commit',
    );
    running.kill('SIGTERM');
    const outcome = await running.done;
    expect(outcome.code, said(outcome)).toBe(0);

    const ofPartitions = outcome.logs.filter(({ ledger_start }) => ledger_start !== undefined);
    const ids = new Map<unknown, Set<number | undefined>>();
    for (const { correlation_id, ledger_start } of ofPartitions) {
      ids.set(correlation_id, (ids.get(correlation_id) ?? new Set()).add(ledger_start));
    }
    expect(ids.size).toBe(4);
    for (const [id, starts] of ids) expect([typeof id, starts.size]).toEqual(['string', 1]);

    const its = outcome.logs.filter(({ correlation_id }) => correlation_id === failures()[0]?.correlation_id);
    expect(its.every((line) => line.ledger_start === 30 && line.ledger_end === 39)).toBe(true);
    const events = its.map(({ msg }) => msg).filter((msg) => msg !== 'build queued' && !msg.startsWith('backing off'));
    const times = failures().length;
    expect(times).toBeGreaterThanOrEqual(3);
    expect(events).toEqual([
      ...['partition dispatched', 'build started'],
      ...Array.from({ length: times }, () => ['attempt failed', 'build started']).flat(),
      ...WAY.slice(2),
    ]);
    const failed = its.filter(({ msg }) => msg === 'attempt failed');
    expect(failed.map(({ attempt }) => attempt)).toEqual(between(1, times));
    for (const line of failed) {
      expect(line).toMatchObject({
        component: 'worker',
        worker_id: expect.stringMatching(/^[12]$/),
        duration_ms: expect.any(Number),
        error: expect.stringContaining('is empty'),
        code: 'OBJECT_EMPTY',
        // Thrown in a thread.
        trace: expect.stringMatching(/build-partition[^/]*\.js:\d+/),
      });
    }
    expect(its.find(({ msg }) => msg === 'partition staged')).toMatchObject({
      attempt: times + 1,
      worker_id: failed[0]?.worker_id,
    });
    expect(its.at(-1)).toMatchObject({
      attempt: times + 1,
      duration_ms: expect.any(Number),
      bytes: expect.any(Number),
    });

    // The others: every step once.
    const first = ofPartitions.filter(({ ledger_start }) => ledger_start === 10);
    expect(first.map(({ msg }) => msg).filter((msg) => msg !== 'build queued')).toEqual(WAY);
    for (const line of outcome.logs) {
      expect(line).toMatchObject({
        level: expect.any(String),
        component: expect.any(String),
        copier_id: 'copier-under-test',
      });
      expect(new Date(String(line.time)).toISOString()).toBe(line.time);
      if (line.component !== 'supervisor') {
        expect(line, line.msg).toMatchObject({ era_id: 'whole', network: 'sample', version_label: 'v1' });
      }
    }
  });
});

describe('at info', () => {
  /** Lines of each partition. */
  function perPartition(logs: readonly LogLine[]): number[] {
    const lines = new Map<number, number>();
    for (const { ledger_start } of logs) {
      if (ledger_start !== undefined) lines.set(ledger_start, (lines.get(ledger_start) ?? 0) + 1);
    }
    return [...lines.values()];
  }

  it('a partition costs no more than three lines, also where everybody is strict and the endpoint is unwell', async () => {
    const server = await startAuditServer();
    endpoints.push(server);
    server.behave = (_, n) => (n % 3 === 1 ? { kind: 'answer', status: 503 } : null);
    const scene = await sampleScene(sampleEra({ ledger_end: 59 }));
    const outcome = await scene.run({
      settings: {
        catalog: { backend: 'embedded', dir: join(scene.root, 'catalog'), strict: true },
        pas: { endpoint: server.url, strict: true },
      },
    });
    expect(outcome.code, said(outcome)).toBe(0);
    expect(perPartition(outcome.logs)).toHaveLength(6);
    expect(Math.max(...perPartition(outcome.logs))).toBeLessThanOrEqual(3);
    expect(outcome.logs.filter(({ msg }) => msg === 'a step failed')[0]).toMatchObject({
      level: 'warn',
      component: 'sequencer',
      step: 'delivering',
      correlation_id: expect.any(String),
      code: 'DELIVERY_FAILED',
    });
  });
});

describe('as text', () => {
  it('is one line a thing, with what to do below an error, and no JSON', async () => {
    const scene = await sampleScene(sampleEra({ ledger_end: 39 }), { logging: { format: 'text' } });
    const outcome = await scene.run();
    expect(outcome.code, said(outcome)).toBe(0);
    const lines = outcome.stdout.trimEnd().split('\n');
    const [time, amount] = ['\\d\\d:\\d\\d:\\d\\d', '\\d+(?:\\.\\d)? (?:m?s)'];
    const expected = [
      'info  run started, eras whole',
      'info  whole started, next ledger 2',
      ...['2..9', '10..19', '20..29', '30..39'].map(
        (range) => `info  whole ${range} committed in ${amount}, 0\\.0\\d MB`,
      ),
      'info  whole done, next ledger 40',
      `info  run ended in ${amount}, status done`,
    ];
    expect(lines).toHaveLength(expected.length);
    lines.forEach((line, n) => {
      expect(line).toMatch(new RegExp(`^${time} ${expected[n]}$`));
    });

    const lake = copyOf((await sampleLake()).path);
    takeAway(lake, 45);
    const failed = await scene.run({
      settings: { source: { local_path: lake }, eras: [sampleEra({ ledger_end: 49 })] },
    });
    expect(failed.code).toBe(1);
    expect(failed.stdout).toMatch(
      /\n[\d:]{8} error whole 40\.\.49 failed after [\d.]+ m?s: [^\n{]*45[^\n{]* \(LEDGER_MISSING\)\n {11}(?:object|what to do): /,
    );
    expect(failed.stdout).toMatch(/\n {11}see docs\/errors\.md, LEDGER_MISSING\n/);
    expect(failed.stdout).not.toContain('{"');
    expect(failed.stdout).not.toContain('\x1b');
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(100);
  });
});
