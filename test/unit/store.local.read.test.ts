/** The local store: listing, reading, names that are hostile, things that stand where objects belong. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openStore } from '../../actors/store/index.ts';
import { estateIn, failureOf, PREFIX, putFile, tempFolder } from '../support/bronze.ts';
import { failing } from '../support/faulty-files.ts';

const KEY = `${PREFIX}t/range=1-2/part-1-2.parquet`;

describe('list', () => {
  it('answers in the order of bytes, with sizes, without staging', async () => {
    const estate = estateIn();
    const keys = ['a-b/x', 'a/b/c', 'a/b', 'a0', 'é', 'a/_staging/o.tmp'].map((key) => `${PREFIX}${key}`);
    for (const key of keys) if (!key.endsWith('a/b')) putFile(estate, key, key);
    const listed = await estate.store.list(PREFIX);
    expect(listed.map(({ key }) => key.slice(PREFIX.length))).toEqual(['a-b/x', 'a/b/c', 'a0', 'é']);
    expect(listed[0]?.size).toBe(`${PREFIX}a-b/x`.length);
    const staging = await estate.store.list(`${PREFIX}a/_staging/`);
    expect(staging.map(({ key }) => key)).toEqual([`${PREFIX}a/_staging/o.tmp`]);
    expect(await estate.store.list('')).toHaveLength(4);
  });

  it('is empty where there is nothing', async () => {
    const { store } = estateIn(join(tempFolder(), 'not/there'));
    expect(await store.list(PREFIX)).toEqual([]);
    expect(await store.get(KEY)).toBeNull();
    expect(await store.open(KEY)).toBeNull();
    expect(await store.freeBytes()).toBeGreaterThan(0);
  });

  it('passes over hostile names', async () => {
    const estate = estateIn();
    putFile(estate, KEY, 'x');
    const folder = join(estate.root, 'bronze', PREFIX);
    writeFileSync(join(folder, 'a\nb'), 'x');
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe])]), 'x');
    expect((await estate.store.list(PREFIX)).map(({ key }) => key)).toEqual([KEY]);
  });

  it('S6: an error is never "not there"', async () => {
    const root = tempFolder();
    putFile({ root }, KEY, 'x');
    for (const [step, code, expected] of [
      ['readdir', 'EIO', 'STORE_IO'],
      ['readdir', 'EACCES', 'STORE_DENIED'],
      ['lstat', 'EIO', 'STORE_IO'],
    ] as const) {
      const { store } = estateIn(root, failing([step], code));
      expect((await failureOf(store.list(PREFIX))).code).toBe(expected);
    }
    for (const step of ['open', 'fstat', 'read'] as const) {
      const { store } = estateIn(root, failing([step], 'EIO'));
      expect(await failureOf(store.get(KEY))).toMatchObject({ code: 'STORE_IO', retryable: true });
    }
    expect((await failureOf(estateIn(root, failing(['open'], 'EACCES')).store.open(KEY))).code).toBe('STORE_DENIED');
    const { store } = estateIn(root, failing(['lstat', 'open'], 'EACCES'));
    expect((await failureOf(store.create(KEY, Buffer.from('y')))).code).toBe('STORE_DENIED');
  });

  it('stops where it is cancelled', async () => {
    const estate = estateIn();
    putFile(estate, KEY, 'x');
    expect((await failureOf(estate.store.list(PREFIX, AbortSignal.abort()))).code).toBe('CANCELLED');
  });
});

describe('what stands where objects belong', () => {
  it('a symbolic link is reported, in a listing and when it is read', async () => {
    const estate = estateIn();
    putFile(estate, `${PREFIX}real`, 'x');
    symlinkSync(join(estate.root, 'bronze', PREFIX, 'real'), join(estate.root, 'bronze', PREFIX, 'link'));
    expect(await failureOf(estate.store.list(PREFIX))).toMatchObject({ code: 'STORE_IO', retryable: false });
    expect(await failureOf(estate.store.get(`${PREFIX}link`))).toMatchObject({ code: 'STORE_IO', retryable: false });
    expect(await failureOf(estate.store.open(`${PREFIX}link`))).toMatchObject({ code: 'STORE_IO', retryable: false });
  });

  it('a folder, a file in the place of a folder, a pipe', async () => {
    const estate = estateIn();
    mkdirSync(join(estate.root, 'bronze', KEY), { recursive: true });
    expect(await failureOf(estate.store.get(KEY))).toMatchObject({ code: 'STORE_IO', retryable: false });
    expect(await failureOf(estate.store.open(KEY))).toMatchObject({ code: 'STORE_IO', retryable: false });
    expect(await estate.store.create(KEY, Buffer.from('x'))).toBe('exists');
    putFile(estate, `${PREFIX}file`, 'x');
    const below = await failureOf(estate.store.create(`${PREFIX}file/a`, Buffer.from('x')));
    expect(below).toMatchObject({ code: 'STORE_IO', retryable: false });
    execFileSync('mkfifo', [join(estate.root, 'bronze', PREFIX, 'pipe')]);
    expect((await failureOf(estate.store.open(`${PREFIX}pipe`))).code).toBe('STORE_IO');
    expect((await failureOf(estate.store.list(PREFIX))).code).toBe('STORE_IO');
  });

  it('keys cannot leave the root', async () => {
    const estate = estateIn();
    for (const key of ['../x', 'a/../../x', '/etc/passwd', 'a//b', '', '.', 'a/\0']) {
      expect((await failureOf(estate.store.get(key))).code).toBe('STORE_DENIED');
      expect((await failureOf(estate.store.create(key, Buffer.from('x')))).code).toBe('STORE_DENIED');
    }
    expect((await failureOf(estate.store.list('../'))).code).toBe('STORE_DENIED');
  });
});

describe('open', () => {
  it('reads anywhere, cuts at the end, and goes on reading what was opened', async () => {
    const estate = estateIn();
    putFile(estate, KEY, '0123456789');
    const reader = await estate.store.open(KEY);
    expect(reader?.size).toBe(10);
    expect(Buffer.from((await reader?.read(3, 4)) ?? []).toString()).toBe('3456');
    expect(Buffer.from((await reader?.read(8, 40)) ?? []).toString()).toBe('89');
    expect(await reader?.read(20, 4)).toHaveLength(0);
    truncateSync(join(estate.root, 'bronze', KEY), 5);
    expect((await failureOf(reader?.read(0, 10) as Promise<unknown>)).code).toBe('STORE_IO');
    await reader?.close();
    await reader?.close();
  });

  it('names its root as a URI', () => {
    expect(openStore({ backend: 'local', root: '/a b', prefix: 'x/y/' }).uri).toBe('file:///a%20b/x/y/');
    expect(openStore({ backend: 'local', root: '/data', prefix: '' }).uri).toBe('file:///data/');
  });
});
