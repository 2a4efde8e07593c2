// What one commit asks of a store, request by request: how many of them wait for one another. Counted at a proxy before the
// server, whose answers are late, so that what goes out together is seen to.
import { describe, expect, it } from 'vitest';
import { bothDone } from '../../actors/bounded.ts';
import { dataKey } from '../../actors/bronze/names.ts';
import { appendEvent } from '../../actors/chain/audit-chain.ts';
import { refuseOverlap } from '../../actors/chain/overlaps.ts';
import type { BronzeStore } from '../../actors/ports/store.ts';
import { publishStaged } from '../../actors/sequencer/publish-partition.ts';
import { sealPublished } from '../../actors/sequencer/seal-partition.ts';
import { openStagingWriter } from '../../actors/store/staging-writer.ts';
import type { ChainHead, StagedPartition } from '../../machines/protocol.ts';
import { tempFolder } from '../support/bronze.ts';
import { type FaultProxy, type SeenRequest, startFaultProxy } from '../support/fault-proxy.ts';
import { gcsServers, openGcs } from '../support/gcs-store.ts';
import { s3Under } from '../support/s3-under-test.ts';
import { describeServers, makeGcsBucket } from '../support/servers.ts';

const LATE_MS = 120;
const AT_MOST = 6;
const SIZE = 64;
const chain = { network: 'pubnet', eraId: 'era', versionLabel: 'v1' };
const table = 'ledgers_lcm_raw';
const hex = (digit: string): string => digit.repeat(64);

/** Commits one made-up partition, with the copy of its event, as an era does, and answers with the head of its chain. */
async function commit(dir: string, store: BronzeStore, n: number, head: ChainHead): Promise<ChainHead> {
  const range = { start: 128 + n * SIZE, end: 128 + (n + 1) * SIZE - 1 };
  const content = Buffer.from(`partition ${n}`);
  const key = dataKey(chain, table, range);
  const writer = openStagingWriter(store.stagingSpec('pubnet/era/v1/', 'holder000001'), { name: `part-${n}`, key });
  await writer.write(content);
  const handle = await writer.finish();
  await store.stage(handle, content.length);
  counted?.begin();
  const file = `part-${range.start}-${range.end}.parquet`;
  const staged: StagedPartition = {
    range,
    ticket: n,
    correlationId: 'x',
    handle,
    data: { file, checksum: `sha256:${hex('a')}`, rowCount: SIZE, byteSize: content.length },
    ledgers: { firstHash: hex('1'), lastHash: hex('2'), previousHash: hex('3'), contentRoot: hex('4') },
    writer: {},
    checks: {},
    source: 'file:///lake/',
    sourceBytes: 1,
    rawBytes: 1,
    retries: 0,
  } as unknown as StagedPartition;
  const grid = { size: SIZE, origin: 0 };
  const place = { store, chain, table, grid, backup: { dir, chain } };
  const readBack = () => Promise.reject(new Error('nothing is read back'));
  const published = await publishStaged({ ...place, readBack, checks: {} as never }, { staged, attested: null });
  let manifest: Uint8Array | null = null;
  const sealer = {
    producer: { name: 'test', version: '1', git_sha: 'x' },
    now: () => '2026-01-01T00:00:00Z',
    keep: (bytes: Uint8Array) => {
      manifest = bytes;
    },
  };
  await bothDone(sealPublished(place, sealer, { published, attested: null }), refuseOverlap(place, range));
  const done = await appendEvent(
    place,
    { range, chain: head, storagePrefix: 'bronze/', expected: null },
    undefined,
    manifest,
  );
  return { nextSequence: done.sequence + 1, prevEventHash: done.eventHash };
}

let counted: { begin(): unknown } | null = null;

/** The longest row of requests each of which was sent after the one before it was answered. */
function inARow(log: readonly SeenRequest[]): number {
  let count = 0;
  let answered = Number.NEGATIVE_INFINITY;
  for (const { at } of log) {
    if (at < answered) continue;
    count += 1;
    answered = at + LATE_MS;
  }
  return count;
}

async function expectFew(proxy: FaultProxy, store: BronzeStore): Promise<void> {
  await store.prepare();
  const backup = tempFolder();
  let head = await commit(backup, store, 0, { nextSequence: 0, prevEventHash: null });
  proxy.rules.push({ fault: { kind: 'delay', ms: LATE_MS } });
  counted = { begin: () => proxy.log.splice(0) };
  for (const n of [1, 2]) {
    head = await commit(backup, store, n, head);
    const asked = proxy.log.map(({ method, operation, path }) => `${method} ${operation} ${path}`).join('\n');
    expect(inARow(proxy.log), asked).toBeLessThanOrEqual(AT_MOST);
    expect(inARow(proxy.log), asked).toBeGreaterThan(3);
  }
  counted = null;
  await proxy.close();
}

describeServers('a commit', (server) => {
  it(`is ${AT_MOST} requests in a row at the most`, async () => {
    const proxy = await startFaultProxy(server.endpoint);
    const { open } = await s3Under(server, 'bronze/', proxy.url);
    await expectFew(proxy, open());
  }, 60_000);
});

describe('GCS, a double: a commit', () => {
  it(`is ${AT_MOST} requests in a row at the most`, async () => {
    const { double } = await gcsServers();
    const [proxy, bucket] = await Promise.all([startFaultProxy(double.url), makeGcsBucket(double)]);
    await expectFew(proxy, openGcs(proxy.url, bucket.name, 'bronze/'));
  }, 60_000);
});
