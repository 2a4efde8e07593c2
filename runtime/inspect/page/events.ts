/**
 * The last events of a run, newest first, and which of them are shown. Pure and bounded: the oldest are forgotten.
 */
import type { Transition } from './actors.ts';
import type { EventFrame, LooseEvent } from './frames.ts';

/** As many as are kept and shown. */
export const KEPT_EVENTS = 400;

/** Events of one actor that may be sent before the state is told that an earlier one led to. */
const UNSETTLED = 8;

/** Characters of an event's fields that are shown and searched. */
const DETAIL = 300;

export interface Row {
  /** Grows by one with every event. */
  readonly n: number;
  /** Ms since the epoch; 0 where the frame does not say. */
  readonly time: number;
  readonly from: string | null;
  readonly to: string;
  readonly event: LooseEvent;
  /** The state that it brought its receiver into. */
  result: string | null;
}

export interface Filter {
  /** Name of the actor that sent or got it; null = any. */
  readonly actor: string | null;
  /** Must stand in it somewhere, in any case. */
  readonly text: string;
}

/** The event's fields on one line. */
export function detailOf({ type: _, ...fields }: LooseEvent): string {
  const text = Object.entries(fields)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
  return text.length <= DETAIL ? text : `${text.slice(0, DETAIL)}…`;
}

function isShown(row: Row, filter: Filter): boolean {
  if (filter.actor !== null && row.to !== filter.actor && row.from !== filter.actor) return false;
  if (filter.text === '') return true;
  const words = `${row.from ?? ''} ${row.to} ${row.event.type} ${row.result ?? ''} ${detailOf(row.event)}`;
  return words.toLowerCase().includes(filter.text.toLowerCase());
}

/** `12:34:56.789` of the browser's own zone. */
export function clock(ms: number): string {
  if (!Number.isFinite(ms) || ms === 0) return '';
  const date = new Date(ms);
  const two = (part: number): string => String(part).padStart(2, '0');
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${time}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

export class Events {
  #rows: Row[] = [];
  #count = 0;
  /** The last rows of each receiver, so that their results can be told. */
  readonly #last = new Map<string, Row[]>();

  /** Of all events since the page was opened. */
  get count(): number {
    return this.#count;
  }

  add(frame: EventFrame, to: string, from: string | null): void {
    this.#count += 1;
    const row: Row = { n: this.#count, time: Number(frame.createdAt ?? 0), from, to, event: frame.event, result: null };
    this.#rows.push(row);
    this.#last.set(to, [...(this.#last.get(to) ?? []), row].slice(-UNSETTLED));
    // In steps, so that not every event moves the whole list.
    if (this.#rows.length >= 2 * KEPT_EVENTS) this.#rows = this.#rows.slice(-KEPT_EVENTS);
    if (this.#last.size > KEPT_EVENTS) this.#last.clear();
  }

  /**
   * What an event did to its receiver. The frame of the state follows that of the event, but what the receiver was sent
   * meanwhile, as by an effect that it has just started, stands between the two.
   */
  settle(to: string, transition: Transition): void {
    const row = this.#last.get(to)?.findLast(({ event }) => event.type === transition.event);
    if (row) row.result = transition.to;
  }

  /** Newest first. `after`: only rows that came later than this one. */
  shown(filter: Filter, after = 0): Row[] {
    const rows: Row[] = [];
    for (let i = this.#rows.length - 1; i >= 0 && rows.length < KEPT_EVENTS; i--) {
      const row = this.#rows[i] as Row;
      if (row.n <= after) break;
      if (isShown(row, filter)) rows.push(row);
    }
    return rows;
  }
}
