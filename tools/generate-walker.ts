/**
 * Writes actors/check/walker.gen.ts: a strict skip walker over LedgerCloseMeta, made from the SDK's own type graph.
 *
 *   npx tsc -p tsconfig.tools.json && node build/tools/generate-walker.js [--check]
 *
 * The walker must give the verdict that the SDK's full decode gives: what js-xdr's `_read` methods reject, the code
 * emitted here rejects, nothing else. It must never be edited by hand: change this file and run it again. `--check`
 * writes nothing and exits 1 where the file is not what would be written.
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AnySchema, UnionArm, UnionSchema, XdrType } from '@stellar/js-xdr';
import { LedgerCloseMeta } from '@stellar/stellar-sdk/xdr';
import { SLOT, type SlotName } from '../actors/check/walk-record.ts';
import { writeGenerated } from './generated.ts';

/**
 * js-xdr's default for `maxDepth`: that many structs, unions, arrays, options and lazy references may be open at once.
 * The package does not export it; walker.oracle.test.ts compares verdicts just below and just above it.
 */
export const SDK_MAX_DEPTH = 1500;

/** What the walker notes on its way. Each name is checked against the type graph: a wrong one fails generation. */
export interface Hook {
  /** Slot for the offset of the value's first byte. */
  readonly mark?: SlotName;
  /** Slot for the offset after its last byte. */
  readonly markEnd?: SlotName;
  /** Appends the value's extent to the record's pairs. */
  readonly pair?: true;
  /** Arrays: slot to which the number of elements is added. */
  readonly count?: SlotName;
  /** Arrays: hook of every element. */
  readonly each?: Hook;
  /** Structs: by field; unions: by payload of an arm. */
  readonly fields?: Readonly<Record<string, Hook>>;
  /** Unions: every arm that has a payload must be in `fields`, so that a new arm is not passed over in silence. */
  readonly everyArm?: true;
}

const operations: Hook = { fields: { operations: { count: 'operationCount' } } };
const transactionV1: Hook = { fields: { tx: operations } };
const envelope: Hook = {
  everyArm: true,
  fields: {
    v0: { fields: { tx: operations } },
    v1: transactionV1,
    feeBump: { fields: { tx: { fields: { innerTx: { everyArm: true, fields: { v1: transactionV1 } } } } } },
  },
};
const envelopes: Hook = { count: 'txCount', each: envelope };
const ledgerHeader: Hook = {
  fields: {
    hash: { mark: 'ledgerHash' },
    header: {
      mark: 'headerStart',
      markEnd: 'headerEnd',
      fields: {
        ledgerVersion: { mark: 'ledgerVersion' },
        previousLedgerHash: { mark: 'previousLedgerHash' },
        scpValue: {
          fields: {
            txSetHash: { mark: 'txSetHash' },
            closeTime: { mark: 'closeTime' },
            ext: {
              mark: 'valueArm',
              everyArm: true,
              fields: {
                lcValueSignature: { mark: 'valueSignature' },
                proposedValue: {
                  fields: {
                    previousLedgerHash: { mark: 'proposedPreviousHash' },
                    previousLedgerVersion: { mark: 'proposedPreviousVersion' },
                  },
                },
              },
            },
          },
        },
        txSetResultHash: { mark: 'txSetResultHash' },
        ledgerSeq: { mark: 'ledgerSeq' },
        totalCoins: { mark: 'totalCoins' },
        feePool: { mark: 'feePool' },
      },
    },
  },
};
const generalizedSet: Hook = {
  mark: 'txSetStart',
  markEnd: 'txSetEnd',
  everyArm: true,
  fields: {
    v1TxSet: {
      fields: {
        phases: {
          each: {
            everyArm: true,
            fields: {
              v0Components: {
                each: { everyArm: true, fields: { txsMaybeDiscountedFee: { fields: { txs: envelopes } } } },
              },
              parallelTxsComponent: { fields: { executionStages: { each: { each: envelopes } } } },
            },
          },
        },
      },
    },
  },
};
const txProcessing: Hook = { each: { fields: { result: { pair: true } } } };
const generalizedLedger: Hook = { fields: { ledgerHeader, txSet: generalizedSet, txProcessing } };

/** What the checks and the columns need of a LedgerCloseMeta. */
export const LEDGER_HOOKS: Hook = {
  everyArm: true,
  fields: {
    v0: {
      fields: {
        ledgerHeader,
        txSet: {
          mark: 'txSetStart',
          markEnd: 'txSetEnd',
          fields: { txs: { ...envelopes, mark: 'envelopeCount' } },
        },
        txProcessing,
      },
    },
    v1: generalizedLedger,
    v2: generalizedLedger,
  },
};

// ── the type graph ───────────────────────────────────────────────────────────────────────────────────────────────

const nameOf = (t: AnySchema): string => t.name ?? t.kind;
const payloadOf = (arm: UnionArm): AnySchema | null => ('schema' in arm ? (arm.schema as AnySchema) : null);
const armsOf = (t: UnionSchema<unknown>): UnionArm[] => [
  ...t.cases.map((c) => c.arm),
  ...(t.defaultArm === undefined ? [] : [t.defaultArm]),
];

function childrenOf(t: AnySchema): AnySchema[] {
  switch (t.kind) {
    case 'struct':
      return t.entries.map(([, field]) => field as AnySchema);
    case 'union':
      return armsOf(t)
        .map(payloadOf)
        .filter((payload) => payload !== null);
    case 'array':
    case 'fixedArray':
    case 'option':
      return [t.element as AnySchema];
    case 'lazy':
      return [t.getSchema() as AnySchema];
    default:
      return [];
  }
}

/** Of a type whose encoding always has the same length. */
interface Fixed {
  /** Bytes. */
  readonly size: number;
  /** How many nested schemas js-xdr enters at the deepest point. */
  readonly height: number;
  /** Whether any byte of it can be wrong. */
  readonly checked: boolean;
}

class Graph {
  /** Every type that can occur below a recursive one, itself included: only there can the depth run away. */
  private readonly guarded = new Set<AnySchema>();
  private readonly reached = new Map<AnySchema, Set<AnySchema>>();
  private readonly fixedMemo = new Map<AnySchema, Fixed | null>();

  constructor(root: AnySchema) {
    const all = this.below(root);
    for (const t of all) {
      if (!this.below(t).has(t)) continue;
      for (const u of this.below(t)) this.guarded.add(u);
    }
    const plain = this.plainHeight(root, new Map());
    if (plain >= SDK_MAX_DEPTH) throw new Error(`types nest ${plain} deep without recursion: guards would be missing`);
  }

  /** Everything reachable from `t`; `t` itself only where it is recursive. */
  below(t: AnySchema): Set<AnySchema> {
    const known = this.reached.get(t);
    if (known) return known;
    const seen = new Set<AnySchema>();
    const stack = childrenOf(t);
    for (let u = stack.pop(); u; u = stack.pop()) {
      if (seen.has(u)) continue;
      seen.add(u);
      stack.push(...childrenOf(u));
    }
    this.reached.set(t, seen);
    return seen;
  }

  /** The depth has to be compared with the limit inside `t`. */
  isGuarded(t: AnySchema): boolean {
    return this.guarded.has(t);
  }

  /** The depth has to be known inside `t`'s function, to compare it there or to pass it on. */
  needsDepth(t: AnySchema): boolean {
    if (this.guarded.has(t)) return true;
    // What has a fixed length has no function that could ask for the depth.
    for (const u of this.below(t)) if (this.guarded.has(u) && !this.fixed(u)) return true;
    return false;
  }

  private plainHeight(t: AnySchema, memo: Map<AnySchema, number>): number {
    if (this.guarded.has(t)) return 0;
    let height = memo.get(t);
    if (height === undefined) {
      height = 1 + Math.max(0, ...childrenOf(t).map((child) => this.plainHeight(child, memo)));
      memo.set(t, height);
    }
    return height;
  }

  /** Null where the length depends on the bytes. */
  fixed(t: AnySchema): Fixed | null {
    const known = this.fixedMemo.get(t);
    if (known !== undefined) return known;
    // Stands while the children are looked at, so that recursion ends: what contains itself has no fixed length.
    this.fixedMemo.set(t, null);
    const result = this.computeFixed(t);
    this.fixedMemo.set(t, result);
    return result;
  }

  private computeFixed(t: AnySchema): Fixed | null {
    switch (t.kind) {
      case 'void':
        return { size: 0, height: 0, checked: false };
      case 'int32':
      case 'uint32':
      case 'float':
        return { size: 4, height: 0, checked: false };
      case 'int64':
      case 'uint64':
      case 'double':
        return { size: 8, height: 0, checked: false };
      case 'bool':
      case 'enum':
        return { size: 4, height: 0, checked: true };
      case 'opaque':
        return { size: (t.length + 3) & ~3, height: 0, checked: t.length % 4 !== 0 };
      case 'struct': {
        let size = 0;
        let height = 0;
        let checked = false;
        for (const [, field] of t.entries) {
          const f = this.fixed(field as AnySchema);
          if (!f) return null;
          size += f.size;
          height = Math.max(height, f.height);
          checked ||= f.checked;
        }
        return { size, height: height + 1, checked };
      }
      case 'fixedArray': {
        const f = this.fixed(t.element as AnySchema);
        return f && { size: f.size * t.length, height: f.height + 1, checked: f.checked };
      }
      case 'union': {
        // One length whatever the arm, and nothing to look at but the discriminant.
        const arms = armsOf(t).map((arm): Fixed | null => {
          const payload = payloadOf(arm);
          return payload ? this.fixed(payload) : { size: 0, height: 0, checked: false };
        });
        const first = arms[0];
        if (!first) return null;
        if (arms.some((a) => !a || a.checked || a.size !== first.size || a.height !== first.height)) return null;
        return { size: 4 + first.size, height: first.height + 1, checked: true };
      }
      case 'lazy':
      case 'option':
      case 'array':
      case 'varOpaque':
      case 'string':
        return null;
      default:
        throw new Error(
          `js-xdr has a kind of schema that this generator does not know: ${(t as XdrType<unknown>).kind}`,
        );
    }
  }
}

// ── emission ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Code of one block. `pending` bytes lie between the variable `o` and the place that the next read is for. */
class Block {
  readonly lines: string[] = [];
  pending = 0;
  /** Schemas entered and not left since the function's own `depth`. */
  open: number;
  /** The largest `open` that this path has already compared with the limit. */
  proven: number;
  private temps: number;
  readonly guarded: boolean;

  constructor(guarded: boolean, from?: Block) {
    this.guarded = guarded;
    this.open = from?.open ?? 0;
    this.proven = from?.proven ?? 0;
    this.temps = from?.temps ?? 0;
  }

  get here(): string {
    return this.pending === 0 ? 'o' : `o + ${this.pending}`;
  }

  add(...lines: string[]): void {
    this.lines.push(...lines);
  }

  /** Names are unique along a path, and the same in sibling blocks: equal arms of a union stay equal text. */
  temp(letter: string): string {
    this.temps += 1;
    return `${letter}${this.temps}`;
  }

  flush(more = 0): void {
    const by = this.pending + more;
    if (by !== 0) this.add(`o += ${by};`);
    this.pending = 0;
  }

  /** Leaves the function at the place reached. */
  end(): void {
    const last = this.lines[this.lines.length - 1];
    if (this.pending === 0 && last?.startsWith('o = ')) {
      this.lines[this.lines.length - 1] = `return ${last.slice('o = '.length)}`;
    } else {
      this.add(`return ${this.here};`);
    }
  }

  enter(height = 1): void {
    const open = this.open + height;
    if (this.guarded && open > this.proven) {
      this.add(`if (depth > ${SDK_MAX_DEPTH - open}) reject('nested too deep', ${this.here});`);
      this.proven = open;
    }
    this.open += 1;
  }

  leave(): void {
    this.open -= 1;
  }

  child(): Block {
    return new Block(this.guarded, this);
  }
}

const indent = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);
const quote = (text: string): string => `'${text}'`;

/** An expression that is true where `value` (cheap to repeat) is none of `allowed`. */
function noneOf(value: string, allowed: readonly number[]): string {
  const sorted = [...allowed].sort((a, b) => a - b);
  const low = sorted[0] as number;
  const high = sorted[sorted.length - 1] as number;
  if (sorted.length === 1) return `${value} !== ${low}`;
  if (high - low + 1 !== sorted.length) return sorted.map((v) => `${value} !== ${v}`).join(' && ');
  return low === 0 ? `${value} >>> 0 > ${high}` : `${value} < ${low} || ${value} > ${high}`;
}

/** The discriminants, as the int32 that the bytes read as, that js-xdr accepts for a union's switch before any case. */
function switchValues(t: UnionSchema<unknown>): readonly number[] | null {
  const on = t.switchOn as AnySchema;
  switch (on.kind) {
    case 'enum':
      return [...on.nameByValue.keys()];
    case 'bool':
      return [0, 1];
    case 'int32':
    case 'uint32':
      return null;
    default:
      throw new Error(`${nameOf(t)} switches on ${on.kind}, which this generator does not know`);
  }
}

const asInt32 = (discriminant: unknown): number => Number(discriminant) | 0;

class Generator {
  private readonly graph: Graph;
  private readonly names = new Map<AnySchema, Map<Hook | null, string>>();
  private readonly taken = new Set<string>();
  private readonly functions: string[][] = [];
  private readonly used = new Set<SlotName>();

  constructor(graph: Graph) {
    this.graph = graph;
  }

  /** Name of the function that walks `t`, which is written on first use. */
  functionFor(t: AnySchema, hook: Hook | null): string {
    let byHook = this.names.get(t);
    if (!byHook) {
      byHook = new Map();
      this.names.set(t, byHook);
    }
    const known = byHook.get(hook);
    if (known) return known;
    let name = `walk${nameOf(t)}`;
    for (let i = 2; this.taken.has(name); i += 1) name = `walk${nameOf(t)}${i}`;
    this.taken.add(name);
    byHook.set(hook, name);

    const lines: string[] = [];
    this.functions.push(lines);
    const block = new Block(this.graph.isGuarded(t));
    if (t.kind === 'union') this.union(t, hook, block);
    else if (t.kind === 'struct') this.struct(t, hook, block);
    else throw new Error(`no function is made for ${t.kind}`);
    const body = indent(block.lines);
    // The underscore tells the compiler that a parameter is there only because all functions look alike.
    const parameter = (p: string): string => (body.some((l) => new RegExp(`\\b${p}\\b`).test(l)) ? p : `_${p}`);
    const depth = this.graph.needsDepth(t) ? `, ${parameter('depth')}: number` : '';
    lines.push(`function ${name}(d: DataView, o: number, ${parameter('e')}: number${depth}): number {`, ...body, '}');
    return name;
  }

  source(): string {
    return this.functions.map((lines) => lines.join('\n')).join('\n\n');
  }

  /** Slots that no hook fills. */
  unused(): SlotName[] {
    return (Object.keys(SLOT) as SlotName[]).filter((slot) => !this.used.has(slot));
  }

  private slot(name: SlotName): string {
    if (SLOT[name] === undefined) throw new Error(`a hook names the slot ${name}, which does not exist`);
    this.used.add(name);
    return `at[${SLOT[name]}]`;
  }

  /** @throws Error where the hook does not fit the type. */
  checkHook(t: AnySchema, hook: Hook): void {
    const refuse = (what: string): never => {
      throw new Error(`hook on ${nameOf(t)} (${t.kind}): ${what}`);
    };
    if ((hook.count || hook.each) && t.kind !== 'array') refuse('count and each are for arrays');
    if (hook.everyArm && t.kind !== 'union') refuse('everyArm is for unions');
    const wanted = Object.keys(hook.fields ?? {});
    let there: string[] = [];
    if (t.kind === 'struct') there = t.entries.map(([name]) => name);
    else if (t.kind === 'union') there = armsOf(t).flatMap((arm) => ('schema' in arm ? [arm.name] : []));
    else if (hook.fields) refuse('fields are for structs and unions');
    for (const name of wanted) if (!there.includes(name)) refuse(`there is no ${name}; there are ${there.join(', ')}`);
    if (hook.everyArm) for (const name of there) if (!wanted.includes(name)) refuse(`the arm ${name} has no hook`);
  }

  /** Code that leaves `block` after one value of type `t`. */
  private value(t: AnySchema, hook: Hook | null, block: Block): void {
    if (hook) this.checkHook(t, hook);
    if (hook?.mark) block.add(`${this.slot(hook.mark)} = ${block.here};`);
    let start = '';
    if (hook?.pair) {
      start = block.temp('p');
      block.add(`const ${start} = ${block.here};`);
    }
    const inner = hook?.fields || hook?.each || hook?.count ? hook : null;
    this.body(t, inner, block);
    if (hook?.pair) block.add(`record.addPair(${start}, ${block.here});`);
    if (hook?.markEnd) block.add(`${this.slot(hook.markEnd)} = ${block.here};`);
  }

  private body(t: AnySchema, hook: Hook | null, block: Block): void {
    const fixed = hook ? null : this.graph.fixed(t);
    if (fixed) {
      this.fixedValue(t, fixed, block);
      return;
    }
    switch (t.kind) {
      case 'struct':
      case 'union': {
        const depth = this.graph.needsDepth(t) ? `, depth${block.open === 0 ? '' : ` + ${block.open}`}` : '';
        const name = this.functionFor(t, hook);
        block.add(`o = ${name}(d, ${block.here}, e${depth});`);
        block.pending = 0;
        return;
      }
      case 'lazy':
        block.enter();
        this.value(t.getSchema() as AnySchema, hook, block);
        block.leave();
        return;
      case 'option':
        this.option(t.element as AnySchema, block);
        return;
      case 'array':
        this.array(t.element as AnySchema, t.maxLength, hook, block);
        return;
      case 'fixedArray':
        block.enter();
        block.flush();
        this.loop(String(t.length), t.element as AnySchema, null, block);
        block.leave();
        return;
      case 'varOpaque':
      case 'string':
        this.bytes(t.maxLength, block);
        return;
      default:
        throw new Error(`${t.kind} has a fixed length and cannot come here`);
    }
  }

  /** One value of constant length: bytes that cannot be wrong are only counted. */
  private fixedValue(t: AnySchema, fixed: Fixed, block: Block): void {
    if (!fixed.checked) {
      if (fixed.height > 0) {
        block.enter(fixed.height);
        block.leave();
      }
      block.pending += fixed.size;
      return;
    }
    switch (t.kind) {
      case 'bool':
        block.add(`if (d.getInt32(${block.here}) >>> 0 > 1) reject('bool', ${block.here});`);
        block.pending += 4;
        return;
      case 'enum':
        this.discriminant([...t.nameByValue.keys()], nameOf(t), block);
        return;
      case 'opaque': {
        // Not a multiple of four: its last word ends in padding, which must be zero.
        const mask = 0xffffffff >>> ((t.length % 4) * 8);
        const word = block.pending + fixed.size - 4;
        block.add(`if ((d.getInt32(o + ${word}) & ${mask}) !== 0) reject('padding', o + ${word});`);
        block.pending += fixed.size;
        return;
      }
      case 'struct':
        block.enter();
        for (const [, field] of t.entries) this.value(field as AnySchema, null, block);
        block.leave();
        return;
      case 'fixedArray':
        block.enter();
        block.flush();
        this.loop(String(t.length), t.element as AnySchema, null, block);
        block.leave();
        return;
      case 'union':
        block.enter(fixed.height);
        this.discriminant(this.accepted(t), nameOf(t), block);
        block.pending += fixed.size - 4;
        block.leave();
        return;
      default:
        throw new Error(`${t.kind} has nothing to check`);
    }
  }

  /** Discriminants with which a union goes on; null where all int32 do. */
  private accepted(t: UnionSchema<unknown>): readonly number[] | null {
    if (t.defaultArm !== undefined) return switchValues(t);
    return t.cases.map((c) => asInt32(c.discriminant));
  }

  /** Four bytes that must be one of `allowed`. */
  private discriminant(allowed: readonly number[] | null, what: string, block: Block): void {
    if (allowed !== null) {
      const once = noneOf('', allowed).split(/ (?:&&|\|\|) /).length === 1;
      let read = `d.getInt32(${block.here})`;
      if (!once) {
        const v = block.temp('v');
        block.add(`const ${v} = ${read};`);
        read = v;
      }
      block.add(`if (${noneOf(read, allowed)}) reject(${quote(what)}, ${block.here});`);
    }
    block.pending += 4;
  }

  private bytes(maxLength: number, block: Block): void {
    const n = block.temp('n');
    block.add(`const ${n} = d.getInt32(${block.here});`);
    this.limit(n, maxLength, block);
    block.flush(4);
    // The word with the last bytes also holds the padding; it lies inside the padded value.
    block.add(
      `if ((${n} & 3) !== 0 && (d.getInt32(o + (${n} & ~3)) & (-1 >>> ((${n} & 3) << 3))) !== 0) reject('padding', o + ${n});`,
      `o += (${n} + 3) & ~3;`,
    );
  }

  /** Rejects a length above its maximum, or above the bytes that are left; so `o` can never leave the int32 range. */
  private limit(n: string, maxLength: number, block: Block): void {
    const bounded = maxLength <= 0xffff;
    const condition = bounded ? `${n} >>> 0 > ${maxLength}` : `${n} < 0 || ${n} > e - o`;
    const also = !bounded && maxLength < 0x7fffffff ? ` || ${n} > ${maxLength}` : '';
    block.add(`if (${condition}${also}) reject('length', ${block.here});`);
  }

  private option(element: AnySchema, block: Block): void {
    block.enter();
    const f = block.temp('f');
    block.add(`const ${f} = d.getInt32(${block.here});`);
    block.flush(4);
    const present = block.child();
    this.value(element, null, present);
    present.flush();
    block.add(`if (${f} === 1) {`, ...indent(present.lines), `} else if (${f} !== 0) reject('option', o);`);
    block.leave();
  }

  private array(element: AnySchema, maxLength: number, hook: Hook | null, block: Block): void {
    block.enter();
    const n = block.temp('n');
    block.add(`const ${n} = d.getInt32(${block.here});`);
    this.limit(n, maxLength, block);
    if (hook?.count) block.add(`${this.slot(hook.count)}! += ${n};`);
    block.flush(4);
    const fixed = hook?.each ? null : this.graph.fixed(element);
    if (fixed?.size === 0)
      throw new Error('js-xdr rejects arrays of empty elements; this generator has no case for it');
    if (fixed && !fixed.checked) {
      if (fixed.height > 0 && this.graph.isGuarded(element)) {
        // Only an element that is there is entered.
        const one = block.child();
        one.enter(fixed.height);
        one.leave();
        if (one.lines.length > 0) block.add(`if (${n} !== 0) {`, ...indent(one.lines), '}');
      }
      block.add(`if (${n} * ${fixed.size} > e - o) reject('length', o);`, `o += ${n} * ${fixed.size};`);
    } else {
      this.loop(n, element, hook?.each ?? null, block);
    }
    block.leave();
  }

  private loop(times: string, element: AnySchema, hook: Hook | null, block: Block): void {
    const i = block.temp('i');
    const each = block.child();
    this.value(element, hook, each);
    each.flush();
    block.add(`for (let ${i} = ${times}; ${i} > 0; ${i}--) {`, ...indent(each.lines), '}');
  }

  private struct(t: AnySchema & { kind: 'struct' }, hook: Hook | null, block: Block): void {
    block.enter();
    for (const [name, field] of t.entries) this.value(field as AnySchema, hook?.fields?.[name] ?? null, block);
    block.leave();
    block.end();
  }

  /** The body of a union's function. */
  private union(t: AnySchema & { kind: 'union' }, hook: Hook | null, block: Block): void {
    block.enter();
    const arm = (a: UnionArm, inside: Block): void => {
      if ('schema' in a) this.value(a.schema as AnySchema, hook?.fields?.[a.name] ?? null, inside);
      inside.end();
    };
    const only = t.cases[0];
    if (t.cases.length === 1 && only && t.defaultArm === undefined) {
      this.discriminant([asInt32(only.discriminant)], nameOf(t), block);
      arm(only.arm, block);
      return;
    }
    const cases = new Map<string, { values: number[]; lines: string[] }>();
    const put = (values: number[], a: UnionArm): void => {
      const inside = block.child();
      inside.pending = block.pending + 4;
      arm(a, inside);
      const key = inside.lines.join('\n');
      const same = cases.get(key);
      if (same) same.values.push(...values);
      else cases.set(key, { values, lines: inside.lines });
    };
    for (const c of t.cases) put([asInt32(c.discriminant)], c.arm);
    let otherwise = [`default:`, `  return reject(${quote(nameOf(t))}, ${block.here});`];
    if (t.defaultArm !== undefined) {
      const legal = switchValues(t);
      if (legal) {
        const named = new Set(t.cases.map((c) => asInt32(c.discriminant)));
        const rest = legal.filter((v) => !named.has(v));
        if (rest.length > 0) put(rest, t.defaultArm);
      } else {
        const inside = block.child();
        inside.pending = block.pending + 4;
        arm(t.defaultArm, inside);
        otherwise = ['default: {', ...indent(inside.lines), '}'];
      }
    }
    block.add(`switch (d.getInt32(${block.here})) {`);
    for (const { values, lines } of cases.values()) {
      const labels = values.sort((a, b) => a - b).map((v) => `case ${v}:`);
      block.add(...indent(labels.slice(0, -1)), `  ${labels[labels.length - 1]} {`, ...indent(indent(lines)), '  }');
    }
    block.add(...indent(otherwise), '}');
    block.leave();
  }
}

/** Versions that the generated file names. */
export interface Versions {
  readonly sdk: string;
  readonly jsXdr: string;
}

/**
 * The text of walker.gen.ts.
 * @throws Error where a hook does not fit the type graph, or the graph has something that this generator cannot do.
 */
export function generateWalker(schema: XdrType<unknown>, hooks: Hook, versions: Versions): string {
  const root = schema as AnySchema;
  if (root.kind !== 'union') throw new Error('the root must be a union');
  const generator = new Generator(new Graph(root));
  // The root has no parent that would look at its hook.
  generator.checkHook(root, hooks);
  const entry = generator.functionFor(root, hooks);
  const unused = generator.unused();
  if (unused.length > 0) throw new Error(`no hook fills ${unused.join(', ')}`);
  const known = root.cases.map((c) => asInt32(c.discriminant)).join(', ');
  return `/**
 * GENERATED, do not edit. A strict skip walker over ${nameOf(root)}: it accepts what the full decode of the SDK accepts,
 * builds nothing, and notes where the fields lie that the checks need. It must never read a ledger's meaning.
 *
 * Made by: npx tsc -p tsconfig.tools.json && node build/tools/generate-walker.js
 * From: @stellar/stellar-sdk ${versions.sdk}, @stellar/js-xdr ${versions.jsXdr}
 *
 * In every function: d the buffer, o the offset of the value, e the offset at which the bytes end, depth how many
 * schemas are open around the value; the result is the offset after it. Reads that run past e are noticed at the end
 * at the latest: offsets only grow.
 */
import { reject, type WalkRecord, XdrFault } from './walk-record.ts';

/** Discriminants of ${nameOf(root)} that this walker knows. */
export const LEDGER_VERSIONS: readonly number[] = [${known}];

let record: WalkRecord;
let at: Int32Array;

/**
 * Walks the ${nameOf(root)} that starts at \`start\`; bytes from \`end\` on do not belong to it.
 * Fills \`into\` and returns the offset after the value. Synchronous, one walk at a time per thread. \`open\` counts
 * schemas that are open around the value: they are taken off the ${SDK_MAX_DEPTH} that may nest.
 * @throws XdrFault where the bytes are not valid.
 */
export function walkLedger(d: DataView, start: number, end: number, into: WalkRecord, open = 0): number {
  into.reset();
  record = into;
  at = into.at;
  let o: number;
  try {
    o = ${entry}(d, start, end, open);
  } catch (error) {
    // A read past the buffer.
    if (error instanceof RangeError) throw new XdrFault('incomplete', end);
    throw error;
  }
  if (o > end) throw new XdrFault('incomplete', end);
  return o;
}

${generator.source()}
`;
}

// ── the program ──────────────────────────────────────────────────────────────────────────────────────────────────

/** The folder with the project's tsconfig.json, from wherever this file was compiled to. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'tsconfig.json'))) {
    const up = dirname(folder);
    if (up === folder) throw new Error('no tsconfig.json above this file');
    folder = up;
  }
  return folder;
}

const versionOf = (root: string, name: string): string => {
  const text = readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
};

/** Where the walker lies and what should stand there. */
export function currentWalker(): { path: string; expected: string } {
  const root = projectRoot();
  const versions = { sdk: versionOf(root, '@stellar/stellar-sdk'), jsXdr: versionOf(root, '@stellar/js-xdr') };
  return {
    path: join(root, 'actors', 'check', 'walker.gen.ts'),
    expected: generateWalker(LedgerCloseMeta.schema, LEDGER_HOOKS, versions),
  };
}

function main(): void {
  const { path, expected } = currentWalker();
  writeGenerated(path, expected);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main();
