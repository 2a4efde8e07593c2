// A chain that `verify` cannot look at is nothing wrong that it found: exit 1, as of every command, and no word about
// ledgers that may well be there.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectDone, newCopier, said } from '../support/copier.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import type { Scene } from '../support/program.ts';
import { type RemoteScene, remoteScene } from '../support/remote-scene.ts';

let double: GcsDouble;
let proxy: FaultProxy;
let scene: RemoteScene;
beforeAll(async () => {
  double = await startGcsDouble();
  proxy = await startFaultProxy(double.url);
  const kind = { protocol: 'gcs', double, url: proxy.url } as const;
  scene = await remoteScene(kind, await newCopier({ start: 60, end: 67, size: 4 }));
  await expectDone(scene);
  const denied = { kind: 'answer', status: 403, body: { error: { code: 403, message: 'denied' } } } as const;
  proxy.rules.push({ operation: 'objects.list', query: { prefix: /before\/v1\/$/ }, fault: denied });
});
afterAll(async () => {
  await proxy?.close();
  await double?.close();
});

async function verify(from: Scene, ...args: readonly string[]) {
  const run = await from.start('verify', { args: ['--json', '--threads', '1', ...args] }).done;
  const { ok, chains, findings } = JSON.parse(run.stdout);
  expect(ok, said(run)).toBe(false);
  const codes = findings.map(({ chain, code }: { chain: string; code: string }) => `${chain} ${code}`);
  return { code: run.code, read: chains.map(({ chain }: { chain: string }) => chain), codes };
}

const UNREACHED = 'sample/before/v1 STORE_DENIED';

it('exits 1 where a chain cannot be reached, and tells of the others', async () => {
  const expected = { code: 1, read: ['sample/after/v1'], codes: [UNREACHED] };
  expect(await verify(scene)).toEqual(expected);
  expect(await verify(scene, '--from', '60', '--to', '67')).toEqual(expected);
});

it('exits 3 where something is wrong in another one', async () => {
  const key = 'bronze/sample/after/v1/ledgers_lcm_raw/range=64-67/_manifest.json';
  const manifest = await scene.bucket.get(key);
  await scene.bucket.put(key, '{}');
  const { code, codes } = await verify(scene);
  expect(code).toBe(3);
  expect(codes).toContain(UNREACHED);
  await scene.bucket.put(key, manifest as Buffer);
});

it.each<[string, (path: string) => void]>([
  ['a folder', (path) => mkdirSync(path)],
  ['a link to itself', (path) => symlinkSync(path, path)],
  ['a pipe', (path) => void execFileSync('mkfifo', [path])],
])('exits 3 where %s stands where a file of Bronze belongs: that is found, and not out of reach', async (_, put) => {
  const local = await newCopier({ start: 60, end: 67, size: 4 });
  await expectDone(local);
  const table = join('ledgers_lcm_raw', 'range=60-63');
  for (const name of ['_bronze.json', '_audit/0000000000.json', join(table, 'part-60-63.parquet')]) {
    const copy = local.copy();
    const path = join(copy.chain('sample', 'before'), name);
    rmSync(path);
    put(path);
    expect((await copy.verify()).code, name).toBe(3);
  }
});
