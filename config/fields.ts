/**
 * Building blocks of the schema: one function per kind of value, each giving the zod type (which the loader, the JSON
 * Schema and the reference share) together with the facts that zod does not keep: environment variable, what to say
 * when a value is wrong, whether it is a secret. It knows no key of the configuration; those are in schema.ts.
 */
import { z } from 'zod';

/** `label` is text that becomes part of paths; a number written there (`version_label: 2`) is taken as written. */
type FieldKind = 'integer' | 'boolean' | 'text' | 'label' | 'choice' | 'labels';

export interface FieldFacts {
  readonly kind: FieldKind;
  /** Completes "expected …" in messages and stands in the reference as the type. */
  readonly expected: string;
  /** Environment variable that sets it. */
  readonly variable?: string;
  /** Never shown, not even when it is wrong. */
  readonly secret?: boolean;
  /** For the reference: how the default comes about where it is not a constant. */
  readonly fallback?: string;
  /** 0 means "not set", as it did in the old program. */
  readonly zeroIsUnset?: boolean;
  /** Values are compared without case, and these spellings stand for others. */
  readonly synonyms?: Readonly<Record<string, string>>;
}

/** Facts of every leaf of the schema; a leaf without them is a bug that schema.ts would fail on when it is loaded. */
export const facts = z.registry<FieldFacts>();

type Extra = Partial<Pick<FieldFacts, 'variable' | 'secret' | 'fallback' | 'zeroIsUnset' | 'synonyms'>>;

/** Largest uint32: the largest ledger sequence that XDR can hold. */
export const UINT32_MAX = 0xffff_ffff;

interface IntegerOptions extends Extra {
  readonly min: number;
  readonly max: number;
}

const integerFacts = ({ min, max, ...extra }: IntegerOptions): FieldFacts => ({
  kind: 'integer',
  expected: `a whole number from ${min} to ${max}`,
  ...extra,
});

/** Whole number, written in plain decimal digits. */
export function integer(doc: string, options: IntegerOptions & { readonly fallback: string }): z.ZodOptional<z.ZodInt>;
export function integer(doc: string, options: IntegerOptions & { readonly preset: number }): z.ZodDefault<z.ZodInt>;
export function integer(
  doc: string,
  { preset, ...options }: IntegerOptions & { readonly preset?: number },
): z.ZodOptional<z.ZodInt> | z.ZodDefault<z.ZodInt> {
  const base = z
    .int()
    .min(options.zeroIsUnset === true ? 0 : options.min)
    .max(options.max);
  const found = integerFacts(options);
  return preset === undefined
    ? base.optional().describe(doc).register(facts, found)
    : base.default(preset).describe(doc).register(facts, found);
}

/** `true` or `false`. */
export function flag(doc: string, preset: boolean, extra: Extra = {}): z.ZodDefault<z.ZodBoolean> {
  return z
    .boolean()
    .default(preset)
    .describe(doc)
    .register(facts, { kind: 'boolean', expected: 'true or false', ...extra });
}

/** Longest value that is looked at: no path of Linux is longer. */
export const VALUE_MAX = 4096;

interface TextOptions extends Extra {
  /** What a non-empty value has to match. */
  readonly pattern?: RegExp;
  /** Needed with `pattern`: the pattern in words. */
  readonly expected?: string;
}

/** Control characters have no place in a path, a bucket or an address; YAML escapes can smuggle them in. */
const NO_CONTROL = '^(?![\\s\\S]*[\\u0000-\\u001f\\u007f])';

/** Any text; empty means not set. */
export function text(doc: string, preset: string, options: TextOptions = {}): z.ZodDefault<z.ZodString> {
  const { pattern, expected = 'printable text', ...extra } = options;
  // The empty string is let through everywhere: old files write `endpoint: ""` for "none".
  const regex = new RegExp(pattern === undefined ? NO_CONTROL : `${NO_CONTROL}(?:$|${pattern.source})`, 'u');
  return z
    .string()
    .regex(regex)
    .default(preset)
    .describe(doc)
    .register(facts, { kind: 'text', expected, ...extra });
}

/** Longest label: three of them and two ledgers have to fit one file name of 255 bytes. */
const LABEL_MAX = 64;
const LABEL = /^(?!\.{1,2}$)[A-Za-z0-9._-]+$/;
const LABEL_WORDS = `1 to ${LABEL_MAX} of A-Z a-z 0-9 . _ - (not "." or "..")`;

/**
 * For labels that are folders of Bronze: `_staging`, `_audit` and `_bronze.json` stand beside them, and what begins like
 * that or with a dot is passed over by readers of data lakes.
 */
export const FOLDER_LABEL = {
  pattern: /^[A-Za-z0-9-][A-Za-z0-9._-]*$/,
  expected: `1 to ${LABEL_MAX} of A-Z a-z 0-9 . _ - that begin with neither "_" nor "."`,
};

const labelString = (pattern: RegExp) => z.string().regex(pattern).max(LABEL_MAX);

/** A name that becomes part of paths and file names; without `preset` it has to be given. */
export function label(
  doc: string,
  extra?: Extra & { readonly pattern?: RegExp; readonly expected?: string },
): z.ZodString;
export function label(
  doc: string,
  extra: Extra & { readonly preset: string; readonly pattern?: RegExp; readonly expected?: string },
): z.ZodDefault<z.ZodString>;
export function label(
  doc: string,
  options: Extra & { readonly preset?: string; readonly pattern?: RegExp; readonly expected?: string } = {},
): z.ZodString | z.ZodDefault<z.ZodString> {
  const { preset, pattern = LABEL, expected = LABEL_WORDS, ...extra } = options;
  const base = labelString(pattern);
  const found: FieldFacts = { kind: 'label', expected, ...extra };
  return preset === undefined
    ? base.describe(doc).register(facts, found)
    : base.default(preset).describe(doc).register(facts, found);
}

/** A list of labels; in the environment and in flags separated by commas. */
export function labels(doc: string, extra: Extra): z.ZodDefault<z.ZodArray<z.ZodString>> {
  return z
    .array(labelString(LABEL))
    .default([])
    .describe(doc)
    .register(facts, { kind: 'labels', expected: `a list of names, each ${LABEL_WORDS}`, ...extra });
}

/** A list of texts of one form. */
export function texts(
  doc: string,
  { pattern, expected, ...extra }: Extra & { readonly pattern: RegExp; readonly expected: string },
): z.ZodDefault<z.ZodArray<z.ZodString>> {
  return z
    .array(z.string().regex(pattern).max(VALUE_MAX))
    .default([])
    .describe(doc)
    .register(facts, { kind: 'labels', expected, ...extra });
}

type Choice<V extends string> = { [K in V]: K };

const choiceFacts = (values: readonly string[], extra: Extra): FieldFacts => ({
  kind: 'choice',
  expected: values.length === 1 ? `${values[0]}` : `one of ${values.join(', ')}`,
  ...extra,
});

/** One of a few words. */
export function choice<const V extends string>(
  doc: string,
  values: readonly [V, ...V[]],
  preset: NoInfer<V>,
  extra: Extra = {},
): z.ZodDefault<z.ZodEnum<Choice<V>>> {
  const base: z.ZodEnum<Choice<V>> = z.enum(values);
  return base
    .default(preset as never)
    .describe(doc)
    .register(facts, choiceFacts(values, extra));
}

/** One of a few words, with a default that depends on other keys. */
export function openChoice<const V extends string>(
  doc: string,
  values: readonly [V, ...V[]],
  extra: Extra & { readonly fallback: string },
): z.ZodOptional<z.ZodEnum<Choice<V>>> {
  const base: z.ZodEnum<Choice<V>> = z.enum(values);
  return base.optional().describe(doc).register(facts, choiceFacts(values, extra));
}
