/**
 * The chart of the chosen actor. Mermaid draws each machine once; what is active is lit by a class on its elements, so
 * that a change of state costs next to nothing. The chart is larger than its place: it scrolls to what is lit.
 */
import { type Actor, kindOf, stateText } from './actors.ts';
import { chartId, leaves, stateOfElement } from './chart.ts';
import { byId, make, setClass, setText } from './dom.ts';

declare const mermaid: {
  initialize(options: object): void;
  render(id: string, text: string): Promise<{ svg: string }>;
};

interface Drawn {
  readonly svg: SVGSVGElement;
  /** Natural width, CSS pixels. */
  readonly width: number;
  /** Elements by the state they stand for. */
  readonly states: ReadonlyMap<string, Element>;
}

/** Smaller than that, names cannot be read. */
const READABLE = 0.7;

/** States and arrows only: what stands on the arrows makes a chart several times as wide. */
function withoutEvents(text: string): string {
  const lines = text.split('\n').map((line) => line.replace(/^(\s*\S+ --> \S+?)\s*:.*$/, '$1'));
  return lines.filter((line, n) => !line.includes('-->') || lines.indexOf(line) === n).join('\n');
}

export class ChartView {
  readonly #place = byId('chart');
  readonly #title = byId('chart-title');
  readonly #last = byId('last-transition');
  readonly #charts: Readonly<Record<string, string>>;
  readonly #dark = matchMedia('(prefers-color-scheme: dark)');
  readonly #drawn = new Map<string, Promise<Drawn>>();
  #shown: string | null = null;
  #lit = '';
  #isFitted = false;

  constructor(charts: Readonly<Record<string, string>>) {
    this.#charts = charts;
    this.#dark.addEventListener('change', () => {
      this.#drawn.clear();
      this.#shown = null;
    });
    byId('fit').addEventListener('click', (event) => {
      this.#isFitted = !this.#isFitted;
      // It takes the place of everything else: in its own, names of the largest could not be read.
      byId('live').classList.toggle('fitted', this.#isFitted);
      (event.currentTarget as Element).setAttribute('aria-pressed', String(this.#isFitted));
      this.#shown = null;
    });
  }

  /** Cheap where nothing changed; called often. */
  draw(actor: Actor | null): void {
    setText(this.#title, actor?.name ?? '');
    const last = actor?.last;
    setText(this.#last, last ? `${last.from} → ${last.to} on ${last.event}` : actor ? stateText(actor) : '');
    const machine = actor?.machine ?? null;
    const text = machine === null ? undefined : this.#charts[machine];
    if (!actor || machine === null || text === undefined) {
      if (this.#shown !== '') this.#place.replaceChildren(make('p', 'hint', 'There is no chart of this actor.'));
      this.#shown = '';
      return;
    }
    setClass(this.#place, kindOf(actor));
    const lit = actor.active.join(' ');
    if (this.#shown === machine && this.#lit === lit) return;
    const isNew = this.#shown !== machine;
    this.#shown = machine;
    this.#lit = lit;
    this.#chart(machine, text).then(
      (drawn) => {
        // Another one may have been chosen while it was drawn.
        if (this.#shown !== machine || this.#lit !== lit) return;
        if (isNew || drawn.svg.parentElement !== this.#place) this.#show(drawn);
        this.#light(drawn, actor.active);
      },
      (error: unknown) => {
        if (this.#shown === machine) this.#place.replaceChildren(make('p', 'hint', `No chart: ${String(error)}`));
      },
    );
  }

  #show(drawn: Drawn): void {
    const room = this.#place.clientWidth - 16;
    const scale = this.#isFitted
      ? Math.min(1, room / drawn.width)
      : Math.min(1, Math.max(READABLE, room / drawn.width));
    drawn.svg.style.maxWidth = 'none';
    drawn.svg.style.width = `${Math.round(drawn.width * scale)}px`;
    this.#place.replaceChildren(drawn.svg);
  }

  #light(drawn: Drawn, active: readonly string[]): void {
    const inner = new Set(leaves(active).map(chartId));
    const all = new Set(active.map(chartId));
    for (const [state, element] of drawn.states) {
      element.classList.toggle('lit', inner.has(state));
      element.classList.toggle('lit-around', all.has(state) && !inner.has(state));
    }
    const [first] = inner;
    const element = first === undefined ? undefined : drawn.states.get(first);
    if (element) this.#reveal(element);
  }

  #reveal(element: Element): void {
    const room = this.#place.getBoundingClientRect();
    const box = element.getBoundingClientRect();
    const isInside =
      box.left >= room.left && box.right <= room.right && box.top >= room.top && box.bottom <= room.bottom;
    if (isInside) return;
    this.#place.scrollBy({
      left: (box.left + box.right - room.left - room.right) / 2,
      top: (box.top + box.bottom - room.top - room.bottom) / 2,
    });
  }

  #chart(machine: string, text: string): Promise<Drawn> {
    const key = this.#isFitted ? `${machine}-whole` : machine;
    const known = this.#drawn.get(key);
    if (known) return known;
    const drawing = this.#make(key, this.#isFitted ? withoutEvents(text) : text);
    this.#drawn.set(key, drawing);
    return drawing;
  }

  async #make(machine: string, text: string): Promise<Drawn> {
    // Mermaid is large: everything else works before it is there.
    if (document.readyState !== 'complete') await new Promise((loaded) => addEventListener('load', loaded));
    mermaid.initialize({
      startOnLoad: false,
      securityLevel: 'strict',
      theme: this.#dark.matches ? 'dark' : 'neutral',
      state: { nodeSpacing: 24, rankSpacing: 34 },
    });
    const id = `chart-${machine}`;
    const { svg: markup } = await mermaid.render(id, text);
    // The only markup that is taken over: Mermaid made it from the copier's own charts, and sanitised it.
    const parsed = new DOMParser().parseFromString(markup, 'text/html').querySelector('svg');
    if (parsed === null) throw new Error(`no chart of ${machine}`);
    const svg = document.importNode(parsed, true);
    const states = new Map<string, Element>();
    for (const element of svg.querySelectorAll('g.statediagram-state[id]')) {
      const state = stateOfElement(id, element.id);
      if (state === null) continue;
      element.setAttribute('data-state', state);
      states.set(state, element);
    }
    return { svg, width: svg.viewBox.baseVal.width, states };
  }
}
