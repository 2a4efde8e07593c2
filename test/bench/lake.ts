/** What benchmarks copy: lakes of real ledgers where ../shared is there, made-up ones elsewhere; and the program that does. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
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

/** Years whose ledgers differ most: the templates, the first ledger, and how many make runs of seconds, and short ones. */
const YEARS = {
  '2026': { templates: 'pubnet-6309', start: 63_000_000, count: 6_000, few: 1_500 },
  '2021': { templates: 'pubnet-36154623', start: 36_000_000, count: 10_000, few: 3_000 },
  '2018': { templates: 'pubnet-16154623', start: 16_000_000, count: 60_000, few: 60_000 },
  '2016': { templates: 'pubnet-6154623', start: 6_144_000, count: 120_000, few: 120_000 },
} as const;

export type Year = keyof typeof YEARS;
export const ALL_YEARS = Object.keys(YEARS).toSorted().toReversed() as Year[];

/** How many ledgers of a year make a run of many seconds, or of some. */
export const ledgersOf = (year: Year, few = false): number => (few ? YEARS[year].few : YEARS[year].count);

/** `count` ledgers of a year, re-numbered and chained, in a folder of `lakes`; made where they are not there yet. */
export function realLake(lakes: string, year: Year, count: number): Lake {
  const { templates, start } = YEARS[year];
  const path = join(lakes, `${year}-${count}`);
  if (!existsSync(path)) {
    const folder = join(SHARED, 'ledgers/pubnet');
    const files = readdirSync(folder)
      .filter((name) => name.startsWith(templates))
      .map((name) => join(folder, name));
    const args = ['--out', path, '--templates', files.join(','), '--start', String(start), '--count', String(count)];
    // Where the templates are signed, by made-up validators: re-numbered, the old signatures are false.
    args.push('--sign', '3');
    execFileSync(process.execPath, [join(SHARED, 'tools/make-lake.mjs'), ...args], { stdio: 'ignore' });
  }
  return { path, start, end: start + count - 1, network: 'pubnet', passphrase: '' };
}

/** Ledgers 2 to `last`, made up, of about 500 bytes: it measures system calls, not codecs. */
export async function madeLake(path: string, last: number): Promise<Lake> {
  const made = await writeSampleLake(path, { last });
  return { path, start: made.ledgerStart, end: made.ledgerEnd, network: 'sample', passphrase: SAMPLE_PASSPHRASE };
}
