/**
 * What a store in a bucket must keep when the network and the store do wrong (S6, S8, S18, S31, S32), said through the
 * port and through a proxy before the server. A store runs it with one line; the names that its protocol has for things
 * are its `RemoteWords`.
 */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BronzeStore } from '../../actors/ports/store.ts';
import { openStagingWriter } from '../../actors/store/staging-writer.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { Fault, FaultProxy, FaultRule } from '../support/fault-proxy.ts';
import type { TestBucket } from '../support/servers.ts';

/** An empty bucket behind a proxy of its own. */
export interface RemoteUnderTest {
  readonly proxy: FaultProxy;
  /** As somebody else sees it, past the proxy. */
  readonly bucket: TestBucket;
  /** A process that has just started, whose requests go through the proxy. */
  open(): BronzeStore;
  /** What is staged, or on its way there, goes, as by a lifecycle rule. */
  vanish(): Promise<void>;
}

/** Operations as the proxy calls them, and answers as the store words them. */
export interface RemoteWords {
  readonly read: string;
  readonly look: string;
  readonly list: string;
  readonly create: string;
  readonly publish: string;
  /** Every request that sends a file to be staged. */
  readonly upload: readonly string[];
  readonly denied: Fault;
  readonly busy: Fault;
  readonly throttled: Fault;
  /** Listings that cannot be believed, each without end, of keys below a prefix. */
  readonly listings: Readonly<Record<string, (prefix: string) => FaultRule['fault']>>;
}

/** Answers that say "done", by something that has done nothing; what a client makes of each is its own. */
const DONE: Readonly<Record<string, Omit<Extract<Fault, { kind: 'answer' }>, 'kind'>>> = {
  'a web page': { status: 200, headers: { 'content-type': 'text/html' }, body: '<html><body>Welcome</body></html>' },
  'an empty body': { status: 200 },
  "no content, and another key's ETag": { status: 204, headers: { etag: '"9e107d9d372bb6826bd81d3542a419d6"' } },
  "another key's ETag": { status: 200, headers: { etag: '"9e107d9d372bb6826bd81d3542a419d6"' } },
  'an error in a 200': {
    status: 200,
    body: '<?xml version="1.0"?><Error><Code>InternalError</Code><Message>try again</Message></Error>',
  },
  'XML that is cut': {
    status: 200,
    body: '<?xml version="1.0"?><CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k',
  },
  'JSON of another kind': { status: 200, body: { kind: 'storage#object', done: true, name: 'elsewhere', size: '7' } },
  'an upload of another kind': {
    status: 200,
    body: '<?xml version="1.0"?><CompleteMultipartUploadResult><Key>other</Key><ETag>"0-1"</ETag></CompleteMultipartUploadResult>',
  },
};

const CHAIN = 'pubnet/pre_p23/v1/';
const KEY = `${CHAIN}ledgers_lcm_raw/range=2-9/part-2-9.parquet`;
const SMALL = `${CHAIN}ledgers_lcm_raw/range=2-9/_manifest.json`;
const DEAD = 'holderdead01';
const LIVING = 'holderliving';
const REFUSE: Fault = { kind: 'refuse' };
/** Two chunks, the last one short, and more than one chunk of a reader. */
const LARGE = 8 * 1024 * 1024 + 1_234_567;

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Bytes that differ everywhere, so that none can be left out, doubled or exchanged unseen. */
function large(seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(LARGE);
  for (let at = 0; at < LARGE; at++) bytes[at] = Math.imul((at >> 2) + seed, 2_654_435_761) >>> (8 * (at & 3));
  return bytes;
}

async function failureOf(promise: Promise<unknown>): Promise<BronzeError> {
  const error = await promise.then(
    (value) => new Error(`it did not fail: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof BronzeError) return error;
  throw error;
}

async function written(store: BronzeStore, bytes: Uint8Array, owner = LIVING): Promise<string> {
  const writer = openStagingWriter(store.stagingSpec(CHAIN, owner), { name: 'part', key: KEY });
  for (let at = 0; at < bytes.length; at += 1_000_003) await writer.write(bytes.subarray(at, at + 1_000_003));
  return await writer.finish();
}

async function staged(store: BronzeStore, bytes: Uint8Array, owner = LIVING): Promise<string> {
  const handle = await written(store, bytes, owner);
  await store.stage(handle, bytes.length);
  return handle;
}

async function contentOf(store: BronzeStore, key: string): Promise<string | null> {
  const reader = await store.open(key);
  if (reader === null) return null;
  try {
    return sha(await reader.read(0, reader.size));
  } finally {
    await reader.close();
  }
}

export function remoteStoreFaults(name: string, words: RemoteWords, make: () => Promise<RemoteUnderTest>): void {
  describe(`${name}: a store behind a bad network`, () => {
    let place: RemoteUnderTest;
    let proxy: FaultProxy;
    let store: BronzeStore;
    beforeEach(async () => {
      place = await make();
      proxy = place.proxy;
      store = place.open();
      // What it finds out at its start is not what goes wrong here.
      await store.prepare();
      proxy.log.length = 0;
    });
    afterEach(() => proxy.close());

    const rule = (fault: FaultRule['fault'], match: Omit<FaultRule, 'fault'> = {}): void =>
      void proxy.rules.push({ ...match, fault });
    const visible = async (): Promise<string[]> => (await place.open().list('')).map(({ key }) => key);
    const questions = (): Promise<unknown>[] => [
      store.get(SMALL),
      store.open(KEY),
      store.list(CHAIN),
      store.folders(''),
    ];

    describe('S6: a question that is answered by an error', () => {
      it('is no "no": forbidden, at once', async () => {
        rule(words.denied);
        for (const failure of await Promise.all(questions().map(failureOf))) {
          expect(failure).toMatchObject({ code: 'STORE_DENIED', retryable: false });
        }
        expect(proxy.count()).toBe(4);
      });

      it.each<[string, () => Fault]>([
        ['busy', () => words.busy],
        ['no answer', () => REFUSE],
      ])(
        'is no "no": %s, tried again within bounds',
        async (_, fault) => {
          rule(fault());
          for (const failure of await Promise.all(questions().map(failureOf))) {
            expect(failure).toMatchObject({ code: 'STORE_IO', retryable: true });
          }
          expect(proxy.count()).toBe(4 * 6);
        },
        60_000,
      );

      it('lets nothing be written, and nothing become visible', async () => {
        const handle = await staged(store, Buffer.from('content'));
        rule(words.denied);
        for (const call of [
          () => store.create(SMALL, Buffer.from('x')),
          () => store.publish(handle, KEY),
          () => store.stage(handle, 7),
          () => written(store, Buffer.from('x')),
        ]) {
          expect((await failureOf(call())).code).toBe('STORE_DENIED');
        }
        proxy.rules.length = 0;
        expect(await visible()).toEqual([]);
        expect(await store.publish(handle, KEY)).toBe('published');
      });

      it('ends when the work is cancelled', async () => {
        const handle = await staged(store, Buffer.from('content'));
        rule({ kind: 'delay', ms: 20_000 });
        const calls: ((signal: AbortSignal) => Promise<unknown>)[] = [
          (signal) => store.get(SMALL, signal),
          (signal) => store.open(KEY, signal),
          (signal) => store.list(CHAIN, signal),
          (signal) => store.create(SMALL, Buffer.from('x'), signal),
          (signal) => store.stage(handle, 7, signal),
          (signal) => store.publish(handle, KEY, signal),
        ];
        const start = performance.now();
        const failures = await Promise.all(calls.map((call) => failureOf(call(AbortSignal.timeout(100)))));
        expect(performance.now() - start).toBeLessThan(3_000);
        expect(failures.map(({ code }) => code)).toEqual(calls.map(() => 'CANCELLED'));
      });
    });

    describe('S8: a lost answer', () => {
      it('of a creation: it is found, once, whole', async () => {
        rule({ kind: 'lose-answer' }, { operation: words.create, nth: 1 });
        expect(['created', 'exists']).toContain(await store.create(SMALL, Buffer.from('content')));
        expect(Buffer.from((await store.get(SMALL)) as Uint8Array).toString()).toBe('content');
        expect(await visible()).toEqual([SMALL]);
      });

      it('of a publication: it is found, once, whole', async () => {
        const bytes = large(1);
        const handle = await staged(store, bytes);
        rule({ kind: 'lose-answer' }, { operation: words.publish, nth: 1 });
        expect(['published', 'exists']).toContain(await store.publish(handle, KEY));
        expect(await contentOf(place.open(), KEY)).toBe(sha(bytes));
        expect(await visible()).toEqual([KEY]);
        await store.discard([handle]);
        expect(await store.sweep(CHAIN, [LIVING])).toBe(0);
      });

      it('of each request that sends a file: it arrives whole', async () => {
        const bytes = large(2);
        let count = 1;
        for (let nth = 1; nth <= count; nth++) {
          for (const fault of [{ kind: 'lose-answer' }, REFUSE, words.busy] as const) {
            proxy.log.length = 0;
            proxy.rules.length = 0;
            rule(fault, { operation: words.upload, nth });
            const handle = await staged(place.open(), bytes);
            if (nth === 1) count = proxy.log.filter(({ operation }) => words.upload.includes(operation)).length - 1;
            expect(await store.publish(handle, KEY)).toMatch(/published|exists/);
            expect(await contentOf(store, KEY), `request ${nth}, ${fault.kind}`).toBe(sha(bytes));
            for (const key of await place.bucket.list()) await place.bucket.delete(key);
          }
        }
        expect(count).toBeGreaterThanOrEqual(3);
      }, 120_000);
    });

    describe('S18: a store in trouble', () => {
      it('is asked again: the first two answers to everything are "busy"', async () => {
        const bytes = large(3);
        const met = new Map<string, number>();
        rule(({ operation, method, path, query }) => {
          const what = `${operation} ${method} ${path} ${query.get('name') ?? ''}`;
          const times = (met.get(what) ?? 0) + 1;
          met.set(what, times);
          if (times === 2 && operation === words.publish) return words.throttled;
          return times <= 2 ? words.busy : null;
        });
        expect(await store.create(SMALL, Buffer.from('content'))).toBe('created');
        const handle = await staged(store, bytes);
        expect(await store.publish(handle, KEY)).toBe('published');
        expect(await contentOf(store, KEY)).toBe(sha(bytes));
        expect(Buffer.from((await store.get(SMALL)) as Uint8Array).toString()).toBe('content');
        expect((await store.list('')).map(({ key }) => key)).toEqual([SMALL, KEY]);
      }, 60_000);

      it('is given the time that it asks for', async () => {
        rule(words.throttled, { operation: words.create, nth: 1 });
        const start = performance.now();
        await store.create(SMALL, Buffer.from('content'));
        expect(performance.now() - start).toBeGreaterThan(950);
      });

      it.each<[string, Fault]>([
        ['cut', { kind: 'cut-body', afterBytes: 100_000 }],
        ['never begun', { kind: 'cut-body', afterBytes: 0 }],
        ['slow', { kind: 'slow-body', bytesPerSecond: 1_000_000 }],
      ])(
        'whose bodies are %s is read whole',
        async (_, fault) => {
          const bytes = large(4).subarray(0, 1_000_000);
          await store.publish(await staged(store, bytes), KEY);
          rule(fault, { operation: words.read, nth: [1, 2] });
          expect(await contentOf(store, KEY)).toBe(sha(bytes));
        },
        60_000,
      );

      it('whose bodies are always short gives an error, and never less than there is', async () => {
        await store.publish(await staged(store, large(5)), KEY);
        const reader = await store.open(KEY);
        rule({ kind: 'cut-body', afterBytes: 1_000 }, { operation: words.read });
        expect(await failureOf(reader?.read(0, 100) ?? Promise.resolve())).toMatchObject({
          code: 'STORE_IO',
          retryable: true,
        });
        proxy.rules.length = 0;
        expect(await reader?.read(0, 100)).toHaveLength(100);
        await reader?.close();
      }, 60_000);

      it('is not believed to be empty because a portal answers for it', async () => {
        const body = '<html><body>Please log in</body></html>';
        rule(
          { kind: 'answer', status: 200, headers: { 'content-type': 'text/html' }, body },
          { operation: words.list },
        );
        expect((await failureOf(store.list(CHAIN))).code).toBe('ENDPOINT_INVALID');
        expect((await failureOf(store.folders(CHAIN))).code).toBe('ENDPOINT_INVALID');
      });
    });

    describe.each(Object.entries(DONE))('an answer is not the fact: %s', (_, done) => {
      /** Every one of these says that nothing was done, whether or not it is worth another try. */
      const codes = ['ANSWER_UNTRUE', 'STORE_IO', 'ENDPOINT_INVALID'];

      it('to a publication of which nothing was done: not published, and published when it is tried again', async () => {
        const bytes = Buffer.from('content');
        const handle = await staged(store, bytes);
        rule({ kind: 'answer', ...done }, { operation: words.publish });
        const failure = await failureOf(store.publish(handle, KEY));
        expect(codes).toContain(failure.code);
        expect(await visible()).toEqual([]);
        proxy.rules.length = 0;
        expect(await store.publish(handle, KEY)).toBe('published');
        expect(await contentOf(place.open(), KEY)).toBe(sha(bytes));
      }, 60_000);

      it('to a creation of which nothing was done: not created', async () => {
        rule({ kind: 'answer', ...done }, { operation: words.create });
        expect(codes).toContain((await failureOf(store.create(SMALL, Buffer.from('content')))).code);
        expect(await visible()).toEqual([]);
        proxy.rules.length = 0;
        expect(await store.create(SMALL, Buffer.from('content'))).toBe('created');
      }, 60_000);

      it('where somebody else stands there: exists, and stays', async () => {
        const handle = await staged(store, Buffer.from('ours!!!'));
        await place.bucket.put(`bronze/${KEY}`, 'theirs!');
        await place.bucket.put(`bronze/${SMALL}`, 'theirs!');
        // A store that asks before it does anything hears the truth from the start.
        rule({ kind: 'answer', ...done }, { operation: [words.publish, words.create] });
        for (const call of [() => store.publish(handle, KEY), () => store.create(SMALL, Buffer.from('ours!!!'))]) {
          const outcome = await call().catch((error: BronzeError) => error.code);
          expect([...codes, 'exists']).toContain(outcome);
        }
        expect(String(await place.bucket.get(`bronze/${KEY}`))).toBe('theirs!');
        expect(String(await place.bucket.get(`bronze/${SMALL}`))).toBe('theirs!');
      }, 60_000);

      it('where it was done all the same: it is found', async () => {
        const bytes = Buffer.from('content');
        const handle = await staged(store, bytes);
        rule({ kind: 'other-answer', ...done }, { operation: [words.publish, words.create], nth: 1 });
        expect(await store.publish(handle, KEY)).toMatch(/published|exists/);
        proxy.rules.length = 0;
        rule({ kind: 'other-answer', ...done }, { operation: [words.publish, words.create], nth: 1 });
        expect(await store.create(SMALL, bytes)).toMatch(/created|exists/);
        expect(await contentOf(place.open(), KEY)).toBe(sha(bytes));
        expect(String(await place.bucket.get(`bronze/${SMALL}`))).toBe('content');
      });
    });

    describe.each(Object.entries(words.listings))('a listing that cannot be believed: %s', (_, listing) => {
      it('is an error of its own, soon, and never part of the truth', async () => {
        await store.create(SMALL, Buffer.from('x'));
        proxy.log.length = 0;
        rule(listing(`bronze/${CHAIN}`), { operation: words.list });
        expect(await failureOf(store.list(CHAIN))).toMatchObject({ code: 'LISTING_INVALID', retryable: false });
        expect(proxy.count(words.list)).toBeLessThan(300);
      }, 60_000);
    });

    describe('S31: a request of a dead process that lands late', () => {
      /** Sends `request` and dies before it arrives. */
      async function die(operation: string, request: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
        const death = new AbortController();
        rule({ kind: 'deliver-late' }, { operation });
        const dying = failureOf(request(death.signal));
        while (proxy.held.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        death.abort();
        expect((await dying).code).toBe('CANCELLED');
        proxy.rules.length = 0;
      }

      it('a creation: what stands there does not change', async () => {
        await die(words.create, (signal) => store.create(SMALL, Buffer.from('dead'), signal));
        expect(await place.open().create(SMALL, Buffer.from('living'))).toBe('created');
        const before = await place.bucket.get('bronze/'.concat(SMALL));
        for (const { status } of await proxy.release()) expect(status).toBeGreaterThanOrEqual(400);
        expect(await place.bucket.get('bronze/'.concat(SMALL))).toEqual(before);
        expect(String(before)).toBe('living');
      });

      it('a creation that lands before its successor looks: it stands there, whole', async () => {
        await die(words.create, (signal) => store.create(SMALL, Buffer.from('dead'), signal));
        await proxy.release();
        expect(await place.open().create(SMALL, Buffer.from('living'))).toBe('exists');
        expect(String(await place.bucket.get('bronze/'.concat(SMALL)))).toBe('dead');
      });

      it('a publication: what is sealed does not change', async () => {
        const [dead, living] = [large(6), large(7)];
        const handle = await staged(store, dead, DEAD);
        await die(words.publish, (signal) => store.publish(handle, KEY, signal));
        const successor = place.open();
        expect(await successor.publish(await staged(successor, living), KEY)).toBe('published');
        await proxy.release();
        expect(await contentOf(place.open(), KEY)).toBe(sha(living));
        // Nor when what it had staged is removed, and it lands again.
        await successor.sweep(CHAIN, [DEAD]);
        expect(await contentOf(place.open(), KEY)).toBe(sha(living));
        expect(await visible()).toEqual([KEY]);
      }, 30_000);

      it('a publication that lands after its sweep publishes nothing', async () => {
        const handle = await staged(store, Buffer.from('dead'), DEAD);
        await die(words.publish, (signal) => store.publish(handle, KEY, signal));
        await place.open().sweep(CHAIN, [DEAD]);
        await store.discard([handle]);
        for (const { status } of await proxy.release()) expect(status).toBeGreaterThanOrEqual(400);
        expect(await visible()).toEqual([]);
      });

      it('the last bytes of a file: they become visible to nobody', async () => {
        const upload = words.upload.at(-1) ?? '';
        rule({ kind: 'deliver-late' }, { operation: upload });
        const writer = openStagingWriter(store.stagingSpec(CHAIN, DEAD), { name: 'part', key: KEY });
        await writer.write(Buffer.from('dead'));
        const dying = failureOf(writer.finish());
        while (proxy.held.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        proxy.rules.length = 0;
        rule(REFUSE);
        await writer.abort();
        await dying;
        proxy.rules.length = 0;
        const successor = place.open();
        await successor.sweep(CHAIN, [DEAD]);
        await successor.publish(await staged(successor, Buffer.from('living')), KEY);
        await proxy.release();
        expect(await visible()).toEqual([KEY]);
        expect(await contentOf(place.open(), KEY)).toBe(sha(Buffer.from('living')));
      }, 30_000);
    });

    describe('S32: what is staged vanishes', () => {
      it.each(['before it is confirmed', 'before it is published'])('%s: it can be built again', async (when) => {
        const bytes = large(8);
        const handle = await written(store, bytes);
        if (when === 'before it is published') await store.stage(handle, LARGE);
        await place.vanish();
        const call = when === 'before it is published' ? store.publish(handle, KEY) : store.stage(handle, LARGE);
        expect(await failureOf(call)).toMatchObject({ code: 'STAGED_GONE', retryable: true });
        expect(await visible()).toEqual([]);
        expect(await store.publish(await staged(store, bytes), KEY)).toBe('published');
        expect(await contentOf(store, KEY)).toBe(sha(bytes));
      });

      it('while it is written: that is said at once, not after trying again', async () => {
        const bytes = large(9);
        const writer = openStagingWriter(store.stagingSpec(CHAIN, LIVING), { name: 'part', key: KEY });
        await writer.write(bytes);
        while (proxy.log.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
        await place.vanish();
        const before = proxy.log.length;
        const failure = await failureOf(
          (async () => {
            await writer.write(bytes);
            await writer.finish();
          })(),
        );
        expect(failure).toMatchObject({ code: 'STAGED_GONE', retryable: true });
        // One request for each chunk that was on its way: none is sent again after an answer (Ceph cuts connections of
        // bodies that it does not want).
        expect(proxy.log.slice(before).filter(({ serverStatus }) => serverStatus !== 0).length).toBeLessThanOrEqual(3);
        await writer.abort();
        expect(await visible()).toEqual([]);
      });
    });
  });
}
