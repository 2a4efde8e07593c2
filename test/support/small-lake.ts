/**
 * Lakes of small made-up ledgers, in memory or in a folder, and a staging writer that remembers: for tests of building
 * that need no real data. A lake can be told to fail at any ledger.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import zstd from 'zstd-napi/binding.js';
import { type ChainName, dataKey } from '../../actors/bronze/names.ts';
import type { BuildTask, CheckSpec, CompressionSpec } from '../../actors/parquet/spec.ts';
import type { LakeLayout, LakeObject, LakeSource } from '../../actors/ports/source.ts';
import type { StagingWriter } from '../../actors/ports/store.ts';
import { fileCount, fileOf, objectKey } from '../../actors/source/keys.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { component, envelopeV1, fill, hashOf, makeBatch, makeLedger } from './made-ledger.ts';

export const CHAIN: ChainName = { network: 'testnet', eraId: 'small', versionLabel: 'v1' };
export const ZSTD_3: CompressionSpec = { codec: 'zstd', level: 3 };
export const ALL_CHECKS: CheckSpec = { results: true, protocolMin: null, protocolMax: null, networkPassphrase: null };

const frames = new zstd.CCtx();
// As Galexie writes them.
frames.setParameter(zstd.CParameter.checksumFlag, 1);

/** An object of a lake: one zstd frame with a checksum. */
export const pack = (bytes: Uint8Array): Buffer => {
  const out = Buffer.alloc(zstd.compressBound(bytes.length));
  return Buffer.from(out.subarray(0, frames.compress2(out, bytes)));
};

/** Linked ledgers of all three versions, `start` to `end`, with one to three transactions each. */
export function madeLedgers({ start, end }: LedgerRange): Map<number, Buffer> {
  const ledgers = new Map<number, Buffer>();
  let previousHash: Uint8Array = fill(0x11);
  for (let sequence = start; sequence <= end; sequence++) {
    const txs = Array.from({ length: 1 + (sequence % 3) }, () => envelopeV1(1 + (sequence % 4)));
    const version = (sequence % 3) as 0 | 1 | 2;
    const ledger = makeLedger({
      version,
      sequence,
      previousHash,
      results: txs.length,
      closeTime: BigInt(1_700_000_000 + 5 * sequence),
      ...(version === 0 ? { txs } : { phases: [component(...txs)] }),
    });
    ledgers.set(sequence, ledger);
    previousHash = hashOf(ledger);
  }
  return ledgers;
}

export const layoutOf = (ledgersPerFile: number, filesPerPartition = 64): LakeLayout => ({
  ledgersPerFile,
  filesPerPartition,
  networkPassphrase: null,
  origin: 'configuration',
  suffix: 'zst',
});

/** The objects of a lake by key, holding what there is of the ledgers. */
function lakeObjects(ledgers: ReadonlyMap<number, Buffer>, layout: LakeLayout): Map<string, LakeObject> {
  const sequences = [...ledgers.keys()];
  const whole = { start: Math.min(...sequences), end: Math.max(...sequences) };
  const objects = new Map<string, LakeObject>();
  for (let i = 0; i < fileCount(layout, whole); i++) {
    const { named, first } = fileOf(layout, whole, i);
    const inside = sequences.filter((s) => s >= named.start && s <= named.end).sort((a, b) => a - b);
    const key = objectKey(layout, first, 'zst');
    const from = inside[0] as number;
    const to = inside.at(-1) as number;
    const bodies = inside.map((s) => ledgers.get(s) as Buffer);
    objects.set(key, { key, named, bytes: pack(makeBatch(from, to, bodies)) });
  }
  return objects;
}

/** A lake in memory. `onObject` sees every object before it is handed out, and may change it, throw, or cancel. */
export class MemoryLake implements LakeSource {
  readonly uri = 'memory:lake';
  readonly layout: LakeLayout;
  readonly objects: Map<string, LakeObject>;
  onObject: (object: LakeObject) => LakeObject | null = (object) => object;

  constructor(ledgers: ReadonlyMap<number, Buffer>, layout: LakeLayout) {
    this.layout = layout;
    this.objects = lakeObjects(ledgers, layout);
  }

  async open(): Promise<LakeLayout> {
    return this.layout;
  }

  async head(): Promise<{ head: number | null; contiguousTo: number; holeAt: number | null }> {
    return { head: null, contiguousTo: 0, holeAt: null };
  }

  async *read(layout: LakeLayout, range: LedgerRange): AsyncGenerator<readonly LakeObject[]> {
    for (let i = 0; i < fileCount(layout, range); i++) {
      const object = this.objects.get(objectKey(layout, fileOf(layout, range, i).first, 'zst'));
      const seen = object ? this.onObject(object) : null;
      if (seen) yield [seen];
    }
  }
}

/** Writes a lake into a folder, as Galexie would. */
export function writeLake(root: string, ledgers: ReadonlyMap<number, Buffer>, layout: LakeLayout): void {
  for (const { key, bytes } of lakeObjects(ledgers, layout).values()) {
    mkdirSync(dirname(join(root, key)), { recursive: true });
    writeFileSync(join(root, key), bytes);
  }
  const config = {
    networkPassphrase: 'Test SDF Network ; September 2015',
    version: '1.0',
    compression: 'zstd',
    ledgersPerBatch: layout.ledgersPerFile,
    batchesPerPartition: layout.filesPerPartition,
  };
  writeFileSync(join(root, '.config.json'), JSON.stringify(config));
}

/** Keeps what was written, and how it ended. */
export class MemoryStaging implements StagingWriter {
  readonly chunks: Buffer[] = [];
  state: 'writing' | 'finished' | 'aborted' = 'writing';
  /** Called before every chunk is taken, with what was taken before. */
  onWrite: (bytesBefore: number) => void | Promise<void> = () => {};

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  write(chunk: Uint8Array): void | Promise<void> {
    const wait = this.onWrite(this.chunks.reduce((sum, { length }) => sum + length, 0));
    this.chunks.push(Buffer.from(chunk));
    return wait;
  }

  async finish(): Promise<string> {
    this.state = 'finished';
    return 'memory:staged';
  }

  async abort(): Promise<void> {
    this.state = 'aborted';
  }
}

export const buildTask = (
  range: LedgerRange,
  layout: LakeLayout,
  more: Partial<Pick<BuildTask, 'compression' | 'checks' | 'source' | 'staging' | 'attempt' | 'chain'>> = {},
): BuildTask => ({
  kind: 'build',
  chain: CHAIN,
  range,
  source: { mode: 'local', path: '/nowhere', configured: null },
  layout,
  staging: { backend: 'local', folder: '/nowhere', owner: 'test' },
  key: dataKey(CHAIN, 'ledgers_lcm_raw', range),
  attempt: `${range.start}-${range.end}.1`,
  compression: ZSTD_3,
  checks: ALL_CHECKS,
  ...more,
});
