// A whole run against a store, or something before it, that says 200 and did nothing: nothing is built on it (S37).
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cut, newCopier, said, undisturbed } from '../support/copier.ts';
import { filesIn } from '../support/estate.ts';
import { type FaultProxy, type FaultRule, startFaultProxy } from '../support/fault-proxy.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import { expectWhole, type Reference } from '../support/outcome.ts';
import { newBucket, type RemoteKind, RemoteScene } from '../support/remote-scene.ts';
import { describeServer } from '../support/servers.ts';

const CUT: Cut = { start: 56, end: 71, size: 8 };
const HTML = { 'content-type': 'text/html' };
const PAGE = { kind: 'answer', status: 200, headers: HTML, body: '<!doctype html><p>Welcome' } as const;
/** As a store says it, with an ETag of nothing. */
const DONE = {
  kind: 'answer',
  status: 200,
  headers: { etag: '"0123456789abcdef0123456789abcdef"' },
  body: '',
} as const;

describeServer('ceph', 'and the double of GCS: what says 200 and did nothing', (server) => {
  let double: GcsDouble;
  let proxies: Record<'s3' | 'gcs', FaultProxy>;
  let reference: Reference;
  beforeAll(async () => {
    double = await startGcsDouble();
    proxies = { s3: await startFaultProxy(server.endpoint), gcs: await startFaultProxy(double.url) };
    reference = await undisturbed(await newCopier(CUT));
  });
  afterAll(async () => {
    for (const proxy of Object.values(proxies)) await proxy.close();
    await double.close();
  });

  async function sceneIn(protocol: 's3' | 'gcs', ...rules: FaultRule[]): Promise<RemoteScene> {
    const proxy = proxies[protocol];
    const kind: RemoteKind =
      protocol === 's3' ? { protocol, server, url: proxy.url } : { protocol, double, url: proxy.url };
    const scene = new RemoteScene(kind, await newBucket(kind), await newCopier(CUT));
    scene.change({ perf: { retry_attempts: 3, retry_backoff_ms: 1 } });
    proxy.rules.splice(0, proxy.rules.length, ...rules);
    return scene;
  }

  type Lie = readonly [name: string, protocol: 's3' | 'gcs', rule: FaultRule];
  const LIES: readonly Lie[] = [
    ['an upload that is completed by a web page', 's3', { operation: 'CompleteMultipartUpload', fault: PAGE }],
    ['an upload that is completed by nothing', 's3', { operation: 'CompleteMultipartUpload', fault: DONE }],
    ['a manifest that is not stored', 's3', { operation: 'PutObject', path: /manifest/, fault: DONE }],
    ['an event that is not stored', 's3', { operation: 'PutObject', path: /_audit/, fault: DONE }],
    ['an event that a web page takes', 's3', { operation: 'PutObject', path: /_audit/, fault: PAGE }],
    ['_bronze.json that is not stored', 's3', { operation: 'PutObject', path: /_bronze/, fault: DONE }],
    ['an upload that a web page takes', 'gcs', { operation: 'uploads.put', fault: PAGE }],
    ['a creation that a web page takes', 'gcs', { operation: 'objects.insert', fault: PAGE }],
  ];

  describe.each(LIES)('%s', (_, protocol, rule) => {
    it('always: the era ends, and nothing is built on it; then honest: the same bytes', async () => {
      const scene = await sceneIn(protocol, rule);
      const run = await scene.run();
      const { rules, log } = proxies[protocol];
      expect(log.some(({ rule: acted }) => acted !== null)).toBe(true);
      log.length = 0;
      expect(run.code, said(run)).toBe(1);
      expect(run.summary?.eras.some(({ error }) => error !== null)).toBe(true);
      await scene.look();
      const left = Object.keys(filesIn(scene.bronze));
      const sealed = left.filter((path) => /manifest\.json$/.test(path)).length;
      const events = left.filter((path) => path.includes('_audit/')).length;
      const data = left.filter((path) => path.endsWith('.parquet')).length;
      expect(events).toBeLessThanOrEqual(sealed);
      expect(sealed).toBeLessThanOrEqual(data);

      rules.length = 0;
      const again = await scene.run();
      expect(again.code, said(again)).toBe(0);
      await scene.look();
      expectWhole(scene, reference, { kept: true });
    });

    it('once: it is seen, and the same bytes stand there in the end', async () => {
      const scene = await sceneIn(protocol, { ...rule, nth: 1 });
      let run = await scene.run();
      if (run.code !== 0) {
        // Not a store, it is believed, until somebody has looked: for a page, never for an answer like a store's.
        expect(rule.fault).toBe(PAGE);
        expect(run.summary?.eras.map(({ error }) => error?.code ?? null)).toContain('ENDPOINT_INVALID');
        run = await scene.run();
      }
      expect(run.code, said(run)).toBe(0);
      expect(proxies[protocol].log.some(({ rule: acted }) => acted !== null)).toBe(true);
      proxies[protocol].log.length = 0;
      await scene.look();
      expectWhole(scene, reference, { kept: true });
    });
  });
});
