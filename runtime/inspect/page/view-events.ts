/** The list of events on the right: newest first, filtered, paused on demand. */
import { byId, make, setText } from './dom.ts';
import { clock, detailOf, type Events, type Filter, KEPT_EVENTS, type Row } from './events.ts';

const SETTLED_ROWS = 40;

export class EventsView {
  readonly #list = byId<HTMLOListElement>('events');
  readonly #pause = byId<HTMLButtonElement>('pause');
  readonly #count = byId('event-count');
  readonly #text = byId<HTMLInputElement>('filter');
  readonly #only = byId<HTMLInputElement>('only-chosen');
  readonly #events: Events;
  /** What the list shows: its filter, and its newest row. */
  #shown = '';
  #newest = 0;
  #pausedAt: number | null = null;
  /** Rows whose result may still come. */
  #unsettled: { row: Row; result: HTMLElement }[] = [];

  constructor(events: Events) {
    this.#events = events;
    this.#pause.addEventListener('click', () => {
      this.#pausedAt = this.#pausedAt === null ? events.count : null;
      this.#pause.setAttribute('aria-pressed', String(this.#pausedAt !== null));
      this.#shown = '';
    });
  }

  draw(chosen: string | null): void {
    const { count } = this.#events;
    if (this.#pausedAt !== null) {
      setText(this.#pause, `go on (${count - this.#pausedAt} new)`);
      if (this.#shown === 'paused') return;
    } else setText(this.#pause, 'pause');
    setText(this.#count, String(count));
    const filter: Filter = { actor: this.#only.checked ? chosen : null, text: this.#text.value.trim() };
    const key = JSON.stringify(filter);
    const isSame = key === this.#shown;
    if (isSame && count === this.#newest) {
      this.#settle();
      return;
    }
    const rows = this.#events.shown(filter, isSame ? this.#newest : 0);
    const made = rows.map((row) => this.#make(row));
    if (isSame) this.#list.prepend(...made);
    else this.#list.replaceChildren(...made);
    while (this.#list.children.length > KEPT_EVENTS) this.#list.lastElementChild?.remove();
    this.#newest = count;
    this.#shown = this.#pausedAt === null ? key : 'paused';
    this.#settle();
  }

  #make(row: Row): HTMLLIElement {
    const item = make('li');
    const result = make('span', 'result', row.result === null ? '' : `→ ${row.result}`);
    const detail = make('span', 'detail', detailOf(row.event));
    const head = make('div', 'event-head');
    head.append(make('time', '', clock(row.time)), make('b', '', row.event.type), result);
    const who = make('div', 'who', row.from === null || row.from === row.to ? row.to : `${row.from} → ${row.to}`);
    item.append(head, who, detail);
    if (row.result === null) this.#unsettled.push({ row, result });
    if (this.#unsettled.length > SETTLED_ROWS) this.#unsettled = this.#unsettled.slice(-SETTLED_ROWS);
    return item;
  }

  #settle(): void {
    for (const { row, result } of this.#unsettled) if (row.result !== null) setText(result, `→ ${row.result}`);
    this.#unsettled = this.#unsettled.filter(({ row }) => row.result === null);
  }
}
