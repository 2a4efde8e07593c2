// What is found many times is said a few times and counted; `--json` has each.
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import type { Scene } from '../support/program.ts';

/** Partitions of one ledger each. */
const PARTITIONS = 40;
/** What is said of one kind before the others are counted. */
const TOLD = 10;

let whole: Scene;
beforeAll(async () => {
  whole = await sampleScene(sampleEra({ ledger_end: 1 + PARTITIONS, partition_size: 1 }));
  expect((await whole.run()).code).toBe(0);
});

const timesIn = (text: string, what: RegExp): number => [...text.matchAll(what)].length;

it('reconcile, of data objects that are gone', async () => {
  const scene = whole.copy();
  const table = join(scene.chain('sample', 'whole'), 'ledgers_lcm_raw');
  for (const name of readdirSync(table)) rmSync(join(table, name, `part-${name.slice('range='.length)}.parquet`));
  const { code, stdout } = await scene.start('reconcile').done;
  expect(code).toBe(3);
  expect(timesIn(stdout, /^sample\/whole\/v1: data\.missing$/gm)).toBe(TOLD);
  expect(stdout).toContain(`data.missing: ${PARTITIONS - TOLD} more like these, ledgers 12 to 41; --json has them all`);
  expect(stdout).toContain(`NOT OK: ${PARTITIONS} differences`);
  const { differences } = JSON.parse((await scene.start('reconcile', { args: ['--json'] }).done).stdout);
  expect(differences).toHaveLength(PARTITIONS);
});

it('pas verify, of events that are none', async () => {
  const scene = whole.copy();
  const audit = join(scene.chain('sample', 'whole'), '_audit');
  for (const name of readdirSync(audit)) writeFileSync(join(audit, name), '{');
  const { code, stderr, stdout } = await scene.command('pas', 'verify', audit);
  expect(code).toBe(3);
  expect(stdout).toContain(`${PARTITIONS} files or elements that are no good events`);
  expect(stderr).toContain(`${PARTITIONS - TOLD} more like these`);
  expect(stderr.split('\n').length).toBeLessThan(PARTITIONS * 2);
});
