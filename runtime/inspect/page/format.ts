/**
 * Contexts and figures for people. Pure and bounded: whatever comes, what is shown has a limit.
 */
import { type Actor, hasFailure, type Kind, kindOf, waitOf } from './actors.ts';
import { at, isObject } from './frames.ts';

/** Characters of one field of a context. */
const FIELD_TEXT = 4_000;
const SHORT = 90;

/** Ledger sequences are uint32; that much means "no end" (`MAX_LEDGER` of the machines). */
const NO_END = 4_294_967_295;

export interface Field {
  readonly key: string;
  /** On one line. */
  readonly short: string;
  /** The whole of it, up to a limit; null where the line says all. */
  readonly long: string | null;
}

const cut = (text: string, length: number): string => (text.length <= length ? text : `${text.slice(0, length)}…`);

function shortOf(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? '[]' : `[${value.length}]`;
  if (isObject(value)) {
    const keys = Object.keys(value);
    return keys.length === 0 ? '{}' : `{${cut(keys.join(', '), SHORT)}}`;
  }
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined');
  return cut(text, SHORT);
}

/** A context, field by field in its own order. */
export function fieldsOf(context: unknown): Field[] {
  if (!isObject(context)) return context === undefined ? [] : [{ key: 'value', short: shortOf(context), long: null }];
  return Object.entries(context).map(([key, value]) => {
    const isNested = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
    const isLong = typeof value === 'string' && value.length > SHORT;
    const whole = isNested ? JSON.stringify(value, null, 2) : isLong ? (value as string) : null;
    return { key, short: shortOf(value), long: whole === null ? null : cut(whole, FIELD_TEXT) };
  });
}

/** 1234567 → `1,234,567`, in any locale. */
const grouped = (value: number): string => String(value).replace(/\B(?=(\d{3})+$)/g, ',');

/**
 * Why an era failed, where, and what to do: from its own context, or, where it could not say so itself, from what its
 * supervisor knows. Null where it has not failed.
 */
export function failureOf(era: Actor): { readonly what: string; readonly hint: string } | null {
  const eraId = era.name.slice('era:'.length);
  const { context } = era.snapshot;
  const known = at(era.parent?.snapshot.context, 'eras', eraId, 'summary', 'failure');
  const failure = [known, at(context, 'failure'), at(context, 'summary', 'failure')].find(isObject);
  if (failure === undefined) return null;
  const text = (key: string): string => {
    const value = at(failure, key);
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  };
  const ledger = text('ledger') || text('start');
  const where = ledger === '' ? '' : ` at ledger ${grouped(Number(ledger))}`;
  const hint = text('hint');
  return {
    what: cut(`${eraId} failed${where}: ${text('code')}: ${text('message')}`, FIELD_TEXT),
    hint: cut(hint === '' ? `See docs/errors.md, ${text('code')}` : `What to do: ${hint}`, FIELD_TEXT),
  };
}

export interface EraGlance {
  readonly actor: Actor;
  readonly eraId: string;
  readonly kind: Kind;
  readonly text: string;
  /** Of the ledgers asked for, 0 to 1; null where there is no end, or it is not known. */
  readonly fraction: number | null;
}

/** How far an era is, from its own context. */
export function glance(actor: Actor): EraGlance {
  const { context } = actor.snapshot;
  const number = (...path: string[]): number | null => {
    const value = at(context, ...path);
    return typeof value === 'number' ? value : null;
  };
  const first = number('spec', 'grid', 'ledgerStart');
  const frontier = number('frontier');
  const target = number('target');
  const isBounded = target !== null && target < NO_END;
  const fraction =
    first === null || frontier === null || !isBounded ? null : (frontier - first) / Math.max(target - first + 1, 1);
  const words: string[] = [];
  // The frontier is the first ledger that is not committed.
  if (frontier !== null) words.push(`ledger ${grouped(frontier - 1)}${isBounded ? ` of ${grouped(target)}` : ''}`);
  const done = (number('summary', 'partitions') ?? 0) + (number('summary', 'partitionsFound') ?? 0);
  words.push(`${grouped(done)} partition${done === 1 ? '' : 's'}`);
  const retries = number('summary', 'retries') ?? 0;
  if (retries > 0) words.push(`${grouped(retries)} ${retries === 1 ? 'retry' : 'retries'}`);
  const failure = at(context, 'failure', 'code') ?? at(context, 'summary', 'failure', 'code');
  if (typeof failure === 'string') words.push(failure);
  else words.push(waitOf(actor) ?? '');
  return {
    actor,
    eraId: actor.name.slice('era:'.length),
    kind: hasFailure(actor) ? 'failed' : kindOf(actor),
    text: words.filter(Boolean).join(' · '),
    fraction: fraction === null ? null : Math.min(Math.max(fraction, 0), 1),
  };
}
