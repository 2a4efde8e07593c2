/**
 * What is remembered outside of Bronze contradicts it (S12, S14, S36): every command says so beforehand, nothing is
 * written, no copy is replaced; and the deliberate way on, which is recorded and keeps everything.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { attestedIn, eventFile, filesIn, grid, readJson } from '../support/estate.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import type { Outcome, Scene } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';

const LAST = '50-59';
const CODE = 'EVIDENCE_CONTRADICTS';
const CHECKPOINT = 'checkpoint_sample_whole_v1.json';
const HEADS = 'pas-chain-heads.json';
const chainOf = (scene: Scene): string => scene.chain('sample', 'whole');
const copyIn = (scene: Scene, label: string): string => join(scene.backup, `sample_whole_v1_${label}.json`);

/** Six partitions, with copies, checkpoint and an embedded catalog; and another history of the same ledgers. */
let whole: Scene;
let other: Scene;
beforeAll(async () => {
  whole = await sampleScene(sampleEra({ ledger_end: 59 }));
  other = whole.copy();
  expect((await whole.run()).code).toBe(0);
  other.change({ bronze: { compression: 'snappy' } });
  expect((await other.run()).code).toBe(0);
});

/** Bronze, copies and state, but for what taking a lock leaves. */
const everything = (scene: Scene) => [
  filesIn(scene.data),
  filesIn(scene.backup),
  Object.fromEntries(Object.entries(filesIn(scene.state)).filter(([path]) => !path.includes('staging_'))),
];

const start = (scene: Scene, command: string, ...args: string[]): Promise<Outcome> =>
  scene.start(command, { args }).done;

/** `run` refuses and changes nothing, and says so of what is named. */
async function isRefused(scene: Scene, ...named: string[]): Promise<void> {
  const before = everything(scene);
  const outcome = await scene.run();
  expect(outcome.code, outcome.stderr).toBe(1);
  const error = outcome.summary?.eras[0]?.error;
  expect(error).toMatchObject({ code: CODE });
  for (const name of named) expect(error?.message).toContain(name);
  expect(everything(scene)).toEqual(before);
}

/** Where nothing contradicts any more: what is left is copied, and Bronze is proved. */
async function goesOn(scene: Scene): Promise<void> {
  const outcome = await scene.run();
  expect(outcome.code, outcome.stderr).toBe(0);
  expect(attestedIn(chainOf(scene))).toEqual(grid(2, 59, 10));
  await expectVerified(scene);
}

const olderBackup = (scene: Scene): void => {
  rmSync(eventFile(chainOf(scene), 5));
  rmSync(join(chainOf(scene), 'ledgers_lcm_raw', `range=${LAST}`), { recursive: true });
};

type Case = readonly [name: string, damage: (scene: Scene) => void, named: readonly string[]];

const CASES: readonly Case[] = [
  ['an older backup was restored', olderBackup, [`sample_whole_v1_${LAST}.json`, HEADS, CHECKPOINT]],
  ['the mount is absent', (scene) => rmSync(scene.data, { recursive: true }), ['and 5 more']],
  ['the last event is gone', (scene) => rmSync(eventFile(chainOf(scene), 5)), [`sample_whole_v1_${LAST}.json`]],
  ['all events are gone', (scene) => rmSync(join(chainOf(scene), '_audit'), { recursive: true }), ['event 0']],
  [
    'another history, consistent in itself',
    (scene) => {
      rmSync(scene.data, { recursive: true });
      cpSync(other.data, scene.data, { recursive: true });
    },
    ['event 0 of the audit chain has'],
  ],
  ['a copy is empty', (scene) => writeFileSync(copyIn(scene, '20-29'), ''), ['20-29.json is no event']],
  [
    'a copy is cut',
    (scene) => writeFileSync(copyIn(scene, '20-29'), readFileSync(copyIn(scene, '20-29')).subarray(0, 90)),
    ['20-29.json is no event'],
  ],
  [
    'a copy is of another event',
    (scene) => cpSync(copyIn(scene, '30-39'), copyIn(scene, '20-29')),
    ['20-29.json is the event of ledgers 30-39'],
  ],
  [
    'the heads cannot be read',
    (scene) => writeFileSync(join(scene.backup, HEADS), '{"sample'),
    [`${HEADS} cannot be read`],
  ],
  [
    'the heads name what the chain never had',
    (scene) =>
      writeFileSync(join(scene.backup, HEADS), JSON.stringify({ 'sample/whole/v1': `sha256:${'0'.repeat(64)}` })),
    ['the audit chain has no such event'],
  ],
];

describe('S36: refused before anything is written', () => {
  it.each(CASES)('%s', async (_, damage, named) => {
    const scene = whole.copy();
    damage(scene);
    await isRefused(scene, ...named);
  });

  it('only the checkpoint, only the copies without the audit stream, or only the catalog remembers', async () => {
    const checkpoint = whole.copy();
    olderBackup(checkpoint);
    checkpoint.lose('pas-backup');
    await isRefused(checkpoint, CHECKPOINT);

    const copies = whole.copy();
    olderBackup(copies);
    copies.lose('state');
    copies.change({ pas: { enabled: false }, checkpoint: { enabled: false } });
    await isRefused(copies, `sample_whole_v1_${LAST}.json`);

    const catalog = whole.copy();
    const dir = join(catalog.state, 'catalog');
    catalog.change({ catalog: { backend: 'embedded', dir } });
    expect((await catalog.run()).code).toBe(0);
    catalog.lose('pas-backup', join('state', CHECKPOINT));
    catalog.change({ pas: { enabled: false }, checkpoint: { enabled: false } });
    olderBackup(catalog);
    await isRefused(catalog, `has partition ${LAST}, and Bronze does not hold it`);
  });

  it('another storage under the same state and backup folders, empty or behind', async () => {
    const empty = whole.copy();
    empty.change({ storage: { local_dir: join(empty.root, 'other') } });
    await isRefused(empty, 'and 5 more');
    const behind = whole.copy();
    const other = join(behind.root, 'other');
    cpSync(behind.data, other, { recursive: true });
    behind.change({ eras: [{ ...sampleEra({ ledger_end: 62 }), partition_size: 10 }] } as never);
    expect((await behind.run()).code).toBe(0);
    behind.change({ storage: { local_dir: other } });
    await isRefused(behind, CHECKPOINT);
  });

  it('every command says the same, and none of them makes a folder where the mount is absent', async () => {
    const scene = whole.copy();
    rmSync(scene.data, { recursive: true });
    const before = everything(scene);
    for (const words of [
      ['plan'],
      ['status'],
      ['validate', '--online'],
      ['reconcile'],
      ['reconcile', '--repair'],
      ['give-up'],
    ]) {
      const [command = '', ...args] = words;
      const { code, stdout, stderr } = await start(scene, command, ...args);
      expect(code, words.join(' ')).toBe(command === 'reconcile' ? 3 : 1);
      expect(stdout + stderr, words.join(' ')).toContain('which the audit chain does not hold');
      expect(everything(scene), words.join(' ')).toEqual(before);
    }
    renameSync(join(whole.copy().root, 'data'), scene.data);
    await goesOn(scene);
  });

  it('an event that is gone from the end comes back by a repair, as it was, and nothing else does', async () => {
    const scene = whole.copy();
    const before = filesIn(scene.data);
    rmSync(eventFile(chainOf(scene), 5));
    expect((await start(scene, 'reconcile', '--repair')).code).toBe(0);
    expect(Object.entries(filesIn(scene.data)).map(([path, { sha256 }]) => [path, sha256])).toEqual(
      Object.entries(before).map(([path, { sha256 }]) => [path, sha256]),
    );
    await goesOn(scene);
  });
});

describe('S12: what contradicts nothing', () => {
  it('copies in other formatting, and other chains in the heads, stay as they are', async () => {
    const scene = whole.copy();
    writeFileSync(copyIn(scene, '20-29'), JSON.stringify(readJson(copyIn(scene, '20-29'))));
    writeFileSync(join(scene.backup, HEADS), JSON.stringify({ ...readJson(scene.backup, HEADS), 'a/b/c': 7 }));
    const before = filesIn(scene.backup);
    await goesOn(scene);
    expect(filesIn(scene.backup)).toEqual(before);
  });
});

describe('the deliberate way on', () => {
  const codeIn = async (scene: Scene): Promise<string> => {
    const { code, stdout } = await start(scene, 'give-up', '--json');
    expect(code).toBe(1);
    return JSON.parse(stdout).code;
  };

  it('gives up what it names and nothing else, records it, keeps it, and can be said twice', async () => {
    const scene = whole.copy();
    olderBackup(scene);
    const code = await codeIn(scene);
    const before = everything(scene);
    const wrong = await start(scene, 'give-up', '--exactly', '0123456789ab', '--reason', 'r');
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining(`which is ${code}`)]);
    expect(everything(scene)).toEqual(before);

    const old = new Map(
      readdirSync(scene.backup).map((name) => [name, readFileSync(join(scene.backup, name), 'utf8')]),
    );
    const done = await start(scene, 'give-up', '--exactly', code, '--reason', 'backup of Monday');
    expect(done.code, done.stderr).toBe(0);
    const record = readJson(chainOf(scene), '_losses', '0000000000.json');
    expect(record).toMatchObject({
      code,
      chain: 'sample/whole/v1',
      reason: 'backup of Monday',
      ledger_start: 50,
      ledger_end: 59,
      by: { copier_id: 'copier-under-test' },
      bronze: { partitions: 5, events: 5 },
    });
    expect(record.given_up.map(({ what }: { what: string }) => what)).toEqual(['copy', 'head', 'checkpoint']);
    for (const { kept_as } of record.given_up) {
      const kept = basename(kept_as).replace('.given-up-0000000000', '');
      if (old.has(kept)) expect(readFileSync(kept_as, 'utf8')).toBe(old.get(kept));
    }
    const again = await start(scene, 'give-up', '--exactly', code, '--reason', 'backup of Monday');
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining('given up before')]);
    await goesOn(scene);
    expect((await start(scene, 'status')).stdout).toContain('backup of Monday');
    const compared = await start(scene, 'reconcile');
    expect([compared.code, compared.stdout]).toEqual([0, expect.stringContaining('backup of Monday')]);
    const nothing = await start(scene, 'give-up');
    expect([nothing.code, nothing.stderr]).toEqual([2, expect.stringContaining('nothing to give up')]);
  });

  it('with rows of the catalog, and with a heads file that cannot be read', async () => {
    const scene = whole.copy();
    scene.change({ catalog: { backend: 'embedded', dir: join(scene.state, 'catalog'), strict: true } });
    expect((await scene.run()).code).toBe(0);
    olderBackup(scene);
    writeFileSync(join(scene.backup, HEADS), '{"sample');
    const done = await start(scene, 'give-up', '--exactly', await codeIn(scene), '--reason', 'r');
    expect(done.code, done.stderr).toBe(0);
    expect(readFileSync(join(scene.backup, `${HEADS}.given-up-0000000000`), 'utf8')).toBe('{"sample');
    await goesOn(scene);
    expect((await start(scene, 'reconcile')).code).toBe(0);
  });
});

describe('S9: a partition among the attested', () => {
  it.each(['2-3', '12-15', '10-29', '50-69', '0-1', '50-54'])('%s is an overlap for every command', async (label) => {
    const scene = whole.copy();
    const folder = join(chainOf(scene), 'ledgers_lcm_raw', `range=${label}`);
    mkdirSync(folder);
    writeFileSync(join(folder, label === '12-15' ? 'old.parquet' : `part-${label}.parquet`), 'old');
    for (const words of [['run'], ['status'], ['plan'], ['validate', '--online']]) {
      const [command = '', ...args] = words;
      const { code, stdout, stderr } = await start(scene, command, ...args);
      expect(code, words.join(' ')).toBe(1);
      expect(stdout + stderr, words.join(' ')).toContain('PARTITION_OVERLAP');
    }
  });
});
