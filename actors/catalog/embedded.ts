/**
 * The embedded catalog: one DuckDB file that an analyst can open with any DuckDB, kept in a folder of this machine.
 * While somebody has it open, nothing is written and that is an answer, no error. Between calls the file is closed, so
 * that the analyst is not locked out.
 */
import { access, constants } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { LedgerRange } from '../../machines/protocol.ts';
import { errnoOf } from '../files.ts';
import type { Catalog, CatalogSpec, DatasetName, LineageRow, PartitionRecord } from '../ports/catalog.ts';
import {
  ABSENT,
  type CatalogDb,
  catalogError,
  changeFile,
  HELD,
  readFile,
  schemaError,
  settled,
} from './duckdb-file.ts';
import { failureRow, forgetRows, lineageRows, recordRows } from './duckdb-rows.ts';
import { createTables, createViews, inspectTables } from './duckdb-tables.ts';

const FOLDER = constants.W_OK | constants.X_OK;

/** Opens nothing yet. `dir` is made by `prepare`. */
export function openEmbedded(spec: Extract<CatalogSpec, { backend: 'embedded' }>): Catalog {
  return new EmbeddedCatalog(join(spec.dir, 'catalog.duckdb'));
}

class EmbeddedCatalog implements Catalog {
  readonly uri: string;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.uri = path;
  }

  async prepare(signal?: AbortSignal): Promise<'ready' | 'held'> {
    const answer = await this.#change(signal, async () => 'ready' as const);
    // Where nothing was missing nothing was written.
    if (answer !== HELD) await this.#mayWrite();
    return answer;
  }

  async probe(signal?: AbortSignal): Promise<void> {
    await this.#read(signal, async () => undefined);
    await this.#mayWrite();
  }

  async record(
    dataset: DatasetName,
    partitions: readonly PartitionRecord[],
    signal?: AbortSignal,
  ): Promise<'recorded' | 'held'> {
    if (partitions.length === 0) return 'recorded';
    return this.#change(signal, async (db) => {
      await recordRows(db, dataset, partitions);
      return 'recorded' as const;
    });
  }

  async recordFailure(
    dataset: DatasetName,
    range: LedgerRange,
    message: string,
    signal?: AbortSignal,
  ): Promise<'recorded' | 'held'> {
    return this.#change(signal, async (db) => {
      await failureRow(db, dataset, range, message);
      return 'recorded' as const;
    });
  }

  async rows(dataset: DatasetName, signal?: AbortSignal): Promise<readonly LineageRow[] | null> {
    const found = await this.#read(signal, (db) => lineageRows(db, dataset));
    if (found === HELD) return null;
    return found === ABSENT ? [] : found;
  }

  async forget(
    dataset: DatasetName,
    ranges: readonly LedgerRange[],
    signal?: AbortSignal,
  ): Promise<'recorded' | 'held'> {
    return this.#change(signal, async (db) => {
      await forgetRows(db, dataset, ranges);
      return 'recorded' as const;
    });
  }

  close(): Promise<void> {
    return settled();
  }

  /** Every change makes what is missing first, so that a file that was taken away is there again. */
  #change<T>(signal: AbortSignal | undefined, work: (db: CatalogDb) => Promise<T>): Promise<T | typeof HELD> {
    return changeFile(this.#path, signal, createTables, async (db) => {
      if (await this.#isThere(db)) await createViews(db);
      else await createTables(db);
      return work(db);
    });
  }

  #read<T>(
    signal: AbortSignal | undefined,
    work: (db: CatalogDb) => Promise<T>,
  ): Promise<T | typeof HELD | typeof ABSENT> {
    return readFile(this.#path, signal, async (db) => ((await this.#isThere(db)) ? work(db) : ABSENT));
  }

  async #isThere(db: CatalogDb): Promise<boolean> {
    const tables = await inspectTables(db);
    if (tables.found === 'foreign') throw schemaError(this.#path, tables.why);
    return tables.found === 'whole';
  }

  /** Throws where a change would not be allowed to write; what is missing, it would make. */
  async #mayWrite(): Promise<void> {
    for (let place = this.#path; ; place = dirname(place)) {
      try {
        const isFile = place === this.#path;
        await access(place, isFile ? constants.W_OK : FOLDER);
        // DuckDB's log lies beside the file.
        if (isFile) await access(dirname(place), FOLDER);
        return;
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT' || dirname(place) === place) throw catalogError(this.#path, error);
      }
    }
  }
}
