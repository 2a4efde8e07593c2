/**
 * Watches over a listing, page by page. Part of a listing must never pass for the whole, and no listing may go on
 * without end: every page has to bring names that come after all before them, and below the prefix that was asked for.
 * The names that it has seen are not kept.
 */
import type { BronzeError } from '../../machines/errors.ts';
import { type RemoteDomain, remoteError } from './faults.ts';

/** Pages without a name, one after another, that a listing may have: stores skip what was deleted. */
const EMPTY_PAGES = 200;
/** Names of one listing. The largest lake has 62 million. */
const NAMES = 500_000_000;

export interface SeenPage {
  /** Full keys, in the order of the answer. */
  readonly keys: readonly string[];
  /** Common prefixes, in the order of the answer. */
  readonly folders?: readonly string[];
  /** What leads to the next page; null where there is none. */
  readonly next: string | null;
}

export class ListingGuard {
  readonly #fail: (reason: string) => BronzeError;
  readonly #prefix: string;
  readonly #isUnordered: boolean;
  #lastKey: string;
  #lastFolder = '';
  #next: string | null = null;
  #names = 0;
  #empty = 0;

  /**
   * `where` is a URI with the prefix. `isUnordered`: keys may come in any order and several times, as in
   * a listing of uploads; whoever lists sees to it that pages lead on.
   */
  constructor(
    domain: RemoteDomain,
    where: { readonly action: string; readonly uri: string; readonly prefix: string },
    options: { readonly startAfter?: string; readonly isUnordered?: boolean } = {},
  ) {
    const { action, uri, prefix } = where;
    this.#fail = (reason) => remoteError(domain, action, `${uri}${prefix}`, { kind: 'listing', reason });
    this.#prefix = prefix;
    this.#lastKey = options.startAfter ?? '';
    this.#isUnordered = options.isUnordered ?? false;
  }

  /** Throws LISTING_INVALID where a page cannot be one of this listing, or makes no progress. */
  page({ keys, folders = [], next }: SeenPage): void {
    for (const key of keys) this.#lastKey = this.#after(this.#lastKey, key);
    for (const folder of folders) this.#lastFolder = this.#after(this.#lastFolder, folder);
    const names = keys.length + folders.length;
    this.#names += names;
    this.#empty = names === 0 ? this.#empty + 1 : 0;
    if (next === null) return;
    if (next === this.#next) throw this.#fail('a page leads to itself');
    if (this.#empty > EMPTY_PAGES) throw this.#fail(`${EMPTY_PAGES} pages in a row have no name in them`);
    if (this.#names > NAMES) throw this.#fail(`it has more than ${NAMES} names`);
    this.#next = next;
  }

  /** For what only one protocol says. */
  contradicts(reason: string): BronzeError {
    return this.#fail(reason);
  }

  #after(last: string, key: string): string {
    if (!key.startsWith(this.#prefix)) throw this.#fail(`it has ${shown(key)}, which is not below what was asked for`);
    if (last < key || last === '' || this.#isUnordered) return key;
    // Stores compare bytes, this language code units: only beyond the plane of most letters do they differ.
    const order = Buffer.compare(Buffer.from(last), Buffer.from(key));
    if (order < 0) return key;
    throw this.#fail(`it has ${shown(key)} after ${shown(last)}: the same again, or out of order`);
  }
}

const shown = (key: string): string => JSON.stringify(key.length > 200 ? `${key.slice(0, 200)}…` : key);
