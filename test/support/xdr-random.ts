/**
 * Random inputs for XDR tests, the same for the same seed: valid values of any type, made from the type graph with the
 * rarest arms first, and ways to damage bytes.
 */
import type { AnySchema, UnionArm, UnionSchema, XdrType } from '@stellar/js-xdr';

export interface Rng {
  /** 0 .. below-1 */
  below(below: number): number;
}

/** mulberry32 */
export function makeRng(seed: number): Rng {
  let state = seed >>> 0;
  return {
    below(below) {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
    },
  };
}

/** BRONZE_SEED, or a fixed one; print it with the test. */
export const seedOf = (otherwise: number): number => Number(process.env.BRONZE_SEED ?? otherwise);

const pick = <T>(rng: Rng, list: readonly T[]): T => list[rng.below(list.length)] as T;

interface Choice {
  readonly tag: number;
  readonly payload: AnySchema | null;
  readonly label: string;
}

/** A place in a made value that can be made wrong. */
export interface Site {
  /** The type and field that it belongs to. */
  readonly label: string;
  /** Of a tag, flag, length or padded word. */
  readonly offset: number;
  /** Values of the word at `offset` that no decoder may take. */
  readonly wrong: readonly number[];
  /** Of a string or array with a maximum: what follows the length, and how more of it is made. */
  readonly bounded?: { readonly max: number; readonly end: number; readonly item: Buffer; readonly perItem: number };
}

/** The value with the string or array at `site` made `length` long. */
export function resized(value: Buffer, site: Site, length: number): Buffer {
  const { end, item, perItem } = site.bounded as NonNullable<Site['bounded']>;
  const head = Buffer.alloc(4);
  head.writeUInt32BE(length);
  const items = Buffer.concat(Array.from({ length: Math.ceil(length / perItem) }, () => item));
  return Buffer.concat([value.subarray(0, site.offset), head, items, value.subarray(end)]);
}

/** Makes valid encodings of a schema and remembers which arms and enum members it has used. */
export class ValueMaker {
  /** Uses of every `Union.arm` and `Enum.member` in the graph; 0 = never. */
  readonly uses = new Map<string, number>();
  /** Labels without any use yet. */
  private readonly unused = new Set<string>();
  private readonly labelsBelow = new Map<AnySchema, Set<string>>();
  private readonly endless = new Map<AnySchema, boolean>();
  private readonly choices = new Map<AnySchema, Choice[]>();
  private readonly heights = new Map<AnySchema, number>();
  /** What can be made wrong in the value made last. */
  sites: Site[] = [];
  private offset = 0;
  private readonly rng: Rng;
  private readonly root: AnySchema;
  /** Nesting from which on values end as soon as they can. */
  private readonly deep: number;
  /** Nesting from which on values are chains: one element an array, no option absent, arms that lead on preferred. */
  private readonly narrow: number;

  constructor(schema: XdrType<unknown>, rng: Rng, deep = 26, narrow = 26) {
    this.deep = deep;
    this.narrow = narrow;
    this.rng = rng;
    this.root = schema as AnySchema;
    this.collect(this.root, new Set());
    for (const label of this.uses.keys()) this.unused.add(label);
    // Least nesting needed to end a value: a fixed point over the graph.
    for (let changed = true; changed; ) {
      changed = false;
      for (const [t, known] of this.heights) {
        const height = this.minHeight(t);
        if (height < known) {
          this.heights.set(t, height);
          changed = true;
        }
      }
    }
  }

  make(): Buffer {
    const out: Buffer[] = [];
    this.sites = [];
    this.offset = 0;
    this.write(this.root, 0, out, 'root');
    return Buffer.concat(out);
  }

  /** Labels of all sites that the graph has, but for paddings: those depend on lengths. */
  kindsOfSites(): Set<string> {
    const kinds = new Set<string>();
    const seen = new Map<AnySchema, Set<string>>();
    const visit = (t: AnySchema, label: string): void => {
      const labels = seen.get(t) ?? new Set();
      if (labels.has(label)) return;
      seen.set(t, labels.add(label));
      if (t.kind === 'bool' || t.kind === 'enum' || t.kind === 'option' || t.kind === 'union') {
        kinds.add(`${label} ${t.kind}`);
      }
      if ((t.kind === 'string' || t.kind === 'varOpaque') && t.maxLength <= 4096) kinds.add(`${label} length`);
      if (t.kind === 'array' && t.maxLength <= 4096) kinds.add(`${label} count`);
      if (t.kind === 'struct') for (const [n, f] of t.entries) visit(f as AnySchema, `${t.name}.${n}`);
      else if (t.kind === 'array' || t.kind === 'fixedArray') visit(t.element as AnySchema, `${label}[]`);
      else if (t.kind === 'option') visit(t.element as AnySchema, `${label}?`);
      else if (t.kind === 'lazy') visit(t.getSchema() as AnySchema, label);
      else if (t.kind === 'union') {
        for (const c of this.choices.get(t) as Choice[]) if (c.payload) visit(c.payload, c.label);
      }
    };
    visit(this.root, 'root');
    return kinds;
  }

  private collect(t: AnySchema, seen: Set<AnySchema>): void {
    if (seen.has(t)) return;
    seen.add(t);
    this.heights.set(t, Number.POSITIVE_INFINITY);
    switch (t.kind) {
      case 'struct':
        for (const [, f] of t.entries) this.collect(f as AnySchema, seen);
        return;
      case 'union': {
        const choices = choicesOf(t);
        this.choices.set(t, choices);
        for (const c of choices) {
          this.uses.set(c.label, 0);
          if (c.payload) this.collect(c.payload, seen);
        }
        return;
      }
      case 'enum':
        for (const name of t.nameByValue.values()) this.uses.set(`${t.name}.${name}`, 0);
        return;
      case 'array':
      case 'fixedArray':
      case 'option':
        this.collect(t.element as AnySchema, seen);
        return;
      case 'lazy':
        this.collect(t.getSchema() as AnySchema, seen);
        return;
      default:
    }
  }

  private heightOf(t: AnySchema | null): number {
    return t === null ? 0 : (this.heights.get(t) as number);
  }

  private minHeight(t: AnySchema): number {
    switch (t.kind) {
      case 'struct':
        return 1 + Math.max(0, ...t.entries.map(([, f]) => this.heightOf(f as AnySchema)));
      case 'union':
        return 1 + Math.min(...(this.choices.get(t) as Choice[]).map((c) => this.heightOf(c.payload)));
      case 'fixedArray':
        return 1 + this.heightOf(t.element as AnySchema);
      case 'lazy':
        return 1 + this.heightOf(t.getSchema() as AnySchema);
      default:
        return 1;
    }
  }

  private used(label: string): void {
    this.uses.set(label, (this.uses.get(label) as number) + 1);
    this.unused.delete(label);
  }

  /** Whether a value of this type can hold something that was never used. */
  private leadsToUnused(t: AnySchema | null): boolean {
    if (t === null || this.unused.size === 0) return false;
    let labels = this.labelsBelow.get(t);
    if (!labels) {
      labels = new Set();
      this.gather(t, labels, new Set());
      this.labelsBelow.set(t, labels);
    }
    for (const label of this.unused) if (labels.has(label)) return true;
    return false;
  }

  /** Whether values of this type can nest without end. */
  private leadsOn(t: AnySchema): boolean {
    let known = this.endless.get(t);
    if (known === undefined) {
      // Recursion always goes through a lazy reference.
      const lazies = (u: AnySchema, seen: Set<AnySchema>): boolean => {
        if (seen.has(u)) return false;
        seen.add(u);
        if (u.kind === 'lazy') return true;
        if (u.kind === 'struct') return u.entries.some(([, f]) => lazies(f as AnySchema, seen));
        if (u.kind === 'union') {
          return (this.choices.get(u) as Choice[]).some((c) => c.payload !== null && lazies(c.payload, seen));
        }
        return u.kind === 'array' || u.kind === 'option' ? lazies(u.element as AnySchema, seen) : false;
      };
      known = lazies(t, new Set());
      this.endless.set(t, known);
    }
    return known;
  }

  private gather(t: AnySchema, labels: Set<string>, seen: Set<AnySchema>): void {
    if (seen.has(t)) return;
    seen.add(t);
    if (t.kind === 'enum') for (const name of t.nameByValue.values()) labels.add(`${t.name}.${name}`);
    else if (t.kind === 'struct') for (const [, f] of t.entries) this.gather(f as AnySchema, labels, seen);
    else if (t.kind === 'lazy') this.gather(t.getSchema() as AnySchema, labels, seen);
    else if (t.kind === 'array' || t.kind === 'fixedArray' || t.kind === 'option') {
      this.gather(t.element as AnySchema, labels, seen);
    } else if (t.kind === 'union') {
      for (const c of this.choices.get(t) as Choice[]) {
        labels.add(c.label);
        if (c.payload) this.gather(c.payload, labels, seen);
      }
    }
  }

  private random(length: number): Buffer {
    const bytes = Buffer.alloc((length + 3) & ~3);
    for (let i = 0; i < length; i += 1) bytes[i] = this.rng.below(256);
    return bytes;
  }

  private put(bytes: Buffer, out: Buffer[]): void {
    out.push(bytes);
    this.offset += bytes.length;
  }

  private site(label: string, wrong: readonly number[], bounded?: Site['bounded'], offset = this.offset): void {
    this.sites.push(bounded ? { label, offset, wrong, bounded } : { label, offset, wrong });
  }

  /** `length` random bytes and their padding, whose every byte is a place to go wrong. */
  private padded(length: number, label: string, out: Buffer[]): void {
    const bytes = this.random(length);
    if (length % 4 !== 0) {
      const last = bytes.readInt32BE(bytes.length - 4);
      const wrong = Array.from({ length: 4 - (length % 4) }, (_, i) => last | (1 << (8 * i)));
      this.site(`${label} padding ${length % 4}`, wrong, undefined, this.offset + bytes.length - 4);
    }
    this.put(bytes, out);
  }

  private write(t: AnySchema, depth: number, out: Buffer[], label: string): void {
    const { rng } = this;
    const int = (value: number): void => {
      const b = Buffer.alloc(4);
      b.writeInt32BE(value | 0);
      this.put(b, out);
    };
    const DEEP = this.deep;
    switch (t.kind) {
      case 'void':
        return;
      case 'int32':
      case 'uint32':
      case 'float':
        this.put(this.random(4), out);
        return;
      case 'int64':
      case 'uint64':
      case 'double':
        this.put(this.random(8), out);
        return;
      case 'bool':
        this.site(`${label} bool`, [2, -1, 0x01000000]);
        int(rng.below(2));
        return;
      case 'enum': {
        const members = [...t.nameByValue];
        const fresh = members.filter(([, member]) => this.unused.has(`${t.name}.${member}`));
        const [value, name] = pick(rng, fresh.length > 0 ? fresh : members);
        this.used(`${t.name}.${name}`);
        this.site(`${label} enum`, outside([...t.nameByValue.keys()]));
        int(value);
        return;
      }
      case 'opaque':
        this.padded(t.length, label, out);
        return;
      case 'varOpaque':
      case 'string': {
        const full = rng.below(8) === 0 && t.maxLength <= 128;
        const length = full ? t.maxLength : rng.below(Math.min(t.maxLength, 20) + 1);
        const at = this.offset;
        int(length);
        this.padded(length, label, out);
        if (t.maxLength <= 4096) {
          const item = Buffer.alloc(4);
          this.site(`${label} length`, [], { max: t.maxLength, end: this.offset, item, perItem: 4 }, at);
        }
        return;
      }
      case 'option': {
        const may = depth < DEEP || !this.leadsOn(t.element as AnySchema);
        const present = may && ((depth >= this.narrow && depth < DEEP) || rng.below(2) === 1);
        this.site(`${label} option`, [2, -1, 0x01000000]);
        int(present ? 1 : 0);
        if (present) this.write(t.element as AnySchema, depth + 1, out, `${label}?`);
        return;
      }
      case 'array': {
        const most =
          depth < 13 ? 3 : depth >= DEEP ? this.mostAtEnd(t.element as AnySchema) : depth < this.narrow ? 2 : 1;
        const chain = depth >= this.narrow && depth < DEEP;
        const least = chain || (most > 0 && this.leadsToUnused(t.element as AnySchema)) ? 1 : 0;
        const length = Math.max(least, rng.below(Math.min(t.maxLength, most) + 1));
        const at = this.offset;
        int(length);
        let item: Buffer | null = null;
        for (let i = 0; i < length; i += 1) {
          const before = out.length;
          this.write(t.element as AnySchema, depth + 1, out, `${label}[]`);
          item ??= Buffer.concat(out.slice(before));
        }
        if (item && t.maxLength <= 4096) {
          this.site(`${label} count`, [], { max: t.maxLength, end: this.offset, item, perItem: 1 }, at);
        }
        return;
      }
      case 'fixedArray':
        for (let i = 0; i < t.length; i += 1) this.write(t.element as AnySchema, depth + 1, out, `${label}[]`);
        return;
      case 'lazy':
        this.write(t.getSchema() as AnySchema, depth + 1, out, label);
        return;
      case 'struct':
        for (const [n, f] of t.entries) this.write(f as AnySchema, depth + 1, out, `${t.name}.${n}`);
        return;
      case 'union': {
        const choice = this.choose(this.choices.get(t) as Choice[], depth);
        this.used(choice.label);
        const tags = (this.choices.get(t) as Choice[]).map((c) => c.tag);
        this.site(`${label} union`, outside(tags));
        int(choice.tag);
        if (choice.payload) this.write(choice.payload, depth + 1, out, choice.label);
        return;
      }
    }
  }

  /** Deep down, only what ends by itself may still follow. */
  private mostAtEnd(element: AnySchema): number {
    return this.leadsOn(element) ? 0 : 1;
  }

  /** Mostly an arm that is rare or leads to what is; deep down one that ends soonest. */
  private choose(choices: readonly Choice[], depth: number): Choice {
    if (depth > this.deep) {
      const ending = choices.filter((c) => c.payload === null || !this.leadsOn(c.payload));
      if (ending.length > 0) return pick(this.rng, ending);
      const lowest = Math.min(...choices.map((c) => this.heightOf(c.payload)));
      return pick(
        this.rng,
        choices.filter((c) => this.heightOf(c.payload) === lowest),
      );
    }
    if (this.rng.below(3) === 0) return pick(this.rng, choices);
    if (depth >= this.narrow) {
      const leading = choices.filter((c) => c.payload !== null && this.leadsOn(c.payload));
      if (leading.length > 0) return pick(this.rng, leading);
    }
    const fresh = choices.filter((c) => this.unused.has(c.label) || this.leadsToUnused(c.payload));
    if (fresh.length > 0) return pick(this.rng, fresh);
    const rarest = Math.min(...choices.map((c) => this.uses.get(c.label) as number));
    return pick(
      this.rng,
      choices.filter((c) => this.uses.get(c.label) === rarest),
    );
  }
}

/** Values next to, between and far from those allowed. */
function outside(allowed: readonly number[]): number[] {
  const near = allowed.flatMap((v) => [v - 1, v + 1]);
  const far = [0, -1, 0x01000000, 0x7fffffff];
  return [...new Set([...near, ...far])].filter((v) => !allowed.includes(v));
}

function choicesOf(t: UnionSchema<unknown>): Choice[] {
  const choice = (tag: number, name: string, arm: UnionArm): Choice => ({
    tag,
    payload: 'schema' in arm ? (arm.schema as AnySchema) : null,
    label: `${t.name}.${name}`,
  });
  const choices = t.cases.map((c) => choice(Number(c.discriminant), c.name, c.arm));
  const on = t.switchOn as AnySchema;
  if (t.defaultArm !== undefined && on.kind === 'enum') {
    for (const [value, name] of on.nameByValue) {
      if (!choices.some((c) => c.tag === value)) choices.push(choice(value, `default(${name})`, t.defaultArm));
    }
  }
  return choices;
}

const WORDS = [0, 1, 2, 3, 4, 5, 0xffffffff, 0x80000000, 0x7fffffff, 0x01000000];

/** A damaged copy: one to three of truncation, flips, overwritten words and tags, insertions, deletions, swaps. */
export function mutate(original: Buffer, rng: Rng): Buffer {
  let bytes = Buffer.from(original);
  for (let times = 1 + (rng.below(3) === 0 ? rng.below(3) : 0); times > 0; times -= 1) {
    const words = bytes.length >> 2;
    if (words < 4) break;
    const at = 4 * rng.below(words);
    const other = 4 * rng.below(words);
    switch (rng.below(11)) {
      case 0:
        bytes = bytes.subarray(0, rng.below(bytes.length));
        break;
      case 1:
      case 2:
        bytes[rng.below(bytes.length)]! ^= 1 << rng.below(8);
        break;
      case 3:
        bytes.writeUInt32BE(pick(rng, WORDS), at);
        break;
      case 4:
      case 5: {
        // A word that is small is a tag, a flag or a length more often than not: give it a neighbouring value.
        let tag = at;
        for (let tries = 0; tries < 200 && bytes.readInt32BE(tag) >>> 0 > 40; tries += 1) tag = 4 * rng.below(words);
        bytes.writeInt32BE((bytes.readInt32BE(tag) + pick(rng, [-3, -2, -1, 1, 2, 3])) | 0, tag);
        break;
      }
      case 6:
        bytes.writeUInt32BE(rng.below(2 ** 32), at);
        break;
      case 7: {
        const inserted = Buffer.alloc(1 + rng.below(12));
        if (rng.below(2) === 0) for (let i = 0; i < inserted.length; i += 1) inserted[i] = rng.below(256);
        bytes = Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at)]);
        break;
      }
      case 8:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + rng.below(12))]);
        break;
      case 9: {
        const word = bytes.readUInt32BE(at);
        bytes.writeUInt32BE(bytes.readUInt32BE(other), at);
        bytes.writeUInt32BE(word, other);
        break;
      }
      default:
        // Bytes that follow the value.
        bytes = Buffer.concat([bytes, Buffer.alloc(1 + rng.below(16), rng.below(2))]);
    }
  }
  return bytes;
}
