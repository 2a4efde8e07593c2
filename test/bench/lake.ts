/** What benchmarks copy: lakes of real ledgers where ../shared is there, made-up ones elsewhere; and the program that does. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SAMPLE_PASSPHRASE, writeSampleLake } from '../../actors/sample/index.ts';

export const ROOT = resolve(import.meta.dirname, '../../..');
export const SHARED = process.env.BRONZE_SHARED ?? resolve(ROOT, '../shared');
/** As it is shipped. */
export const MAIN = join(ROOT, 'dist/bin/main.js');

export interface Lake {
  readonly path: string;
  readonly start: number;
  readonly end: number;
  readonly network: string;
  readonly passphrase: string;
}

/** `count` ledgers of 2026, of about 1 MB, re-numbered and chained. */
export function realLake(path: string, count: number): Lake {
  const folder = join(SHARED, 'ledgers/pubnet');
  const templates = readdirSync(folder)
    .filter((name) => name.startsWith('pubnet-6309'))
    .map((name) => join(folder, name));
  const args = ['--out', path, '--templates', templates.join(','), '--start', '63000000', '--count', String(count)];
  execFileSync(process.execPath, [join(SHARED, 'tools/make-lake.mjs'), ...args], { stdio: 'ignore' });
  return { path, start: 63_000_000, end: 62_999_999 + count, network: 'pubnet', passphrase: '' };
}

/** Ledgers 2 to `last`, made up, of about 500 bytes: it measures system calls, not codecs. */
export async function madeLake(path: string, last: number): Promise<Lake> {
  const made = await writeSampleLake(path, { last });
  return { path, start: made.ledgerStart, end: made.ledgerEnd, network: 'sample', passphrase: SAMPLE_PASSPHRASE };
}
