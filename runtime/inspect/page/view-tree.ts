/** The tree of actors on the left. It draws what `actors.ts` knows and says which one was chosen. */
import { type Actor, hasFailure, kindOf, stateText, waitOf } from './actors.ts';
import { byId, make, setAttribute, setChildren, setClass, setText } from './dom.ts';

interface Item {
  readonly item: HTMLLIElement;
  readonly button: HTMLButtonElement;
  readonly state: HTMLElement;
  readonly effects: HTMLElement;
  readonly list: HTMLUListElement;
}

/** Another run gives the same session ids to other actors. */
const keyOf = ({ sessionId, name }: Actor): string => `${sessionId} ${name}`;

/** `worker:pre_p23:2` stands below its era, so `worker 2` says enough. */
function shortName({ name, parent }: Actor): string {
  const [kind = name, eraId = '', n] = name.split(':');
  if (n !== undefined) return `${kind} ${n}`;
  return parent?.machine === 'era' || eraId === '' ? kind : `${kind} ${eraId}`;
}

export class TreeView {
  readonly #root = byId<HTMLUListElement>('actors');
  /** By `keyOf`. */
  readonly #items = new Map<string, Item>();
  readonly #choose: (name: string) => void;

  constructor(choose: (name: string) => void) {
    this.#choose = choose;
    this.#root.addEventListener('keydown', (event) => this.#move(event));
  }

  draw(roots: readonly Actor[], chosen: string | null): void {
    const drawn = new Set<string>();
    setChildren(
      this.#root,
      roots.map((actor) => this.#draw(actor, chosen, drawn)),
    );
    for (const key of this.#items.keys()) if (!drawn.has(key)) this.#items.delete(key);
  }

  #draw(actor: Actor, chosen: string | null, drawn: Set<string>): HTMLLIElement {
    drawn.add(keyOf(actor));
    const view = this.#items.get(keyOf(actor)) ?? this.#make(actor);
    const kind = kindOf(actor);
    const wait = waitOf(actor);
    const isBelow = kind !== 'failed' && hasFailure(actor);
    setClass(view.item, `actor ${kind}${isBelow ? ' failed-below' : ''}`);
    setText(view.state, stateText(actor));
    setAttribute(view.button, 'title', `${actor.name}: ${kind}${wait === null ? '' : `, ${wait}`}`);
    setAttribute(view.button, 'aria-current', String(actor.name === chosen));
    view.button.tabIndex = actor.name === chosen ? 0 : -1;
    const children = [...actor.children];
    const effects = children.filter((child) => child.machine === null && kind !== 'stopped');
    setText(view.effects, effects.map((effect) => effect.label).join(', '));
    setChildren(
      view.list,
      children.filter((child) => child.machine !== null).map((child) => this.#draw(child, chosen, drawn)),
    );
    return view.item;
  }

  #make(actor: Actor): Item {
    const item = make('li');
    item.dataset.actor = actor.name;
    const button = make('button');
    button.type = 'button';
    const [dot, name, state, effects] = [
      make('span', 'dot'),
      make('span', 'name', shortName(actor)),
      make('span', 'state'),
      make('span', 'effects'),
    ];
    dot.setAttribute('aria-hidden', 'true');
    button.append(dot, name, state, effects);
    button.addEventListener('click', () => this.#choose(actor.name));
    const list = make('ul');
    item.append(button, list);
    const view = { item, button, state, effects, list };
    this.#items.set(keyOf(actor), view);
    return view;
  }

  /** Up, down, to the ends: the chosen actor follows. */
  #move(event: KeyboardEvent): void {
    const buttons = [...this.#root.querySelectorAll('button')];
    const now = buttons.indexOf(document.activeElement as HTMLButtonElement);
    const next = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: buttons.length - 1 }[event.key];
    const button = next === undefined ? undefined : buttons[next];
    if (now < 0 || button === undefined) return;
    event.preventDefault();
    button.focus();
    button.click();
  }
}
