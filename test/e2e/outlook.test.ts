// What `run` would refuse, `plan`, `status` and `validate --online` say beforehand, with the same code and another exit
// code than 0; and none of them says what it does not know.
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Failure } from '../../machines/errors.ts';
import { roomRefusal } from '../../runtime/outlook.ts';
import { said } from '../support/copier.ts';
import { filesIn } from '../support/estate.ts';
import { objectOf, SAMPLE_SOURCE, sampleEra, sampleLake } from '../support/lakes.ts';
import { Scene, type Settings } from '../support/program.ts';

let lake: string;
let copied: Scene;

const eras = (over: Settings) => ({ eras: [sampleEra(over)] });
const FIRST_HALF = eras({ ledger_end: 29 });
const WHOLE = eras({ ledger_end: 59 });

beforeAll(async () => {
  ({ path: lake } = await sampleLake({ last: 59 }));
  copied = new Scene(lake, FIRST_HALF.eras, { source: SAMPLE_SOURCE });
  const run = await copied.run();
  expect(run.code, said(run)).toBe(0);
});

/** The estate with its first half copied and the second one to come, and a lake of its own. */
function half(settings: Settings = {}): Scene {
  const scene = copied.copy();
  cpSync(lake, lakeOf(scene), { recursive: true });
  scene.change({ ...WHOLE, source: { ...SAMPLE_SOURCE, local_path: lakeOf(scene) } });
  scene.change(settings);
  scene.config();
  return scene;
}

const lakeOf = (scene: Scene): string => join(scene.root, 'lake');
const ledgerOf = (scene: Scene, ledger: number): string => join(lakeOf(scene), objectOf(lakeOf(scene), ledger));

const COMMANDS = [['plan'], ['status'], ['validate', '--online']] as const;

async function ask(scene: Scene, [command, ...more]: readonly string[]) {
  const json = await scene.command(command as string, ...more, '--config', 'config.yaml', '--json');
  const answer = JSON.parse(json.stdout);
  const each: { errors: Failure[]; notices: string[] }[] = answer.eras ?? [];
  const failures: Failure[] = answer.failures ?? [...(answer.errors ?? []), ...each.flatMap(({ errors }) => errors)];
  const notices: string[] = answer.notices ?? each.flatMap((era) => era.notices);
  return { code: json.code, answer, codes: failures.map(({ code }) => code), notices, text: json.stdout + json.stderr };
}

/** The same for people. */
async function read(scene: Scene, [command, ...more]: readonly string[]): Promise<string> {
  const { stdout, stderr } = await scene.command(command as string, ...more, '--config', 'config.yaml');
  return stdout + stderr;
}

const REFUSED: readonly (readonly [string, string, (scene: Scene) => unknown])[] = [
  [
    'a lake of another network',
    'LAKE_WRONG_NETWORK',
    (scene) => {
      const file = join(lakeOf(scene), '.config.json');
      const config = JSON.parse(readFileSync(file, 'utf8'));
      writeFileSync(file, JSON.stringify({ ...config, networkPassphrase: 'another' }));
    },
  ],
  ['a lake that is not there', 'LAKE_NOT_FOUND', (scene) => rmSync(lakeOf(scene), { recursive: true })],
  ['a lake without the first ledger to come', 'LEDGER_MISSING', (scene) => rmSync(ledgerOf(scene, 30))],
  ['a first ledger that cannot be read', 'OBJECT_CORRUPT', (scene) => writeFileSync(ledgerOf(scene, 30), 'nothing')],
  ['a first ledger that is empty', 'OBJECT_EMPTY', (scene) => writeFileSync(ledgerOf(scene, 30), '')],
  [
    'another ledger under the name of the first',
    'BATCH_INVALID',
    (scene) => cpSync(ledgerOf(scene, 31), ledgerOf(scene, 30)),
  ],
  ['another grid', 'BRONZE_MISMATCH', (scene) => scene.change(eras({ ledger_end: 59, partition_size: 5 }))],
  [
    'a partition that is cut',
    'PARTITION_DAMAGED',
    (scene) =>
      writeFileSync(join(scene.chain('sample', 'whole'), 'ledgers_lcm_raw/range=10-19/part-10-19.parquet'), 'x'),
  ],
  [
    'a catalog that is none',
    'CATALOG_SCHEMA',
    (scene) => {
      const dir = join(scene.root, 'catalog');
      mkdirSync(dir);
      writeFileSync(join(dir, 'catalog.duckdb'), 'x'.repeat(20_000));
      scene.change({ catalog: { backend: 'embedded', dir } });
    },
  ],
];

describe('what a run would refuse', () => {
  it.each(REFUSED)('%s is %s for all of them', async (_, code, damage) => {
    const scene = half();
    damage(scene);
    scene.config();
    const before = filesIn(scene.bronze);
    for (const command of COMMANDS) {
      const found = await ask(scene, command);
      expect([command[0], found.code], found.text).toEqual([command[0], 1]);
      expect(found.codes, found.text).toContain(code);
    }
    expect(filesIn(scene.bronze)).toEqual(before);
    const run = await scene.run();
    expect(run.code).toBe(1);
    expect(run.summary?.eras[0]?.error?.code, said(run)).toBe(code);
  });

  it('of the second half, where nothing is wrong, is nothing', async () => {
    const scene = half();
    for (const command of COMMANDS) {
      const { code, codes, text } = await ask(scene, command);
      expect([code, codes], text).toEqual([0, []]);
    }
  });

  it('is not asked of an era that is complete: a lake that lost old ledgers stops nobody', async () => {
    const scene = half(FIRST_HALF);
    for (const ledger of [2, 3, 29]) rmSync(ledgerOf(scene, ledger));
    for (const command of COMMANDS) {
      const { code, codes, text } = await ask(scene, command);
      expect([code, codes], text).toEqual([0, []]);
    }
  });

  it('LOCK_HELD is said by plan while a copier may be at work; status names the holder', async () => {
    const scene = half();
    writeFileSync(join(scene.state, 'lock_sample_whole_v1.json'), '{"nobody": "knows"}');
    const plan = await ask(scene, ['plan']);
    expect([plan.code, plan.codes]).toEqual([1, ['LOCK_HELD']]);
    const status = await ask(scene, ['status']);
    expect([status.code, status.answer.eras[0].lock.liveness]).toEqual([0, 'unknown']);
  });
});

describe('status', () => {
  it('never says that nothing is committed where it could not tell', async () => {
    const scene = half();
    renameSync(join(scene.root, 'data'), join(scene.root, 'aside'));
    writeFileSync(join(scene.root, 'data'), 'a file where the folder was');
    const { code, answer } = await ask(scene, ['status']);
    const text = await read(scene, ['status']);
    expect(code).toBe(1);
    expect(text).toContain('committed: not known');
    expect(text).not.toContain('nothing');
    expect(text).not.toContain('no events');
    expect(answer.eras[0]).toMatchObject({
      committed_known: false,
      last_committed_ledger: null,
      partitions: null,
      ledgers: null,
      bytes: null,
      gaps: null,
      complete: null,
      last_event: null,
      not_attested: null,
      to_mend: null,
      error: { code: expect.stringMatching(/^STORE_/) },
    });
  });

  it('says what is there where what is committed cannot be told', async () => {
    const scene = half();
    writeFileSync(join(scene.chain('sample', 'whole'), '_audit/0000000001.json'), '{');
    const { code, answer } = await ask(scene, ['status']);
    expect([code, answer.eras[0].committed_known]).toEqual([1, false]);
    expect(await read(scene, ['status'])).toContain('committed: not known');
  });
});

describe('a name that is new beside an old one', () => {
  const told = async (scene: Scene) => {
    for (const command of COMMANDS) {
      const { code, notices, text } = await ask(scene, command);
      expect([code, notices.length], text).toEqual([0, 1]);
      expect((await read(scene, command)).match(/^ *note: /gm)).toHaveLength(1);
    }
    const run = await scene.run();
    expect(run.code, said(run)).toBe(0);
    return run.logs.filter(({ msg }) => msg.includes('partitions'));
  };

  it.each([
    ['V1', 'version'],
    ['v1.0', 'version'],
  ])('version %s is said once, by each command and by the run', async (label, word) => {
    const scene = half(eras({ ledger_end: 29, version_label: label }));
    const lines = await told(scene);
    expect(lines.map(({ msg }) => msg)).toEqual([
      `sample/whole/${label} is a new ${word} beside sample/whole/v1 with 3 partitions`,
    ]);
    // It is there now.
    expect((await ask(scene, ['plan'])).notices).toEqual([]);
    expect((await scene.run()).logs.filter(({ msg }) => msg.includes('beside'))).toEqual([]);
  });

  it('a folder is said, where one of nearly its name holds the chain', async () => {
    const scene = half();
    renameSync(join(scene.root, 'data'), join(scene.root, 'Data'));
    rmSync(scene.state, { recursive: true });
    rmSync(scene.backup, { recursive: true });
    const { code, notices, text } = await ask(scene, ['plan']);
    expect(code, text).toBe(0);
    expect(notices.join()).toContain(`${join(scene.root, 'Data')} beside it holds 3 partitions of it`);
  });

  it('another one far from it, or an empty one, is nothing', async () => {
    const scene = half(eras({ ledger_end: 29, version_label: 'rewritten' }));
    mkdirSync(join(scene.bronze, 'sample/whole/rewrite'));
    expect((await ask(scene, ['plan'])).notices).toEqual([]);
  });
});

describe('room', () => {
  it('is not enough where more is to be written than is free', () => {
    expect(roomRefusal('file:///bronze/', 10e6, 9e6)).toMatchObject({
      code: 'STORE_FULL',
      message: expect.stringContaining('10.00 MB'),
    });
    expect([roomRefusal('s3://bronze/', 10e6, null), roomRefusal('file:///bronze/', 10e6, 10e6)]).toEqual([null, null]);
  });
});
