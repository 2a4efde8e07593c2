/** The local store: what becomes visible, when, and what never does. */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openStore } from '../../actors/store/index.ts';
import { openStagingWriter } from '../../actors/store/staging-writer.ts';
import { bronzeFiles, estateIn, failureOf, OWNER, PREFIX, putFile, tempFolder } from '../support/bronze.ts';
import { dyingAfter, failing } from '../support/faulty-files.ts';

const KEY = `${PREFIX}t/range=1-2/part-1-2.parquet`;
const text = (bytes: Uint8Array | null): string | null => bytes && Buffer.from(bytes).toString();

async function staged(estate: ReturnType<typeof estateIn>, content: string | Uint8Array, name = 'a'): Promise<string> {
  const writer = openStagingWriter(estate.store.stagingSpec(PREFIX, OWNER), { name, key: KEY }, estate.files);
  await writer.write(Buffer.from(content));
  return writer.finish();
}

describe('publish', () => {
  it('makes a staged object visible, once, and removes the temporary name', async () => {
    const estate = estateIn();
    const handle = await staged(estate, 'abc');
    expect(await estate.store.list(PREFIX)).toEqual([]);
    await estate.store.stage(handle, 3);
    expect(await estate.store.publish(handle, KEY)).toBe('published');
    expect(await estate.store.list(PREFIX)).toEqual([{ key: KEY, size: 3 }]);
    expect(existsSync(handle)).toBe(false);
  });

  it('S10: never replaces anything', async () => {
    const estate = estateIn();
    putFile(estate, KEY, 'old');
    const handle = await staged(estate, 'new');
    expect(await estate.store.publish(handle, KEY)).toBe('exists');
    expect(text(await estate.store.get(KEY))).toBe('old');
    expect(existsSync(handle)).toBe(true);
    await estate.store.discard([handle, handle]);
    expect(existsSync(handle)).toBe(false);
  });

  it('S7: of many that publish at once exactly one wins', async () => {
    const estate = estateIn();
    const handles = await Promise.all(Array.from({ length: 8 }, (_, i) => staged(estate, `by ${i}`, `n${i}`)));
    const outcomes = await Promise.all(handles.map((handle) => estate.store.publish(handle, KEY)));
    expect(outcomes.filter((outcome) => outcome === 'published')).toHaveLength(1);
    expect(text(await estate.store.get(KEY))).toBe(`by ${outcomes.indexOf('published')}`);
  });

  it('S32: says STAGED_GONE for what vanished or was cut, before and after staging', async () => {
    const estate = estateIn();
    const handle = await staged(estate, 'abc');
    expect(await failureOf(estate.store.stage(handle, 4))).toMatchObject({ code: 'STAGED_GONE', retryable: true });
    truncateSync(handle, 1);
    expect((await failureOf(estate.store.stage(handle, 3))).code).toBe('STAGED_GONE');
    rmSync(dirname(handle), { recursive: true });
    expect((await failureOf(estate.store.stage(handle, 3))).code).toBe('STAGED_GONE');
    expect((await failureOf(estate.store.publish(handle, KEY))).code).toBe('STAGED_GONE');
    const next = await staged(estate, 'abc');
    expect(await estate.store.publish(next, KEY)).toBe('published');
  });

  it("publishes also where the target's folder was removed in between", async () => {
    const estate = estateIn();
    expect(await estate.store.create(`${PREFIX}t/range=1-2/_manifest.json`, Buffer.from('x'))).toBe('created');
    rmSync(join(estate.root, 'bronze', PREFIX, 't'), { recursive: true });
    expect(await estate.store.publish(await staged(estate, 'abc'), KEY)).toBe('published');
  });

  it.each([
    ['ENOSPC', 'STORE_FULL', true],
    ['EROFS', 'STORE_DENIED', false],
    ['EIO', 'STORE_IO', true],
  ])('S21: %s in any step is %s, and nothing half-written is visible', async (code, expected, retryable) => {
    for (const step of ['link', 'mkdir', 'fsync', 'unlink'] as const) {
      const root = tempFolder();
      const handle = await staged(estateIn(root), 'abc');
      const failure = await failureOf(estateIn(root, failing([step], code)).store.publish(handle, KEY));
      expect(failure).toMatchObject({ code: expected, retryable });
      const visible = await estateIn(root).store.get(KEY);
      expect(visible === null || text(visible) === 'abc').toBe(true);
      // Tried again, it ends well whichever step it was.
      expect(['published', 'exists']).toContain(await estateIn(root).store.publish(handle, KEY));
      expect(text(await estateIn(root).store.get(KEY))).toBe('abc');
    }
  });

  it('S5: killed before any operation, the object is there whole or not at all, and a second try ends well', async () => {
    for (let n = 0; ; n++) {
      const root = tempFolder();
      const handle = await staged(estateIn(root), 'abc');
      const { files, state } = dyingAfter(n);
      await estateIn(root, files)
        .store.publish(handle, KEY)
        .catch(() => undefined);
      const { store } = estateIn(root, undefined, 'owner00000002');
      expect([null, 'abc']).toContain(text(await store.get(KEY)));
      if (existsSync(handle)) await store.publish(handle, KEY);
      expect(text(await store.get(KEY))).toBe('abc');
      await store.sweep(PREFIX, [OWNER]);
      expect(Object.keys(bronzeFiles({ root }))).toEqual([KEY]);
      if (!state.died) break;
    }
  });
});

describe('create', () => {
  it('creates once, and answers "exists" from then on', async () => {
    const estate = estateIn();
    expect(await estate.store.create(`${PREFIX}a.json`, Buffer.from('1'))).toBe('created');
    expect(await estate.store.create(`${PREFIX}a.json`, Buffer.from('2'))).toBe('exists');
    expect(text(await estate.store.get(`${PREFIX}a.json`))).toBe('1');
    expect(Object.keys(bronzeFiles(estate))).toEqual([`${PREFIX}a.json`]);
  });

  it('S7: of many at once exactly one wins, without stagingSpec as well', async () => {
    const root = tempFolder();
    const stores = Array.from({ length: 8 }, () => openStore({ backend: 'local', root, prefix: '' }));
    const outcomes = await Promise.all(stores.map((store, i) => store.create('x/y/a.json', Buffer.from(`by ${i}`))));
    expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(1);
    expect(readFileSync(join(root, 'x/y/a.json'), 'utf8')).toBe(`by ${outcomes.indexOf('created')}`);
  });

  it('S5: killed before any operation, it is there whole or not at all', async () => {
    for (let n = 0; ; n++) {
      const root = tempFolder();
      const { files, state } = dyingAfter(n);
      await estateIn(root, files)
        .store.create(`${PREFIX}_audit/0000000000.json`, Buffer.from('whole'))
        .catch(() => undefined);
      const { store } = estateIn(root, undefined, 'owner00000002');
      expect([null, 'whole']).toContain(text(await store.get(`${PREFIX}_audit/0000000000.json`)));
      await store.create(`${PREFIX}_audit/0000000000.json`, Buffer.from('whole'));
      await store.sweep(PREFIX, [OWNER]);
      expect(bronzeFiles({ root })).toEqual({ [`${PREFIX}_audit/0000000000.json`]: 'whole' });
      if (!state.died) break;
    }
  });

  it('S21: ENOSPC leaves nothing behind', async () => {
    const root = tempFolder();
    const { store } = estateIn(root, failing(['write'], 'ENOSPC'));
    expect((await failureOf(store.create(`${PREFIX}a.json`, Buffer.from('1')))).code).toBe('STORE_FULL');
    expect(bronzeFiles({ root })).toEqual({});
  });
});

describe('the staging writer', () => {
  it('writes what it is given, in any sizes', async () => {
    const estate = estateIn();
    const writer = openStagingWriter(estate.store.stagingSpec(PREFIX, OWNER), { name: 'sizes', key: KEY });
    const expected: Buffer[] = [];
    for (const size of [1, 0, 700_000, 400_000, 3_000_000, 5, 1_048_576]) {
      const chunk = Buffer.alloc(size, size % 251);
      expected.push(Buffer.from(chunk));
      await writer.write(chunk);
      chunk.fill(0);
    }
    const handle = await writer.finish();
    expect(Buffer.compare(readFileSync(handle), Buffer.concat(expected))).toBe(0);
  });

  it('leaves alone what an earlier attempt of that name staged', async () => {
    const estate = estateIn();
    const [first, second] = [await staged(estate, '1'), await staged(estate, '2')];
    expect(first).not.toBe(second);
    expect(readFileSync(first, 'utf8')).toBe('1');
  });

  it('S21: ENOSPC is STORE_FULL, and abort leaves nothing', async () => {
    const estate = estateIn();
    const spec = estate.store.stagingSpec(PREFIX, OWNER);
    const writer = openStagingWriter(spec, { name: 'a', key: KEY }, failing(['writeSync'], 'ENOSPC'));
    expect(() => writer.write(Buffer.alloc(2_000_000))).toThrow(expect.objectContaining({ code: 'STORE_FULL' }));
    await writer.abort();
    await writer.abort();
    expect(bronzeFiles(estate)).toEqual({});
    expect(() => openStagingWriter(spec, { name: 'a', key: KEY }, failing(['openSync'], 'EROFS'))).toThrow(
      expect.objectContaining({ code: 'STORE_DENIED' }),
    );
  });

  it('refuses names and handles that leave the staging folder', async () => {
    const estate = estateIn();
    const spec = estate.store.stagingSpec(PREFIX, OWNER);
    expect(() => openStagingWriter(spec, { name: '../a', key: KEY })).toThrow('not a name');
    putFile(estate, KEY, 'published');
    const handle = join(estate.root, 'bronze', KEY);
    expect((await failureOf(estate.store.discard([handle]))).code).toBe('INTERNAL');
    expect(existsSync(handle)).toBe(true);
  });
});

describe('sweep', () => {
  const put = (folder: string, name: string, hoursOld: number): void => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, name), 'x');
    const at = Date.now() / 1000 - hoursOld * 3600;
    utimesSync(join(folder, name), at, at);
  };

  it('removes what dead owners left and what is older than a day, and nothing of anybody else', async () => {
    const estate = estateIn();
    const folder = join(estate.root, 'bronze', PREFIX, '_staging');
    put(folder, 'dead00000001.a.tmp', 0);
    put(folder, 'other0000001.fresh.tmp', 23);
    put(folder, 'other0000001.old.tmp', 25);
    put(folder, `${OWNER}.slow.tmp`, 100);
    put(folder, 'somebodys-file', 100);
    expect(await estate.store.sweep(PREFIX, ['dead00000001'])).toBe(2);
    const left = Object.keys(bronzeFiles(estate)).map((path) => path.split('/').at(-1));
    expect(left).toEqual(['other0000001.fresh.tmp', `${OWNER}.slow.tmp`, 'somebodys-file']);
  });

  it('removes the folder when it is empty, and does nothing where there is none', async () => {
    const estate = estateIn();
    expect(await estate.store.sweep(PREFIX, [])).toBe(0);
    const folder = join(estate.root, 'bronze', PREFIX, '_staging');
    put(folder, 'dead00000001.a.tmp', 0);
    expect(await estate.store.sweep(PREFIX, ['dead00000001'])).toBe(1);
    expect(existsSync(folder)).toBe(false);
  });

  it('leaves the published objects of a chain whose staging was a link', async () => {
    const estate = estateIn();
    putFile(estate, KEY, 'published');
    symlinkSync(join(estate.root, 'bronze', PREFIX, 't'), join(estate.root, 'bronze', PREFIX, '_staging'));
    await estate.store.sweep(PREFIX, ['dead00000001']).catch(() => undefined);
    expect(text(await estate.store.get(KEY))).toBe('published');
  });
});
