/** Equal values become the same small number, so that states of the world are rows of numbers and compare fast. */

/** Like JSON with sorted keys; actors are named by their id, errors by their text. */
export function canonical(value: unknown): string {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === undefined || typeof value === 'function') return '-';
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const ref = value as { id?: unknown; send?: unknown };
  if (typeof ref.send === 'function') return `actor ${String(ref.id)}`;
  if (value instanceof Error) return `error ${value.message}`;
  const record = value as Record<string, unknown>;
  let text = '{';
  for (const key of Object.keys(record).sort()) text += `${key}:${canonical(record[key])},`;
  return `${text}}`;
}

export class Interner<T> {
  readonly #ids = new Map<string, number>();
  readonly #values: T[] = [];

  id(value: T, key = canonical(value)): number {
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#values.length;
    this.#ids.set(key, id);
    this.#values.push(value);
    return id;
  }

  value(id: number): T {
    return this.#values[id] as T;
  }

  get size(): number {
    return this.#values.length;
  }
}

/** Sorted lists of numbers (multisets) and queues of numbers, each known by one number; 0 is the empty one. */
export class Lists {
  readonly #lists = new Interner<readonly number[]>();
  readonly #memo = new Map<number, number>();

  constructor() {
    this.#id([]);
  }

  get(id: number): readonly number[] {
    return this.#lists.value(id);
  }

  /** At the end: a queue. */
  push(id: number, item: number): number {
    return this.#memoised(id, item, 0, () => [...this.get(id), item]);
  }

  /** Without the first: a queue. */
  shift(id: number): number {
    return this.#memoised(id, 0, 1, () => this.get(id).slice(1));
  }

  /** In its sorted place: a multiset. */
  add(id: number, item: number): number {
    return this.#memoised(id, item, 2, () => [...this.get(id), item].sort((a, b) => a - b));
  }

  /** One occurrence less. */
  remove(id: number, item: number): number {
    return this.#memoised(id, item, 3, () => {
      const list = this.get(id);
      const at = list.indexOf(item);
      if (at < 0) throw new Error(`${item} is not in the list`);
      return [...list.slice(0, at), ...list.slice(at + 1)];
    });
  }

  #id(list: readonly number[]): number {
    return this.#lists.id(list, list.join());
  }

  #memoised(id: number, item: number, kind: number, make: () => number[]): number {
    // 2^22 lists, 2^22 items, four operations: below 2^53.
    const key = (id * 0x40_0000 + item) * 4 + kind;
    const known = this.#memo.get(key);
    if (known !== undefined) return known;
    const made = this.#id(make());
    this.#memo.set(key, made);
    return made;
  }
}
