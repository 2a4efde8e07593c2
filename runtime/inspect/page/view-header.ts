/** The header: the connection, and how far each era is. */
import type { Actor } from './actors.ts';
import { type ConnectionState, connectionText, staleText } from './connection.ts';
import { byId, make, setAttribute, setChildren, setClass, setText } from './dom.ts';
import { failureOf, glance } from './format.ts';

interface Chip {
  readonly button: HTMLButtonElement;
  readonly text: HTMLElement;
  readonly bar: HTMLProgressElement;
}

export class HeaderView {
  readonly #connection = byId('connection');
  readonly #stale = byId('stale');
  readonly #eras = byId('eras');
  readonly #failures = byId('failures');
  readonly #told = new Map<string, HTMLLIElement>();
  readonly #chips = new Map<string, Chip>();
  readonly #choose: (name: string) => void;

  constructor(choose: (name: string) => void) {
    this.#choose = choose;
  }

  draw(eras: readonly Actor[], state: ConnectionState): void {
    setText(this.#connection, connectionText(state));
    setClass(this.#connection, state.isConnected ? 'on' : 'off');
    const stale = staleText(state);
    setText(this.#stale, stale ?? '');
    this.#stale.hidden = stale === null;
    setChildren(
      this.#eras,
      eras.map((era) => {
        const { eraId, kind, text, fraction } = glance(era);
        const chip = this.#chips.get(era.name) ?? this.#make(era.name, eraId);
        setClass(chip.button, `era ${kind}`);
        setText(chip.text, text);
        chip.bar.hidden = fraction === null;
        setAttribute(chip.bar, 'value', (fraction ?? 0).toFixed(3));
        return chip.button;
      }),
    );
    setChildren(
      this.#failures,
      eras.flatMap((era) => this.#failure(era)),
    );
  }

  #failure(era: Actor): HTMLLIElement[] {
    const failure = failureOf(era);
    if (failure === null) return [];
    const item = this.#told.get(era.name) ?? make('li');
    this.#told.set(era.name, item);
    const { what, hint } = failure;
    if (item.textContent !== what + hint) item.replaceChildren(make('span', '', what), make('span', 'hint', hint));
    return [item];
  }

  #make(name: string, eraId: string): Chip {
    const button = make('button');
    button.type = 'button';
    button.dataset.era = eraId;
    const text = make('span', 'progress');
    const bar = make('progress');
    bar.max = 1;
    bar.setAttribute('aria-label', `progress of era ${eraId}`);
    button.append(make('b', '', eraId), text, bar);
    button.addEventListener('click', () => this.#choose(name));
    const chip = { button, text, bar };
    this.#chips.set(name, chip);
    return chip;
  }
}
