// What the metrics make of the events between real machines, joined as the program joins them, over effects that only
// say what they would have done, and a clock that the test turns.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BronzeError, type ErrorCode } from '../../machines/errors.ts';
import type { AttestedEvent, EraSpec, SealedPartition } from '../../machines/protocol.ts';
import { METRICS, PREFIX } from '../../runtime/metrics/definitions.ts';
import { type Metrics, openMetrics } from '../../runtime/metrics/metrics.ts';
import type { Readings } from '../../runtime/session.ts';
import { tempFolder } from '../support/bronze.ts';
import { FakeWorld, MINUTE, never, type Override, SECOND, STALL_TIMEOUT, specOf } from '../support/fake-eras.ts';
import { attestedEvent, noFacts } from '../support/pure-values.ts';
import { Scrape } from '../support/read-metrics.ts';

/** A world whose metrics are read. */
class Watched {
  readonly metrics: Metrics;
  readonly world: FakeWorld;
  readonly unhealthy = new Set<string>();
  readonly readings = new Map<string, Readings>();

  /** Bugs of the metrics; looked at after every test. */
  readonly problems: unknown[];

  private constructor(metrics: Metrics, world: FakeWorld, problems: unknown[]) {
    this.metrics = metrics;
    this.world = world;
    this.problems = problems;
  }

  static async start(specs: readonly EraSpec[], overrides: Record<string, Override> = {}): Promise<Watched> {
    let it: Watched | null = null;
    const problems: unknown[] = [];
    const metrics = await openMetrics({
      specs,
      sessions: new Map(
        specs.map(({ eraId }) => [
          eraId,
          { readings: () => it?.readings.get(eraId) ?? { pendingRows: null, undelivered: null } },
        ]),
      ),
      sourceSpec: { mode: 'local', path: '/lake', configured: null },
      storeSpec: { backend: 'local', root: tempFolder(), prefix: '' },
      stateDir: '/nowhere/at/all',
      isHealthy: (eraId) => it?.unhealthy.has(eraId) !== true,
      onProblem: (error) => problems.push(error),
      now: () => it?.world.clock.now() ?? 0,
      wallClock: () => 1_800_000_000_000 + (it?.world.clock.now() ?? 0),
    });
    it = new Watched(metrics, new FakeWorld(specs, overrides, metrics.inspect), problems);
    watched.push(it);
    return it;
  }

  readonly scrape = async (): Promise<Scrape> => new Scrape(await this.metrics.text());
}

const watched: Watched[] = [];

afterEach(async () => {
  for (const { world, metrics, problems } of watched.splice(0)) {
    world.stop();
    await metrics.close();
    expect(problems).toEqual([]);
  }
  vi.restoreAllMocks();
});

beforeEach(() => {
  // XState's development build says so when the last era's own end reaches a supervisor that is over already.
  vi.spyOn(console, 'warn').mockImplementation((text) => {
    if (!/^Event "xstate\.done\.actor\.era:/.test(String(text))) throw new Error(String(text));
  });
});

/** The effect fails this often, and then does what it would have done. */
const failing = (times: number, code: ErrorCode): (() => void) => {
  let left = times;
  return () => {
    if (left-- > 0) throw new BronzeError(code, 'not now');
  };
};

const ERA = { era_id: 'era' };

describe('what is copied', () => {
  it('is counted when it is committed, with its size and how long it took', async () => {
    const { world, scrape } = await Watched.start([specOf('era', { workers: 1 })], {
      era: (_, usual, that) => ({
        buildPartition: async (input, listener, signal) => {
          listener.onQueued();
          await that.sleep(30 * SECOND);
          listener.onStarted();
          return usual.buildPartition(input, listener, signal);
        },
        stagePartition: async ({ staged }) => {
          await that.sleep(2 * SECOND);
          return staged;
        },
        sealPartition: async (input, signal) => {
          await that.sleep(4 * SECOND);
          return usual.sealPartition(input, signal);
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
        buildPartition: async (input, listener, signal) => {
          if (input.job.range.start === 30) listener.onQueued();
          else listener.onStarted();
          await that.sleep(input.job.range.start * SECOND);
          listener.onProgress({ ledgers: 5, rawBytes: 1 });
          return usual.buildPartition(input, listener, signal);
        },
        publishPartition: async (input, signal, report) => {
          await that.sleep(MINUTE);
          return usual.publishPartition(input, signal, report);
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
        attestPartition: async (input, signal) => {
          const answer = await usual.attestPartition(input, signal);
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

describe('what fails', () => {
  it('is counted with every attempt, by who is to blame, and what is tried again by what it was', async () => {
    const fail = {
      build: failing(2, 'SOURCE_READ'),
      stage: failing(1, 'STORE_FULL'),
      seal: failing(1, 'STORE_IO'),
      survey: failing(1, 'STORE_IO'),
      lake: failing(1, 'SOURCE_READ'),
      attest: failing(1, 'STORE_IO'),
      state: failing(2, 'STATE_IO'),
    };
    const { world, scrape } = await Watched.start([specOf('era')], {
      era: (_, usual) => ({
        surveyChain: async (signal) => {
          fail.survey();
          return usual.surveyChain(signal);
        },
        openLake: async (signal) => {
          fail.lake();
          return usual.openLake(signal);
        },
        buildPartition: async (input, listener, signal) => {
          if (input.job.range.start === 20) fail.build();
          return usual.buildPartition(input, listener, signal);
        },
        stagePartition: async (input, signal) => {
          fail.stage();
          return usual.stagePartition(input, signal);
        },
        sealPartition: async (input, signal) => {
          fail.seal();
          return usual.sealPartition(input, signal);
        },
        attestPartition: async (input, signal) => {
          fail.attest();
          return usual.attestPartition(input, signal);
        },
        writeCheckpoint: async (input) => {
          fail.state();
          return usual.writeCheckpoint(input);
        },
      }),
    });
    await world.pass(MINUTE, SECOND);
    expect(world.summary?.outcome).toBe('done');
    const after = await scrape();
    expect(after.value('source_errors_total', { network: 'testnet', source_type: 'local' })).toBe(3);
    expect(after.value('storage_errors_total', { network: 'testnet', backend: 'local' })).toBe(4);
    expect(after.value('pas_errors_total')).toBe(0);
    expect(after.value('metadata_errors_total')).toBe(0);
    const retries = after.all('retry_attempts_total').filter(([, value]) => value > 0);
    expect(Object.fromEntries(retries.map(([key, value]) => [/operation="(\w+)"/.exec(key)?.[1], value]))).toEqual({
      surveyChain: 1,
      openLake: 1,
      buildPartition: 2,
      stagePartition: 1,
      sealPartition: 1,
      attestPartition: 1,
      writeCheckpoint: 2,
    });
    expect(after.all('partitions_failed_total')).toEqual([]);
  });

  it('for good is no retry, and stops the era at one partition', async () => {
    const { world, scrape } = await Watched.start([specOf('era', { workers: 3 }), specOf('other')], {
      era: (_, usual) => ({
        buildPartition: async (input, listener, signal) => {
          // The later one first: the era stops at the earlier.
          if (input.job.range.start === 30) throw new BronzeError('LEDGER_MISSING', 'it is not there');
          const built = await usual.buildPartition(input, listener, signal);
          if (input.job.range.start === 20) throw new BronzeError('TX_SET_HASH', 'it is another one');
          return built;
        },
      }),
    });
    await world.pass(MINUTE, SECOND);
    expect(world.summary?.eras[0]).toMatchObject({ outcome: 'failed', failure: { code: 'TX_SET_HASH' } });
    const after = await scrape();
    expect(after.value('source_errors_total')).toBe(2);
    expect(after.all('retry_attempts_total').filter(([, value]) => value > 0)).toEqual([]);
    expect(after.value('partitions_failed_total', { ...ERA, error_type: 'TX_SET_HASH' })).toBe(1);
    expect(after.value('partitions_failed_total', { ...ERA, error_type: 'LEDGER_MISSING' })).toBe(1);
    expect(after.all('partitions_failed_total', { era_id: 'other' })).toEqual([]);
    expect(after.states('era', 'era')).toEqual({ failed: 1 });
    expect(after.value('last_ledger_sequence', ERA)).toBe(19);
    expect(after.value('ledgers_behind', ERA)).toBe(20);
    expect(after.value('ledgers_behind', { era_id: 'other' })).toBe(0);
  });

  it('without an effect that failed: a broken link, an estate that cannot be gone on from', async () => {
    const { world, scrape } = await Watched.start([specOf('linked'), specOf('holed')], {
      linked: (_, usual) => ({
        buildPartition: async (input, listener, signal) => {
          const built = await usual.buildPartition(input, listener, signal);
          return input.job.range.start === 20 ? { ...built, ledgers: { ...built.ledgers, previousHash: 'x' } } : built;
        },
      }),
      holed: () => ({
        surveyChain: async () => ({
          ...noFacts,
          events: [attestedEvent(1, { start: 20, end: 29 }, 'event-0')],
        }),
      }),
    });
    await world.pass(MINUTE, SECOND);
    const [linked, holed] = world.summary?.eras ?? [];
    expect([linked?.failure?.code, holed?.failure?.code]).toEqual(['LINK_BROKEN', 'AUDIT_HOLE']);
    const after = await scrape();
    expect(after.value('source_errors_total')).toBe(1);
    expect(after.value('pas_errors_total')).toBe(1);
    expect(after.value('partitions_failed_total', { era_id: 'linked', error_type: 'LINK_BROKEN' })).toBe(1);
    expect(after.all('partitions_failed_total', { era_id: 'holed' })).toEqual([]);
  });

  it('because what was staged has vanished is built again, until that has been tried often enough', async () => {
    const { world, scrape } = await Watched.start([specOf('era')], {
      era: (_, usual) => ({
        publishPartition: async (input, signal, report) => {
          if (input.staged.range.start === 20) throw new BronzeError('STAGED_GONE', 'it is gone');
          return usual.publishPartition(input, signal, report);
        },
      }),
    });
    await world.pass(10 * MINUTE, SECOND);
    expect(world.summary?.eras[0]?.failure?.code).toBe('STAGED_GONE');
    const after = await scrape();
    expect(after.value('storage_errors_total')).toBe(6);
    expect(after.value('retry_attempts_total', { operation: 'publishPartition' })).toBe(5);
    expect(after.value('partitions_failed_total', { ...ERA, error_type: 'STAGED_GONE' })).toBe(1);
  });

  it('outside of Bronze: a catalog and an endpoint that are down, lenient and strict', async () => {
    const down: Override = (_, usual) => {
      const catalog = failing(2, 'CATALOG_UNAVAILABLE');
      const endpoint = failing(2, 'DELIVERY_FAILED');
      return {
        recordPartition: async (input, signal) => {
          catalog();
          return usual.recordPartition(input, signal);
        },
        deliverPending: async (input, signal) => {
          endpoint();
          return usual.deliverPending(input, signal);
        },
      };
    };
    const { world, scrape } = await Watched.start(
      [
        specOf('lenient', { network: 'a', catalog: 'lenient', delivery: 'lenient' }),
        specOf('strict', { network: 'b', catalog: 'strict', delivery: 'strict' }),
      ],
      { lenient: down, strict: down },
    );
    await world.pass(5 * MINUTE, SECOND);
    expect(world.summary?.outcome).toBe('done');
    const after = await scrape();
    for (const network of ['a', 'b']) {
      expect(after.value('metadata_errors_total', { network }), network).toBe(2);
      expect(after.value('pas_errors_total', { network }), network).toBe(2);
      expect(after.value('retry_attempts_total', { network, operation: 'deliverPending' }), network).toBe(2);
    }
    // A row that is left to the courier is not tried again by the sequencer.
    expect(after.value('retry_attempts_total', { network: 'a', operation: 'recordPartition' })).toBe(0);
    expect(after.value('retry_attempts_total', { network: 'b', operation: 'recordPartition' })).toBe(2);
  });

  it('in a bucket is blamed on the side that the effect was at work on', async () => {
    const { world, scrape } = await Watched.start(
      [specOf('lake', { network: 'a' }), specOf('store', { network: 'b' })],
      {
        lake: () => ({
          openLake: async () => {
            throw new BronzeError('CREDENTIALS_INVALID', 'who are you');
          },
        }),
        store: () => ({
          openChain: async () => {
            throw new BronzeError('CREDENTIALS_INVALID', 'who are you');
          },
        }),
      },
    );
    await world.pass(MINUTE, SECOND);
    const after = await scrape();
    expect(after.value('source_errors_total', { network: 'a' })).toBe(1);
    expect(after.value('storage_errors_total', { network: 'a' })).toBe(0);
    expect(after.value('source_errors_total', { network: 'b' })).toBe(0);
    expect(after.value('storage_errors_total', { network: 'b' })).toBe(1);
    expect(after.all('partitions_failed_total')).toEqual([]);
  });

  it('by standing still trips the breaker, and what the era was is forgotten', async () => {
    const { world, scrape } = await Watched.start([specOf('era'), specOf('sound')], {
      era: (era, usual) => ({
        buildPartition: (input, listener, signal) =>
          input.job.range.start === 20 ? never(era, signal) : usual.buildPartition(input, listener, signal),
      }),
    });
    await world.pass(STALL_TIMEOUT + 30 * SECOND, SECOND);
    const once = await scrape();
    expect(once.value('circuit_breaker_trips_total', ERA)).toBe(1);
    expect(once.states('worker', 'era')).toEqual({ building: 1 });
    expect(once.value('last_ledger_sequence', ERA)).toBe(19);
    // It finds what it had committed itself.
    expect(once.value('partitions_skipped_total', ERA)).toBe(0);
    await world.pass(2 * STALL_TIMEOUT, SECOND);
    expect(world.summary?.eras[0]?.failure?.code).toBe('STALLED');
    const twice = await scrape();
    expect(twice.value('circuit_breaker_trips_total', ERA)).toBe(2);
    expect(twice.value('circuit_breaker_trips_total', { era_id: 'sound' })).toBe(0);
    expect(twice.states('worker')).toEqual({});
    expect(twice.states('era', 'era')).toEqual({});
    expect(twice.value('last_ledger_sequence', ERA)).toBe(19);
  });

  it('by throwing takes an actor and its children out of what is shown', async () => {
    const { world, scrape } = await Watched.start([specOf('era')], {
      era: () => ({ surveyChain: async () => undefined as never }),
    });
    await world.pass(MINUTE, SECOND);
    expect(world.summary?.eras[0]?.failure?.code).toBe('ACTOR_CRASHED');
    const after = await scrape();
    expect(after.all('machine_state').map(([key]) => key)).toEqual([
      'machine_state{actor="supervisor",state="failed"}',
    ]);
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
  });

  it('asks for the head again after it could not be found', async () => {
    const fail = failing(2, 'SOURCE_READ');
    const { world, scrape } = await Watched.start([specOf('era', { grid })], {
      era: (_, usual, that) => ({
        findHead: async (input, signal) => {
          if (that.clock.now() > 0) fail();
          return usual.findHead(input, signal);
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
