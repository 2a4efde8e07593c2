// S36 with Bronze in a bucket: an older backup of it was restored while copies, checkpoint and heads remember more. Every
// command refuses and writes nothing; what is given up is recorded beside the chain, and the run goes on. And what only the
// place of delivery remembers; and who else says so.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startAuditServer } from '../support/audit-endpoint.ts';
import { said } from '../support/copier.ts';
import { attestedIn, eventFile, grid } from '../support/estate.ts';
import { startGcsDouble } from '../support/gcs-double.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import type { Outcome, Scene } from '../support/program.ts';
import { type RemoteKind, remoteScene } from '../support/remote-scene.ts';
import { describeServer } from '../support/servers.ts';

const CODE = 'EVIDENCE_CONTRADICTS';
const ERA = sampleEra({ ledger_end: 59 });

const start = (scene: Scene, ...[command = '', ...args]: string[]): Promise<Outcome> =>
  scene.start(command, { args }).done;

const copiesIn = ({ backup }: Scene): Record<string, string> =>
  Object.fromEntries(readdirSync(backup).map((name) => [name, readFileSync(join(backup, name), 'utf8')]));

async function restored(kind: RemoteKind): Promise<void> {
  const scene = await remoteScene(kind, await sampleScene(ERA));
  const first = await scene.run();
  expect(first.code, said(first)).toBe(0);
  const { bucket } = scene;
  for (const key of await bucket.list('bronze/')) {
    if (key.includes('range=50-59/') || key.endsWith('_audit/0000000005.json')) await bucket.delete(key);
  }
  const objects = await bucket.versions('bronze/');
  const copies = copiesIn(scene);
  for (const words of [['run'], ['plan'], ['status'], ['validate', '--online']]) {
    const { code, stdout, stderr } = await start(scene, ...words);
    expect(code, words.join(' ')).toBe(1);
    expect(stdout + stderr, words.join(' ')).toContain(CODE);
    expect(await bucket.versions('bronze/'), words.join(' ')).toEqual(objects);
    expect(copiesIn(scene), words.join(' ')).toEqual(copies);
  }
  const told = JSON.parse((await start(scene, 'give-up', '--json')).stdout);
  const done = await start(scene, 'give-up', '--exactly', told.code, '--reason', 'an older backup');
  expect(done.code, said(done)).toBe(0);
  expect(await bucket.list('bronze/sample/whole/v1/_losses/')).toEqual([
    'bronze/sample/whole/v1/_losses/0000000000.json',
  ]);
  const run = await scene.run();
  expect(run.code, said(run)).toBe(0);
  await scene.look();
  expect(attestedIn(scene.chain('sample', 'whole'))).toEqual(grid(2, 59, 10));
  const verdict = await scene.verify();
  expect(verdict.code, said(verdict)).toBe(0);
  expect(await scene.leftovers()).toEqual([]);
}

describeServer('ceph', 'S36: an older backup of the bucket was restored', (server) => {
  it('is refused, given up, gone on with', () => restored({ protocol: 's3', server }));
});

describe('double of GCS: S36: an older backup of the bucket was restored', () => {
  it('is refused, given up, gone on with', async () => {
    const double = await startGcsDouble();
    try {
      await restored({ protocol: 'gcs', double });
    } finally {
      await double.close();
    }
  });
});

describe('S36: what was delivered', () => {
  it('is evidence where nothing else remembers; nothing more is delivered', async () => {
    const server = await startAuditServer();
    try {
      const scene = (await sampleScene(ERA)).change({ pas: { endpoint: server.url } });
      const first = await scene.run();
      expect(first.code, said(first)).toBe(0);
      const chain = scene.chain('sample', 'whole');
      rmSync(eventFile(chain, 5));
      rmSync(join(chain, 'ledgers_lcm_raw', 'range=50-59'), { recursive: true });
      scene.lose('pas-backup', join('state', 'checkpoint_sample_whole_v1.json'));
      const posts = server.seen.length;
      for (const words of [['run'], ['pas', 'deliver'], ['status']]) {
        const { code, stdout, stderr } = await start(scene, ...words);
        expect(code, words.join(' ')).toBe(1);
        expect(stdout + stderr, words.join(' ')).toContain(CODE);
      }
      expect(server.seen.length).toBe(posts);
    } finally {
      await server.stop();
    }
  });
});
