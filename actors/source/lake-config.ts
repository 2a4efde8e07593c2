/**
 * What a lake says about itself: `.config.json` (SEP-54), or, where it has none, what the names in it give away.
 * Pure: it judges bytes and names that a backend has read. It never guesses: what does not follow is an error that says
 * which setting would settle it.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { parseJson } from '../json.ts';
import type { LakeLayout } from '../ports/source.ts';
import { areLakeNumbers, type LakeNumbers, parseFileName, parseFolderName, type Suffix } from './keys.ts';

/** Bytes of a `.config.json` that are read at the most; real ones have fewer than 200. */
export const LAKE_CONFIG_LIMIT = 64 * 1024;

const SETTINGS = 'set source.ledgers_per_file and source.files_per_partition';

const invalid = (file: string, field: string | null, expected: string, found: string): BronzeError =>
  new BronzeError(
    'LAKE_CONFIG_INVALID',
    `${file}${field === null ? '' : `, ${field}`}: expected ${expected}, found ${found}`,
    {
      details: { object: file, ...(field === null ? {} : { check: field }), expected, found },
    },
  );

const shown = (value: unknown): string => {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
};

/** The error for a `.config.json` that has more bytes than are read. */
export const oversizedConfig = (file: string): BronzeError =>
  invalid(file, null, `at most ${LAKE_CONFIG_LIMIT} bytes`, 'more');

/**
 * The layout that a `.config.json` says. Fields that are not known are fine.
 * @param file path or URI for messages
 * @throws LAKE_CONFIG_INVALID naming the file and the field
 */
export function parseLakeConfig(bytes: Uint8Array, file: string): LakeLayout {
  if (bytes.length > LAKE_CONFIG_LIMIT) throw oversizedConfig(file);
  let parsed: unknown;
  try {
    parsed = parseJson(bytes);
  } catch (error) {
    throw invalid(file, null, 'JSON', error instanceof Error ? error.message : String(error));
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw invalid(file, null, 'an object', shown(parsed));
  }
  const fields = parsed as Readonly<Record<string, unknown>>;
  const count = (name: string): number => {
    const value = fields[name];
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 2 ** 32) {
      throw invalid(file, name, 'a whole number of at least 1', shown(value));
    }
    return value;
  };
  if (fields.compression !== 'zstd') throw invalid(file, 'compression', '"zstd"', shown(fields.compression));
  const passphrase = fields.networkPassphrase;
  if (typeof passphrase !== 'string' || passphrase === '') {
    throw invalid(file, 'networkPassphrase', 'a text', shown(passphrase));
  }
  const numbers = { ledgersPerFile: count('ledgersPerBatch'), filesPerPartition: count('batchesPerPartition') };
  if (!areLakeNumbers(numbers)) {
    const found = `${numbers.ledgersPerFile} x ${numbers.filesPerPartition}`;
    throw invalid(file, 'batchesPerPartition', 'a partition within 2^32 ledgers', found);
  }
  return { ...numbers, networkPassphrase: passphrase, origin: 'lake', suffix: 'zst' };
}

const undecided = (lake: string, found: string): BronzeError =>
  new BronzeError('LAKE_CONFIG_INVALID', `${lake} has no .config.json, and how it is cut does not follow: ${found}`, {
    details: { object: lake, check: 'layout', found, hint: SETTINGS },
  });

/** Names at the root of a lake, and those in one of its partition folders. */
export interface LakeNames {
  /** Ranges of all partition folders seen. */
  readonly folders: readonly LedgerRange[];
  /** Names of files at the root. */
  readonly rootFiles: readonly string[];
  /** Names of files in a partition folder that has some; empty where there is none. */
  readonly folderFiles: readonly string[];
}

/**
 * The layout that names give away: a folder's name says how many ledgers it holds, a file's how many a file holds.
 * @throws LAKE_NOT_FOUND where no name is a lake's, LAKE_CONFIG_INVALID where names disagree
 */
export function layoutFromNames(names: LakeNames, lake: string): LakeLayout {
  const parse = (files: readonly string[]) => files.map(parseFileName).filter((file) => file !== null);
  const root = parse(names.rootFiles);
  const files = root.length > 0 ? root : parse(names.folderFiles);
  if (root.length > 0 && names.folders.length > 0) {
    throw undecided(lake, 'it has objects both at its root and in partition folders');
  }
  const newest = files.reduce((a, b) => (a === undefined || b.range.start > a.range.start ? b : a), files[0]);
  if (newest === undefined) {
    if (names.folders.length === 0) throw notALake(lake);
    throw undecided(lake, 'its partition folders are empty');
  }
  const length = (r: LedgerRange): number => r.end - r.start + 1;
  const per = length(newest.range);
  const other = files.find((f) => length(f.range) !== per || f.range.start % per !== 0);
  if (other !== undefined)
    throw undecided(lake, `files of ${per} and of ${length(other.range)} ledgers, or off the grid`);
  const ledgersPerPartition = names.folders[0] === undefined ? per : length(names.folders[0]);
  const stray = names.folders.find((f) => length(f) !== ledgersPerPartition || f.start % ledgersPerPartition !== 0);
  if (stray !== undefined) {
    throw undecided(
      lake,
      `partition folders of ${ledgersPerPartition} and of ${length(stray)} ledgers, or off the grid`,
    );
  }
  const numbers = { ledgersPerFile: per, filesPerPartition: ledgersPerPartition / per };
  if (!areLakeNumbers(numbers) || (names.folders.length > 0 && numbers.filesPerPartition === 1)) {
    throw undecided(lake, `partition folders of ${ledgersPerPartition} ledgers with files of ${per}`);
  }
  return { ...numbers, networkPassphrase: null, origin: 'listing', suffix: newest.suffix };
}

/** Why the first lake name that was seen does not fit the configured numbers; null where it does. */
export function misfit(n: LakeNumbers, name: string, isFolder: boolean): string | null {
  const range = isFolder ? parseFolderName(name) : (parseFileName(name)?.range ?? null);
  if (range === null) return null;
  const fits = n.filesPerPartition > 1 === isFolder;
  const size = isFolder ? n.ledgersPerFile * n.filesPerPartition : n.ledgersPerFile;
  return fits && range.end - range.start + 1 === size && range.start % size === 0 ? null : name;
}

/** The layout that the configuration says, for a lake without `.config.json` in which `name` was seen. */
export function configuredLayout(n: LakeNumbers, suffix: Suffix): LakeLayout {
  if (!areLakeNumbers(n)) {
    throw new BronzeError('LAKE_CONFIG_INVALID', 'source.ledgers_per_file and files_per_partition cannot be a lake', {
      details: { check: 'layout', found: `${n.ledgersPerFile} x ${n.filesPerPartition}` },
    });
  }
  return { ...n, networkPassphrase: null, origin: 'configuration', suffix };
}

/** The error for a lake that is cut otherwise than the configuration says. */
export const misconfigured = (n: LakeNumbers, lake: string, name: string): BronzeError =>
  new BronzeError('LAKE_CONFIG_INVALID', `${lake} holds ${name}, which does not fit the configured numbers`, {
    details: {
      object: lake,
      check: 'layout',
      expected: `${n.ledgersPerFile} ledgers a file, ${n.filesPerPartition} files a partition`,
      found: name,
      hint: SETTINGS,
    },
  });

/** The error for a place where nothing is named as in a lake. */
export const notALake = (lake: string): BronzeError =>
  new BronzeError('LAKE_NOT_FOUND', `${lake} is not a Galexie lake: no .config.json and no object of one in it`, {
    details: { object: lake },
  });
