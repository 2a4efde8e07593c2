// Copies the sample lake with each of several Node binaries and compares every Parquet file, byte by byte.
//   node tools/compare-bytes.mjs NODE NODE …        needs `npm run build` before
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const MAIN = resolve(import.meta.dirname, '../dist/bin/main.js');
const work = mkdtempSync(join(tmpdir(), 'bronze-bytes-'));

function copy(node, i) {
  const dir = join(work, String(i));
  const config = {
    eras: [
      { era_id: 'all', version_label: 'v1', network: 'sample', ledger_start: 2, ledger_end: 127, partition_size: 20 },
    ],
    source: { local_path: join(work, 'lake'), network_passphrase: 'Bronze Copier Sample Network ; 2026' },
    storage: { local_dir: join(dir, 'data') },
    catalog: { backend: 'none' },
    checkpoint: { dir: join(dir, 'state') },
    pas: { backup_dir: join(dir, 'pas') },
    logging: { level: 'warn' },
  };
  const file = join(work, `${i}.yaml`);
  writeFileSync(file, JSON.stringify(config));
  execFileSync(node, [MAIN, 'sample', '--out', join(work, 'lake')], { stdio: ['ignore', 'ignore', 'inherit'] });
  execFileSync(node, [MAIN, 'run', '--config', file, '--no-progress'], { stdio: ['ignore', 'inherit', 'pipe'] });
  const sums = new Map();
  for (const name of readdirSync(join(dir, 'data'), { recursive: true })) {
    if (!name.endsWith('.parquet')) continue;
    sums.set(
      name,
      createHash('sha256')
        .update(readFileSync(join(dir, 'data', name)))
        .digest('hex'),
    );
  }
  return sums;
}

const nodes = process.argv.slice(2);
if (nodes.length < 2) throw new Error('name two Node binaries at least');
try {
  const [first, ...others] = nodes.map(copy);
  if (first.size === 0) throw new Error('nothing was written');
  for (const [i, other] of others.entries()) {
    const differing = [...first].filter(([name, sum]) => other.get(name) !== sum);
    if (differing.length > 0 || other.size !== first.size) {
      console.error(`${nodes[i + 1]} writes other bytes: ${differing.map(([name]) => name).join(', ')}`);
      process.exitCode = 1;
    }
  }
  if (!process.exitCode) console.log(`${first.size} files, the same bytes with ${nodes.length} Node versions`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
