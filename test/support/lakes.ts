/**
 * Lakes in temporary folders: of real ledgers (made by the tool beside the shared test data) and the made-up sample
 * that the program writes itself. What is asked for twice in a test file is made once and must not be changed: tests
 * that break a lake take a copy.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { compress, decompress } from 'zstd-napi';
import { makeSample, SAMPLE_PASSPHRASE, type SampleOptions, writeSampleLake } from '../../actors/sample/index.ts';
import { tempFolder } from './bronze.ts';
import { merge, program, Scene, type Settings } from './program.ts';
import { SHARED } from './shared.ts';

/** Header-derived columns of a ledger, as the tool writes them: 64-bit numbers as text, close_time in seconds. */
export interface ExpectedRow {
  readonly ledger_sequence: number;
  readonly ledger_hash: string;
  readonly previous_ledger_hash: string;
  readonly close_time: number;
  readonly protocol_version: number;
  readonly total_coins: string;
  readonly fee_pool: string;
  readonly tx_set_hash: string;
  readonly tx_count: number;
  readonly operation_count: number;
  readonly xdr_byte_length: number;
  readonly xdr_sha256: string;
}

export interface Lake {
  readonly path: string;
  readonly expected: readonly ExpectedRow[];
}

/** Kinds of defects that the tool can make. */
export const DEFECTS = ['missing', 'flip', 'fork', 'trailing', 'truncate', 'empty', 'wrong-seq'] as const;
export type Defect = (typeof DEFECTS)[number];

export const PASSPHRASES = {
  pubnet: 'Public Global Stellar Network ; September 2015',
  testnet: 'Test SDF Network ; September 2015',
  standalone: 'Standalone Network ; February 2017',
  /** That of stellar-core's own tests. */
  core: '(V) (;,,;) (V)',
} as const;

export interface LakeOptions {
  /** Below the shared ledgers, e.g. `testnet/testnet-997-v1.xdr`. */
  readonly templates?: readonly string[];
  /** Instead of templates: as recorded, not re-numbered. */
  readonly stream?: string;
  readonly start?: number;
  readonly count?: number;
  readonly later?: { readonly from: number; readonly templates: readonly string[] };
  readonly perFile?: number;
  readonly perPartition?: number;
  readonly suffix?: 'zst' | 'zstd';
  readonly config?: boolean;
  readonly network?: keyof typeof PASSPHRASES;
  /** How many made-up validators sign in turn [3]; 0: the signatures of the templates stay, which are false then. */
  readonly sign?: number;
  /** Ledgers whose signature is over something else. */
  readonly badSignatures?: readonly number[];
  readonly defects?: Partial<Record<Defect, readonly number[]>>;
}

/** Real ledgers of a few kilobytes, V1: empty ones and such with transactions. */
export const SMALL = ['997', '36233', '998', '36234', '999'].map((n) => `testnet/testnet-${n}-v1.xdr`);

/** The ten consecutive ledgers of pubnet, protocol 26, a megabyte each. */
export const PUBNET = Array.from({ length: 10 }, (_, i) => `pubnet/pubnet-${63092982 + i}-v2.xdr`);

const made = new Map<string, Lake>();

const ledgerFiles = (names: readonly string[]): string => names.map((name) => join(SHARED, 'ledgers', name)).join(',');

/** A lake of real ledgers; only where the shared test data is. */
export function makeLake(options: LakeOptions): Lake {
  const key = JSON.stringify(options);
  const known = made.get(key);
  if (known) return known;
  const { start = 3, count = 100, network = 'pubnet', sign = 3, defects = {} } = options;
  const folder = tempFolder();
  const lake: Lake & { expected: ExpectedRow[] } = { path: join(folder, 'lake'), expected: [] };
  const expect = join(folder, 'expected.jsonl');
  const args = [
    ...(options.stream
      ? ['--stream', join(SHARED, 'ledgers', options.stream)]
      : ['--templates', ledgerFiles(options.templates ?? SMALL), '--start', String(start), '--count', String(count)]),
    ...(options.stream || sign === 0 ? [] : ['--sign', String(sign)]),
    ...(options.badSignatures ?? []).flatMap((ledger) => ['--bad-signature', String(ledger)]),
    ...(options.later
      ? ['--later', ledgerFiles(options.later.templates), '--later-from', String(options.later.from)]
      : []),
    ...(options.perFile ? ['--per-file', String(options.perFile)] : []),
    ...(options.perPartition ? ['--per-partition', String(options.perPartition)] : []),
    ...(options.suffix ? ['--suffix', options.suffix] : []),
    ...(options.config === false ? ['--no-config'] : []),
    ...Object.entries(defects).flatMap(([kind, at]) => at.flatMap((ledger) => [`--${kind}`, String(ledger)])),
    ...['--passphrase', PASSPHRASES[network], '--level', '1', '--out', lake.path, '--expect', expect],
  ];
  execFileSync(process.execPath, [join(SHARED, 'tools', 'make-lake.mjs'), ...args], { stdio: 'pipe' });
  const lines = readFileSync(expect, 'utf8').split('\n').filter(Boolean);
  for (const line of lines) lake.expected.push(JSON.parse(line) as ExpectedRow);
  made.set(key, lake);
  return lake;
}

/** Ledger 64 is the first one of protocol 23. */
export interface SampleLake {
  readonly path: string;
  readonly start: number;
  readonly end: number;
}

const samples = new Map<string, Promise<string>>();

/** The sample, as the program's own command writes it, or cut otherwise. */
export async function sampleLake(cut: SampleOptions = {}): Promise<SampleLake> {
  const key = JSON.stringify(cut);
  const making =
    samples.get(key) ??
    (async () => {
      const path = join(tempFolder(), 'sample');
      if (key !== '{}') {
        await writeSampleLake(path, cut);
        return path;
      }
      const { code, stderr } = await program('sample', '--out', path);
      if (code !== 0) throw new Error(`sample failed: ${stderr}`);
      return path;
    })();
  samples.set(key, making);
  return { path: await making, start: 2, end: cut.last ?? 127 };
}

/** The ledgers of the sample, ledger 2 first, as bare LedgerCloseMeta. */
export const sampleLedgers = (): Buffer[] => makeSample().ledgers;

/** What a configuration has to say for the sample. */
export const SAMPLE_SOURCE: Settings = { network_passphrase: SAMPLE_PASSPHRASE };

/** An era over the sample; its network is nobody's. */
export const sampleEra = (over: Settings = {}): Settings => ({
  era_id: 'whole',
  version_label: 'v1',
  network: 'sample',
  ledger_start: 2,
  ledger_end: 127,
  partition_size: 10,
  ...over,
});

/** A scene over the sample. */
export async function sampleScene(era: Settings | readonly Settings[] = sampleEra(), more: Settings = {}) {
  const { path } = await sampleLake();
  return new Scene(path, era, merge({ source: SAMPLE_SOURCE }, more));
}

/** A lake that may be changed. */
export function copyOf(path: string): string {
  const copy = join(tempFolder(), 'lake');
  cpSync(path, copy, { recursive: true });
  return copy;
}

/** Keys of all objects of a lake. */
const objectsOf = (lake: string): string[] =>
  (readdirSync(lake, { recursive: true }) as string[]).filter((key) => /\.xdr\.zstd?$/.test(key)).sort();

/** The object that holds a ledger. */
export function objectOf(lake: string, ledger: number): string {
  const key = objectsOf(lake).find((name) => {
    const [, first, last = first] = /--(\d+)(?:-(\d+))?\.xdr/.exec(name.split('/').at(-1) as string) ?? [];
    return Number(first) <= ledger && ledger <= Number(last);
  });
  if (!key) throw new Error(`${lake} holds no ledger ${ledger}`);
  return key;
}

/** Puts an object there at once, as Galexie does: who reads meanwhile never finds half of it. */
function putWhole(path: string, bytes: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  const aside = join(tempFolder(), 'object');
  writeFileSync(aside, bytes);
  renameSync(aside, path);
}

/** Takes the objects of these ledgers from one lake into another. */
export function takeOver(from: string, into: string, ledgers: Iterable<number>): void {
  for (const key of new Set([...ledgers].map((ledger) => objectOf(from, ledger)))) {
    putWhole(join(into, key), readFileSync(join(from, key)));
  }
}

/** Takes an object away; the function that is returned puts it back. */
export function takeAway(lake: string, ledger: number): () => void {
  const path = join(lake, objectOf(lake, ledger));
  const bytes = readFileSync(path);
  rmSync(path);
  return () => putWhole(path, bytes);
}

/** Changes the unpacked bytes of the object that holds a ledger. */
export function rewrite(lake: string, ledger: number, change: (bytes: Buffer) => Buffer): void {
  const path = join(lake, objectOf(lake, ledger));
  writeFileSync(path, compress(change(Buffer.from(decompress(readFileSync(path))))));
}
