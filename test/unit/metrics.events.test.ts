// What the metrics make of the events between real machines, joined as the program joins them, over effects that only
// say what they would have done, and a clock that the test turns. What fails is in metrics.failures.test.ts.
import { describe, expect, it } from 'vitest';
import type { AttestedEvent, SealedPartition } from '../../machines/protocol.ts';
import { METRICS, PREFIX } from '../../runtime/metrics/definitions.ts';
import { MINUTE, SECOND, specOf } from '../support/fake-eras.ts';
import type { Scrape } from '../support/read-metrics.ts';
import { failing, Watched } from '../support/watched-world.ts';

const ERA = { era_id: 'era' };

describe('what is copied', () => {
  it('is counted when it is committed, with its size and how long it took', async () => {
    const { world, scrape } = await Watched.start([specOf('era', { workers: 1 })], {
      era: (_, usual, that) => ({
        buildPartition: async (input, tools) => {
          input.askedBy.send({ type: 'build.queued', ticket: input.job.ticket });
          await that.sleep(30 * SECOND);
          input.askedBy.send({ type: 'build.started', ticket: input.job.ticket });
          return usual.buildPartition(input, tools);
        },
        stagePartition: async ({ staged }) => {
          await that.sleep(2 * SECOND);
          return staged;
        },
        sealPartition: async (input, tools) => {
          await that.sleep(4 * SECOND);
          return usual.sealPartition(input, tools);
        },
      }),
    });
    const before = await scrape();
    for (const name of ['ledgers_processed', 'partitions_processed', 'pas_events_emitted', 'bronze_bytes']) {
      expect(before.value(`${name}_total`, ERA), name).toBe(0);
    }
    expect(before.value('last_commit_timestamp_seconds', ERA)).toBeNull();
    await world.pass(10 * MINUTE, SECOND);
    const after = await scrape();
    expect(after.value('ledgers_processed_total', ERA)).toBe(30);
    expect(after.value('partitions_processed_total', ERA)).toBe(3);
    expect(after.value('partitions_skipped_total', ERA)).toBe(0);
    expect(after.value('pas_events_emitted_total', ERA)).toBe(3);
    expect(after.value('bronze_bytes_total', ERA)).toBe(3);
    // Without the half minute that each waited for a thread.
    expect(after.value('partition_build_duration_seconds_sum', ERA)).toBe(3);
    expect(after.value('partition_upload_duration_seconds_sum', ERA)).toBe(6);
    expect(after.value('partition_commit_duration_seconds_sum', ERA)).toBe(12);
    for (const name of [
      'build_duration_seconds',
      'upload_duration_seconds',
      'commit_duration_seconds',
      'rows',
      'bytes',
    ]) {
      expect(after.value(`partition_${name}_count`, ERA), name).toBe(3);
    }
    expect(after.value('partition_rows_sum', ERA)).toBe(30);
    expect(after.value('last_commit_timestamp_seconds', ERA)).toBe(1_800_000_000 + 103);
  });

  it('shows while it is under way', async () => {
    const { world, scrape } = await Watched.start([specOf('era', { workers: 3 })], {
      era: (_, usual, that) => ({
        buildPartition: async (input, tools) => {
          if (input.job.range.start === 30) input.askedBy.send({ type: 'build.queued', ticket: input.job.ticket });
          else input.askedBy.send({ type: 'build.started', ticket: input.job.ticket });
          await that.sleep(input.job.range.start * SECOND);
          input.askedBy.send({ type: 'build.progressed', ticket: input.job.ticket, ledgers: 5, rawBytes: 1 });
          return usual.buildPartition(input, tools);
        },
        publishPartition: async (input, tools) => {
          await that.sleep(MINUTE);
          return usual.publishPartition(input, tools);
        },
      }),
    });
    await world.pass(9 * SECOND, SECOND);
    const building = await scrape();
    expect(building.states('worker', 'era')).toEqual({ building: 3 });
    expect(building.states('era', 'era')).toEqual({ copying: 1 });
    expect(building.states('supervisor')).toEqual({ running: 1 });
    const gauges = { active_workers: 3, in_flight_partitions: 3, sequencer_pending: 0, worker_queue_depth: 1 };
    for (const [name, value] of Object.entries(gauges)) expect(building.value(name, ERA), name).toBe(value);
    expect(building.value('last_ledger_sequence', ERA)).toBeNull();
    expect(building.value('ledgers_behind', ERA)).toBe(30);
    expect(building.value('era_first_ledger', ERA)).toBe(10);
    expect(building.value('era_last_ledger', ERA)).toBe(39);
    expect(building.value('ledgers_per_second', ERA)).toBe(0);
    await world.pass(31 * SECOND, SECOND);
    const staged = await scrape();
    expect(staged.states('worker', 'era')).toEqual({ idle: 3 });
    expect(staged.states('sequencer', 'era')).toEqual({ 'publishing.writing': 1 });
    expect(staged.value('sequencer_pending', ERA)).toBe(3);
    expect(staged.value('in_flight_partitions', ERA)).toBe(3);
    expect(staged.value('active_workers', ERA)).toBe(0);
    expect(staged.value('ledgers_per_second', ERA)).toBe(30 / 40);
    await world.pass(MINUTE, SECOND);
    const half = await scrape();
    expect(half.value('last_ledger_sequence', ERA)).toBe(19);
    expect(half.value('ledgers_behind', ERA)).toBe(20);
    await world.pass(5 * MINUTE, SECOND);
    const after = await scrape();
    expect(after.states('worker')).toEqual({});
    expect(after.states('era')).toEqual({ done: 1 });
    expect(after.states('supervisor')).toEqual({ done: 1 });
    expect(after.value('ledgers_behind', ERA)).toBe(0);
    expect(after.value('last_ledger_sequence', ERA)).toBe(39);
  });

  it('and what stood there already is counted apart, once', async () => {
    const durable = { sealed: [] as SealedPartition[], events: [] as AttestedEvent[] };
    const first = await Watched.start([specOf('era')]);
    await first.world.pass(MINUTE, SECOND);
    durable.sealed.push(...first.world.era('era').sealed);
    durable.events.push(...first.world.era('era').events);
    let crashes = 1;
    const { world, scrape } = await Watched.start([specOf('era', { grid: { ...specOf('era').grid, ledgerEnd: 59 } })], {
      era: (era, usual) => ({
        openChain: async () => {
          if (era.sealed.length === 0) era.sealed.push(...durable.sealed);
          if (era.events.length === 0) era.events.push(...durable.events);
          return { created: false };
        },
        // The sequencer throws, and a fresh era finds what this process has committed.
        attestPartition: async (input, tools) => {
          const answer = await usual.attestPartition(input, tools);
          return input.range.start === 50 && crashes-- > 0 ? (undefined as never) : answer;
        },
      }),
    });
    await world.pass(10 * SECOND, SECOND);
    const after = await scrape();
    expect(world.summary?.outcome).toBe('done');
    // Three from the run before; what was sealed when the era threw is found, and is none that was built to its end.
    expect(after.value('partitions_processed_total', ERA)).toBe(1);
    expect(after.value('partitions_skipped_total', ERA)).toBe(4);
    expect(after.states('era')).toEqual({ done: 1 });
    expect(after.states('sequencer')).toEqual({});
  });

  it('needs no more series for a thousand partitions than for three', async () => {
    const few = await Watched.start([specOf('era')]);
    await few.world.pass(MINUTE, SECOND);
    const many = await Watched.start([specOf('era', { grid: { ...specOf('era').grid, ledgerEnd: 10_009 } })]);
    const during: number[] = [];
    while (many.world.summary === null) {
      await many.world.pass(50 * SECOND, SECOND);
      during.push((await many.scrape()).series.size);
    }
    const after = await many.scrape();
    expect(after.value('partitions_processed_total', ERA)).toBe(1_000);
    expect([...after.series.keys()]).toEqual([...(await few.scrape()).series.keys()]);
    // The actors' states come and go: three kinds beside the era, in one state each at a time and per worker.
    expect(Math.max(...during)).toBeLessThan(after.series.size + 5);
  });
});

describe('an era that follows its lake', () => {
  const grid = { ...specOf('era').grid, ledgerEnd: null };

  it('says where the lake ends, how far behind it is, and that it waits', async () => {
    let head: number | null = null;
    const { world, scrape } = await Watched.start([specOf('era', { grid })], {
      era: () => ({ findHead: async () => ({ head, contiguousTo: head ?? 9, holeAt: null }) }),
    });
    await world.pass(10 * SECOND, SECOND);
    const empty = await scrape();
    expect(empty.value('lake_head_ledger', ERA)).toBeNull();
    expect(empty.value('ledgers_behind', ERA)).toBeNull();
    expect(empty.value('era_last_ledger', ERA)).toBeNull();
    expect(empty.value('era_waiting', ERA)).toBe(1);
    head = 33;
    await world.pass(5 * SECOND, SECOND);
    expect((await scrape()).value('era_waiting', ERA)).toBe(0);
    await world.pass(10 * SECOND, SECOND);
    const after = await scrape();
    expect(after.value('lake_head_ledger', ERA)).toBe(33);
    expect(after.value('last_ledger_sequence', ERA)).toBe(29);
    expect(after.value('ledgers_behind', ERA)).toBe(4);
    expect(after.value('era_waiting', ERA)).toBe(1);
    expect(after.states('era')).toEqual({ 'awaitingLedgers.sleeping': 1 });
    expect(after.value('lake_behind_ledgers', ERA)).toBe(0);
    head = 15;
    await world.pass(10 * SECOND, SECOND);
    const reset = await scrape();
    expect(reset.value('lake_behind_ledgers', ERA)).toBe(14);
    expect(reset.value('lake_head_ledger', ERA)).toBe(15);
    expect(reset.value('era_waiting', ERA)).toBe(1);
    expect(reset.states('era')).toEqual({ 'awaitingLedgers.lakeBehind': 1 });
  });

  it('says which ledger is missing, once everything before it is copied', async () => {
    let holeAt: number | null = null;
    const { world, scrape } = await Watched.start([specOf('era', { grid })], {
      era: () => ({ findHead: async () => ({ head: 60, contiguousTo: holeAt === null ? 29 : holeAt - 1, holeAt }) }),
    });
    await world.pass(30 * SECOND, SECOND);
    expect((await scrape()).value('lake_hole_ledger', ERA)).toBe(0);
    holeAt = 45;
    await world.pass(30 * SECOND, SECOND);
    const holed = await scrape();
    expect(holed.value('lake_hole_ledger', ERA)).toBe(45);
    expect(holed.value('last_ledger_sequence', ERA)).toBe(39);
  });

  it('asks for the head again after it could not be found', async () => {
    const fail = failing(2, 'SOURCE_READ');
    const { world, scrape } = await Watched.start([specOf('era', { grid })], {
      era: (_, usual, that) => ({
        findHead: async (input, tools) => {
          if (that.clock.now() > 0) fail();
          return usual.findHead(input, tools);
        },
      }),
    });
    await world.pass(MINUTE, SECOND);
    const after = await scrape();
    expect(after.value('source_errors_total')).toBe(2);
    expect(after.value('retry_attempts_total', { operation: 'findHead' })).toBe(2);
  });
});

describe('what others say', () => {
  it('of what is left, of health and of disks is asked at the scrape', async () => {
    const that = await Watched.start([specOf('era'), specOf('ill')]);
    that.unhealthy.add('ill');
    that.readings.set('era', { pendingRows: 7, undelivered: 0 });
    const scrape = await that.scrape();
    const value: Scrape['value'] = (...args) => scrape.value(...args);
    const all: Scrape['all'] = (...args) => scrape.all(...args);
    expect([value('era_healthy', ERA), value('era_healthy', { era_id: 'ill' })]).toEqual([1, 0]);
    expect([value('catalog_pending_rows', ERA), value('pas_undelivered_events', ERA)]).toEqual([7, 0]);
    expect(all('catalog_pending_rows', { era_id: 'ill' })).toEqual([]);
    expect(value('disk_size_bytes', { disk: 'bronze' })).toBeGreaterThan(
      value('disk_free_bytes', { disk: 'bronze' }) ?? 0,
    );
    // The folder of the state is not there yet.
    expect(all('disk_free_bytes', { disk: 'state' })).toEqual([]);
    that.readings.delete('era');
    expect((await that.scrape()).all('catalog_pending_rows')).toEqual([]);
  });

  it('is in the text with its meaning, and so is the process', async () => {
    const { metrics } = await Watched.start([specOf('era')]);
    const text = await metrics.text();
    for (const { name, kind, help } of METRICS) {
      expect(text).toContain(`# HELP ${PREFIX}${name} ${help}\n# TYPE ${PREFIX}${name} ${kind}\n`);
    }
    expect(text).toMatch(/^process_cpu_seconds_total \d/m);
    expect(text).toMatch(/^nodejs_heap_size_used_bytes \d/m);
    expect(metrics.contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
    await metrics.close();
    expect((await metrics.text()).trim()).toBe('');
  });

  it('from an actor that inspection shows wrongly is told once, and reaches no actor', async () => {
    const { metrics, problems } = await Watched.start([specOf('era')]);
    const nonsense = { type: '@xstate.event', actorRef: null, event: null } as never;
    expect(() => metrics.inspect(nonsense)).not.toThrow();
    metrics.inspect(nonsense);
    expect(problems).toHaveLength(1);
    problems.length = 0;
  });
});
