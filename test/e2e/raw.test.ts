// What others wrote (a store, a lake, a manifest, a file's name, a lock, a configuration) acts on no terminal: every
// command, as text and as JSON, over every such place.
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import type { Outcome, Scene } from '../support/program.ts';
import { describeTerminal, InTerminal } from '../support/terminal.ts';

/** Sets a title, begins a sequence in one byte, turns the line around, hides, goes back to its start, rings. */
const FOUL = 'x\u001b]0;owned\u0007\u009b2J\u202egnol\u200b\r\u0000\u2028y';
/** The same as far as a file's name may hold it. */
const FOUL_NAME = FOUL.replaceAll('\u0000', '').replaceAll('/', '');
const ACTS = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

let whole: Scene;
beforeAll(async () => {
  whole = await sampleScene(sampleEra({ ledger_end: 29 }));
  expect((await whole.run()).code).toBe(0);
});

const chainOf = (scene: Scene): string => scene.chain('sample', 'whole');
const tableOf = (scene: Scene): string => join(chainOf(scene), 'ledgers_lcm_raw');

/** Every text in a JSON file is foul. */
function foulJson(path: string): void {
  const foul = (value: unknown): unknown =>
    typeof value === 'string'
      ? `${value}${FOUL}`
      : value !== null && typeof value === 'object' && !Array.isArray(value)
        ? Object.fromEntries([...Object.entries(value).map(([key, inner]) => [key, foul(inner)]), [FOUL, FOUL]])
        : value;
  writeFileSync(path, JSON.stringify(foul(JSON.parse(readFileSync(path, 'utf8')))));
}

const firstIn = (dir: string, what: RegExp): string =>
  join(dir, (readdirSync(dir, { recursive: true }) as string[]).filter((name) => what.test(name)).sort()[0] as string);

const PLACES: readonly (readonly [name: string, foul: (scene: Scene) => void])[] = [
  ['a manifest', (scene) => foulJson(firstIn(tableOf(scene), /manifest\.json$/))],
  ['an event', (scene) => foulJson(firstIn(join(chainOf(scene), '_audit'), /\.json$/))],
  ['_bronze.json', (scene) => foulJson(firstIn(scene.data, /_bronze\.json$/))],
  ['a copy of an event', (scene) => foulJson(firstIn(scene.backup, /_2-9\.json$/))],
  ['the heads', (scene) => foulJson(join(scene.backup, 'pas-chain-heads.json'))],
  // Nothing of it is said: what is wrong with it is.
  ['a checkpoint', (scene) => foulJson(firstIn(scene.state, /^checkpoint/))],
  [
    'a lock of another machine',
    (scene) =>
      writeFileSync(
        join(scene.state, 'lock_sample_whole_v1.json'),
        JSON.stringify({
          ...{ host: FOUL, boot_id: FOUL, pid_namespace: FOUL, pid: 1, process_start: FOUL, nonce: '0'.repeat(32) },
          ...{ acquired_at: FOUL, copier_id: FOUL },
        }),
      ),
  ],
  [
    'names of files and folders',
    (scene) => {
      for (const dir of [tableOf(scene), join(chainOf(scene), '_audit'), chainOf(scene), scene.data, scene.backup])
        writeFileSync(join(dir, `${FOUL_NAME}.json`), '{}');
      mkdirSync(join(tableOf(scene), `range=${FOUL_NAME}`));
      mkdirSync(join(scene.data, FOUL_NAME));
      cpSync(chainOf(scene), join(scene.data, 'sample', 'whole', `v${FOUL_NAME}`), { recursive: true });
    },
  ],
  [
    'a data object',
    (scene) => {
      const path = firstIn(tableOf(scene), /\.parquet$/);
      const bytes = readFileSync(path);
      // A name in the footer and in the schema.
      const text = bytes
        .toString('latin1')
        .replaceAll('ledger_sequence', 'ledger\u001b]0;x\u0007nc'.padEnd(15, '\u009b'));
      rmSync(path);
      writeFileSync(path, Buffer.from(text, 'latin1'));
    },
  ],
  [
    'the lake',
    (scene) => {
      const lake = join(scene.root, 'lake');
      cpSync((scene.settings.source as { local_path: string }).local_path, lake, { recursive: true });
      foulJson(join(lake, '.config.json'));
      const object = firstIn(lake, /\.zst$/);
      renameSync(object, join(lake, `${FOUL_NAME}.zst`));
      scene.change({ source: { local_path: lake } });
    },
  ],
  ['the configuration', (scene) => scene.change({ [`key${FOUL}`]: FOUL, copier_id: FOUL, storage: { backend: FOUL } })],
];

const COMMANDS: readonly (readonly string[])[] = [
  ['validate'],
  ['validate', '--online'],
  ['plan'],
  ['plan', '--json'],
  ['status'],
  ['status', '--json'],
  ['reconcile'],
  ['reconcile', '--json'],
  ['verify', '--threads', '1'],
  ['verify', '--threads', '1', '--json'],
  ['pas', 'verify'],
  ['pas', 'verify', '--json'],
  ['give-up'],
  ['give-up', '--json'],
  ['unlock', '--eras', 'whole'],
  ['run'],
];

const raw = ({ stdout, stderr }: Outcome): string[] => [...`${stdout}${stderr}`.matchAll(ACTS)].map(([char]) => char);

describe('S45: nothing foreign acts on a terminal', () => {
  it.each(PLACES)('%s', async (name, foul) => {
    const scene = whole.copy();
    foul(scene);
    let isSaid = false;
    for (const words of COMMANDS) {
      const [command = '', ...args] = words;
      const outcome = await scene.command(command, ...args, '--config', scene.config());
      expect(raw(outcome), `${words.join(' ')}: ${JSON.stringify(outcome)}`).toEqual([]);
      isSaid ||= `${outcome.stdout}${outcome.stderr}`.includes('\\u');
    }
    const text = await scene.command('run', '--config', scene.config(), { LOG_FORMAT: 'text' });
    expect(raw(text), text.stderr).toEqual([]);
    if (name !== 'a checkpoint')
      expect(isSaid || `${text.stdout}${text.stderr}`.includes('\\u'), 'none of it was said anywhere').toBe(true);
  });

  it('words of the command line', async () => {
    const clean = FOUL.replaceAll('\u0000', '');
    for (const words of [
      [clean],
      ['run', `--${clean}`],
      ['run', '--config', clean],
      ['verify', clean],
      ['help', clean],
    ]) {
      const outcome = await whole.command(...words);
      expect(outcome.code).toBe(2);
      expect(raw(outcome), JSON.stringify(outcome)).toEqual([]);
    }
  });
});

describeTerminal('in a terminal', () => {
  it('progress shows it, and nothing of it acts', async () => {
    const scene = whole.copy();
    cpSync(chainOf(scene), join(scene.data, 'sample', 'whole', `v${FOUL_NAME}`), { recursive: true });
    const run = new InTerminal(['verify', scene.data, '--threads', '1'], { cwd: scene.root, columns: 200, rows: 24 });
    expect(await run.done).toBe(3);
    expect(run.raw).toMatch(/vx\\u001b[^\n]*: \d of \d partitions/);
    // Its own: back to the beginning of the line, and erase.
    const foreign = run.raw.replaceAll('\u001b[0J', '').replaceAll('\r', '');
    expect([...foreign.matchAll(ACTS)].map(([char]) => char)).toEqual([]);
  });
});
