/**
 * Joins what a start of the program loads into a few files in dist/bin: Node takes longer to find and open hundreds of
 * modules than to run them. Entries stand beside each other, because the pool looks for thread.js beside itself.
 * Left out are packages with binaries and those that are loaded only where they are configured.
 */
import { defineConfig } from 'rolldown';

export default defineConfig({
  input: {
    main: 'dist/runtime/main.js',
    quickstart: 'dist/runtime/quickstart.js',
    thread: 'dist/actors/threads/thread.js',
  },
  platform: 'node',
  external: [
    /^@aws-sdk\//,
    /^@duckdb\//,
    /^@google-cloud\//,
    /^@smithy\//,
    /^@statelyai\//,
    'google-auth-library',
    'pg',
    'prom-client',
    'snappy',
    'ws',
    /^zstd-napi/,
  ],
  output: { dir: 'dist/bin', cleanDir: true, format: 'esm', sourcemap: true, chunkFileNames: '[name]-[hash].js' },
});
