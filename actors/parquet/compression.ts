/**
 * Page compressors: the codecs of contract section 4, each giving the same bytes for the same page in every run. Every
 * answer is in a buffer of ours or a copy: the library uses its own memory again.
 */
import type { CompressionCodec } from 'hyparquet';
import { compressSync } from 'snappy';
import zstd from 'zstd-napi/binding.js';
import { ZSTD_VERSION } from '../zstd.ts';
import type { CompressionSpec } from './spec.ts';

/** Pinned exactly in package.json, held equal by a test: another one may give other bytes. */
export const SNAPPY_VERSION = '7.4.3';

export interface PageCompressor {
  /** Parquet's name of the codec. */
  readonly codec: CompressionCodec;
  /** What, besides the page, fixes the bytes: for the footer and the manifest. */
  readonly versions: Readonly<Record<string, string>>;
  /** The compressed page; valid until the next call. */
  compress(page: Uint8Array): Uint8Array;
}

/** One-shot frames of the plain library at a level: no threads, no long window, nothing that depends on the machine. */
class ZstdPages implements PageCompressor {
  readonly codec = 'ZSTD';
  readonly versions: Readonly<Record<string, string>>;
  readonly #context = new zstd.CCtx();
  #out: Buffer = Buffer.allocUnsafeSlow(0);

  constructor(level: number) {
    this.#context.setParameter(zstd.CParameter.compressionLevel, level);
    this.versions = { codec: 'zstd', level: String(level), zstd: ZSTD_VERSION };
  }

  compress(page: Uint8Array): Uint8Array {
    const bound = zstd.compressBound(page.length);
    // Only what is written becomes resident: the room up to the bound costs address space, not memory.
    if (bound > this.#out.length) this.#out = Buffer.allocUnsafeSlow(bound);
    return this.#out.subarray(0, this.#context.compress2(this.#out, page));
  }
}

const snappyPages: PageCompressor = {
  codec: 'SNAPPY',
  versions: { codec: 'snappy', snappy: SNAPPY_VERSION },
  // Without the copy each answer is external memory that the collector does not see: the process grows to gigabytes.
  compress: (page) => compressSync(page, { copyOutputData: true }),
};

const plainPages: PageCompressor = { codec: 'UNCOMPRESSED', versions: { codec: 'none' }, compress: (page) => page };

/** A compressor for one thread, to be used again for every page and file. Throws where the level is not zstd's. */
export function pageCompressor(spec: CompressionSpec): PageCompressor {
  if (spec.codec === 'zstd') return new ZstdPages(spec.level);
  return spec.codec === 'snappy' ? snappyPages : plainPages;
}
