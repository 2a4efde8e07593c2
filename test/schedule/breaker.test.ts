// The circuit breaker and the isolation of eras, on real actors and a simulated clock (S27, S34). What is slow but alive,
// or waits for something outside and says so, is left alone for hours; what hangs is restarted in sequential mode, and
// given up when it hangs again, while other eras finish.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Tools } from '../../actors/effects/effect.ts';
import { eraActorId, sequencerActorId, workerActorId } from '../../machines/actor-ids.ts';
import { BronzeError } from '../../machines/errors.ts';
import { FakeWorld, HOUR, MINUTE, never, type Override, SECOND, STALL_TIMEOUT, specOf } from '../support/fake-eras.ts';

let worlds: FakeWorld[] = [];

const start = (...args: ConstructorParameters<typeof FakeWorld>): FakeWorld => {
  const world = new FakeWorld(...args);
  worlds.push(world);
  return world;
};

beforeEach(() => {
  // XState's development build says so when the last era's own end reaches a supervisor that is over already.
  vi.spyOn(console, 'warn').mockImplementation((text) => {
    if (!/^Event "xstate\.done\.actor\.era:/.test(String(text))) throw new Error(String(text));
  });
});

afterEach(() => {
  for (const world of worlds) world.stop();
  worlds = [];
  vi.restoreAllMocks();
});

const rangesOf = (world: FakeWorld, eraId: string): string[] =>
  world.era(eraId).events.map(({ range }) => `${range.start}-${range.end}`);

const ALL = ['10-19', '20-29', '30-39'];

const momentsOf = (world: FakeWorld, eraId: string, name: string): number[] =>
  world
    .era(eraId)
    .calls.filter((call) => call.name === name)
    .map(({ at }) => at);

/** Fails `times` times as the other side of a slow link does that asks for an hour. */
const askForAnHour = (times: number): (() => void) => {
  let left = times;
  return () => {
    if (left-- > 0) throw new BronzeError('SOURCE_READ', 'slow down', { retryAfterMs: HOUR });
  };
};

describe('S34: what the circuit breaker leaves alone', () => {
  it('a slow but healthy link: three hours a partition, a sign of life now and then', async () => {
    const world = start([specOf('slow')], {
      slow: (_, usual, that) => ({
        buildPartition: async (input, tools) => {
          for (let n = 1; n <= 37; n++) {
            await that.sleep(STALL_TIMEOUT - 10 * SECOND);
            input.askedBy.send({ type: 'build.progressed', ticket: input.job.ticket, ledgers: n, rawBytes: n });
          }
          return usual.buildPartition(input, tools);
        },
      }),
    });
    await world.pass(8 * HOUR);
    expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 0 });
    expect(world.stalls).toEqual([]);
    expect(rangesOf(world, 'slow')).toEqual(ALL);
  });

  it('a start of slow answers, each of which comes within the time', async () => {
    const unbounded = { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null };
    const world = start([specOf('slow', { grid: unbounded, once: true })], {
      slow: (_, usual, that) => ({
        openChain: (...args) => that.sleep(4 * MINUTE).then(() => usual.openChain(...args)),
        surveyChain: (...args) => that.sleep(4 * MINUTE).then(() => usual.surveyChain(...args)),
        openLake: (...args) => that.sleep(4 * MINUTE).then(() => usual.openLake(...args)),
        findHead: (...args) => that.sleep(4 * MINUTE).then(() => usual.findHead(...args)),
      }),
    });
    await world.pass(HOUR);
    expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 0 });
  });

  it('a file that takes hours to be read back before it is sealed', async () => {
    const world = start([specOf('slow')], {
      slow: (_, usual, that) => ({
        publishPartition: async (input, tools) => {
          for (let n = 0; n < 20; n++) {
            await that.sleep(STALL_TIMEOUT - 10 * SECOND);
            input.askedBy.send({ type: 'effect.progressed' });
          }
          return usual.publishPartition(input, tools);
        },
      }),
    });
    await world.pass(8 * HOUR);
    expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 0 });
  });

  for (const step of [
    'buildPartition',
    'publishPartition',
    'recordPartition',
    'recordPending',
    'deliverPending',
    'writeCheckpoint',
  ] as const) {
    it(`${step} has to wait an hour, twice, and never comes back sooner than it was asked to`, async () => {
      const wait = askForAnHour(2);
      const world = start([specOf('patient', { workers: 1, catalog: 'strict', delivery: 'strict' })], {
        patient: (_, usual) => ({
          [step]: async (...args: never[]) => {
            wait();
            return (usual[step] as (...all: never[]) => Promise<unknown>)(...args);
          },
        }),
      });
      await world.pass(4 * HOUR);
      expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 0 });
      expect(rangesOf(world, 'patient')).toEqual(ALL);
      const [first, second, third] = momentsOf(world, 'patient', step) as [number, number, number];
      expect(second - first).toBeGreaterThanOrEqual(HOUR);
      expect(third - second).toBeGreaterThanOrEqual(HOUR);
    });
  }

  it('a strict catalog and a strict endpoint that are down for hours, one after the other', async () => {
    const modes = { catalog: 'strict', delivery: 'strict', retryAttempts: 1 } as const;
    const world = start([specOf('strict', modes)], {
      strict: (_, usual, that) => ({
        recordPartition: async (...args) => {
          if (that.clock.now() < 2 * HOUR) throw new BronzeError('CATALOG_UNAVAILABLE', 'not now');
          return usual.recordPartition(...args);
        },
        deliverPending: async (...args) => {
          // Up when the run starts.
          if (that.clock.now() > MINUTE && that.clock.now() < 4 * HOUR) throw new BronzeError('DELIVERY_FAILED', 'no');
          return usual.deliverPending(...args);
        },
      }),
    });
    await world.pass(3 * HOUR);
    expect(world.summary).toBeNull();
    expect(rangesOf(world, 'strict')).toEqual(ALL.slice(0, 1));
    expect(momentsOf(world, 'strict', 'writeCheckpoint')).toEqual([]);
    await world.pass(2 * HOUR);
    expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 0 });
    expect(rangesOf(world, 'strict')).toEqual(ALL);
    expect(world.stalls).toEqual([]);
  });

  it('a lenient catalog and a lenient endpoint that are down hold nothing up, and are counted', async () => {
    const down = (code: 'CATALOG_UNAVAILABLE' | 'DELIVERY_FAILED') => async () => {
      throw new BronzeError(code, 'not now');
    };
    const world = start([specOf('lenient', { catalog: 'lenient', delivery: 'lenient' })], {
      lenient: () => ({
        recordPartition: down('CATALOG_UNAVAILABLE'),
        recordPending: down('CATALOG_UNAVAILABLE'),
        deliverPending: down('DELIVERY_FAILED'),
        closeChain: async () => ({ rows: 3, events: 3 }),
      }),
    });
    await world.pass(MINUTE);
    expect(world.summary).toMatchObject({
      outcome: 'done',
      eras: [{ pending: { rows: 3, events: 3 }, failure: null }],
    });
    expect(momentsOf(world, 'lenient', 'writeCheckpoint')).toHaveLength(ALL.length);
  });

  it('an endpoint that never answers is waited for at the end, for a limited time', async () => {
    const world = start([specOf('lenient', { delivery: 'lenient' })], {
      lenient: (era) => ({ deliverPending: (_, { signal }) => never(era, signal) }),
    });
    await world.pass(MINUTE);
    expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 0 });
    expect(world.era('lenient').aborted).toBe(1);
  });

  it('a back-off of the era itself, before anything is copied', async () => {
    let failures = 2;
    const world = start([specOf('patient', { retryBackoffMs: HOUR })], {
      patient: (_, usual) => ({
        surveyChain: async (input, tools) => {
          if (failures-- > 0) throw new BronzeError('STORE_IO', 'not now');
          return usual.surveyChain(input, tools);
        },
      }),
    });
    await world.pass(10 * MINUTE);
    expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 0 });
  });

  it('hours in the queue for a thread that others use', async () => {
    const world = start([specOf('queued', { workers: 1 })], {
      queued: (_, usual, that) => ({
        buildPartition: async (input, tools) => {
          input.askedBy.send({ type: 'build.queued', ticket: input.job.ticket });
          await that.sleep(2 * HOUR);
          input.askedBy.send({ type: 'build.started', ticket: input.job.ticket });
          return usual.buildPartition(input, tools);
        },
      }),
    });
    await world.pass(7 * HOUR);
    expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 0 });
  });

  it('an unbounded era that waits for ledgers for hours, copies what came, and waits again', async () => {
    let head = 19;
    const grid = { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null };
    const world = start([specOf('head', { grid })], {
      head: () => ({ findHead: async () => ({ head, contiguousTo: head, holeAt: null }) }),
    });
    await world.pass(6 * HOUR);
    expect(rangesOf(world, 'head')).toEqual(['10-19']);
    head = 34;
    await world.pass(6 * HOUR);
    expect(rangesOf(world, 'head')).toEqual(['10-19', '20-29']);
    expect(world.stalls).toEqual([]);
    world.drain();
    await world.pass(MINUTE);
    expect(world.summary).toMatchObject({ outcome: 'stopped', breakerTrips: 0 });
    expect(world.summary?.eras[0]).toMatchObject({ outcome: 'drained', nextLedger: 30 });
  });
});

/** An effect that hangs the first `times` times that it is asked for. */
const hanging =
  (name: 'buildPartition' | 'publishPartition' | 'openChain' | 'closeChain' | 'openLake', times: number): Override =>
  (era, usual) => {
    let left = times;
    const hangs = async (input: never, tools: Tools): Promise<unknown> =>
      left-- > 0 ? never(era, tools.signal) : usual[name](input, tools);
    return { [name]: hangs };
  };

describe('what the circuit breaker is for', () => {
  it('a worker that hangs for ever: the era is started afresh, one partition at a time, and finishes', async () => {
    const world = start([specOf('stuck')], { stuck: hanging('buildPartition', 1) });
    const era = world.era('stuck');
    await world.pass(STALL_TIMEOUT - 10 * SECOND);
    expect(world.stalls).toEqual([]);
    expect(era.mostBuilds).toBeGreaterThan(0);
    era.mostBuilds = 0;
    await world.pass(HOUR);
    expect(world.stalls).toMatchObject([{ eraId: 'stuck' }]);
    expect(world.stalls[0]?.at).toBeLessThanOrEqual(STALL_TIMEOUT + MINUTE);
    expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 1 });
    expect(rangesOf(world, 'stuck')).toEqual(ALL);
    // What hung was told to stop; after that, sequential.
    expect(era.aborted).toBeGreaterThan(0);
    expect(era.mostBuilds).toBe(1);
  });

  it.each([
    [eraActorId('lost'), 'partition.staged'],
    [workerActorId('lost', 1), 'partition.assigned'],
    [sequencerActorId('lost'), 'partition.staged'],
    [eraActorId('lost'), 'partition.committed'],
    [eraActorId('lost'), 'sequencer.drained'],
  ])('a message that is swallowed (%s: %s): the era is started afresh and finishes', async (id, type) => {
    const world = start([specOf('lost', { queueSize: 1 })]);
    // The sequencer and the workers are there once the era has recovered.
    await world.pass(0);
    world.swallow(id, type);
    await world.pass(HOUR);
    expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 1 });
    expect(rangesOf(world, 'lost')).toEqual(ALL);
  });

  it('what was committed before the stall is neither lost nor done again', async () => {
    const world = start([specOf('stuck', { workers: 1 })], {
      stuck: (era, usual) => {
        let hangs = true;
        return {
          buildPartition: (input, tools) => {
            if (input.job.range.start !== 30 || !hangs) return usual.buildPartition(input, tools);
            hangs = false;
            return never(era, tools.signal);
          },
        };
      },
    });
    await world.pass(HOUR);
    expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 1 });
    expect(rangesOf(world, 'stuck')).toEqual(ALL);
    expect(world.era('stuck').sealed).toHaveLength(3);
    const built = world
      .era('stuck')
      .calls.flatMap(({ name, range }) => (name === 'buildPartition' ? [range?.start] : []));
    expect(built).toEqual([10, 20, 30, 30]);
  });

  for (const name of ['publishPartition', 'openChain', 'openLake', 'closeChain'] as const) {
    it(`${name} that hangs once`, async () => {
      const world = start([specOf('stuck')], { stuck: hanging(name, 1) });
      await world.pass(HOUR);
      expect(world.summary).toMatchObject({ outcome: 'done', breakerTrips: 1 });
      expect(rangesOf(world, 'stuck')).toEqual(ALL);
    });
  }

  it('S27: an era that stalls also with one worker fails as STALLED; the other one finishes', async () => {
    const world = start([specOf('stuck'), specOf('sound')], { stuck: hanging('buildPartition', 1_000) });
    await world.pass(HOUR);
    expect(world.stalls.map(({ eraId }) => eraId)).toEqual(['stuck', 'stuck']);
    expect(world.summary).toMatchObject({ outcome: 'failed', breakerTrips: 2 });
    expect(world.summary?.eras).toMatchObject([
      { eraId: 'stuck', outcome: 'failed', failure: { code: 'STALLED' } },
      { eraId: 'sound', outcome: 'done', nextLedger: 40, partitions: 3 },
    ]);
    expect(rangesOf(world, 'sound')).toEqual(ALL);
    expect(rangesOf(world, 'stuck')).toEqual([]);
  });

  it('an era that stalls after it has committed says how far it came', async () => {
    const world = start([specOf('stuck', { workers: 1 })], {
      stuck: (era, usual) => ({
        buildPartition: (input, tools) =>
          input.job.range.start === 30 ? never(era, tools.signal) : usual.buildPartition(input, tools),
      }),
    });
    await world.pass(HOUR);
    expect(rangesOf(world, 'stuck')).toEqual(['10-19', '20-29']);
    expect(world.summary?.eras).toMatchObject([{ outcome: 'failed', failure: { code: 'STALLED' }, nextLedger: 30 }]);
  });

  it('a drain that hangs does not hang for ever', async () => {
    const world = start([specOf('stuck')], { stuck: hanging('buildPartition', 1_000) });
    await world.pass(MINUTE);
    world.drain();
    await world.pass(HOUR);
    expect(world.summary).not.toBeNull();
  });
});

describe('S27: eras are isolated', () => {
  it('one that fails for good stops no other', async () => {
    const world = start([specOf('broken'), specOf('sound')], {
      broken: (_, usual) => ({
        buildPartition: async (input, tools) => {
          if (input.job.range.start === 20) throw new BronzeError('LINK_BROKEN', 'forked');
          return usual.buildPartition(input, tools);
        },
      }),
    });
    await world.pass(HOUR);
    expect(world.summary?.outcome).toBe('failed');
    expect(world.summary?.eras).toMatchObject([
      { eraId: 'broken', outcome: 'failed', nextLedger: 20, failure: { code: 'LINK_BROKEN', message: 'forked' } },
      { eraId: 'sound', outcome: 'done', nextLedger: 40, failure: null },
    ]);
    expect(rangesOf(world, 'broken')).toEqual(['10-19']);
    expect(rangesOf(world, 'sound')).toEqual(ALL);
  });

  // An answer that no effect may give makes the actor that gets it throw.
  const nonsense = undefined as never;

  it('an era actor that throws is started afresh, up to respawn_limit, and then given up', async () => {
    const world = start([specOf('mad'), specOf('sound')], { mad: () => ({ surveyChain: async () => nonsense }) });
    await world.pass(HOUR);
    expect(momentsOf(world, 'mad', 'surveyChain')).toHaveLength(4);
    expect(world.summary?.outcome).toBe('failed');
    expect(world.summary?.eras).toMatchObject([
      { eraId: 'mad', outcome: 'failed', failure: { code: 'ACTOR_CRASHED' } },
      { eraId: 'sound', outcome: 'done', nextLedger: 40 },
    ]);
    expect(rangesOf(world, 'sound')).toEqual(ALL);
  });

  it('an era actor that throws twice and then no more finishes', async () => {
    let left = 2;
    const world = start([specOf('mad')], {
      mad: (_, usual) => ({
        surveyChain: async (input, tools) => (left-- > 0 ? nonsense : usual.surveyChain(input, tools)),
      }),
    });
    await world.pass(HOUR);
    expect(world.summary?.outcome).toBe('done');
    expect(rangesOf(world, 'mad')).toEqual(ALL);
  });

  it('a sequencer that throws takes its era with it, which recovers from what is durable', async () => {
    let left = 2;
    const world = start([specOf('mad')], {
      mad: (_, usual) => ({
        attestPartition: async (input, tools) => {
          const answer = await usual.attestPartition(input, tools);
          return left-- > 0 ? nonsense : answer;
        },
      }),
    });
    await world.pass(HOUR);
    expect(world.summary?.outcome).toBe('done');
    expect(rangesOf(world, 'mad')).toEqual(ALL);
    expect(world.era('mad').sealed).toHaveLength(3);
  });

  it('crashes are forgiven after an hour', async () => {
    let crashes = 6;
    const grid = { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: 79 };
    const world = start([specOf('mad', { grid, workers: 1 })], {
      mad: (_, usual, that) => ({
        buildPartition: async (input, tools) => {
          input.askedBy.send({ type: 'build.queued', ticket: input.job.ticket });
          await that.sleep(50 * MINUTE);
          input.askedBy.send({ type: 'build.started', ticket: input.job.ticket });
          return usual.buildPartition(input, tools);
        },
        attestPartition: async (input, tools) => {
          const answer = await usual.attestPartition(input, tools);
          return crashes-- > 0 ? nonsense : answer;
        },
      }),
    });
    await world.pass(12 * HOUR, 10 * SECOND);
    expect(world.summary?.outcome).toBe('done');
    expect(world.era('mad').events).toHaveLength(7);
  });
});
