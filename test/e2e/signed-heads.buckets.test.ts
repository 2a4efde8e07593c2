// Signed heads with Bronze in a bucket: created if absent, whatever the run dies of; a chain that was rewritten or cut there
// is refused by `run` and found by `pas verify`, by the heads beside it or by copies that were kept elsewhere.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tempFolder } from '../support/bronze.ts';
import { said } from '../support/copier.ts';
import { filesIn } from '../support/estate.ts';
import { startGcsDouble } from '../support/gcs-double.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import { type Outcome, program, type Scene } from '../support/program.ts';
import { type RemoteKind, type RemoteScene, remoteScene } from '../support/remote-scene.ts';
import { describeServers } from '../support/servers.ts';

const NAME = 'example.com/bronze';
const EVENTS = 6;
const CHAIN = 'bronze/sample/whole/v1/';
const HEADS = `${CHAIN}_audit/heads/`;
const headKey = (size: number): string => `${HEADS}${String(size).padStart(10, '0')}`;
const ALL = Array.from({ length: EVENTS }, (_, n) => headKey(n + 1));

interface Signing {
  readonly scene: RemoteScene;
  readonly key: string;
  readonly settings: { readonly pas: { readonly signing_key: string; readonly origin: string } };
}

async function signing(kind: RemoteKind): Promise<Signing> {
  const file = join(tempFolder(), 'signing.key');
  const made = await program('pas', 'keygen', '--out', file, '--origin', NAME);
  const settings = { pas: { signing_key: file, origin: NAME } };
  const like = (await sampleScene(sampleEra({ ledger_end: 59 }))).change(settings);
  return { scene: await remoteScene(kind, like), key: made.stdout.trim(), settings };
}

const checked = (scene: Scene, key: string, ...more: string[]): Promise<Outcome> =>
  scene.start('pas', { args: ['verify', '--key', key, '--json', ...more] }).done;
const codesIn = ({ stdout }: Outcome): string[] => [
  ...new Set<string>(JSON.parse(stdout).failures.map(({ code }: { code: string }) => code)),
];

/** Copies of the heads, as somebody elsewhere has them. */
async function keptElsewhere({ bucket }: RemoteScene): Promise<string> {
  const folder = join(tempFolder(), 'heads');
  mkdirSync(folder);
  for (const key of await bucket.list(HEADS)) {
    writeFileSync(join(folder, key.slice(HEADS.length)), (await bucket.get(key)) as Buffer);
  }
  return folder;
}

async function expectRefused(scene: RemoteScene): Promise<void> {
  const before = await scene.bucket.versions('bronze/');
  const run = await scene.run();
  expect([run.code, run.summary?.eras[0]?.error], said(run)).toMatchObject([1, { code: 'HEAD_CONTRADICTS' }]);
  expect(await scene.bucket.versions('bronze/')).toEqual(before);
}

async function killed(kind: RemoteKind): Promise<void> {
  const { scene, key } = await signing(kind);
  const { bucket } = scene;
  const dead = await scene.run({ env: { BRONZE_KILL_AT: 'commit:before-head#3' } });
  expect(dead.signal, said(dead)).toBe('SIGKILL');
  expect(await bucket.list(HEADS)).toEqual(ALL.slice(0, 2));
  const before = await bucket.versions(HEADS);
  // Nothing on this machine is left: the bucket says it all.
  scene.lose('state', 'pas-backup');
  const next = await scene.run();
  expect(next.code, said(next)).toBe(0);
  expect(await bucket.list(HEADS)).toEqual(ALL);
  const all = await bucket.versions('bronze/');
  expect(all).toMatchObject(before);
  expect((await scene.run()).code).toBe(0);
  expect(await bucket.versions('bronze/')).toEqual(all);
  const verdict = await checked(scene, key);
  expect([verdict.code, JSON.parse(verdict.stdout)], said(verdict)).toMatchObject([
    0,
    { ok: true, not_seen: [], heads: [{ events: EVENTS, newest: EVENTS, heads: 2 * EVENTS - 2 }] },
  ]);
  const verified = await scene.verify();
  expect(verified.code, said(verified)).toBe(0);
}

async function contradicted(kind: RemoteKind): Promise<void> {
  const { scene, key, settings } = await signing(kind);
  const { bucket } = scene;
  const first = await scene.run({ args: ['--to', '39'] });
  expect(first.code, said(first)).toBe(0);
  // Another history of this chain, honest in itself, signed with the same key.
  const other = (await sampleScene(sampleEra({ ledger_end: 59 })))
    .change(settings)
    .change({ bronze: { compression: 'snappy' } });
  expect((await other.run()).code).toBe(0);
  const its = (key: string): Buffer => readFileSync(join(other.data, key));
  // The head that comes next is there already, and says something else: it stays as it is.
  await bucket.put(headKey(5), its(headKey(5)));
  const planted = await bucket.versions(HEADS);
  const run = await scene.run();
  expect([run.code, run.summary?.eras[0]?.error], said(run)).toMatchObject([1, { code: 'HEAD_CONTRADICTS' }]);
  expect(await bucket.versions(HEADS)).toEqual(planted);
  await bucket.delete(headKey(5));
  const whole = await scene.run();
  expect(whole.code, said(whole)).toBe(0);
  const elsewhere = await keptElsewhere(scene);
  expect(readdirSync(elsewhere)).toHaveLength(EVENTS);
  scene.lose('state', 'pas-backup');

  // Cut, with the newest head left; then the head gone as well.
  const last = [`${CHAIN}_audit/0000000005.json`, `${CHAIN}ledgers_lcm_raw/range=50-59/`];
  for (const key of await bucket.list(CHAIN)) if (last.some((one) => key.startsWith(one))) await bucket.delete(key);
  await expectRefused(scene);
  const cut = await checked(scene, key);
  expect([cut.code, codesIn(cut)], said(cut)).toEqual([3, ['HEAD_CONTRADICTS']]);
  await bucket.delete(headKey(EVENTS));
  const unseen = await checked(scene, key);
  expect([unseen.code, JSON.parse(unseen.stdout).not_seen.length], said(unseen)).toEqual([0, 1]);
  const seen = await checked(scene, key, '--heads', elsewhere);
  expect([seen.code, codesIn(seen)], said(seen)).toEqual([3, ['HEAD_CONTRADICTS']]);

  // Rewritten whole, its heads left; then with heads of its own.
  for (const key of await bucket.list(CHAIN)) if (!key.startsWith(HEADS)) await bucket.delete(key);
  const objects = Object.keys(filesIn(other.data));
  for (const key of objects.filter((one) => !one.startsWith(HEADS))) await bucket.put(key, its(key));
  scene.settings = { ...scene.settings, bronze: { compression: 'snappy' } };
  await expectRefused(scene);
  const rewritten = await checked(scene, key);
  expect([rewritten.code, codesIn(rewritten)], said(rewritten)).toEqual([3, ['HEAD_CONTRADICTS']]);
  for (const key of ALL) await bucket.put(key, its(key));
  expect((await checked(scene, key)).code).toBe(0);
  const split = await checked(scene, key, '--heads', elsewhere);
  expect([split.code, codesIn(split)], said(split)).toEqual([3, ['HEAD_CONTRADICTS']]);
}

const suite = (kind: RemoteKind): void => {
  it('S5: a run that dies between an event and its head: the next one signs, and replaces nothing', () => killed(kind));
  it('S36: a chain that was cut or rewritten contradicts them', () => contradicted(kind));
};

describeServers('signed heads', (server) => suite({ protocol: 's3', server }));

describe('double of GCS: signed heads', () => {
  it.each([
    ['S5: a run that dies between an event and its head: the next one signs, and replaces nothing', killed],
    ['S36: a chain that was cut or rewritten contradicts them', contradicted],
  ] as const)('%s', async (_, test) => {
    const double = await startGcsDouble();
    try {
      await test({ protocol: 'gcs', double });
    } finally {
      await double.close();
    }
  });
});
