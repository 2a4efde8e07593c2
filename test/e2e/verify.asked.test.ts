// `verify` says only what it read: what was asked for and is not there is missing, and text and JSON say the same.
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TABLE } from '../support/estate.ts';
import { sampleEra } from '../support/lakes.ts';
import { program, type Settings } from '../support/program.ts';
import { LABELS, Reconciled } from '../support/reconciled.ts';

let estate: Reconciled;
beforeAll(async () => {
  estate = await Reconciled.make();
});
afterEach(() => estate.putBack());

interface Told {
  readonly code: number | null;
  readonly ok: boolean;
  readonly codes: readonly string[];
  readonly messages: string;
}

async function verify(...args: readonly string[]): Promise<Told> {
  const { code, stdout } = await program('verify', ...args, '--threads', '1', '--json');
  const { ok, findings } = JSON.parse(stdout);
  expect(ok).toBe(code === 0);
  return {
    code,
    ok,
    codes: findings.map((finding: { code: string }) => finding.code),
    messages: findings.map((finding: { message: string }) => finding.message).join('\n'),
  };
}

describe('a range that was asked for', () => {
  it.each<[string, string[], string]>([
    ['beyond the data', ['--from', '999999'], '999999'],
    ['partly beyond it', ['--from', '35', '--to', '200'], '60 to 200'],
    ['up to a ledger beyond it', ['--to', '60'], '60'],
    ['before the data, where that begins at 2', ['--from', '0', '--to', '1'], '1'],
    ['beyond it, of a sample', ['--from', '50', '--to', '70', '--sample', '1/10'], '60 to 70'],
  ])('%s is missing', async (_, args, ledgers) => {
    const { code, codes, messages } = await verify(estate.scene.data, ...args);
    expect([code, codes]).toEqual([3, ['LEDGER_MISSING']]);
    expect(messages).toBe(`ledgers ${ledgers} were asked for, and no partition holds them`);
  });

  it('within a hole is missing, once', async () => {
    rmSync(join(estate.chain, '_audit'), { recursive: true });
    rmSync(join(estate.chain, TABLE, `range=${LABELS[2]}`), { recursive: true });
    expect(await verify(estate.scene.data, '--from', '22', '--to', '24')).toMatchObject({
      code: 3,
      codes: ['LEDGER_MISSING'],
      messages: 'no partition holds ledgers 20 to 29',
    });
  });

  it('that is there is OK, from 0 on as well', async () => {
    for (const args of [
      ['--from', '0'],
      ['--from', '25', '--to', '25'],
    ])
      expect(await verify(estate.scene.data, ...args)).toMatchObject({ code: 0, codes: [] });
  });

  it('that ends before it begins is no range', async () => {
    const { code, stderr } = await program('verify', estate.scene.data, '--from', '9', '--to', '8');
    expect([code, stderr]).toEqual([2, expect.stringContaining('--from 9 comes after --to 8')]);
  });
});

describe('what the configuration asks for', () => {
  const config = (era: Settings): string => {
    estate.scene.change({ eras: [sampleEra(era)] });
    return estate.scene.config();
  };

  it('and storage does not have is missing; what an era without an end has is enough', async () => {
    expect(await verify('--config', config({ ledger_end: 79 }))).toMatchObject({
      code: 3,
      codes: ['LEDGER_MISSING'],
      messages:
        'the era begins at ledger 2 and ends at 79 by the configuration, and no partition holds ledgers 60 to 79',
    });
    expect(await verify('--config', config({ ledger_end: 79 }), '--to', '50')).toMatchObject({ code: 0 });
    expect(await verify('--config', config({ ledger_end: 79 }), '--from', '50', '--to', '90')).toMatchObject({
      code: 3,
      codes: ['LEDGER_MISSING', 'LEDGER_MISSING'],
    });
    expect(await verify('--config', config({ ledger_end: 0 }))).toMatchObject({ code: 0 });
    expect(await verify('--config', config({ ledger_end: 59 }))).toMatchObject({ code: 0 });
  });

  it('of which nothing is there is missing', async () => {
    rmSync(estate.scene.data, { recursive: true });
    mkdirSync(estate.scene.data);
    expect(await verify('--config', config({ ledger_end: 59 }))).toMatchObject({ code: 3, codes: ['LEDGER_MISSING'] });
    const { code, codes } = await verify('--config', config({ ledger_end: 0 }));
    expect([code, codes[0]]).toEqual([3, 'LEDGER_MISSING']);
  });
});

describe('what nothing can be read of', () => {
  it('is not OK: a chain without partitions', async () => {
    for (const name of [TABLE, '_audit']) rmSync(join(estate.chain, name), { recursive: true });
    expect(await verify(estate.scene.data)).toMatchObject({ code: 3, codes: ['LEDGER_MISSING'] });
  });

  it('is no chain: a table, a partition, a file; the hint says how to ask for it', async () => {
    const partition = join(estate.chain, TABLE, 'range=10-19');
    for (const path of [join(estate.chain, TABLE), partition, join(partition, 'part-10-19.parquet')]) {
      const { code, stderr } = await program('verify', path);
      expect(code).toBe(2);
      expect(stderr).toContain(
        `verify ${estate.chain}${path === join(estate.chain, TABLE) ? '' : ' --from 10 --to 19'}`,
      );
    }
  });

  it('does not enter lost+found, where a mount begins', async () => {
    cpSync(estate.chain, join(estate.scene.data, 'lost+found/#12/sample/whole/v1'), { recursive: true });
    const { stdout } = await program('verify', estate.scene.data, '--threads', '1', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, chains: [{ chain: 'sample/whole/v1' }] });
  });

  it('is found from each folder above it', async () => {
    for (const up of ['.', '../..', '../../../..'])
      expect(await verify(join(estate.chain, up))).toMatchObject({ code: 0 });
  });
});

it('a sample reads one partition at least, and names what it did not read', async () => {
  const { code, stdout } = await program('verify', estate.scene.data, '--sample', '1/1000000', '--threads', '1');
  expect(code).toBe(0);
  expect(stdout).toContain('OK for the 1 partition that was read; 5 were not read');
  expect(stdout).toMatch(/^sample\/whole\/v1: not read: ledgers \d/m);
});

it('many partitions gone are one sentence, many damaged ones a few and a number', async () => {
  const table = join(estate.chain, TABLE);
  for (let n = 0; n < 300; n += 1) {
    const label = `${1000 + 10 * n}-${1009 + 10 * n}`;
    mkdirSync(join(table, `range=${label}`));
    writeFileSync(join(table, `range=${label}`, `part-${label}.parquet`), 'x');
  }
  const { code, stdout } = await program('verify', estate.scene.data, '--threads', '1');
  expect(code).toBe(3);
  expect(stdout).toContain('no partition holds ledgers 60 to 999');
  expect(stdout).toMatch(/290 more like these, ledgers \d+ to 3999; the first of them: partition/);
  expect(stdout).toMatch(/NOT OK: 301 findings/);
  expect(stdout.split('\n').length).toBeLessThan(60);
  rmSync(table, { recursive: true });
  const gone = await program('verify', estate.scene.data, '--threads', '1');
  expect(gone.stdout).toContain('6 partitions were attested and are not there: ledgers 2 to 59');
  expect(gone.stdout).toContain('NOT OK: 6 findings');
});
