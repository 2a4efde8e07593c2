/**
 * S4 and S18 for a lake on S3 and on the double of GCS: whatever goes wrong on the way, at every single object, a partition is whole or it is
 * not there, what passes is tried again within bounds, and the code says what it was.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildPartition } from '../../actors/parquet/build-partition.ts';
import type { LakeSource } from '../../actors/ports/source.ts';
import { openSource } from '../../actors/source/index.ts';
import { BronzeError } from '../../machines/errors.ts';
import { type Fault, type FaultRule, type SeenRequest, startFaultProxy } from '../support/fault-proxy.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import { lakeSpec, useCredentials } from '../support/s3-lakes.ts';
import { describeServers, makeBucket, makeGcsBucket, type TestBucket } from '../support/servers.ts';
import { buildTask, layoutOf, MemoryLake, MemoryStaging, madeLedgers } from '../support/small-lake.ts';

const RANGE = { start: 2, end: 9 };
const LEDGERS = Array.from({ length: RANGE.end - RANGE.start + 1 }, (_, i) => RANGE.start + i);
const layout = layoutOf(1, 64);
/** The one that goes the short way, and as many as retry.ts makes the long way. */
const ATTEMPTS = 1 + 6;

/** A place where a lake lies, and how its store says things. */
interface FaultyPlace {
  readonly url: string;
  readonly bucket: TestBucket;
  /** Opened through a proxy. */
  open(url: string): LakeSource;
}

interface Words {
  readonly read: string;
  readonly body: (code: string) => unknown;
  readonly final: readonly [string, Fault, string][];
  /** The code of a 404 that is not the store's own word. */
  readonly stranger: string;
}

function faultsBetween(words: Words, makePlace: () => Promise<FaultyPlace>): void {
  const xml = words.body;
  const lake = new MemoryLake(madeLedgers(RANGE), layout);
  let place: FaultyPlace;
  let bucket: TestBucket;
  let whole: Buffer;

  beforeAll(async () => {
    place = await makePlace();
    bucket = place.bucket;
    for (const [key, { bytes }] of lake.objects) await bucket.put(`lake/${key}`, bytes);
    whole = (await build()).bytes;
  });

  interface Built {
    readonly error: BronzeError | null;
    readonly bytes: Buffer;
    readonly state: string;
    readonly log: readonly SeenRequest[];
    /** Requests for the object of a ledger. */
    tried(ledger: number): number;
  }

  /** Builds the partition through a proxy of its own, so that no request of another build is seen. */
  async function build(...rules: readonly FaultRule[]): Promise<Built> {
    const proxy = await startFaultProxy(place.url);
    proxy.rules.push(...rules);
    const writer = new MemoryStaging();
    const source = place.open(proxy.url);
    const environment = { source, writer, signal: new AbortController().signal, onProgress: () => undefined };
    const error = await buildPartition(buildTask(RANGE, layout), environment).then(
      () => null,
      (reason: unknown) => reason,
    );
    await proxy.close();
    if (error !== null && !(error instanceof BronzeError)) throw error;
    const { log } = proxy;
    expect(log.every(({ operation }) => operation === words.read)).toBe(true);
    const tried = (ledger: number): number => log.filter(({ path }) => path.includes(`--${ledger}.xdr`)).length;
    return { error, bytes: writer.bytes, state: writer.state, log, tried };
  }

  /** All objects at once, each build behind a proxy of its own: most of it is waiting for the next try. */
  const atEach = (strike: (ledger: number) => Promise<void>): Promise<unknown> => Promise.all(LEDGERS.map(strike));

  const at = (ledger: number, fault: Fault, more: Partial<FaultRule> = {}): FaultRule => ({
    path: `--${ledger}.xdr`,
    fault,
    ...more,
  });

  const PASSING: readonly [string, Fault][] = [
    ['503 SlowDown', { kind: 'answer', status: 503, body: xml('SlowDown') }],
    ['500 without a word', { kind: 'answer', status: 500 }],
    ['429', { kind: 'answer', status: 429, body: xml('TooManyRequests') }],
    ['a page of a gateway', { kind: 'answer', status: 502, body: '<html><body>Bad Gateway</body></html>' }],
    ['a connection that is refused', { kind: 'refuse' }],
    ['an answer that is lost', { kind: 'lose-answer' }],
    ['a body that is cut', { kind: 'cut-body', afterBytes: 100 }],
    ['a body that never begins', { kind: 'cut-body', afterBytes: 0 }],
  ];

  it.each(PASSING)('%s, once, at every object: one more request, the same bytes', async (_name, fault) => {
    await atEach(async (ledger) => {
      const built = await build(at(ledger, fault, { nth: 1 }));
      expect([ledger, built.error, built.state, built.log.length]).toEqual([
        ledger,
        null,
        'finished',
        LEDGERS.length + 1,
      ]);
      expect(built.bytes.equals(whole)).toBe(true);
    });
  });

  it('slow and late answers are waited for', async () => {
    const built = await build(at(4, { kind: 'slow-body', bytesPerSecond: 500 }), at(6, { kind: 'delay', ms: 300 }));
    expect([built.error, built.log.length, built.bytes.equals(whole)]).toEqual([null, LEDGERS.length, true]);
  });

  it('Retry-After is kept', async () => {
    const built = await build(
      at(5, { kind: 'answer', status: 503, headers: { 'retry-after': '1' }, body: xml('SlowDown') }, { nth: 1 }),
    );
    expect([built.error, built.bytes.equals(whole)]).toEqual([null, true]);
    const [first, second] = built.log.filter(({ path }) => path.includes('--5.xdr'));
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(990);
  });

  it('a store that asks for a minute gets it from the machines', async () => {
    const { error, state, tried } = await build(
      at(5, { kind: 'answer', status: 503, headers: { 'retry-after': '60' }, body: xml('SlowDown') }),
    );
    expect(error).toMatchObject({ code: 'SOURCE_READ', retryable: true, retryAfterMs: 60_000 });
    expect([state, tried(5)]).toEqual(['aborted', 2]);
  });

  it('a storm of 429 and 503 passes, or ends in a failure that can be tried again', async () => {
    let times = 0;
    const built = await build({
      fault: () => {
        times += 1;
        return times % 3 === 0 ? null : { kind: 'answer', status: times % 2 === 0 ? 429 : 503, body: xml('SlowDown') };
      },
    });
    expect(built.log.length).toBeLessThanOrEqual(LEDGERS.length * ATTEMPTS);
    if (built.error === null) expect(built.bytes.equals(whole)).toBe(true);
    else expect([built.error.code, built.error.retryable, built.state]).toEqual(['SOURCE_READ', true, 'aborted']);
  });

  describe('what lasts', () => {
    const LASTING: readonly [string, Fault][] = [
      ['503', { kind: 'answer', status: 503, body: xml('SlowDown') }],
      ['a body that is cut', { kind: 'cut-body', afterBytes: 50 }],
    ];
    it.each(LASTING)('%s: tried within bounds, then a failure that can be tried again', async (_name, fault) => {
      const { error, state, tried } = await build(at(2, fault), at(6, fault), at(9, fault));
      expect(error).toMatchObject({ code: 'SOURCE_READ', retryable: true, details: { ledger: 2 } });
      expect([state, tried(2)]).toEqual(['aborted', ATTEMPTS]);
    });

    const FINAL: readonly [string, Fault, string][] = [
      ...words.final,
      ['damage', { kind: 'answer', status: 200, headers: WHOLE, body: 'no zstd frame' }, 'OBJECT_CORRUPT'],
      ['nothing', { kind: 'answer', status: 200, headers: WHOLE, body: '' }, 'OBJECT_EMPTY'],
    ];
    it.each(FINAL)('%s, at every object: asked for once each way, and its own code', async (_name, fault, code) => {
      await atEach(async (ledger) => {
        const { error, state, tried } = await build(at(ledger, fault));
        expect([ledger, error?.code, error?.retryable, state]).toEqual([ledger, code, false, 'aborted']);
        // What is plain is no matter for the long way.
        expect(tried(ledger)).toBe(code.startsWith('OBJECT_') ? 1 : 2);
      });
    });

    it('a page that is no answer of S3 is never "not there"', async () => {
      for (const body of ['<html><body>404</body></html>', 'not found', '']) {
        const { error, state } = await build(at(4, { kind: 'answer', status: 404, body }));
        expect([state, error?.code]).toEqual(['aborted', words.stranger]);
      }
    });

    it('a body that is short, and whole as HTTP, is never a shorter partition', async () => {
      await atEach(async (ledger) => {
        const { error, state } = await build(at(ledger, { kind: 'short-body', bytes: 90 }));
        // A store that sends a checksum shows that it was the way, not the object.
        expect(error?.code).toMatch(/^(OBJECT_CORRUPT|SOURCE_READ)$/);
        expect([state, error?.details.ledger]).toEqual(['aborted', ledger]);
      });
    });
  });

  it('a ledger that is missing, at every place: named, with both suffixes tried each way', async () => {
    await atEach(async (ledger) => {
      const gone = at(ledger, { kind: 'answer', status: 404, body: xml('NoSuchKey') });
      const { error, state, tried } = await build(gone);
      expect(error).toMatchObject({ code: 'LEDGER_MISSING', retryable: false, details: { ledger } });
      expect([state, tried(ledger)]).toEqual(['aborted', 4]);
    });
  });
}

/** What answers of GCS carry with an object; those of S3 take no harm. */
const WHOLE = { 'x-goog-generation': '1' };

const json = (reason: string): unknown => ({
  error: { code: 0, message: reason, errors: [{ message: reason, domain: 'global', reason }] },
});

describe('GCS, a double: faults between a lake and its reader', () => {
  let double: GcsDouble;
  afterAll(async () => {
    await double.close();
    delete process.env.STORAGE_EMULATOR_HOST;
  });
  const words: Words = {
    read: 'objects.media',
    // Errors of a download are plain text.
    body: (code) => (code === 'NoSuchKey' ? 'No such object: lake/it' : json(code)),
    final: [
      ['403', { kind: 'answer', status: 403, body: json('forbidden') }, 'SOURCE_DENIED'],
      ['403 without a word', { kind: 'answer', status: 403 }, 'SOURCE_DENIED'],
      ['an unknown token', { kind: 'answer', status: 401, body: json('authError') }, 'CREDENTIALS_INVALID'],
    ],
    stranger: 'ENDPOINT_INVALID',
  };
  faultsBetween(words, async () => {
    double = await startGcsDouble();
    const bucket = await makeGcsBucket(double);
    const address = { protocol: 'gcs', bucket: bucket.name, anonymous: false, requesterPays: false } as const;
    return {
      url: double.url,
      bucket,
      open: (url) => {
        process.env.STORAGE_EMULATOR_HOST = url;
        return openSource({ mode: 'bucket', address, prefix: 'lake/', configured: null });
      },
    };
  });
});

describeServers('faults between a lake and its reader', (server) => {
  useCredentials(server);
  const body = (code: string): string =>
    `<?xml version="1.0"?><Error><Code>${code}</Code><Message>told</Message></Error>`;
  const words: Words = {
    read: 'GetObject',
    body,
    final: [
      ['403', { kind: 'answer', status: 403, body: body('AccessDenied') }, 'SOURCE_DENIED'],
      ['403 without a word', { kind: 'answer', status: 403 }, 'SOURCE_DENIED'],
      ['an unknown key', { kind: 'answer', status: 403, body: body('InvalidAccessKeyId') }, 'CREDENTIALS_INVALID'],
      ['a bucket that has gone', { kind: 'answer', status: 404, body: body('NoSuchBucket') }, 'BUCKET_MISSING'],
    ],
    stranger: 'SOURCE_READ',
  };
  faultsBetween(words, async () => {
    const bucket = await makeBucket(server);
    return {
      url: server.endpoint,
      bucket,
      open: (url) => openSource(lakeSpec(server, bucket.name, 'lake/', { endpoint: url })),
    };
  });
});
