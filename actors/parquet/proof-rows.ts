/**
 * Reads of a published file what a proof needs: every row's xdr_sha256, and the XDR of ledgers from one on. Of the other
 * columns and row groups nothing is read. What it reads is for the caller to prove: it judges pages and not rows.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import type { ChainName } from '../bronze/names.ts';
import type { ObjectReader } from '../ports/store.ts';
import { damaged } from './damaged.ts';
import { type ExpectedColumn, expectedColumns } from './expected-columns.ts';
import { type ChunkFacts, type Footer, type GroupFacts, readFooter } from './parquet-footer.ts';
import { ColumnCursor, columnMemory, LEDGER_PAGE_LIMIT, PAGE_LIMIT } from './parquet-reader.ts';

/** One partition's file. */
export interface ProofFile {
  readonly chain: ChainName;
  readonly range: LedgerRange;
  /** Its key, for messages. */
  readonly object: string;
  /** 2: this program's; 1: the old one's. */
  readonly columns: 1 | 2;
}

export interface LedgerXdr {
  readonly sequence: number;
  /** One LedgerCloseMeta. */
  readonly xdr: Buffer;
}

const HEX = /^[0-9a-f]{64}$/;

export class ProofRows {
  readonly #reader: ObjectReader;
  readonly #file: ProofFile;
  readonly #columns: readonly ExpectedColumn[];
  readonly #footer: Footer;

  private constructor(reader: ObjectReader, file: ProofFile, columns: readonly ExpectedColumn[], footer: Footer) {
    this.#reader = reader;
    this.#file = file;
    this.#columns = columns;
    this.#footer = footer;
  }

  /** Reads the footer; the reader stays the caller's to close. @throws PARTITION_DAMAGED, STORE_* */
  static async open(reader: ObjectReader, file: ProofFile): Promise<ProofRows> {
    const columns = expectedColumns(file.columns, file.chain);
    const elements = columns.map(({ element }) => element);
    const { start, end } = file.range;
    return new ProofRows(reader, file, columns, await readFooter(reader, elements, end - start + 1, file.object));
  }

  /** xdr_sha256 of every row in order, 32 bytes each. @throws PARTITION_DAMAGED, STORE_* */
  async digests(): Promise<Buffer[]> {
    const digests: Buffer[] = [];
    for (const group of this.#footer.groups) {
      const cursor = this.#cursor(group, 'xdr_sha256', PAGE_LIMIT);
      for (let row = 0; row < group.rows; row += 1) {
        const reading = cursor.advance();
        if (reading !== null) await reading;
        const { buffer, start, end } = cursor.bytes();
        const text = buffer.toString('latin1', start, Math.min(end, start + 65));
        if (!HEX.test(text)) throw damaged(this.#file.object, 'xdr_sha256', text, { expected: '64 hex digits' });
        digests.push(Buffer.from(text, 'hex'));
      }
    }
    return digests;
  }

  /** The XDR of the ledgers from one on, each a copy. @throws PARTITION_DAMAGED, STORE_* */
  async *ledgers(from: number): AsyncGenerator<LedgerXdr> {
    let sequence = this.#file.range.start;
    for (const group of this.#footer.groups) {
      if (sequence + group.rows <= from) {
        sequence += group.rows;
        continue;
      }
      const cursor = this.#cursor(group, 'xdr_bytes', LEDGER_PAGE_LIMIT);
      for (let row = 0; row < group.rows; row += 1, sequence += 1) {
        const reading = cursor.advance();
        if (reading !== null) await reading;
        if (sequence < from) continue;
        const { buffer, start, end } = cursor.bytes();
        yield { sequence, xdr: Buffer.from(buffer.subarray(start, end)) };
      }
    }
  }

  #cursor(group: GroupFacts, name: string, limit: number): ColumnCursor {
    const at = this.#columns.findIndex((column) => column.name === name);
    const column = this.#columns[at];
    if (column === undefined) throw new BronzeError('INTERNAL', `there is no column ${name}`);
    const memory = columnMemory(limit)(name, column.type);
    return new ColumnCursor(this.#reader, group.columns[at] as ChunkFacts, memory, group.rows, this.#file.object);
  }
}
