/**
 * Joins what a start of the program loads into a few files in dist/bin: Node takes longer to find and open hundreds of
 * modules than to run them. Entries stand beside each other, because the pool looks for thread.js beside itself.
 * Left out are packages with binaries and those that are loaded only where they are configured.
 */
import { defineConfig } from 'rolldown';
import { commitOf } from './runtime/commit.mjs';
import { guard } from './runtime/node-version.cjs';

/**
 * An entry is a file that parses on old versions of Node, tells them that they are too old, and only then loads the
 * program. 13 is Node's own code for a program that waits for what never comes; the program replaces it at its end.
 */
const entries = {
  name: 'entries',
  generateBundle(_, bundle) {
    for (const chunk of Object.values(bundle)) {
      if (!chunk.isEntry) continue;
      const source = [
        ...(chunk.name === 'thread' ? [] : ['#!/usr/bin/env node']),
        `${guard}`,
        ...(chunk.name === 'thread' ? [] : ['process.exitCode = 13;']),
        `import('./${chunk.fileName}');`,
        '',
      ].join('\n');
      this.emitFile({ type: 'asset', fileName: `${chunk.name}.js`, source });
    }
    this.emitFile({ type: 'asset', fileName: 'commit.txt', source: `${commitOf(import.meta.dirname)}\n` });
  },
};

export default defineConfig({
  input: {
    main: 'dist/runtime/main.js',
    quickstart: 'dist/runtime/quickstart.js',
    thread: 'dist/actors/threads/thread.js',
  },
  platform: 'node',
  plugins: [entries],
  external: [
    /^@aws-sdk\//,
    /^@duckdb\//,
    /^@google-cloud\//,
    /^@node-rs\//,
    /^@smithy\//,
    /^@statelyai\//,
    'aws4',
    'google-auth-library',
    'pg',
    'prom-client',
    'snappy',
    'undici',
    'ws',
    /^zstd-napi/,
  ],
  output: {
    dir: 'dist/bin',
    cleanDir: true,
    format: 'esm',
    sourcemap: true,
    entryFileNames: '[name].program.js',
    chunkFileNames: '[name]-[hash].js',
  },
});
