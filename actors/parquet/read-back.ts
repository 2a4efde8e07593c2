/**
 * Reads a published partition back and proves it from its bytes alone: size and SHA-256 of the file, and, at depth
 * `rows`, every row from its xdr_bytes up. Whatever is wrong with the file is PARTITION_DAMAGED naming the ledger, the
 * check and what was found; what is wrong with the store is the store's own error. It trusts no column that can be
 * recomputed, writes nothing, and holds a few pages at a time.
 */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerEnds, StoredPart, WriterVersions } from '../../machines/protocol.ts';
import { LedgerChecker, type LedgerFacts } from '../check/ledger-checker.ts';
import type { BronzeStore, ObjectReader } from '../ports/store.ts';
import { openStore } from '../store/index.ts';
import { checksDone } from './checks-done.ts';
import { damaged } from './damaged.ts';
import { EndsGatherer } from './ends.ts';
import { type ExpectedColumn, expectedColumns } from './expected-columns.ts';
import { checkFooter } from './own-footer.ts';
import { checkPages, columnIndexOf, type Footer, type GroupFacts, readFooter } from './parquet-footer.ts';
import { ColumnCursor, type ColumnMemory, columnMemory, LEDGER_PAGE_LIMIT, PAGE_LIMIT } from './parquet-reader.ts';
import type { PhysicalType } from './parquet-values.ts';
import { writerVersionsIn } from './parquet-writer.ts';
import type { Progress, ReadBackAnswer, ReadBackTask, Witnessed } from './spec.ts';
import { GroupStatistics } from './statistics.ts';
import { Witness } from './witness.ts';

/** Bytes that are hashed at once. */
const HASH_CHUNK = 1024 * 1024;
/** Milliseconds between reports, and turns of the event loop in which a cancellation is heard. */
const REPORT_MS = 200;

/** Reports now and then, and stops where the work is no longer wanted. */
class Reporter {
  readonly #signal: AbortSignal;
  readonly #onProgress: (progress: Progress) => void;
  #last = performance.now();

  constructor(signal: AbortSignal, onProgress: (progress: Progress) => void) {
    this.#signal = signal;
    this.#onProgress = onProgress;
  }

  /** Null where nothing is due: a promise per row would cost more than a small row. */
  report(progress: Progress): Promise<void> | null {
    if (performance.now() - this.#last < REPORT_MS) return null;
    return this.#report(progress);
  }

  async #report(progress: Progress): Promise<void> {
    this.#onProgress(progress);
    await turn();
    this.check();
    this.#last = performance.now();
  }

  check(): void {
    if (!this.#signal.aborted) return;
    throw new BronzeError('CANCELLED', 'reading back was cancelled', { cause: this.#signal.reason });
  }
}

/** Hex SHA-256 of the whole object; of each stretch of `partBytes` size and MD5 as well, where that is not null. */
async function hashObject(
  reader: ObjectReader,
  object: string,
  reporter: Reporter,
  partBytes: number | null,
): Promise<{ readonly sha256: string; readonly parts: readonly StoredPart[] }> {
  const hash = createHash('sha256');
  const parts: StoredPart[] = [];
  let part = { size: 0, md5: createHash('md5') };
  const endPart = (): void => {
    parts.push({ size: part.size, md5: part.md5.digest('hex') });
    part = { size: 0, md5: createHash('md5') };
  };
  for (let at = 0; at < reader.size; ) {
    const room = Math.min(HASH_CHUNK, (partBytes ?? HASH_CHUNK) - part.size);
    const chunk = await reader.read(at, Math.min(room, reader.size - at));
    if (chunk.length === 0) throw damaged(object, 'byte_size', `${at} bytes`, { expected: `${reader.size} bytes` });
    hash.update(chunk);
    if (partBytes !== null) {
      part.md5.update(chunk);
      part.size += chunk.length;
      if (part.size === partBytes) endPart();
    }
    at += chunk.length;
    reporter.check();
    await reporter.report({ ledgers: 0, rawBytes: 0 });
  }
  if (partBytes !== null && (part.size > 0 || parts.length === 0)) endPart();
  return { sha256: hash.digest('hex'), parts };
}

/** Reads all rows of one file. */
class RowReader {
  readonly #task: ReadBackTask;
  readonly #reader: ObjectReader;
  readonly #reporter: Reporter;
  readonly #columns: readonly ExpectedColumn[];
  readonly #memory: readonly ColumnMemory[];
  /** Where the ledgers themselves are among the columns. */
  readonly #xdrAt: number;
  readonly #checker: LedgerChecker;
  readonly #witness: Witness | null;
  readonly #ends: EndsGatherer;
  #next: number;
  #rawBytes = 0;

  constructor(task: ReadBackTask, reader: ObjectReader, reporter: Reporter) {
    this.#task = task;
    this.#reader = reader;
    this.#reporter = reporter;
    this.#columns = expectedColumns(task.columns, task.chain);
    this.#xdrAt = this.#columns.findIndex((column) => column.value.kind === 'xdr');
    const ledgers = columnMemory(LEDGER_PAGE_LIMIT);
    const others = columnMemory(PAGE_LIMIT);
    this.#memory = this.#columns.map(({ name, type, value }) => (value.kind === 'xdr' ? ledgers : others)(name, type));
    this.#witness = task.witness === undefined ? null : new Witness(task.witness);
    const networkPassphrase = task.checks.networkPassphrase ?? task.witness?.networkPassphrase ?? null;
    this.#checker = new LedgerChecker({ ...task.checks, networkPassphrase });
    this.#ends = new EndsGatherer(task.checks);
    this.#next = task.range.start;
  }

  async read(): Promise<{ ledgers: LedgerEnds; writer: WriterVersions; witnessed?: Witnessed }> {
    const { range, key } = this.#task;
    const elements = this.#columns.map((column) => column.element);
    const footer = await readFooter(this.#reader, elements, range.end - range.start + 1, key);
    const isOwn = checkFooter(footer, this.#task);
    for (const group of footer.groups) await this.#group(group, isOwn);
    // The footer's rows were counted and each of them was read.
    return {
      ledgers: this.#ends.ends(),
      writer: writerOf(footer),
      ...(this.#witness === null ? {} : { witnessed: this.#witness.tell() }),
    };
  }

  async #group(group: GroupFacts, isOwn: boolean): Promise<void> {
    const { key } = this.#task;
    const cursors = group.columns.map(
      (place, i) => new ColumnCursor(this.#reader, place, this.#memory[i] as ColumnMemory, group.rows, key, isOwn),
    );
    const said: (GroupStatistics | null)[] = [];
    for (const [i, place] of group.columns.entries()) {
      const { element, name } = this.#columns[i] as ExpectedColumn;
      said.push(GroupStatistics.of(place.statistics, await columnIndexOf(this.#reader, place, element, key), name));
    }
    for (let row = 0; row < group.rows; row += 1) {
      for (const cursor of cursors) {
        const reading = cursor.advance();
        if (reading !== null) await reading;
      }
      this.#row(cursors, said);
      this.#reporter.check();
      const reporting = this.#reporter.report({
        ledgers: this.#next - this.#task.range.start,
        rawBytes: this.#rawBytes,
      });
      if (reporting !== null) await reporting;
    }
    for (const cursor of cursors) cursor.finish();
    for (const [i, place] of group.columns.entries()) {
      said[i]?.check(key);
      await checkPages(this.#reader, place, (cursors[i] as ColumnCursor).pages, this.#columns[i]?.name ?? '', key);
    }
  }

  #row(cursors: readonly ColumnCursor[], said: readonly (GroupStatistics | null)[]): void {
    const ledger = this.#next;
    const { key } = this.#task;
    const bytes = (cursors[this.#xdrAt] as ColumnCursor).bytes();
    const facts = this.#check(bytes.buffer, bytes.start, bytes.end, ledger);
    const previous = this.#ends.last;
    if (previous !== null && facts.previousLedgerHash !== previous.ledgerHash) {
      const expected = previous.ledgerHash;
      throw damaged(key, 'link', facts.previousLedgerHash, { ledger, expected });
    }
    for (const [i, { name, type, value }] of this.#columns.entries()) {
      const cursor = cursors[i] as ColumnCursor;
      const its = said[i];
      if (its) its.see(seen(type, cursor), cursor.pages.length - 1);
      let expected: string;
      let found: string;
      switch (value.kind) {
        case 'int64': {
          const said = cursor.int64();
          const is = value.of(facts, bytes);
          if (said === is) continue;
          [expected, found] = [String(is), String(said)];
          break;
        }
        case 'int32': {
          const said = cursor.int32();
          const is = value.of(facts, bytes);
          if (said === is) continue;
          [expected, found] = [String(is), String(said)];
          break;
        }
        case 'text': {
          const { buffer, start, end } = cursor.bytes();
          const is = value.of(facts);
          // Compared by length first, so that nothing long is made a text of.
          if (end - start === Buffer.byteLength(is) && buffer.toString('utf8', start, end) === is) continue;
          [expected, found] = [is, buffer.toString('utf8', start, Math.min(end, start + 100))];
          break;
        }
        default:
          continue;
      }
      throw damaged(key, name, found, { ledger, expected });
    }
    this.#ends.add(facts);
    this.#witness?.see(facts);
    this.#rawBytes += facts.xdrByteLength;
    this.#next += 1;
  }

  /** What a ledger's bytes say; what is wrong with them is wrong with the file. */
  #check(buffer: Buffer, start: number, end: number, ledger: number): LedgerFacts {
    try {
      return this.#checker.check(buffer, start, end, ledger);
    } catch (error) {
      if (!(error instanceof BronzeError)) throw error;
      const { details } = error;
      // Whole, as it may be, and false: somebody signed another value than this one.
      if (error.code === 'SIGNATURE_INVALID') {
        const object = this.#task.key;
        throw new BronzeError(error.code, `ledger ${ledger} of ${object}: ${error.message}`, {
          details: { ...details, ledger, object },
          cause: error,
        });
      }
      throw damaged(
        this.#task.key,
        details.check ?? error.code,
        details.found ?? error.message,
        { ledger, ...(details.expected === undefined ? {} : { expected: details.expected }) },
        error,
      );
    }
  }
}

/** A value as statistics see it. */
function seen(type: PhysicalType, cursor: ColumnCursor): bigint | Buffer {
  if (type === 'INT64') return cursor.int64();
  if (type === 'INT32') return BigInt(cursor.int32());
  const { buffer, start, end } = cursor.bytes();
  return buffer.subarray(start, end);
}

/** What fixed the bytes, as far as the footer says it; a file of another writer names only that. */
function writerOf(footer: Footer): WriterVersions {
  const versions = writerVersionsIn([...footer.keyValues]);
  if (versions !== null) return versions;
  return footer.createdBy === null ? {} : { created_by: footer.createdBy };
}

/**
 * Reads a partition back. At depth `bytes` the file's SHA-256 is the proof, and `rowCount` is what the range asks for;
 * at depth `rows` every row was counted and recomputed.
 * @param onProgress called a few times a second with what was read so far; it may abort the signal
 * @throws PARTITION_DAMAGED, SIGNATURE_INVALID, CANCELLED, STORE_*
 */
export async function readBack(
  task: ReadBackTask,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
  store: Pick<BronzeStore, 'open'> = openStore(task.store),
): Promise<ReadBackAnswer> {
  const { key, range } = task;
  const reporter = new Reporter(signal, onProgress);
  reporter.check();
  const reader = await store.open(key, signal);
  if (reader === null) throw damaged(key, 'object', 'nothing', { expected: 'a Parquet file' });
  try {
    const { sha256, parts } = await hashObject(reader, key, reporter, task.partBytes ?? null);
    const rows = task.depth === 'rows' ? await new RowReader(task, reader, reporter).read() : null;
    return {
      data: {
        file: key.slice(key.lastIndexOf('/') + 1),
        checksum: `sha256:${sha256}`,
        rowCount: range.end - range.start + 1,
        byteSize: reader.size,
      },
      ...(task.partBytes === undefined ? {} : { parts }),
      rows: rows === null ? null : { ...rows, checks: checksDone(task.checks) },
    };
  } finally {
    await reader.close();
  }
}
