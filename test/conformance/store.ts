/**
 * What every adapter of BronzeStore must keep, said through the port alone: what the machines and the explorer rely on
 * (created once, published once, read back, listed in order, invisible until published, an error is never "not there").
 * A new adapter runs it with one line; what a backend cannot be made to do is left out of its StoreUnderTest.
 */
import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { mapBounded } from '../../actors/bounded.ts';
import type { BronzeStore, StoredObject } from '../../actors/ports/store.ts';
import { openStagingWriter } from '../../actors/store/staging-writer.ts';
import { BronzeError } from '../../machines/errors.ts';

/** One place where Bronze may lie, empty at first. */
export interface StoreUnderTest {
  /** Opens the store as a process that has just started: what it answers can only come from what is stored. */
  open(): BronzeStore;
  /** Makes a staged object look that old to the store's own clock, where that can be done. */
  readonly backdate?: (handle: string, ms: number) => void | Promise<void>;
  /** As a process with a state folder of its own, where the backend keeps anything in one. */
  elsewhere?(): BronzeStore;
  /** The same place, where reading fails although everything is there. */
  unreadable(): BronzeStore;
}

/** What a backend cannot be made to do, or does otherwise within what the port allows. */
export interface StoreTraits {
  /** Ages of staged objects cannot be faked: what is told by them is tested elsewhere. */
  readonly ageless?: boolean;
  /** Nothing tells whose a staged object is to somebody without its owner's journal, nor how old it is. */
  readonly strangersLookOld?: boolean;
  /** Publishing the same thing again is answered like the first time. */
  readonly remembers?: boolean;
  /** Of several who publish at once, each may take what the others have staged: they build again. */
  readonly fences?: boolean;
}

const CHAIN = 'pubnet/pre_p23/v1/';
const OTHER = 'pubnet/p23_plus/v1/';
const OWNER = 'holder000001';
const KEY = `${CHAIN}ledgers_lcm_raw/range=2-9/part-2-9.parquet`;
const CALLERS = 20;
/** More than one page of the listing of any object storage. */
const MANY = 1_010;
const DAY_MS = 86_400_000;

const bytesOf = (text: string): Uint8Array => Buffer.from(text);
const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const keysOf = (objects: readonly StoredObject[]): string[] => objects.map(({ key }) => key);

async function textOf(store: BronzeStore, key: string): Promise<string | null> {
  const bytes = await store.get(key);
  return bytes === null ? null : Buffer.from(bytes).toString();
}

/** What is staged is bound to the key that it is published under: some backends write below it at once. */
async function written(
  store: BronzeStore,
  content: Uint8Array,
  key = KEY,
  owner = OWNER,
  name = 'part',
  chain = CHAIN,
): Promise<string> {
  const writer = openStagingWriter(store.stagingSpec(chain, owner), { name, key });
  await writer.write(content);
  return await writer.finish();
}

async function staged(
  store: BronzeStore,
  text: string,
  key = KEY,
  owner = OWNER,
  name = 'part',
  chain = CHAIN,
): Promise<string> {
  const handle = await written(store, bytesOf(text), key, owner, name, chain);
  await store.stage(handle, text.length);
  return handle;
}

async function failureOf(promise: Promise<unknown>): Promise<BronzeError> {
  const error = await promise.then(
    (value) => new Error(`it did not fail: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof BronzeError) return error;
  throw error;
}

export function storeConformance(
  name: string,
  make: () => StoreUnderTest | Promise<StoreUnderTest>,
  traits: StoreTraits = {},
): void {
  describe(`${name}: a Bronze store`, () => {
    let place: StoreUnderTest;
    let store: BronzeStore;
    beforeEach(async () => {
      place = await make();
      store = place.open();
    });

    describe('where nothing is', () => {
      it('says so without an error', async () => {
        expect(await store.get(KEY)).toBeNull();
        expect(await store.open(KEY)).toBeNull();
        expect(await store.list(CHAIN)).toEqual([]);
        expect(await store.list('')).toEqual([]);
        await store.discard([]);
        expect(await store.sweep(CHAIN, [])).toBe(0);
      });

      it('has a root, and free space or no idea of it', async () => {
        expect(store.uri).toMatch(/^[a-z0-9]+:\/\/.*\/$/);
        expect(store.uri.endsWith(store.prefix)).toBe(true);
        expect(store.prefix).toMatch(/^(.+\/)?$/);
        const free = await store.freeBytes();
        expect(free === null || free > 0).toBe(true);
      });
    });

    describe('create', () => {
      it('is read back by everybody, with its size in the listing', async () => {
        expect(await store.create(KEY, bytesOf('content'))).toBe('created');
        const other = place.open();
        expect(await textOf(other, KEY)).toBe('content');
        expect(await other.list(CHAIN)).toEqual([{ key: KEY, size: 7 }]);
      });

      it('takes what is empty and what is large', async () => {
        const large = Buffer.alloc(3 * 1024 * 1024 + 1, 7);
        expect(await store.create(`${CHAIN}empty`, new Uint8Array(0))).toBe('created');
        expect(await store.create(`${CHAIN}large`, large)).toBe('created');
        expect(await store.get(`${CHAIN}empty`)).toHaveLength(0);
        expect(Buffer.compare((await store.get(`${CHAIN}large`)) as Uint8Array, large)).toBe(0);
      });

      it('keeps what it was given, whatever becomes of the memory', async () => {
        const bytes = Buffer.from('content');
        await store.create(KEY, bytes);
        bytes.fill(0);
        expect(await textOf(store, KEY)).toBe('content');
      });

      it('never replaces: the same content, another, from another process', async () => {
        await store.create(KEY, bytesOf('first'));
        expect(await store.create(KEY, bytesOf('first'))).toBe('exists');
        expect(await store.create(KEY, bytesOf('second'))).toBe('exists');
        expect(await place.open().create(KEY, new Uint8Array(0))).toBe('exists');
        expect(await textOf(store, KEY)).toBe('first');
        expect(await store.list(CHAIN)).toEqual([{ key: KEY, size: 5 }]);
      });

      it(`has one winner of ${CALLERS} who create at once, and its content is the one that stands there`, async () => {
        const stores = numbers(4).map(() => place.open());
        const answers = await Promise.all(
          numbers(CALLERS).map((n) => (stores[n % 4] as BronzeStore).create(KEY, bytesOf(`content of ${n}`))),
        );
        expect(answers.filter((answer) => answer === 'created')).toHaveLength(1);
        expect(answers.filter((answer) => answer === 'exists')).toHaveLength(CALLERS - 1);
        expect(await textOf(place.open(), KEY)).toBe(`content of ${answers.indexOf('created')}`);
        expect(keysOf(await store.list(CHAIN))).toEqual([KEY]);
      });

      it('leaves nothing but what it created', async () => {
        await store.create(KEY, bytesOf('content'));
        await store.create(KEY, bytesOf('another'));
        expect(keysOf(await store.list(''))).toEqual([KEY]);
        expect(await place.open().sweep(CHAIN, [OWNER])).toBe(0);
      });
    });

    describe('list', () => {
      it('is in the order of keys, complete over many pages, and of this prefix only', async () => {
        const keys = numbers(MANY).map((n) => `${CHAIN}_audit/${String(n).padStart(10, '0')}.json`);
        await store.create(`${OTHER}x`, bytesOf('x'));
        await mapBounded(keys.toReversed(), 16, (key) => store.create(key, bytesOf(key)));
        const listed = await store.list(`${CHAIN}_audit/`);
        expect(keysOf(listed)).toEqual(keys);
        expect(listed.every(({ key, size }) => size === key.length)).toBe(true);
        expect(await store.list(CHAIN)).toHaveLength(MANY);
        expect(await store.list('')).toHaveLength(MANY + 1);
      });

      it('compares whole keys by their bytes, not folder by folder', async () => {
        const names = ['a-b', 'a/b', 'a/b-c/d', 'a0', 'ab/c', 'b', 'range=10-19/x', 'range=2-9/x', 'é'];
        for (const below of names.toReversed()) await store.create(`${CHAIN}t/${below}`, bytesOf('x'));
        expect(keysOf(await store.list(`${CHAIN}t/`))).toEqual(names.map((below) => `${CHAIN}t/${below}`));
        expect(keysOf(await store.list(`${CHAIN}t/a/`))).toEqual([`${CHAIN}t/a/b`, `${CHAIN}t/a/b-c/d`]);
        expect(await store.list(`${CHAIN}t/rang/`)).toEqual([]);
      });

      it('shows at once what was created and published', async () => {
        for (const n of numbers(5)) {
          await store.create(`${CHAIN}_audit/${n}.json`, bytesOf('x'));
          expect(await place.open().list(`${CHAIN}_audit/`)).toHaveLength(n + 1);
        }
        await store.publish(await staged(store, 'x'), KEY);
        expect(keysOf(await place.open().list(`${CHAIN}ledgers_lcm_raw/`))).toEqual([KEY]);
      });
    });

    describe('what is staged', () => {
      it('is invisible at every stage until it is published', async () => {
        const invisible = async (): Promise<void> => {
          for (const one of [store, place.open()]) {
            expect(await one.list(CHAIN)).toEqual([]);
            expect(await one.list('')).toEqual([]);
            expect(await one.get(KEY)).toBeNull();
            expect(await one.open(KEY)).toBeNull();
          }
        };
        const writer = openStagingWriter(store.stagingSpec(CHAIN, OWNER), { name: 'part', key: KEY });
        await invisible();
        await writer.write(Buffer.alloc(2 * 1024 * 1024, 1));
        await writer.write(bytesOf('x'));
        await invisible();
        const handle = await writer.finish();
        await invisible();
        await store.stage(handle, 2 * 1024 * 1024 + 1);
        await invisible();
        expect(await store.publish(handle, KEY)).toBe('published');
        expect(await store.list(CHAIN)).toEqual([{ key: KEY, size: 2 * 1024 * 1024 + 1 }]);
      });

      it('may be staged twice, and published by another instance', async () => {
        const handle = await staged(store, 'content');
        await place.open().stage(handle, 7);
        expect(await place.open().publish(handle, KEY)).toBe('published');
        expect(await textOf(store, KEY)).toBe('content');
      });

      it('keeps the order and the bytes of chunks of any size, whose memory is used again', async () => {
        // Across the borders of parts, in several ways; and as a Parquet writer does it: many writes without waiting.
        const mebi = 1024 * 1024;
        const sizes = [
          1,
          4096,
          0,
          mebi - 5,
          3,
          mebi + 17,
          1,
          2_500_000,
          8 * mebi,
          3,
          8 * mebi - 20,
          100,
          9 * mebi + 7,
          1,
        ];
        const pending: (Promise<void> | void)[] = [];
        const writer = openStagingWriter(store.stagingSpec(CHAIN, OWNER), { name: 'part', key: KEY });
        const expected = createHash('sha256');
        const chunk = Buffer.alloc(Math.max(...sizes));
        for (const [n, size] of sizes.entries()) {
          chunk.fill(n + 1);
          expected.update(chunk.subarray(0, size));
          pending.push(writer.write(chunk.subarray(0, size)));
        }
        // The memory is somebody else's the moment that `write` has returned.
        chunk.fill(0xee);
        await Promise.all(pending);
        const handle = await writer.finish();
        const total = sizes.reduce((sum, size) => sum + size, 0);
        await store.stage(handle, total);
        await store.publish(handle, KEY);
        const reader = await store.open(KEY);
        const found = createHash('sha256').update((await reader?.read(0, total)) as Uint8Array);
        await reader?.close();
        expect(reader?.size).toBe(total);
        expect(found.digest('hex')).toBe(expected.digest('hex'));
      });

      it('does not meet what was staged under the same name before', async () => {
        const first = await staged(store, 'first');
        const second = await staged(store, 'second');
        expect(second).not.toBe(first);
        await store.discard([second]);
        expect(await store.publish(first, KEY)).toBe('published');
        expect(await textOf(store, KEY)).toBe('first');
      });

      it('is STAGED_GONE, which a retry of the build can help, where it is not there or cut', async () => {
        const handle = await written(store, bytesOf('content'));
        const cut = await failureOf(store.stage(handle, 8));
        expect(cut).toMatchObject({ code: 'STAGED_GONE', retryable: true });
        await store.discard([handle]);
        expect(await failureOf(store.stage(handle, 7))).toMatchObject({ code: 'STAGED_GONE', retryable: true });
        expect(await failureOf(store.publish(handle, KEY))).toMatchObject({ code: 'STAGED_GONE', retryable: true });
        expect(await store.list('')).toEqual([]);
      });

      it('is discarded as often as anybody likes, and nothing published with it', async () => {
        const [one, two] = [await staged(store, 'one'), await staged(store, 'two', `${KEY}2`)];
        await store.publish(one, KEY);
        for (const by of [store, place.open(), store]) await by.discard([one, two, one]);
        expect((await failureOf(store.publish(two, `${KEY}2`))).code).toBe('STAGED_GONE');
        expect(await textOf(store, KEY)).toBe('one');
      });

      it('goes with an abort, which never fails', async () => {
        const writer = openStagingWriter(store.stagingSpec(CHAIN, OWNER), { name: 'part', key: KEY });
        await writer.write(bytesOf('x'));
        await writer.abort();
        await writer.abort();
        expect(await place.open().sweep(CHAIN, [OWNER])).toBe(0);
        const finished = openStagingWriter(store.stagingSpec(CHAIN, OWNER), { name: 'part', key: KEY });
        await finished.write(bytesOf('x'));
        const handle = await finished.finish();
        await finished.abort();
        expect((await failureOf(store.stage(handle, 1))).code).toBe('STAGED_GONE');
      });
    });

    describe('publish', () => {
      it('said again changes nothing', async () => {
        const handle = await staged(store, 'content');
        expect(await store.publish(handle, KEY)).toBe('published');
        const again = traits.remembers ? 'published' : 'exists';
        expect(await store.publish(handle, KEY)).toBe(again);
        expect(await place.open().publish(handle, KEY)).toBe(again);
        expect(await textOf(store, KEY)).toBe('content');
      });

      it('never replaces what was published or created', async () => {
        await store.publish(await staged(store, 'first'), KEY);
        expect(await store.publish(await staged(store, 'second'), KEY)).toBe('exists');
        expect(await store.create(KEY, bytesOf('third'))).toBe('exists');
        await store.create(`${CHAIN}created`, bytesOf('first'));
        const second = await staged(store, 'second', `${CHAIN}created`);
        expect(await store.publish(second, `${CHAIN}created`)).toBe('exists');
        expect(await textOf(place.open(), KEY)).toBe('first');
        expect(await textOf(place.open(), `${CHAIN}created`)).toBe('first');
      });

      it(`has one winner of ${CALLERS} who publish at once, and its content is the one that stands there`, async () => {
        const stores = numbers(4).map(() => place.open());
        const handles = await Promise.all(
          numbers(CALLERS).map((n) => staged(stores[n % 4] as BronzeStore, `content of ${n}`, KEY, OWNER, `part${n}`)),
        );
        const publish = async (handle: string | null, n: number): Promise<string> => {
          const own = stores[n % 4] as BronzeStore;
          try {
            return await own.publish(handle ?? (await staged(own, `content of ${n}`, KEY, OWNER, `part${n}`)), KEY);
          } catch (error) {
            // Taken by somebody else's fence: what a worker does then.
            if (!traits.fences || !(error instanceof BronzeError) || error.code !== 'STAGED_GONE') throw error;
            await new Promise((resolve) => setTimeout(resolve, 200 * n));
            return publish(null, n);
          }
        };
        const answers = await Promise.all(handles.map(publish));
        expect(answers.filter((answer) => answer === 'published')).toHaveLength(1);
        expect(answers.filter((answer) => answer === 'exists')).toHaveLength(CALLERS - 1);
        expect(await textOf(place.open(), KEY)).toBe(`content of ${answers.indexOf('published')}`);
        expect(keysOf(await store.list(''))).toEqual([KEY]);
      });

      it('and create at once have one winner between them', async () => {
        const handle = await staged(store, 'published');
        const [published, created] = await Promise.all([
          store.publish(handle, KEY),
          place.open().create(KEY, bytesOf('created')),
        ]);
        expect([published === 'published', created === 'created'].filter(Boolean)).toHaveLength(1);
        expect(await textOf(store, KEY)).toBe(published === 'published' ? 'published' : 'created');
      });

      it('of what vanished is "exists" where something stands there, and nothing where not', async () => {
        const handle = await staged(store, 'content');
        await store.discard([handle]);
        expect((await failureOf(store.publish(handle, KEY))).code).toBe('STAGED_GONE');
        expect(await store.get(KEY)).toBeNull();
        await store.create(KEY, bytesOf('another'));
        expect(await store.publish(handle, KEY)).toBe('exists');
      });
    });

    describe('a reader', () => {
      it('reads any part, cuts at the end, and closes as often as anybody likes', async () => {
        await store.publish(await staged(store, '0123456789'), KEY);
        const reader = await place.open().open(KEY);
        const read = async (offset: number, length: number) =>
          Buffer.from((await reader?.read(offset, length)) as Uint8Array).toString();
        expect(reader?.size).toBe(10);
        expect(await read(0, 10)).toBe('0123456789');
        expect(await read(3, 4)).toBe('3456');
        expect(await read(8, 10)).toBe('89');
        expect(await read(10, 5)).toBe('');
        expect(await Promise.all([read(5, 2), read(0, 2), read(9, 1)])).toEqual(['56', '01', '9']);
        await reader?.close();
        await reader?.close();
      });

      it('sees the same content whatever others try to put there', async () => {
        await store.publish(await staged(store, 'content'), KEY);
        const reader = await store.open(KEY);
        const others = numbers(10).map((n) => place.open().create(KEY, bytesOf(`another ${n}`)));
        const seen = await Promise.all(numbers(10).map(() => reader?.read(0, 7)));
        await Promise.all(others);
        await store.sweep(CHAIN, [OWNER]);
        seen.push(await reader?.read(0, 7));
        await reader?.close();
        expect(new Set(seen.map((bytes) => Buffer.from(bytes as Uint8Array).toString()))).toEqual(new Set(['content']));
        expect(await textOf(place.open(), KEY)).toBe('content');
      });
    });

    describe('sweep', () => {
      it('removes what named owners left, and nothing of anybody else', async () => {
        const dead = await staged(place.open(), 'dead', `${CHAIN}x`, 'holderdead01', 'a');
        const gone = await staged(place.open(), 'gone', `${CHAIN}x`, 'holderdead02', 'a');
        const stranger = await staged(
          (place.elsewhere ?? place.open)(),
          'stranger',
          `${CHAIN}stranger`,
          'holderother1',
          'a',
        );
        const elsewhere = await staged(place.open(), 'elsewhere', `${OTHER}elsewhere`, 'holderdead01', 'a', OTHER);
        const own = await staged(store, 'own', `${CHAIN}own`);
        await store.publish(await staged(store, 'published', KEY, OWNER, 'b'), KEY);
        const count = traits.strangersLookOld ? 3 : 2;
        expect(await store.sweep(CHAIN, ['holderdead01', 'holderdead02'])).toBe(count);
        expect(await store.sweep(CHAIN, ['holderdead01', 'holderdead02'])).toBe(0);
        for (const handle of [dead, gone]) {
          expect((await failureOf(store.publish(handle, `${CHAIN}x`))).code).toBe('STAGED_GONE');
        }
        expect(await store.publish(own, `${CHAIN}own`)).toBe('published');
        if (!traits.strangersLookOld) {
          expect(await place.open().publish(stranger, `${CHAIN}stranger`)).toBe('published');
        }
        expect(await place.open().publish(elsewhere, `${OTHER}elsewhere`)).toBe('published');
        expect(await textOf(store, KEY)).toBe('published');
      });

      if (traits.ageless) return;
      it('removes what is older than a day by the clock of the store, but its own', async () => {
        if (!place.backdate) throw new Error('this backend says that ages can be faked, and gives no way to');
        const old = await staged(place.open(), 'old', `${CHAIN}old`, 'holderother1', 'a');
        const young = await staged(place.open(), 'young', `${CHAIN}young`, 'holderother1', 'b');
        const own = await staged(store, 'own', `${CHAIN}own`);
        await place.backdate(old, DAY_MS + 3_600_000);
        await place.backdate(young, DAY_MS - 3_600_000);
        await place.backdate(own, 2 * DAY_MS);
        expect(await store.sweep(CHAIN, [])).toBe(1);
        expect((await failureOf(store.publish(old, `${CHAIN}old`))).code).toBe('STAGED_GONE');
        expect(await store.publish(young, `${CHAIN}young`)).toBe('published');
        expect(await store.publish(own, `${CHAIN}own`)).toBe('published');
      });
    });

    describe('an error', () => {
      it('is never "not there", and never "created"', async () => {
        await store.create(KEY, bytesOf('content'));
        const broken = place.unreadable();
        for (const call of [
          () => broken.get(KEY),
          () => broken.open(KEY),
          () => broken.list(CHAIN),
          () => broken.create(KEY, bytesOf('x')),
        ]) {
          expect((await failureOf(call())).code).toMatch(/^(STORE|BUCKET)_/);
        }
        expect(await textOf(store, KEY)).toBe('content');
      });

      it('answers keys that could leave the prefix or name nothing', async () => {
        for (const key of ['../x', `${CHAIN}../../x`, '/x', 'a//b', 'a/./b', '.', '..', `${CHAIN}a\0b`]) {
          for (const call of [() => store.get(key), () => store.open(key), () => store.create(key, bytesOf('x'))]) {
            expect((await failureOf(call())).code).toMatch(/^STORE_/);
          }
        }
        expect(await store.list('')).toEqual([]);
      });

      it('is CANCELLED where the work was, and nothing was changed', async () => {
        const handle = await staged(store, 'content');
        const signal = AbortSignal.abort(new Error('the actor stopped'));
        for (const call of [
          () => store.get(KEY, signal),
          () => store.open(KEY, signal),
          () => store.create(KEY, bytesOf('x'), signal),
          () => store.stage(handle, 7, signal),
          () => store.discard([handle], signal),
          () => store.publish(handle, KEY, signal),
        ]) {
          expect((await failureOf(call())).code).toBe('CANCELLED');
        }
        expect(await store.list('')).toEqual([]);
        expect(await store.publish(handle, KEY)).toBe('published');
        expect((await failureOf(store.list(CHAIN, signal))).code).toBe('CANCELLED');
      });
    });
  });
}
