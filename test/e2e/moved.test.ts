// S39: Bronze copied or moved to another disk, bucket or prefix, or put back from a copy: the same chain, which a run
// extends, and of which nobody says that it was altered. Through the program itself.
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { said } from '../support/copier.ts';
import { filesIn, readJson, TABLE } from '../support/estate.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import { SAMPLE_SOURCE, sampleEra, sampleLake } from '../support/lakes.ts';
import { Scene, type Settings } from '../support/program.ts';
import { environmentFor, newBucket, type RemoteKind, storageIn } from '../support/remote-scene.ts';
import { describeServer, type TestBucket } from '../support/servers.ts';

const CHAIN = 'sample/whole/v1';

/** Where Bronze lies, as an operator names it, and how this test sees it. */
interface Place {
  readonly storage: Settings;
  readonly environment?: Record<string, string>;
  /** What `verify` is given. */
  readonly uri: readonly string[];
  /** Objects of the chain by key. */
  read(): Promise<Map<string, Buffer>>;
  remove(below: string): Promise<void>;
}

function onDisk(dir: string, prefix: string): Place {
  const root = join(dir, prefix);
  return {
    storage: { backend: 'local', local_dir: dir, prefix: prefix === '' ? '/' : prefix },
    uri: [dir],
    read: async () => {
      const chain = join(root, CHAIN);
      return new Map(Object.keys(filesIn(chain)).map((key) => [key, readFileSync(join(chain, key))]));
    },
    remove: async (below) => rmSync(join(root, CHAIN, below), { recursive: true }),
  };
}

function inBucket(kind: RemoteKind, bucket: TestBucket, prefix: string): Place {
  const scheme = kind.protocol === 's3' ? 's3' : 'gs';
  const access =
    kind.protocol === 's3' ? ['--s3-endpoint', kind.server.endpoint, '--s3-region', kind.server.region] : [];
  const chain = `${prefix}${CHAIN}/`;
  return {
    storage: { ...storageIn(kind, bucket.name), prefix: prefix === '' ? '/' : prefix },
    environment: environmentFor(kind),
    uri: [`${scheme}://${bucket.name}/${prefix}`, ...access],
    read: async () => {
      const found = new Map<string, Buffer>();
      for (const key of await bucket.list(chain)) {
        found.set(key.slice(chain.length), (await bucket.get(key)) as Buffer);
      }
      return found;
    },
    remove: async (below) => {
      for (const key of await bucket.list(`${chain}${below}`)) await bucket.delete(key);
    },
  };
}

/** Copies everything, as `cp -r`, `aws s3 sync` or `gcloud storage rsync` do. */
async function copyInto(from: Place, put: (key: string, bytes: Buffer) => Promise<void> | void): Promise<void> {
  for (const [key, bytes] of await from.read()) await put(`${CHAIN}/${key}`, bytes);
}

class Travelling {
  readonly scene: Scene;
  place: Place;
  #end = 29;
  #kept = new Map<string, Buffer>();

  constructor(lake: string) {
    this.scene = new Scene(lake, sampleEra({ ledger_end: this.#end }), { source: SAMPLE_SOURCE });
    this.place = onDisk(this.scene.data, 'bronze/');
  }

  settle(place: Place): void {
    this.place = place;
    const { storage: _, ...rest } = this.scene.settings;
    this.scene.settings = { ...rest, storage: place.storage };
    Object.assign(this.scene.environment, place.environment);
  }

  /** Ten ledgers more; what was there keeps its bytes, and everybody agrees. */
  async goesOn(): Promise<void> {
    this.#end += 10;
    this.scene.change({ eras: [sampleEra({ ledger_end: this.#end })] });
    await this.agrees();
    const now = await this.place.read();
    for (const [key, bytes] of this.#kept) expect(now.get(key)?.equals(bytes), key).toBe(true);
    this.#kept = new Map([...now].filter(([key]) => !key.includes('_staging/')));
    const events = [...now]
      .filter(([key]) => key.startsWith('_audit/'))
      .map(([, bytes]) => JSON.parse(bytes.toString()));
    expect(events).toHaveLength((this.#end + 1) / 10);
    for (const { tables } of events) expect(tables[TABLE].storage_path).toMatch(`bronze/${CHAIN}/${TABLE}/`);
  }

  async agrees(): Promise<void> {
    for (const run of [
      await this.scene.run(),
      await this.scene.command('verify', ...this.place.uri, '--threads', '1'),
      await this.scene.start('reconcile').done,
      await this.scene.command('pas', 'verify', this.scene.backup),
    ]) {
      expect(run.code, said(run)).toBe(0);
      expect(run.stdout + run.stderr).not.toMatch(/alter|somebody/i);
    }
  }

  /** Lost there, and mended by a run: it has to come out as it was. */
  async mends(...below: readonly string[]): Promise<void> {
    for (const path of below) await this.place.remove(path);
    const run = await this.scene.run();
    expect(run.code, said(run)).toBe(0);
    const now = await this.place.read();
    for (const [key, bytes] of this.#kept) expect(now.get(key)?.equals(bytes), key).toBe(true);
  }
}

const event = (sequence: number): string => `_audit/${String(sequence).padStart(10, '0')}.json`;
const partition = (label: string): string => `${TABLE}/range=${label}/`;

describe('on disks', () => {
  it('a copy, a move, another prefix, none, and back from a copy: one chain', { timeout: 900_000 }, async () => {
    const estate = new Travelling((await sampleLake({ last: 99 })).path);
    const { root, data } = estate.scene;
    await estate.goesOn();

    const disk = join(root, 'another-disk');
    cpSync(data, disk, { recursive: true });
    estate.settle(onDisk(disk, 'bronze/'));
    await estate.goesOn();

    renameSync(join(disk, 'bronze'), join(disk, 'archive'));
    estate.settle(onDisk(disk, 'archive/'));
    await estate.goesOn();
    await estate.mends(event(1));
    await estate.mends(event(2), event(3), partition('10-19'));

    const bare = join(root, 'bare');
    renameSync(join(disk, 'archive'), bare);
    estate.settle(onDisk(bare, ''));
    await estate.goesOn();
    // What the first event says is what the chain began with.
    await estate.mends('_bronze.json');
    expect(readJson(bare, CHAIN, '_bronze.json').storage_prefix).toBe('bronze/');

    const backup = join(root, 'backup');
    cpSync(bare, join(backup, 'deep/er'), { recursive: true });
    rmSync(bare, { recursive: true });
    estate.settle(onDisk(backup, 'deep/er/'));
    await estate.goesOn();
  });

  it('the last event, lost after a move, is derived as it was', { timeout: 300_000 }, async () => {
    const estate = new Travelling((await sampleLake({ last: 99 })).path);
    await estate.goesOn();
    const { scene } = estate;
    renameSync(scene.bronze, join(scene.data, 'archive'));
    estate.settle(onDisk(scene.data, 'archive/'));
    const whole = await estate.place.read();
    await estate.place.remove(event(3));
    const repaired = await scene.start('reconcile', { args: ['--repair'] }).done;
    expect(repaired.code, said(repaired)).toBe(0);
    expect((await estate.place.read()).get(event(3))).toEqual(whole.get(event(3)));
    await estate.goesOn();
  });

  it('rows of a catalog that name the old place are called moved, and are written again', {
    timeout: 120_000,
  }, async () => {
    const estate = new Travelling((await sampleLake({ last: 99 })).path);
    const { scene } = estate;
    scene.change({ catalog: { backend: 'embedded', dir: join(scene.state, 'catalog'), strict: true } });
    await estate.goesOn();
    renameSync(scene.bronze, join(scene.data, 'archive'));
    estate.settle(onDisk(scene.data, 'archive/'));
    const run = await scene.run();
    expect(run.code, said(run)).toBe(0);
    expect(run.stdout).toMatch(/"rows":4,.*where Bronze lay before/);
    const found = await scene.start('reconcile', { args: ['--json'] }).done;
    expect(found.code).toBe(3);
    expect(JSON.parse(found.stdout).differences).toMatchObject([
      { kind: 'row.moved', range: { start: 2, end: 39 }, repairable: 'reconcile' },
    ]);
    expect((await scene.start('reconcile', { args: ['--repair'] }).done).code).toBe(0);
    await estate.goesOn();
  });
});

describeServer('ceph', 'from a disk to a bucket, to another, to Google, and home', (server) => {
  let double: GcsDouble;
  beforeAll(async () => {
    double = await startGcsDouble();
  });
  afterAll(() => double.close());

  it('is one chain, and what is lost on the way comes out as it was sealed', { timeout: 900_000 }, async () => {
    const estate = new Travelling((await sampleLake({ last: 99 })).path);
    await estate.goesOn();
    const s3: RemoteKind = { protocol: 's3', server };
    const gcs: RemoteKind = { protocol: 'gcs', double };
    const stops = [
      { kind: s3, prefix: 'bronze/' },
      { kind: s3, prefix: 'elsewhere/on/ceph/' },
      { kind: gcs, prefix: '' },
    ];
    for (const { kind, prefix } of stops) {
      const bucket = await newBucket(kind);
      await copyInto(estate.place, (key, bytes) => bucket.put(`${prefix}${key}`, bytes));
      estate.settle(inBucket(kind, bucket, prefix));
      await estate.goesOn();
      // Sealed on the disk in one piece, and in S3 in parts.
      await estate.mends(partition('2-9'), event(1));
    }
    await estate.mends(partition('40-49'));
    const home = join(estate.scene.root, 'home');
    await copyInto(estate.place, (key, bytes) => {
      mkdirSync(dirname(join(home, key)), { recursive: true });
      writeFileSync(join(home, key), bytes);
    });
    estate.settle(onDisk(home, ''));
    await estate.goesOn();
    await estate.mends(partition('40-49'), partition('60-69'));
  });
});
