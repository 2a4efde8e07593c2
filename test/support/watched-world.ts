/**
 * Eras of real actors whose metrics are read: the world of fake-eras.ts with the metrics that a run would have. To be
 * imported by a test file, which looks after every test whether the metrics had a bug to tell.
 */
import { afterEach, beforeEach, expect, vi } from 'vitest';
import type { Readings } from '../../actors/effects/running-era.ts';
import { BronzeError, type ErrorCode } from '../../machines/errors.ts';
import type { EraSpec } from '../../machines/protocol.ts';
import { type Metrics, openMetrics } from '../../runtime/metrics/metrics.ts';
import { tempFolder } from './bronze.ts';
import { FakeWorld, type Override } from './fake-eras.ts';
import { Scrape } from './read-metrics.ts';

/** A world whose metrics are read. */
export class Watched {
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
      running: new Map(
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
export const failing = (times: number, code: ErrorCode): (() => void) => {
  let left = times;
  return () => {
    if (left-- > 0) throw new BronzeError(code, 'not now');
  };
};
