/** The context of the chosen actor, field by field; nested ones open and close, and stay so while they change. */
import type { Actor } from './actors.ts';
import { byId, make, setChildren, setText } from './dom.ts';
import { type Field, fieldsOf } from './format.ts';

/** Ms between two looks at a context: it changes with every event, and nobody reads faster. */
const PAUSE_MS = 250;

interface Line {
  readonly element: HTMLElement;
  readonly short: HTMLElement;
  readonly long: HTMLElement | null;
}

export class ContextView {
  readonly #place = byId('context');
  readonly #lines = new Map<string, Line>();
  #seen: unknown = null;
  #of: string | null = null;
  #due = 0;

  /** Whether there is something newer than what is shown; it is drawn when the pause is over. */
  isBehind(actor: Actor | null): boolean {
    return this.#seen !== (actor?.snapshot ?? null);
  }

  draw(actor: Actor | null, now: number): void {
    const isOther = this.#of !== (actor?.name ?? null);
    if (!isOther && (now < this.#due || !this.isBehind(actor))) return;
    this.#due = now + PAUSE_MS;
    this.#seen = actor?.snapshot ?? null;
    this.#of = actor?.name ?? null;
    if (isOther) this.#lines.clear();
    const { context, error } = actor?.snapshot ?? {};
    const fields = fieldsOf(error === undefined ? context : { error, ...(context as object | undefined) });
    setChildren(
      this.#place,
      fields.map((field) => this.#line(field)),
    );
  }

  #line({ key, short, long }: Field): HTMLElement {
    // A field that begins or ceases to be nested is another line.
    const id = `${key} ${long === null ? 'flat' : 'nested'}`;
    const line = this.#lines.get(id) ?? this.#make(key, long !== null);
    this.#lines.set(id, line);
    setText(line.short, short);
    if (line.long) setText(line.long, long ?? '');
    return line.element;
  }

  #make(key: string, isNested: boolean): Line {
    const short = make('span', 'value');
    const name = make('span', 'key', key);
    if (!isNested) {
      const element = make('div', 'field');
      element.append(name, short);
      return { element, short, long: null };
    }
    const element = make('details', 'field');
    const summary = make('summary');
    summary.append(name, short);
    const long = make('pre');
    element.append(summary, long);
    return { element, short, long };
  }
}
