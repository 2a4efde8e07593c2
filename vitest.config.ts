import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files of half a minute and more, longest first: of two that run at a time, neither is to be left alone at the end with
 * a long one. Vitest would begin with the largest, and some of the longest are a few lines. The order changes nothing but
 * how long all of it takes; others follow in Vitest's own order.
 */
const LONGEST = [
  'test/crash/random-kills.test.ts',
  'test/crash/random-kills.outside.test.ts',
  'test/crash/random-kills.machines.test.ts',
  'test/crash/kill-points.test.ts',
  'test/crash/kill-points.gcs.test.ts',
  'test/crash/kill-points.s3.test.ts',
  'test/crash/faults.test.ts',
  'test/e2e/metrics.prometheus.test.ts',
  'test/conformance/store.s3.test.ts',
  'test/e2e/buckets.leftovers.test.ts',
  'test/e2e/buckets.test.ts',
  'test/e2e/remote-source.test.ts',
  'test/conformance/answers.test.ts',
  'test/e2e/many-machines.trouble.test.ts',
  'test/e2e/many-machines.test.ts',
  'test/e2e/real.test.ts',
  'test/e2e/outside.test.ts',
  'test/e2e/outside.postgres.test.ts',
  'test/e2e/adoption.test.ts',
  'test/e2e/anchors.test.ts',
  'test/e2e/signed-heads.buckets.test.ts',
  'test/e2e/settings.test.ts',
  'test/e2e/starved.test.ts',
  'test/e2e/buckets.problems.test.ts',
  'test/e2e/together.test.ts',
  'test/e2e/leftovers.test.ts',
  'test/e2e/state.test.ts',
  'test/e2e/buckets.lies.test.ts',
  'test/e2e/raw.test.ts',
  'test/e2e/defects.test.ts',
  'test/crash/give-up.test.ts',
  'test/e2e/inspector.page.test.ts',
  'test/e2e/inspector.test.ts',
  'test/e2e/terminal.test.ts',
  'test/e2e/unbounded.test.ts',
  'test/e2e/signals.test.ts',
  'test/e2e/bad-state.test.ts',
];

/**
 * `npm test` runs these: what proves most in a few minutes on two cores, without a server, a browser or Prometheus.
 * `npm run test:full` runs the others as well. A new file is among the others unless it is named here.
 */
const QUICK = [
  // Each part alone: readers, checkers, writers, configuration.
  'test/unit/**/*.test.ts',
  // Small systems of the real machines, every interleaving.
  'test/model/explore.test.ts',
  'test/schedule/found.test.ts',
  // What every adapter on a local disk promises.
  'test/conformance/{audit,checkpoint,file-ops,source,store,delivery}.test.ts',
  // The main job from outside: what it leaves, how it ends, how it goes on after kill -9, what it finds when it is lied to.
  'test/crash/quick.test.ts',
  'test/e2e/{contract,signals,eras}.test.ts',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex((name) => moduleId.endsWith(`/${name}`));
      return at < 0 ? LONGEST.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    projects: [
      { extends: true, test: { name: 'quick', include: QUICK } },
      { extends: true, test: { name: 'others', include: ['test/**/*.test.ts'], exclude: QUICK } },
    ],
    // Tests start real processes and real threads; two cores are what the smallest machine has.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    // Some start the program a dozen times, against servers that share the two cores.
    testTimeout: 150_000,
    hookTimeout: 120_000,
    // The AWS SDK warns on Node 20 of what later versions will want; ours is pinned.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
  },
});
