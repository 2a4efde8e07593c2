// Proxies of the environment: everything that goes over HTTP asks them. Hosts here have names that the proxy alone knows,
// so that whatever would go past it finds nobody.
import { afterEach, describe, expect, it } from 'vitest';
import { startAuditServer } from '../support/audit-endpoint.ts';
import { type ConnectProxy, startConnectProxy } from '../support/connect-proxy.ts';
import { expectDone, newCopier, said } from '../support/copier.ts';
import { startGcsDouble } from '../support/gcs-double.ts';
import { sampleLake } from '../support/lakes.ts';
import type { Scene } from '../support/program.ts';
import {
  environmentFor,
  lakeIn,
  type RemoteKind,
  RemoteScene,
  remoteScene,
  sourceIn,
} from '../support/remote-scene.ts';
import { describeServer } from '../support/servers.ts';

const CUT = { start: 60, end: 67, size: 4 };

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

async function proxyTo(names: Readonly<Record<string, string>>): Promise<ConnectProxy> {
  const proxy = await startConnectProxy(names);
  opened.push(proxy);
  return proxy;
}

/** Lake and Bronze in buckets that are reached under `url`, events delivered to `endpoint`. */
async function sceneAt(kind: RemoteKind, url: string, endpoint: string): Promise<Scene> {
  const { name } = await lakeIn(kind, (await sampleLake()).path);
  const named = { ...kind, url };
  const scene = await newCopier(CUT, { pas: { endpoint, strict: true } });
  scene.change({ source: sourceIn(named, name) });
  Object.assign(scene.environment, environmentFor(named));
  const { bucket } = await remoteScene(kind, scene);
  return new RemoteScene(named, bucket, scene);
}

async function auditServer() {
  const audit = await startAuditServer();
  opened.push({ close: () => audit.stop() });
  return audit;
}

const hosts = ({ asked }: ConnectProxy): string[] =>
  [...new Set(asked.map((host) => host.replace(/:\d+$/, '')))].sort();

/** Nobody listens there; a name would be that of a bucket to moto. */
const STORE = '127.0.0.9';

describeServer('moto', 'and an audit endpoint, behind a proxy', (server) => {
  const kind = { protocol: 's3', server } as const;

  it.each(['HTTP_PROXY', 'http_proxy'])('%s is asked for both, for the lake as for Bronze', async (variable) => {
    const audit = await auditServer();
    const proxy = await proxyTo({ [STORE]: server.endpoint, 'audit.invalid': audit.url });
    const scene = await sceneAt(kind, `http://${STORE}`, 'http://audit.invalid/events');
    scene.environment[variable] = proxy.url;
    expect(await expectDone(scene)).toEqual({ built: 2, found: 0 });
    expect(hosts(proxy)).toEqual([STORE, 'audit.invalid']);
    const verdict = await scene.verify('--json');
    expect(verdict.code, said(verdict)).toBe(0);
    const status = await scene.start('status').done;
    expect(status.code, said(status)).toBe(0);
  });

  it('NO_PROXY names who is asked past it', async () => {
    const audit = await auditServer();
    const proxy = await proxyTo({});
    const scene = await sceneAt(kind, server.endpoint, audit.url);
    Object.assign(scene.environment, { HTTP_PROXY: proxy.url, NO_PROXY: 'localhost,127.0.0.1' });
    expect(await expectDone(scene)).toEqual({ built: 2, found: 0 });
    expect(proxy.asked).toEqual([]);
  });

  it.each([
    ['ends connections without an answer', 'cut', /ECONNRESET/],
    ['does not find the host', 'lost', /502/],
  ])('one that %s is a fault of the network, and is asked a few times', async (_, host, words) => {
    const proxy = await proxyTo({});
    const scene = await sceneAt(kind, `http://${host}`, '');
    scene.environment.HTTP_PROXY = proxy.url;
    const status = await scene.start('status').done;
    expect(status.code, said(status)).toBe(1);
    expect(said(status)).toMatch(/STORE_IO/);
    expect(said(status)).toMatch(words);
    expect(proxy.asked.length).toBeLessThan(100);
  });

  it('what is no address of a proxy is said so, without it', async () => {
    const scene = await sceneAt(kind, server.endpoint, '');
    scene.environment.HTTPS_PROXY = 'user:secret@proxy.example:3128';
    const run = await scene.run();
    expect(run.code).toBe(1);
    expect(said(run)).toMatch(/CONFIG_INVALID.*HTTPS_PROXY holds no address of an HTTP proxy/);
    expect(`${run.stdout}${run.stderr}`).not.toContain('secret');
  });
});

describe('Google Cloud Storage behind a proxy', () => {
  it('is asked through it', async () => {
    const double = await startGcsDouble();
    opened.push(double);
    const audit = await auditServer();
    const proxy = await proxyTo({ 'store.invalid': double.url, 'audit.invalid': audit.url });
    const scene = await sceneAt({ protocol: 'gcs', double }, 'http://store.invalid', 'http://audit.invalid/events');
    scene.environment.HTTP_PROXY = proxy.url;
    expect(await expectDone(scene)).toEqual({ built: 2, found: 0 });
    expect(hosts(proxy)).toEqual(['audit.invalid', 'store.invalid']);
  });
});
