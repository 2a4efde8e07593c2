/**
 * Holds what a footer says of the values of a column in a row group, and of each of its pages, against the values:
 * readers that prune by it would lose rows where it is wrong, although every row is right.
 */
import type { ColumnIndex, ColumnMetaData } from 'hyparquet';
import { damaged } from './damaged.ts';

type Statistics = NonNullable<ColumnMetaData['statistics']>;
/** As the footer has it, by the raw parsers of parquet-footer.ts; bytes are bytes. */
type Said = Statistics['min_value'] | Uint8Array;
type Value = bigint | Buffer;

/** An integer or bytes; null for anything that is neither. */
function asValue(said: Said): Value | null {
  if (typeof said === 'bigint') return said;
  if (said instanceof Uint8Array) return Buffer.from(said.buffer, said.byteOffset, said.byteLength);
  return typeof said === 'number' && Number.isSafeInteger(said) ? BigInt(said) : null;
}

/** Bytes by the unsigned order that Parquet gives them. */
function order(a: Value, b: Value): number {
  if (typeof a === 'bigint') return typeof b === 'bigint' ? (a < b ? -1 : Number(a > b)) : Number.NaN;
  return typeof b === 'bigint' ? Number.NaN : Buffer.compare(a, b);
}

/** Bytes that are no text as hex, cut to what tells them apart. */
function shown(value: Said | Value | null): string {
  if (!(value instanceof Uint8Array)) return String(value);
  const bytes = Buffer.from(value).subarray(0, 100);
  const text = bytes.toString('latin1');
  return /^[ -~]*$/.test(text) ? text : bytes.toString('hex');
}

interface Bounds {
  min: Value | null;
  max: Value | null;
}

/** What is said of one column in one row group. */
export class GroupStatistics {
  readonly #name: string;
  readonly #statistics: Statistics | undefined;
  readonly #index: ColumnIndex | null;
  readonly #group: Bounds = { min: null, max: null };
  readonly #pages: Bounds[] = [];
  readonly #distinct: Set<string> | null;

  private constructor(statistics: Statistics | undefined, index: ColumnIndex | null, name: string) {
    this.#statistics = statistics;
    this.#index = index;
    this.#name = name;
    this.#distinct = statistics?.distinct_count === undefined ? null : new Set();
  }

  /** Null where the file says nothing about the column. */
  static of(statistics: ColumnMetaData['statistics'], index: ColumnIndex | null, name: string): GroupStatistics | null {
    return statistics === undefined && index === null ? null : new GroupStatistics(statistics, index, name);
  }

  /** `value` may lie in memory that is used again; `page` counts data pages from 0. */
  see(value: Value, page: number): void {
    widen(this.#group, value);
    this.#distinct?.add(typeof value === 'bigint' ? String(value) : value.toString('latin1'));
    if (this.#index === null) return;
    let bounds = this.#pages[page];
    if (bounds === undefined) {
      bounds = { min: null, max: null };
      this.#pages[page] = bounds;
    }
    widen(bounds, value);
  }

  /** @throws PARTITION_DAMAGED where something else is said than was seen */
  check(object: string): void {
    if (this.#statistics !== undefined) this.#checkGroup(this.#statistics, object);
    if (this.#index !== null) this.#checkPages(this.#index, object);
  }

  #checkGroup(said: Statistics, object: string): void {
    const { min, max } = this.#group;
    this.#hold(said.min, min, -1, true, object);
    this.#hold(said.max, max, 1, true, object);
    this.#hold(said.min_value, min, -1, said.is_min_value_exact !== false, object);
    this.#hold(said.max_value, max, 1, said.is_max_value_exact !== false, object);
    // A damaged footer may hold anything here, also no integer.
    if (said.null_count !== undefined && Number(said.null_count) !== 0) {
      throw damaged(object, 'statistics', `${this.#name} with ${String(said.null_count)} nulls`, { expected: '0' });
    }
    if (this.#distinct !== null && Number(said.distinct_count) !== this.#distinct.size) {
      const found = `${this.#name} with ${String(said.distinct_count)} distinct values`;
      throw damaged(object, 'statistics', found, { expected: String(this.#distinct.size) });
    }
  }

  /** A column index may cut long values: below the least, above the greatest. Integers are never cut. */
  #checkPages(said: ColumnIndex, object: string): void {
    const count = this.#pages.length;
    const { null_pages: nulls, min_values: mins, max_values: maxs, null_counts: nullCounts } = said;
    const lengths = [nulls, mins, maxs, nullCounts ?? mins].map((list) => (Array.isArray(list) ? list.length : -1));
    if (lengths.some((length) => length !== count)) {
      const found = `an index of ${lengths.join(', ')} pages of ${this.#name}`;
      throw damaged(object, 'statistics', found, { expected: `${count} pages` });
    }
    for (const [page, { min, max }] of this.#pages.entries()) {
      if (nulls[page] !== false || (nullCounts !== undefined && Number(nullCounts[page]) !== 0)) {
        throw damaged(object, 'statistics', `page ${page} of ${this.#name} with nulls`, { expected: 'none' });
      }
      this.#hold(mins[page], min, -1, typeof min === 'bigint', object);
      this.#hold(maxs[page], max, 1, typeof max === 'bigint', object);
    }
    const rising = this.#ordered(said, 1);
    const falling = this.#ordered(said, -1);
    const fits = { UNORDERED: true, ASCENDING: rising, DESCENDING: falling }[said.boundary_order] ?? false;
    if (!fits) throw damaged(object, 'statistics', `pages of ${this.#name} in order ${said.boundary_order}`);
  }

  #ordered(said: ColumnIndex, direction: 1 | -1): boolean {
    return [said.min_values, said.max_values].every((list) =>
      list.every((value, i) => {
        const [before, its] = [asValue(i === 0 ? value : list[i - 1]), asValue(value)];
        return before !== null && its !== null && direction * order(before, its) <= 0;
      }),
    );
  }

  #hold(said: Said, is: Value | null, side: -1 | 1, isExact: boolean, object: string): void {
    if (said === undefined) return;
    const value = asValue(said);
    const way = value === null || is === null ? Number.NaN : order(value, is);
    if (way === 0 || (!isExact && way === side)) return;
    throw damaged(object, 'statistics', `${this.#name} ${shown(said)}`, { expected: shown(is) });
  }
}

function widen(bounds: Bounds, value: Value): void {
  const kept = (): Value => (typeof value === 'bigint' ? value : Buffer.from(value));
  if (bounds.min === null || order(value, bounds.min) < 0) bounds.min = kept();
  if (bounds.max === null || order(value, bounds.max) > 0) bounds.max = kept();
}
