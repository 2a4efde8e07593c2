/**
 * What the observer makes of events: a partition's lines across a restage, floods of failures, traces without secrets,
 * and the figures that a display shows of it; with a clock of the test's own.
 */
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { InspectionEvent } from 'xstate';
import { THREAD_WAIT } from '../../machines/dispatch.ts';
import { BronzeError, type Failure, toFailure } from '../../machines/errors.ts';
import type { EraSpec } from '../../machines/protocol.ts';
import { figuresOf, waitWords } from '../../runtime/figures.ts';
import { Observer } from '../../runtime/observer.ts';
import { allLines, eraLines } from '../../runtime/progress.ts';

const MINUTE = 60_000;

const specOf = (eraId: string, ledgerEnd: number | null = 1_001): EraSpec => ({
  eraId,
  network: 'testnet',
  versionLabel: 'v1',
  grid: { size: 100, origin: 2, ledgerStart: 2, ledgerEnd },
  stopAfter: null,
  once: false,
  workers: 8,
  queueSize: 16,
  retryAttempts: 3,
  retryBackoffMs: 10,
  respawnLimit: 5,
  attests: true,
  catalog: 'none',
  delivery: 'none',
  runId: 'r',
});

/** An observer that is told things, and what it logged. */
function watched(specs: readonly EraSpec[], level = 'info') {
  const lines: Record<string, unknown>[] = [];
  const clock = { now: 0 };
  const log = pino(
    { level, base: {}, formatters: { level: (label) => ({ level: label }) } },
    { write: (line) => void lines.push(JSON.parse(line)) },
  );
  const observer = new Observer(specs, log, () => clock.now);
  const tell = (id: string, event: object): void =>
    observer.inspect({ type: '@xstate.event', actorRef: { id }, event } as unknown as InspectionEvent);
  const snapshot = (id: string, value: unknown, context: object): void =>
    observer.inspect({
      type: '@xstate.snapshot',
      actorRef: { id },
      snapshot: { value, context },
    } as unknown as InspectionEvent);
  return { lines, clock, observer, tell, snapshot };
}

const rangeAt = (start: number) => ({ start, end: start + 99 });
const assigned = (start: number, ticket: number) => ({
  type: 'partition.assigned',
  job: { range: rangeAt(start), ticket, correlationId: `r-e-${start}`, patient: false },
});
const committed = (start: number, more: object = {}) => ({
  type: 'partition.committed',
  facts: { range: rangeAt(start), rows: 100, bronzeBytes: 5, rawBytes: 1e6, alreadyThere: false, ...more },
});
const read = (start: number, ledgers: number) => ({
  type: 'worker.progressed',
  workerId: 'worker:e:1',
  range: rangeAt(start),
  ledgers,
  rawBytes: ledgers * 1e4,
});
const busy: Failure = { code: 'SOURCE_READ', message: 'busy', retryable: true };

describe('log lines', () => {
  it('of a partition that has to be staged again carry one id and count attempts', () => {
    const { lines, tell, clock } = watched([specOf('e')], 'debug');
    tell('worker:e:1', assigned(2, 1));
    tell('worker:e:1', { type: 'build.started', ticket: 1 });
    clock.now = 500;
    const staged = { range: rangeAt(2), ticket: 1, data: { byteSize: 7 } };
    tell('era:e', { type: 'partition.staged', workerId: 'worker:e:1', staged });
    // Passed on to the sequencer: the same thing is not said twice.
    tell('sequencer:e', { type: 'partition.staged', staged });
    tell('era:e', { type: 'sequencer.progressed', step: 'publishing', range: rangeAt(2) });
    tell('era:e', { type: 'restage.requested', range: rangeAt(2) });
    tell('worker:e:4', assigned(2, 9));
    tell('worker:e:4', { type: 'build.queued', ticket: 9 });
    // Of the job that it had before.
    tell('worker:e:1', { type: 'build.started', ticket: 7 });
    clock.now = 1_500;
    tell('era:e', committed(2));
    expect(
      lines.map(({ level, msg, worker_id, attempt, duration_ms }) => [level, msg, worker_id, attempt, duration_ms]),
    ).toEqual([
      ['debug', 'partition dispatched', '1', 1, undefined],
      ['debug', 'build started', '1', 1, undefined],
      ['debug', 'partition staged', '1', 1, 500],
      ['debug', 'publishing', undefined, undefined, undefined],
      ['warn', 'what was staged has vanished: building it again', undefined, undefined, undefined],
      ['debug', 'partition dispatched', '4', 2, undefined],
      ['debug', 'build queued', '4', 2, undefined],
      ['info', 'partition committed', undefined, 2, 1_500],
    ]);
    for (const line of lines) {
      expect(line).toMatchObject({ era_id: 'e', network: 'testnet', version_label: 'v1' });
      expect(line).toMatchObject({ correlation_id: 'r-e-2', ledger_start: 2, ledger_end: 101 });
    }
  });

  it('name the ledger that is missing in a lake', () => {
    const { lines, tell, snapshot } = watched([specOf('e', null)]);
    snapshot('era:e', { awaitingLedgers: 'sleeping' }, { holeAt: 97, waits: {} });
    tell('era:e', { type: 'hole.overdue' });
    const msg = 'ledger 97 has been missing in the lake for more than ten minutes although later ones are there';
    expect(lines).toMatchObject([{ level: 'warn', component: 'era', ledger: 97, msg }]);
  });

  it('of a source that fails eight workers for an hour are few, and say how many were left out', () => {
    const { lines, tell, clock } = watched([specOf('e')]);
    let failures = 0;
    for (clock.now = 0; clock.now < 60 * MINUTE; clock.now += 1_000) {
      for (let n = 1; n <= 8; n++) {
        tell('era:e', { type: 'attempt.failed', workerId: `worker:e:${n}`, range: rangeAt(n * 100), failure: busy });
        failures += 1;
      }
    }
    const warned = lines.filter(({ level }) => level === 'warn');
    expect(warned.length).toBeGreaterThanOrEqual(10);
    expect(warned.length).toBeLessThanOrEqual(60);
    const leftOut = warned.reduce((sum, { left_out }) => sum + Number(left_out ?? 0), 0);
    expect(warned.length + leftOut).toBeGreaterThan(failures * 0.8);
    // Another failure is not drowned in them.
    tell('era:e', {
      type: 'attempt.failed',
      workerId: 'worker:e:1',
      range: rangeAt(2),
      failure: { ...busy, code: 'STORE_IO' },
    });
    expect(lines.at(-1)).toMatchObject({ level: 'warn', code: 'STORE_IO' });
    expect(lines.at(-1)).not.toHaveProperty('left_out');
  });

  it('of an endpoint that is down while partitions are committed are few', () => {
    const { lines, tell, clock } = watched([specOf('e')]);
    const error = new BronzeError('DELIVERY_FAILED', 'refused');
    for (let n = 0; n < 500; n++) {
      clock.now += 1_000;
      tell('era:e', committed(2 + 100 * n));
      tell('courier:e', { type: 'xstate.error.actor.0.courier.delivering', error });
    }
    const warned = lines.filter(({ level }) => level === 'warn');
    expect(warned).toHaveLength(10);
    expect(warned[0]).toMatchObject({ component: 'courier', step: 'delivering', code: 'DELIVERY_FAILED' });
  });

  it('tell where a bug was thrown, and no secret', () => {
    const { lines, tell } = watched([specOf('e')]);
    const cause = new Error('GET https://user:hunter2@host/?token=hunter2 failed');
    cause.stack = `${cause.stack} {\n  headers: { authorization: 'Bearer hunter2' }\n}`;
    const bug = Object.assign(new TypeError('no such thing', { cause }), {});
    tell('worker:e:1', assigned(2, 1));
    tell('worker:e:1', { type: 'xstate.error.actor.0.worker.building', error: bug });
    tell('era:e', {
      type: 'partition.failed',
      workerId: 'worker:e:1',
      ticket: 1,
      range: rangeAt(2),
      failure: toFailure(bug),
    });
    expect(lines.at(-1)).toMatchObject({ level: 'error', code: 'INTERNAL', correlation_id: 'r-e-2', worker_id: '1' });
    expect(String(lines.at(-1)?.trace)).toMatch(/^TypeError: no such thing\n +at .*\ncaused by Error: GET https/s);
    tell('era:e', {
      type: 'attempt.failed',
      workerId: 'worker:e:1',
      range: rangeAt(2),
      failure: { ...busy, message: cause.message },
    });
    expect(lines.at(-1)).toMatchObject({ msg: 'attempt failed' });
    // What may happen is no bug: its trace is for level debug.
    expect(lines.at(-1)).not.toHaveProperty('trace');
    expect(JSON.stringify(lines)).not.toContain('hunter2');
  });

  it('say once how an era ended, also where its actor had no chance to', () => {
    const { lines, snapshot, observer } = watched([specOf('e')]);
    const failure = { code: 'STALLED', message: 'stood still', retryable: false };
    const summary = { outcome: 'failed', nextLedger: 302, failure };
    for (let n = 0; n < 3; n++) snapshot('supervisor', 'running', { eras: { e: { summary } } });
    expect(lines.filter(({ msg }) => msg === 'era failed')).toHaveLength(1);
    expect(lines.at(-1)).toMatchObject({ level: 'error', era_id: 'e', next_ledger: 302, code: 'STALLED' });
    expect(observer.eras.get('e')).toMatchObject({ outcome: 'failed', nextLedger: 302, endedAt: 0 });
  });
});

describe('the figures', () => {
  it('are those of the last minute, and count what is read and not yet committed', () => {
    const spec = specOf('e');
    const { tell, clock, observer, snapshot } = watched([spec]);
    const era = observer.eras.get('e');
    if (!era) throw new Error('no era');
    // An earlier run came to 201.
    snapshot('era:e', 'copying', { frontier: 202, waits: {}, spec });
    expect(figuresOf(spec, era, 0)).toEqual({
      committed: 200,
      of: 1_000,
      left: 800,
      ledgersPerSecond: 0,
      mbPerSecond: 0,
      etaSeconds: null,
    });
    tell('worker:e:1', assigned(202, 1));
    clock.now = 10_000;
    tell('era:e', read(202, 50));
    expect(figuresOf(spec, era, clock.now)).toMatchObject({
      committed: 200,
      left: 750,
      ledgersPerSecond: 5,
      etaSeconds: 150,
    });
    expect(figuresOf(spec, era, clock.now).mbPerSecond).toBeCloseTo(0.05, 9);
    // A failed attempt takes back what it had.
    tell('era:e', { type: 'attempt.failed', workerId: 'worker:e:1', range: rangeAt(202), failure: busy });
    expect(figuresOf(spec, era, clock.now)).toMatchObject({ left: 800, ledgersPerSecond: 0, etaSeconds: null });
    clock.now = 20_000;
    tell('era:e', read(202, 100));
    tell('era:e', committed(202));
    expect(era).toMatchObject({ ledgers: 100, partitions: 1, retries: 1, underWay: 0 });
    expect(figuresOf(spec, era, clock.now)).toMatchObject({
      committed: 300,
      left: 700,
      ledgersPerSecond: 5,
      etaSeconds: 140,
    });
    // An hour later that says nothing of now.
    expect(figuresOf(spec, era, 60 * MINUTE)).toMatchObject({ ledgersPerSecond: 0, mbPerSecond: 0, etaSeconds: null });
  });

  it('of an era that follows its lake tell how far it is behind', () => {
    const spec = specOf('e', null);
    const { observer, snapshot } = watched([spec]);
    const era = observer.eras.get('e');
    if (!era) throw new Error('no era');
    expect(figuresOf(spec, era, 0)).toMatchObject({ of: null, left: null, etaSeconds: null });
    snapshot(
      'era:e',
      { awaitingLedgers: 'sleeping' },
      { frontier: 102, available: 151, waits: { era: 'waiting for ledgers' }, spec },
    );
    expect(figuresOf(spec, era, 0)).toMatchObject({ committed: 100, of: null, left: 50 });
    expect(eraLines(spec, era, 0, 200).map(({ text }) => text)).toEqual([
      'e  following  ledger 101  50 behind  time left unknown  0.0 MB/s  0 ledgers/s  0 partitions',
      '   waiting for ledgers',
    ]);
  });

  it('say in words what is waited for; that builds queue behind others is no wait', () => {
    const spec = specOf('e');
    const { observer, tell, snapshot } = watched([spec]);
    const era = observer.eras.get('e');
    if (!era) throw new Error('no era');
    const waiting = (waits: Record<string, string>): string => {
      snapshot('era:e', 'copying', { frontier: 2, waits, spec });
      return waitWords(era);
    };
    expect(waiting({})).toBe('');
    expect(
      waiting({ 'worker:e:1': 'backing off after SOURCE_READ', 'worker:e:2': 'backing off after SOURCE_READ' }),
    ).toBe('backing off: an object of the lake could not be read (2 times)');
    expect(waiting({ 'sequencer:e': 'waiting for the catalog after CATALOG_UNAVAILABLE' })).toBe(
      'waiting for the catalog: the catalog cannot be reached or does not answer',
    );
    tell('worker:e:1', assigned(2, 1));
    tell('worker:e:2', assigned(102, 2));
    expect(waiting({ 'worker:e:2': 'waiting for a thread' })).toBe('');
    expect(waiting({ 'worker:e:1': 'waiting for a thread', 'worker:e:2': 'waiting for a thread' })).toBe(
      'waiting for a thread (2 times)',
    );
  });
});

describe('many eras on a small terminal', () => {
  const specs = Array.from({ length: 12 }, (_, n) => specOf(`era_${n}`));
  const { observer, snapshot } = watched(specs);
  const eras = specs.map((spec) => [spec, observer.eras.get(spec.eraId)] as const) as Parameters<typeof allLines>[0];
  for (const n of [0, 1, 2]) {
    const failure = n === 2 ? busy : null;
    const summary = { outcome: failure ? 'failed' : 'done', nextLedger: 1_002, failure };
    snapshot('supervisor', 'running', { eras: { [`era_${n}`]: { summary } } });
  }

  it('have never more lines than there is room for, failed ones first', () => {
    for (let rows = 1; rows < 30; rows++)
      expect(allLines(eras, 0, { columns: 80, rows }).length, `${rows}`).toBeLessThanOrEqual(rows);
    const five = allLines(eras, 0, { columns: 80, rows: 5 }).map(({ text }) => text);
    expect(five[0]).toMatch(/^era_2 {3}failed /);
    expect(five.at(-1)).toBe('and 8 more eras: 2 done, 6 starting');
    expect(allLines(eras, 0, { columns: 80, rows: 13 })).toHaveLength(13);
    expect(allLines(eras, 0, { columns: 80, rows: 12 })).toHaveLength(12);
  });

  it('are as wide as the terminal at the most, and leave out whole figures', () => {
    for (const columns of [30, 40, 60, 80, 100]) {
      for (const [spec, era] of eras) {
        const [{ text } = { text: '' }] = eraLines(spec, era, 0, columns, 6);
        expect(text.length).toBeLessThanOrEqual(columns);
        expect(text).toMatch(/(?:starting|done|failed) *$|%$|ledgers$|partitions$/);
      }
    }
  });
});

it('S20: what is waited is for something outside: builds that queue for threads wait for nobody', () => {
  const { observer, snapshot, clock } = watched([specOf('e')], 'debug');
  const waits = (now: number, of: Record<string, string>) => {
    clock.now = now;
    snapshot('era:e', 'copying', { waits: of });
  };
  waits(0, { 'worker:e:1': THREAD_WAIT });
  waits(5_000, { 'worker:e:1': THREAD_WAIT, 'worker:e:2': 'backing off after SOURCE_READ' });
  waits(6_000, { 'worker:e:1': THREAD_WAIT });
  waits(9_000, {});
  expect(observer.eras.get('e')?.waitedMs).toBe(1_000);
});
