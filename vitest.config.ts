import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Tests start real processes and real threads; two cores are what the smallest machine has.
    maxWorkers: 2,
    // Some start the program a dozen times, against servers that share the two cores.
    testTimeout: 150_000,
    hookTimeout: 120_000,
    // The AWS SDK warns on Node 20 of what later versions will want; ours is pinned.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
  },
});
