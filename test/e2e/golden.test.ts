/**
 * What the program leaves and says, kept word for word: paths, Parquet hashes, manifests, events, copies, checkpoint, rows,
 * log lines, summary, and every JSON answer, of three runs over the sample lake. A change that should change nothing
 * changes nothing here; any other says in CHANGELOG what and why. `npx vitest run test/e2e/golden.test.ts -u` writes anew.
 *
 * Each story is told twice: hashes that differ between the two are of times and random ids, and are left out, as are
 * figures of time and memory. Whatever else differs is a difference.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { queryCatalog } from '../support/catalog.ts';
import { eventFile, filesIn } from '../support/estate.ts';
import { copyOf, rewrite, sampleEra, sampleLake, sampleScene } from '../support/lakes.ts';
import { type Outcome, program, type Scene } from '../support/program.ts';

type Told = Readonly<Record<string, string>>;

/** Figures of time, memory and machines. */
const VOLATILE =
  /^(.*(_ms|_seconds|_second|rss_bytes|memory.*|cpu.*|eta.*|mb_per_.*|free.*|disk.*|time|at)|pid|uptime|hostname|host|seconds)$/;

const JSONS = ['plan', 'status', 'verify', 'reconcile'] as const;

/** Objects and their fields in the order in which they were written. */
function figuresOut(value: unknown, key = ''): unknown {
  if (typeof value === 'number' && VOLATILE.test(key)) return '<n>';
  if (Array.isArray(value)) return value.map((each) => figuresOut(each, key));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, figuresOut(each, name)]));
}

const pretty = (text: string): string => JSON.stringify(figuresOut(JSON.parse(text)), null, 1);

const HASH = /\b[0-9a-f]{8,64}\b/g;

let commit = '';

function cleaned(text: string, scene: Scene, lake: string): string {
  return (
    text
      .replaceAll(commit, '<commit>')
      .replaceAll(lake, '<lake>')
      .replaceAll(scene.root, '<root>')
      // Eight hex digits, which may all be decimal ones.
      .replace(/("(?:run_id|correlation_id)": ?")[0-9a-f]{8}/g, '$1<hash>')
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, '<time>')
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>')
  );
}

const logLine = (line: object): string => JSON.stringify(figuresOut(line));

async function tell(scene: Scene, lake: string, run: Outcome): Promise<Record<string, string>> {
  const told: Record<string, string> = {};
  const files = [scene.data, scene.backup, scene.state].flatMap((dir) =>
    Object.entries(filesIn(dir)).map(([path, { sha256, size }]) => ({ path: join(dir, path), sha256, size })),
  );
  const names = files.filter(({ path }) => !path.includes('/catalog/'));
  told.files = names.map(({ path, sha256 }) => (path.endsWith('.parquet') ? `${path} ${sha256}` : path)).join('\n');
  const texts = names.filter(({ path }) => path.endsWith('.json') && !/\/(lock|staging)_/.test(path));
  told.contents = texts.map(({ path }) => `${path}\n${readFileSync(path, 'utf8')}`).join('\n');
  told.run = [`exit ${run.code}`, pretty(JSON.stringify(run.summary)), ...run.logs.map(logLine)].join('\n');
  for (const command of JSONS) {
    const args = command === 'verify' ? ['--threads', '1'] : [];
    const { code, stdout } = await scene.start(command, { args: [...args, '--json'] }).done;
    told[command] = `exit ${code}\n${pretty(stdout)}`;
  }
  const pas = await scene.command('pas', 'verify', '--json', '--config', scene.config());
  told['pas-verify'] = `exit ${pas.code}\n${pretty(pas.stdout)}`;
  const rows = await queryCatalog(
    join(scene.state, 'catalog'),
    'SELECT ledger_start, ledger_end, row_count, byte_size, checksum, prev_hash FROM _meta_lineage ORDER BY ledger_start',
  );
  told.rows = rows
    .map((row) => JSON.stringify(row, (_, value) => (typeof value === 'bigint' ? `${value}` : value)))
    .join('\n');
  return Object.fromEntries(Object.entries(told).map(([name, text]) => [name, cleaned(text, scene, lake)]));
}

/** One story, twice, and what both have in common. */
async function golden(story: () => Promise<readonly [Scene, string, Outcome]>): Promise<Told> {
  const [one, other] = [await tell(...(await story())), await tell(...(await story()))];
  const seen = new Set(Object.values(other).flatMap((text) => text.match(HASH) ?? []));
  return Object.fromEntries(
    Object.entries(one).map(([name, text]) => [
      name,
      text.replace(HASH, (found) => (seen.has(found) || /^\d+$/.test(found) ? found : '<hash>')),
    ]),
  );
}

async function scenery(settings = {}): Promise<Scene> {
  const scene = await sampleScene(sampleEra({ ledger_end: 29 }), {
    perf: { workers: 1, threads: 1 },
    ...settings,
  });
  return scene.change({ catalog: { backend: 'embedded', dir: join(scene.state, 'catalog'), strict: true } });
}

const STORIES: Readonly<Record<string, () => Promise<readonly [Scene, string, Outcome]>>> = {
  'a whole copy': async () => {
    const scene = await scenery();
    return [scene, (await sampleLake()).path, await scene.run()];
  },
  'a broken ledger': async () => {
    const lake = copyOf((await sampleLake()).path);
    rewrite(lake, 22, (bytes) => {
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
      return bytes;
    });
    const scene = (await scenery()).change({ source: { local_path: lake } });
    return [scene, lake, await scene.run()];
  },
  'an older backup': async () => {
    const scene = await scenery();
    expect((await scene.run()).code).toBe(0);
    const chain = scene.chain('sample', 'whole');
    rmSync(eventFile(chain, 2));
    rmSync(join(chain, 'ledgers_lcm_raw', 'range=20-29'), { recursive: true });
    return [scene, (await sampleLake()).path, await scene.run()];
  },
};

beforeAll(async () => {
  const { stdout } = await program('--version');
  commit = /commit ([0-9a-f]{40}(?:-dirty)?)/.exec(stdout)?.[1] ?? 'no commit';
});

describe('as it was', () => {
  for (const [name, story] of Object.entries(STORIES)) {
    it(name, async () => {
      const told = await golden(story);
      const text = Object.entries(told).map(([part, words]) => `== ${part}\n${words}\n`);
      await expect(text.join('\n')).toMatchFileSnapshot(`../golden/${name.replaceAll(' ', '-')}.txt`);
    });
  }
});
