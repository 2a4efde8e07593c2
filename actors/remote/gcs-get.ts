/**
 * The short way to an object of a lake in Google Cloud Storage: the request that gcs-bucket.ts makes, with a token of the
 * same client, which refreshes it before it expires.
 * It must never take anything for an object that the store did not say is one.
 */
import { type Check, crc32cOf, gcsCrc32c } from './checksums.ts';
import { type GcsClient, MEDIA_HEADERS } from './gcs-client.ts';
import { plainGetter } from './plain-get.ts';
import { ShortWay, type Wanting } from './short-way.ts';

class GcsGet {
  readonly #client: GcsClient;
  readonly #way = new ShortWay(() => this.#headers());
  /** Path of the endpoint, before that of the API. */
  readonly #below: string;
  readonly #origin: string;

  constructor(client: GcsClient) {
    this.#client = client;
    const { origin, pathname } = new URL(client.endpoint);
    this.#origin = origin;
    this.#below = pathname === '/' ? '' : pathname;
  }

  /** The object at a path with its query, or null: ask the long way. Throws what `admit` throws. */
  get(path: string, wanting: Wanting): Promise<Uint8Array | null> {
    return this.#way.get(wanting, async (headers) => {
      const getter = await plainGetter(this.#origin);
      return getter.get({ path: `${this.#below}${path}`, headers, judge }, wanting);
    });
  }

  async #headers(): Promise<string[]> {
    const { auth, endpoint } = this.#client;
    return Object.entries({ ...MEDIA_HEADERS, ...(await auth.getRequestHeaders(endpoint)) }).flat();
  }
}

const getters = new WeakMap<GcsClient, GcsGet>();

/** The short way of a client; the same one for the same client. */
export function gcsGet(client: GcsClient): GcsGet {
  const known = getters.get(client);
  if (known) return known;
  const getter = new GcsGet(client);
  getters.set(client, getter);
  return getter;
}

const unchecked: Check = () => true;

/** As gcs-bucket.ts does: only the store itself names a generation, and where it tells a CRC32C, it must be right. */
function judge(headers: Readonly<Record<string, string | string[] | undefined>>): Check | null {
  if (headers['x-goog-generation'] === undefined) return null;
  const expected = gcsCrc32c(String(headers['x-goog-hash'] ?? ''));
  return expected === null ? unchecked : (bytes) => crc32cOf(bytes) === expected;
}
