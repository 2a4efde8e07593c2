/**
 * Writes a small made-up lake that is valid in every respect, to try the program on without network and credentials:
 * ledgers 2 to 127, hash-chained, crossing from protocol 22 (LedgerCloseMetaV1) to 23 (V2) at ledger 64. The same bytes
 * each time. It must never write into a folder that holds anything else.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import zstd from 'zstd-napi/binding.js';
import { BronzeError } from '../../machines/errors.ts';
import { areLakeNumbers, fileCount, fileOf, LAKE_CONFIG_KEY, type LakeNumbers, type Suffix } from '../source/keys.ts';
import { BOUNDARY, type ChainState, GENESIS, makeLedger } from './ledger.ts';
import { list, sha256, struct, u32 } from './xdr-writer.ts';

/** Network of the sample: nobody's. */
export const SAMPLE_PASSPHRASE = 'Bronze Copier Sample Network ; 2026';
/** No lake holds ledger 1. */
export const SAMPLE_FIRST = 2;
const SAMPLE_LAST = 127;

const COMPRESSION_LEVEL = 3;

/** How the sample is cut and named; each has the default in brackets. */
export interface SampleOptions {
  /** [1] */
  readonly ledgersPerFile?: number;
  /** [64000] */
  readonly filesPerPartition?: number;
  /** [zst] */
  readonly suffix?: Suffix;
  /** [true] Whether the lake says in a `.config.json` how it is cut. */
  readonly config?: boolean;
  /** [127] Last ledger. */
  readonly last?: number;
}

export interface SampleLake {
  /** Absolute path of its root. */
  readonly path: string;
  readonly networkPassphrase: string;
  readonly ledgerStart: number;
  readonly ledgerEnd: number;
  /** First ledger of the second era. */
  readonly boundary: number;
  readonly files: number;
  /** Bytes of all files. */
  readonly bytes: number;
  /** False where the same sample stood there already and nothing was written. */
  readonly written: boolean;
}

/** One zstd frame with a checksum and no content size, as Galexie writes it. */
function frame(context: zstd.CCtx, bytes: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(zstd.compressBound(bytes.length));
  return out.subarray(0, context.compress2(out, bytes));
}

/** Every file of the sample by key, and the bare LedgerCloseMeta of every ledger in order. */
export function makeSample(options: SampleOptions = {}): { files: Map<string, Buffer>; ledgers: Buffer[] } {
  const numbers: LakeNumbers = {
    ledgersPerFile: options.ledgersPerFile ?? 1,
    filesPerPartition: options.filesPerPartition ?? 64_000,
  };
  const range = { start: SAMPLE_FIRST, end: options.last ?? SAMPLE_LAST };
  if (!areLakeNumbers(numbers) || !Number.isInteger(range.end) || range.end < range.start || range.end > 1_000_000) {
    throw new BronzeError('USAGE', 'a sample lake cannot be cut like that');
  }
  const networkId = sha256(Buffer.from(SAMPLE_PASSPHRASE));
  const ledgers: Buffer[] = [];
  let state: ChainState = GENESIS;
  for (let sequence = range.start; sequence <= range.end; sequence += 1) {
    const made = makeLedger(networkId, sequence, state);
    ledgers.push(made.meta);
    state = made.state;
  }
  const context = new zstd.CCtx();
  context.setParameter(zstd.CParameter.compressionLevel, COMPRESSION_LEVEL);
  context.setParameter(zstd.CParameter.checksumFlag, 1);
  context.setParameter(zstd.CParameter.contentSizeFlag, 0);
  const files = new Map<string, Buffer>();
  for (let i = 0; i < fileCount(numbers, range); i += 1) {
    const { stem, named, first } = fileOf(numbers, range, i);
    const end = Math.min(named.end, range.end);
    const metas = ledgers.slice(first - range.start, end - range.start + 1);
    // LedgerCloseMetaBatch: startSequence, endSequence, ledgerCloseMetas.
    const batch = struct(u32(first), u32(end), list(metas));
    files.set(`${stem}${options.suffix ?? 'zst'}`, frame(context, batch));
  }
  if (options.config ?? true) {
    const config = {
      networkPassphrase: SAMPLE_PASSPHRASE,
      version: '1.0',
      compression: 'zstd',
      ledgersPerBatch: numbers.ledgersPerFile,
      batchesPerPartition: numbers.filesPerPartition,
    };
    files.set(LAKE_CONFIG_KEY, Buffer.from(`${JSON.stringify(config, null, 2)}\n`));
  }
  return { files, ledgers };
}

/**
 * Writes the sample lake to a folder, which is made where there is none. Where the same sample lies there already, also
 * a part of it that an interrupted call left, only what is missing is written.
 * @throws USAGE where the folder holds anything else, STORE_DENIED, STORE_FULL, STORE_IO
 */
export async function writeSampleLake(out: string, options: SampleOptions = {}): Promise<SampleLake> {
  const path = resolve(out);
  const { files, ledgers } = makeSample(options);
  let bytes = 0;
  let written = false;
  try {
    await mkdir(path, { recursive: true });
    const present = new Set(await filesBelow(path));
    const foreign = [...present].find((key) => !files.has(key));
    if (foreign !== undefined) throw refused(path, foreign);
    for (const [key, content] of files) {
      bytes += content.length;
      const file = join(path, key);
      if (!present.has(key)) continue;
      if (!content.equals(await readFile(file))) throw refused(path, key);
    }
    for (const [key, content] of files) {
      if (present.has(key)) continue;
      const file = join(path, key);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content, { flag: 'wx' });
      written = true;
    }
  } catch (error) {
    throw error instanceof BronzeError ? error : failed(path, error);
  }
  return {
    path,
    networkPassphrase: SAMPLE_PASSPHRASE,
    ledgerStart: SAMPLE_FIRST,
    ledgerEnd: SAMPLE_FIRST + ledgers.length - 1,
    boundary: BOUNDARY,
    files: files.size,
    bytes,
    written,
  };
}

/** Keys of all files below a folder. */
async function filesBelow(root: string): Promise<string[]> {
  const keys: string[] = [];
  for (const entry of await readdir(root, { withFileTypes: true })) {
    if (!entry.isDirectory()) keys.push(entry.name);
    // A lake has one level of folders; whatever lies deeper is not ours.
    else for (const name of await readdir(join(root, entry.name))) keys.push(`${entry.name}/${name}`);
  }
  return keys;
}

const refused = (path: string, key: string): BronzeError =>
  new BronzeError('USAGE', `${path} is not empty: ${key} is not of this sample lake`, {
    details: { object: join(path, key), hint: 'name a folder that does not exist yet' },
  });

function failed(path: string, cause: unknown): BronzeError {
  const code = (cause as NodeJS.ErrnoException | null)?.code ?? '';
  const why = cause instanceof Error ? cause.message : String(cause);
  const kind = code === 'EACCES' || code === 'EPERM' || code === 'EROFS' ? 'STORE_DENIED' : 'STORE_IO';
  return new BronzeError(code === 'ENOSPC' || code === 'EDQUOT' ? 'STORE_FULL' : kind, `${path}: ${why}`, {
    details: { object: path },
    cause,
  });
}
