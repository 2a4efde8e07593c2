/**
 * What the double of Google Cloud Storage remembers: buckets, objects with their generations, unfinished resumable
 * uploads. State and its rules alone: no HTTP here, and nothing that waits, so that each change is atomic.
 */
import { createHash } from 'node:crypto';
import { crc32cBase64 } from './crc32c.ts';

/** What a request is refused with; the double's HTTP side writes it as GCS does. */
export class GcsRefusal extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

/** The part of an object's metadata that its writer chooses. */
export interface GcsWritten {
  readonly contentType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Bytes and what they come to, reckoned once. */
export interface GcsContent {
  readonly bytes: Buffer;
  /** Base64, big-endian. */
  readonly crc32c: string;
  /** Base64. */
  readonly md5Hash: string;
}

export function contentOf(bytes: Buffer): GcsContent {
  return { bytes, crc32c: crc32cBase64(bytes), md5Hash: createHash('md5').update(bytes).digest('base64') };
}

export interface GcsObject extends GcsWritten, GcsContent {
  readonly name: string;
  readonly generation: number;
  readonly metageneration: number;
  timeCreated: Date;
  updated: Date;
}

export interface GcsUpload {
  readonly id: string;
  readonly bucket: GcsBucket;
  readonly name: string;
  readonly written: GcsWritten;
  readonly conditions: GcsConditions;
  received: Buffer[];
  size: number;
  finished: GcsObject | null;
}

/** `ifGenerationMatch` and its kin, as far as they were asked; 0 = "there is no such object". */
export interface GcsConditions {
  readonly match?: number | undefined;
  readonly notMatch?: number | undefined;
}

export interface GcsPage {
  readonly items: readonly GcsObject[];
  readonly prefixes: readonly string[];
  /** The last name that was told, where there is more. */
  readonly last: string | null;
}

/** GCS orders names by their UTF-8 bytes; JavaScript's own order differs beyond the basic plane. */
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

// Microseconds since the epoch is what they look like; strictly rising is what they are.
let lastGeneration = Date.now() * 1000;

export class GcsBucket {
  readonly name: string;
  readonly requesterPays: boolean;
  readonly timeCreated = new Date();
  private readonly objects = new Map<string, GcsObject>();

  constructor(name: string, requesterPays: boolean) {
    this.name = name;
    this.requesterPays = requesterPays;
  }

  find(name: string): GcsObject | undefined {
    return this.objects.get(name);
  }

  /** @throws GcsRefusal 404, also where only another generation is there. */
  get(name: string, generation?: number): GcsObject {
    const object = this.objects.get(name);
    if (object === undefined || (generation !== undefined && generation !== object.generation)) {
      throw new GcsRefusal(404, 'notFound', `No such object: ${this.name}/${name}`);
    }
    return object;
  }

  names(): string[] {
    return [...this.objects.keys()].sort(byBytes);
  }

  /** @throws GcsRefusal 412 */
  check(name: string, conditions: GcsConditions): void {
    const generation = this.objects.get(name)?.generation ?? 0;
    const { match, notMatch } = conditions;
    if ((match !== undefined && match !== generation) || (notMatch !== undefined && notMatch === generation)) {
      throw new GcsRefusal(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.');
    }
  }

  /** @throws GcsRefusal 412; then nothing has changed. */
  insert(name: string, content: GcsContent, written: GcsWritten, conditions: GcsConditions): GcsObject {
    this.check(name, conditions);
    lastGeneration = Math.max(lastGeneration + 1, Date.now() * 1000);
    const now = new Date();
    const { bytes, crc32c, md5Hash } = content;
    const object: GcsObject = {
      ...written,
      name,
      bytes,
      crc32c,
      md5Hash,
      generation: lastGeneration,
      metageneration: 1,
      timeCreated: now,
      updated: now,
    };
    this.objects.set(name, object);
    return object;
  }

  delete(name: string, generation: number | undefined, conditions: GcsConditions): void {
    this.get(name, generation);
    this.check(name, conditions);
    this.objects.delete(name);
  }

  /** One page in byte order; a common prefix counts as one of `limit`, as on GCS. */
  page(query: {
    readonly prefix: string;
    readonly delimiter: string;
    readonly startOffset: string;
    readonly endOffset: string | null;
    readonly after: string | null;
    readonly limit: number;
  }): GcsPage {
    const { prefix, delimiter, startOffset, endOffset, after, limit } = query;
    const items: GcsObject[] = [];
    const prefixes: string[] = [];
    let last: string | null = null;
    for (const name of this.names()) {
      if (!name.startsWith(prefix) || byBytes(name, startOffset) < 0) continue;
      if (endOffset !== null && byBytes(name, endOffset) >= 0) break;
      const at = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
      const told = at < 0 ? name : name.slice(0, at + delimiter.length);
      if (told === last || (after !== null && byBytes(told, after) <= 0)) continue;
      if (items.length + prefixes.length === limit) return { items, prefixes, last };
      if (at < 0) items.push(this.objects.get(name)!);
      else prefixes.push(told);
      last = told;
    }
    return { items, prefixes, last: null };
  }
}
