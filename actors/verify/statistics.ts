/**
 * Holds a row group's minimum and maximum in the footer against its values: readers that prune by them would lose rows
 * where they are wrong, although every row is right.
 */
import type { ColumnMetaData } from 'hyparquet';
import { damaged } from './damaged.ts';

type Statistics = NonNullable<ColumnMetaData['statistics']>;
type Bound = Statistics['min_value'];

/** An integer or a time in milliseconds; null for anything that is neither. */
function integer(bound: Bound): bigint | null {
  if (typeof bound === 'bigint') return bound;
  const number = bound instanceof Date ? bound.getTime() : bound;
  return typeof number === 'number' && Number.isSafeInteger(number) ? BigInt(number) : null;
}

/** The bounds of one integer column in one row group. */
export class GroupBounds {
  readonly #name: string;
  readonly #statistics: Statistics;
  #min: bigint | null = null;
  #max: bigint | null = null;

  private constructor(statistics: Statistics, name: string) {
    this.#statistics = statistics;
    this.#name = name;
  }

  /** Null where the footer says nothing about the column. */
  static of(statistics: ColumnMetaData['statistics'], name: string): GroupBounds | null {
    return statistics === undefined ? null : new GroupBounds(statistics, name);
  }

  see(value: bigint): void {
    if (this.#min === null || value < this.#min) this.#min = value;
    if (this.#max === null || value > this.#max) this.#max = value;
  }

  /** @throws PARTITION_DAMAGED where the footer says something else than was seen */
  check(object: string): void {
    const { min, max, min_value, max_value, null_count } = this.#statistics;
    const held: [Bound, bigint | null][] = [
      [min, this.#min],
      [min_value, this.#min],
      [max, this.#max],
      [max_value, this.#max],
    ];
    for (const [said, is] of held) {
      if (said === undefined || integer(said) === is) continue;
      throw damaged(object, 'statistics', `${this.#name} ${String(said)}`, { expected: String(is) });
    }
    // A damaged footer may hold anything here, also no integer.
    if (null_count !== undefined && Number(null_count) !== 0) {
      throw damaged(object, 'statistics', `${this.#name} with ${String(null_count)} nulls`, { expected: '0' });
    }
  }
}
