/**
 * Values are judged by what was written, not by what YAML or JavaScript makes of it: `010` is not 8, `1e6` is not a
 * number of ledgers, and a version label `1.10` is not `1.1`. It does not guess: what is not plainly right is refused,
 * with the right spelling where there is one.
 */
import { type FieldFacts, VALUE_MAX } from './fields.ts';
import { quote, SHOWN } from './problems.ts';
import { MASK, redactSecrets } from './secrets.ts';
import type { Leaf, Value } from './tree.ts';

/** A scalar as it stands in its source. */
export interface Written {
  readonly text: string;
  /** How it was written: without quotes, as a string of YAML, or in a variable or flag, where all is text. */
  readonly style: 'plain' | 'quoted' | 'shell';
}

/** A value, `undefined` for "not set", or what is wrong with it. */
export type Verdict =
  | { readonly ok: true; readonly value: Value | undefined }
  | { readonly ok: false; readonly message: string; readonly expected: string; readonly found: string };

const NULLS = new Set(['', '~', 'null', 'Null', 'NULL']);
const INTEGER = /^-?(?:0|[1-9][0-9]*)$/;
const NUMBER_LIKE = /^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$|^0[xXoObB][0-9A-Fa-f_]+$/;
/** The words of YAML's core schema. */
const YAML_BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...['true', 'True', 'TRUE'].map((word) => [word, true] as const),
  ...['false', 'False', 'FALSE'].map((word) => [word, false] as const),
]);
/** In the environment also what Go's strconv.ParseBool takes. */
const SHELL_BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...YAML_BOOLEANS,
  ...['1', 't', 'T'].map((word) => [word, true] as const),
  ...['0', 'f', 'F'].map((word) => [word, false] as const),
]);
const YES_NO: ReadonlyMap<string, boolean> = new Map([
  ...['yes', 'y', 'on'].map((word) => [word, true] as const),
  ...['no', 'n', 'off'].map((word) => [word, false] as const),
]);

const right = (value: Value | undefined): Verdict => ({ ok: true, value });

/** What may be shown of a wrong value, as it was written. */
function shown(written: Written, facts: FieldFacts): string {
  // What is not even a connection string has no structure by which its password could be found.
  if (facts.secret === true) return MASK;
  const text = redactSecrets(written.text);
  return written.style === 'plain' && text.length <= SHOWN ? text : quote(text);
}

const wrong = (written: Written, facts: FieldFacts, message: string, hint = ''): Verdict => ({
  ok: false,
  message,
  expected: facts.expected + hint,
  found: shown(written, facts),
});

/** Before anything looks at it. */
const tooLong = (written: Written, facts: FieldFacts): Verdict =>
  wrong(written, facts, `a value of ${written.text.length} characters`, ` (at most ${VALUE_MAX} characters)`);

/** The digits that were probably meant, for `10k`, `1e6`, `007`, `1_000`, `0x10`, `10.0`, `10,000`; null = no idea. */
function digitsMeant(text: string): string | null {
  const suffixed = /^([0-9]+)\s*([kKmMgG])$/.exec(text);
  if (suffixed?.[1] !== undefined && suffixed[2] !== undefined) {
    const factor = { k: 1e3, m: 1e6, g: 1e9 }[suffixed[2].toLowerCase()] ?? 1;
    return String(Number(suffixed[1]) * factor);
  }
  const bare = text.trim().replaceAll(/[_,']/g, '').replace(/^\+/, '');
  if (bare === '') return null;
  const value = /^0[0-9]+$/.test(bare) ? Number.parseInt(bare, 10) : Number(bare);
  return Number.isSafeInteger(value) && value >= 0 ? String(value) : null;
}

function judgeInteger(written: Written, facts: FieldFacts): Verdict {
  const { text, style } = written;
  const meant = digitsMeant(text);
  const hint = meant === null ? '' : ` (write ${meant})`;
  if (style === 'quoted') return wrong(written, facts, 'wrong type, a string', hint);
  if (!INTEGER.test(text)) {
    const message = meant === null && !NUMBER_LIKE.test(text) ? 'not a number' : 'not a plain whole number';
    return wrong(written, facts, message, hint);
  }
  const value = Number(text);
  if (Object.is(value, -0)) return wrong(written, facts, 'not a plain whole number', ' (write 0)');
  return right(facts.zeroIsUnset === true && value === 0 ? undefined : value);
}

function judgeBoolean(written: Written, facts: FieldFacts): Verdict {
  const { text, style } = written;
  const table = style === 'shell' ? SHELL_BOOLEANS : YAML_BOOLEANS;
  const meant = table.get(text) ?? YES_NO.get(text.toLowerCase());
  const hint = meant === undefined ? '' : ` (write ${meant})`;
  if (style === 'quoted') return wrong(written, facts, 'wrong type, a string', hint);
  const value = table.get(text);
  return value === undefined ? wrong(written, facts, 'not a boolean', hint) : right(value);
}

function judgeString(written: Written, facts: FieldFacts, fits: (value: string) => boolean): Verdict {
  const { text, style } = written;
  if (style === 'plain') {
    const inQuotes = fits(text) && facts.secret !== true ? ` (in quotes: ${quote(text)})` : '';
    if (YAML_BOOLEANS.has(text)) {
      return wrong(written, facts, 'wrong type, a boolean', inQuotes);
    }
    if (facts.kind !== 'label' && NUMBER_LIKE.test(text)) {
      return wrong(written, facts, 'wrong type, a number', inQuotes);
    }
  }
  if (facts.kind !== 'choice' || facts.synonyms === undefined) return right(text);
  const lower = text.toLowerCase();
  return right(Object.hasOwn(facts.synonyms, lower) ? facts.synonyms[lower] : lower);
}

/** Judges a scalar for a leaf that is not a list. */
export function judge(leaf: Leaf, written: Written): Verdict {
  const { facts } = leaf;
  if (written.text.length > VALUE_MAX) return tooLong(written, facts);
  if (written.style === 'plain' ? NULLS.has(written.text) : written.text === '') return right(undefined);
  const typed =
    facts.kind === 'integer'
      ? judgeInteger(written, facts)
      : facts.kind === 'boolean'
        ? judgeBoolean(written, facts)
        : judgeString(written, facts, (value) => leaf.schema.safeParse(value).success);
  if (!typed.ok || typed.value === undefined) return typed;
  if (leaf.schema.safeParse(typed.value).success) return typed;
  const message =
    facts.kind === 'integer' ? 'out of range' : facts.kind === 'choice' ? 'not a known value' : 'not usable';
  return wrong(written, facts, message);
}

/** Judges one name of a list of labels. */
export function judgeItem(leaf: Leaf, written: Written): Verdict {
  const single: FieldFacts = { ...leaf.facts, kind: 'label' };
  if (written.text.length > VALUE_MAX) return tooLong(written, single);
  if (written.text === '') return wrong(written, single, 'an empty name');
  const typed = judgeString(written, single, (value) => leaf.schema.safeParse([value]).success);
  if (!typed.ok) return typed;
  return leaf.schema.safeParse([typed.value]).success ? typed : wrong(written, single, 'not usable');
}
