// Buckets that cannot be used: each its own coded error before any work starts, from `run` and from `validate --online`
// alike; and no credential in anything that is printed or written, whatever goes wrong.
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cut, newCopier, said } from '../support/copier.ts';
import { namesIn } from '../support/estate.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import { PASSPHRASES, sampleLake } from '../support/lakes.ts';
import { merge, type Outcome, type Scene, type Settings } from '../support/program.ts';
import { environmentFor, lakeIn, newBucket, sourceIn, storageIn } from '../support/remote-scene.ts';
import { describeServer, type S3Server } from '../support/servers.ts';

const CUT: Cut = { start: 56, end: 71, size: 8 };
const KEY = 'AKIDOFATESTTHATNOBODYMAYSEE';
const SECRET = 'a+secret/of+a+test/that+nobody+may+see==';

/** Every code that a command said, and where. */
const codesOf = ({ stdout, stderr }: Outcome): string[] =>
  [...`${stdout}\n${stderr}`.matchAll(/\b([A-Z]+(?:_[A-Z0-9]+)+)\b/g)].map((match) => match[1] as string);

/** A page that says 200 to everything: a captive portal, or the console of a store instead of its API. */
async function webPage(): Promise<{ server: Server; url: string }> {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>hello</title><p>hello');
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describeServer('ceph', 'buckets that cannot be used', (server: S3Server) => {
  let lake: string;
  let bronze: string;
  let page: Awaited<ReturnType<typeof webPage>>;
  let proxy: FaultProxy;
  const s3 = { protocol: 's3', server } as const;

  beforeAll(async () => {
    page = await webPage();
    proxy = await startFaultProxy(server.endpoint);
    lake = (await lakeIn(s3, (await sampleLake()).path)).name;
    bronze = (await newBucket(s3)).name;
  });
  afterAll(async () => {
    await proxy.close();
    page.server.close();
  });

  async function sceneWith(source: Settings, storage: Settings, env: Record<string, string> = {}): Promise<Scene> {
    const scene = await newCopier(CUT, { perf: { retry_attempts: 1 } });
    scene.settings = { ...scene.settings, storage: merge(storageIn(s3, bronze), storage) };
    scene.change({ source: merge(sourceIn(s3, lake), source) });
    Object.assign(scene.environment, environmentFor(s3), env);
    return scene;
  }

  /** Nothing that a command prints, logs or leaves on disk may hold a secret. */
  function expectNoSecrets(scene: Scene, outcome: Outcome, ...secrets: readonly string[]): void {
    const left = namesIn(scene.root).map((name) => readFileSync(join(scene.root, name), 'latin1'));
    for (const text of [outcome.stdout, outcome.stderr, ...left]) {
      for (const secret of secrets) expect(text.includes(secret)).toBe(false);
      expect(text).not.toMatch(/Signature=|X-Amz-Signature|X-Amz-Security-Token|Authorization: |Bearer /i);
    }
  }

  const MISSING = 'bronze-there-is-no-such-bucket';

  it.each<[string, Settings, Settings, Record<string, string>, string]>([
    ['the bucket of the lake is missing', { s3_bucket: MISSING }, {}, {}, 'BUCKET_MISSING'],
    ['the bucket of Bronze is missing', {}, { s3_bucket: MISSING }, {}, 'BUCKET_MISSING'],
    [
      'the access key is not known',
      {},
      {},
      { AWS_ACCESS_KEY_ID: KEY, AWS_SECRET_ACCESS_KEY: SECRET },
      'CREDENTIALS_INVALID',
    ],
    ['the secret is wrong', {}, {}, { AWS_SECRET_ACCESS_KEY: SECRET }, 'CREDENTIALS_INVALID'],
    ['anonymous, and the bucket is not public', { anonymous: true }, {}, {}, 'SOURCE_DENIED'],
    ['anonymous, and the bucket of Bronze is not public', {}, { anonymous: true }, {}, 'STORE_DENIED'],
    ['there is no lake at the path', { s3_prefix: 'elsewhere' }, {}, {}, 'LAKE_NOT_FOUND'],
    ['the lake is of another network', { network_passphrase: PASSPHRASES.testnet }, {}, {}, 'LAKE_WRONG_NETWORK'],
  ])('%s', async (_, source, storage, env, code) => {
    const scene = await sceneWith(source, storage, env);
    for (const [command, args] of [
      ['validate', ['--online']],
      ['run', []],
    ] as const) {
      const outcome = await scene.start(command, { args: [...args] }).done;
      expect(outcome.code, said(outcome)).toBe(1);
      expect(codesOf(outcome), said(outcome)).toContain(code);
      expect(outcome.stderr + outcome.stdout).not.toMatch(/\n {4}at /);
      expectNoSecrets(scene, outcome, SECRET, server.secretAccessKey);
    }
    // Nothing of Bronze was begun.
    expect(namesIn(scene.bronze)).toEqual([]);
  });

  it('the endpoint of the lake, or of Bronze, is a web page', async () => {
    for (const [source, storage] of [
      [{ s3_endpoint: page.url }, {}],
      [{}, { s3_endpoint: page.url }],
    ] as const) {
      const scene = await sceneWith(source, storage);
      for (const command of ['validate', 'run']) {
        const outcome = await scene.start(command, { args: command === 'validate' ? ['--online'] : [] }).done;
        expect(outcome.code, said(outcome)).toBe(1);
        expect(codesOf(outcome), said(outcome)).toContain('ENDPOINT_INVALID');
      }
    }
  });

  it('the endpoint speaks TLS where none is expected, and the other way round', async () => {
    const scene = await sceneWith({ s3_endpoint: server.endpoint.replace('http:', 'https:') }, {});
    const outcome = await scene.start('validate', { args: ['--online'] }).done;
    expect(codesOf(outcome), said(outcome)).toContain('ENDPOINT_INVALID');
  });

  it('nobody listens at the endpoint: said, and told from a refusal', async () => {
    const scene = await sceneWith({ s3_endpoint: 'http://127.0.0.1:9' }, {});
    const outcome = await scene.start('validate', { args: ['--online'] }).done;
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/SOURCE_READ.*ECONNREFUSED/s);
  });

  it('the bucket is in another region: the right one is named', async () => {
    proxy.rules.push({
      path: `/${lake}`,
      fault: {
        kind: 'answer',
        status: 301,
        headers: { 'x-amz-bucket-region': 'eu-west-9', 'content-type': 'application/xml' },
        body: '<?xml version="1.0"?><Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>',
      },
    });
    const scene = await sceneWith({ s3_endpoint: proxy.url }, {});
    const outcome = await scene.start('validate', { args: ['--online'] }).done;
    proxy.rules.length = 0;
    expect(codesOf(outcome), said(outcome)).toContain('BUCKET_REGION');
    expect(outcome.stderr).toContain('eu-west-9');
  });

  it('reading is allowed and writing is not: said before any ledger is read', async () => {
    proxy.rules.push({
      operation: ['PutObject', 'CreateMultipartUpload'],
      fault: {
        kind: 'answer',
        status: 403,
        headers: { 'content-type': 'application/xml' },
        body: '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>',
      },
    });
    const scene = await sceneWith({}, { s3_endpoint: proxy.url });
    for (const command of ['validate', 'run']) {
      const outcome = await scene.start(command, { args: command === 'validate' ? ['--online'] : [] }).done;
      expect(outcome.code, said(outcome)).toBe(1);
      expect(codesOf(outcome), said(outcome)).toContain('STORE_DENIED');
    }
    proxy.rules.length = 0;
  });

  it('no credential is in a log at its most talkative, in a dump, in the state folder or in Bronze', async () => {
    const scene = await sceneWith({}, {});
    // Slow enough for a dump to be asked for.
    scene.change({ logging: { level: 'trace' }, eras: [{ ...(scene.settings.eras as Settings[])[0], ledger_end: 0 }] });
    const running = scene.start('run');
    await running.untilLogged((line) => line.msg === 'partition committed', 'a commit');
    process.kill(running.pid, 'SIGQUIT');
    await running.untilLogged((line) => line.msg === 'SIGQUIT', 'a dump');
    running.kill('SIGTERM');
    const outcome = await running.done;
    expect(outcome.code, said(outcome)).toBe(0);
    expect(namesIn(scene.state).some((name) => name.startsWith('dump_'))).toBe(true);
    expectNoSecrets(scene, outcome, server.secretAccessKey);
  });
});

describe('double of GCS: buckets that cannot be used', () => {
  let double: GcsDouble;
  beforeAll(async () => {
    double = await startGcsDouble();
  });
  afterAll(() => double.close());

  it.each<[string, (gcs: { lake: string; bronze: string }) => { source?: Settings; storage?: Settings }, string]>([
    ['the bucket of the lake is missing', () => ({ source: { gcs_bucket: 'no-such-bucket' } }), 'BUCKET_MISSING'],
    ['the bucket of Bronze is missing', () => ({ storage: { gcs_bucket: 'no-such-bucket' } }), 'BUCKET_MISSING'],
    ['there is no lake at the path', () => ({ source: { gcs_prefix: 'elsewhere' } }), 'LAKE_NOT_FOUND'],
  ])('%s', async (_, change, code) => {
    const gcs = { protocol: 'gcs', double } as const;
    const lake = (await lakeIn(gcs, (await sampleLake()).path)).name;
    const bronze = (await newBucket(gcs)).name;
    const { source = {}, storage = {} } = change({ lake, bronze });
    const scene = await newCopier(CUT, { perf: { retry_attempts: 1 } });
    scene.settings = { ...scene.settings, storage: merge(storageIn(gcs, bronze), storage) };
    scene.change({ source: merge(sourceIn(gcs, lake), source) });
    Object.assign(scene.environment, environmentFor(gcs));
    for (const command of ['validate', 'run']) {
      const outcome = await scene.start(command, { args: command === 'validate' ? ['--online'] : [] }).done;
      expect(outcome.code, said(outcome)).toBe(1);
      expect(codesOf(outcome), said(outcome)).toContain(code);
    }
  });
});
