/**
 * Small estates in temporary folders, for tests of the commit: the data objects are short texts that say which ledgers
 * they hold, so that a read-back needs no Parquet.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from 'vitest';
import { type ChainName, chainPrefix, dataFileName, dataKey } from '../../actors/bronze/names.ts';
import { appendEvent } from '../../actors/chain/audit-chain.ts';
import type { ChainPlace } from '../../actors/chain/chain-place.ts';
import { type FileOps, realFiles } from '../../actors/files.ts';
import { publishStaged } from '../../actors/sequencer/publish-partition.ts';
import type { CommitPlace, ReadBack } from '../../actors/sequencer/read-partition.ts';
import { sealPublished } from '../../actors/sequencer/seal-partition.ts';
import { openStore } from '../../actors/store/index.ts';
import { openStagingWriter } from '../../actors/store/staging-writer.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { ChainHead, LedgerEnds, LedgerRange, StagedPartition } from '../../machines/protocol.ts';

export const CHAIN: ChainName = { network: 'pubnet', eraId: 'pre_p23', versionLabel: 'v1' };
export const TABLE = 'ledgers_lcm_raw';
export const PREFIX = chainPrefix(CHAIN);
export const OWNER = 'owner00000001';
export const PRODUCER = { name: 'bronze-copier', version: '2.0.0', git_sha: 'abc' };
export const NOW = '2026-01-02T03:04:05Z';
export const CHECKS = { results: true, protocolMin: null, protocolMax: null, networkPassphrase: null };

const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new empty folder, removed when the test file is through. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'bronze-'));
  folders.push(folder);
  return folder;
}

export const hex = (text: string): string => createHash('sha256').update(text).digest('hex');
export const sha = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Hash of a made-up ledger; `fork` makes another network's. */
const ledgerHash = (ledger: number, fork = ''): string => hex(`ledger ${ledger}${fork}`);

export const endsOf = (range: LedgerRange, fork = ''): LedgerEnds => ({
  firstHash: ledgerHash(range.start, fork),
  lastHash: ledgerHash(range.end, fork),
  previousHash: ledgerHash(range.start - 1, fork),
  contentRoot: hex(`root ${range.start}-${range.end}${fork}`),
});

/** What stands in a made-up data object. `writer` changes its bytes and not its rows. */
export const contentOf = (range: LedgerRange, writer = 'w1', fork = ''): Uint8Array =>
  Buffer.from(JSON.stringify({ rows: range, ledgers: endsOf(range, fork), writer: { parquet: writer } }));

export interface Estate extends CommitPlace {
  readonly root: string;
  readonly files: FileOps;
}

/** Reads the texts above as the real read-back reads Parquet. */
function readBackOf(root: string): ReadBack {
  return async (task) => {
    const path = join(root, 'bronze', task.key);
    const object = { details: { object: task.key } };
    if (!existsSync(path)) throw new BronzeError('PARTITION_DAMAGED', `${task.key} is not there`, object);
    const bytes = readFileSync(path);
    const rowCount = task.range.end - task.range.start + 1;
    const data = { file: dataFileName(task.range), checksum: sha(bytes), byteSize: bytes.length, rowCount };
    if (task.depth === 'bytes') return { data, rows: null };
    try {
      const { ledgers, writer, rows } = JSON.parse(bytes.toString());
      return {
        data: { ...data, rowCount: rows.end - rows.start + 1 },
        rows: { ledgers, writer, checks: { links: true } },
      };
    } catch (cause) {
      throw new BronzeError('PARTITION_DAMAGED', `${task.key} is no Parquet`, { ...object, cause });
    }
  };
}

/** An estate in `root` (new where none is given), as a copier that just started sees it. */
export function estateIn(root = tempFolder(), files: FileOps = realFiles, owner = OWNER): Estate {
  const store = openStore({ backend: 'local', root, prefix: 'bronze/' }, files);
  store.stagingSpec(PREFIX, owner);
  return { root, files, store, chain: CHAIN, table: TABLE, readBack: readBackOf(root), checks: CHECKS };
}

/** Stages a partition as a worker does. */
export async function stageIn(
  estate: Estate,
  range: LedgerRange,
  options: { writer?: string; fork?: string; owner?: string; source?: string } = {},
): Promise<StagedPartition> {
  const { writer = 'w1', fork = '', owner = OWNER, source = 'file:///lake/' } = options;
  const bytes = contentOf(range, writer, fork);
  const spec = estate.store.stagingSpec(PREFIX, owner);
  const staging = openStagingWriter(
    spec,
    { name: `${range.start}-${range.end}`, key: dataKey(estate.chain, estate.table, range) },
    estate.files,
  );
  await staging.write(bytes);
  const handle = await staging.finish();
  await estate.store.stage(handle, bytes.length);
  return {
    range,
    ticket: 1,
    correlationId: 'c1',
    handle,
    data: {
      file: dataFileName(range),
      checksum: sha(bytes),
      rowCount: range.end - range.start + 1,
      byteSize: bytes.length,
    },
    ledgers: endsOf(range, fork),
    writer: { parquet: writer },
    checks: { links: true },
    source,
    sourceBytes: 1,
    rawBytes: 1,
    retries: 0,
  };
}

export const FIRST: ChainHead = { nextSequence: 0, prevEventHash: null };

/** Commits partitions one after the other, up to the event; answers the chain's head after them. */
export async function commitAll(
  estate: Estate,
  ranges: readonly LedgerRange[],
  head: ChainHead = FIRST,
  options: { writer?: string; fork?: string; now?: string; attest?: boolean; prefix?: string } = {},
): Promise<ChainHead> {
  let chain = head;
  for (const range of ranges) {
    const staged = await stageIn(estate, range, options);
    const published = await publishStaged(estate, { staged, attested: null });
    await sealPublished(estate, { producer: PRODUCER, now: () => options.now ?? NOW }, { published, attested: null });
    if (options.attest === false) continue;
    const input = { range, chain, storagePrefix: options.prefix ?? estate.store.prefix, expected: null };
    const done = await appendEvent({ ...estate, backup: null }, input);
    chain = { nextSequence: done.sequence + 1, prevEventHash: done.eventHash };
  }
  return chain;
}

export const rangesOf = (start: number, size: number, count: number): LedgerRange[] =>
  Array.from({ length: count }, (_, i) => ({ start: start + i * size, end: start + (i + 1) * size - 1 }));

/** Every file below a folder with its content, relative paths, in order. */
export function filesBelow(folder: string): Record<string, string> {
  if (!existsSync(folder)) return {};
  const names = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(
    paths.sort().map((path) => [path.slice(folder.length + 1), readFileSync(path).toString('latin1')]),
  );
}

export const bronzeFiles = (estate: { root: string }): Record<string, string> =>
  filesBelow(join(estate.root, 'bronze'));

/** Puts a file into an estate behind everybody's back. */
export function putFile(estate: { root: string }, key: string, bytes: Uint8Array | string): void {
  const path = join(estate.root, 'bronze', key);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}

export const placeOf = (estate: Estate): ChainPlace => ({ store: estate.store, chain: CHAIN, table: TABLE });

/** The error that a promise rejects with, as BronzeError. */
export async function failureOf(promise: Promise<unknown>): Promise<BronzeError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof BronzeError) return error;
    throw new Error(`not a BronzeError: ${String(error)}`, { cause: error });
  }
  throw new Error('it did not fail');
}
