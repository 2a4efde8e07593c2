/**
 * The script of the inspector's page: frames come in, are taken into account at once, and are drawn a few times a second.
 * It only ever reads: nothing is sent to the copier. It asks nothing of anybody but the copier, unless the second tab is
 * opened.
 */
import { Actors, isOver, stateText } from './actors.ts';
import { pauseMs } from './connection.ts';
import { byId, setText } from './dom.ts';
import { Events } from './events.ts';
import { at, parseFrame } from './frames.ts';
import { HostedTab } from './hosted.ts';
import { Relay } from './relay.ts';
import { ChartView } from './view-chart.ts';
import { ContextView } from './view-context.ts';
import { EventsView } from './view-events.ts';
import { HeaderView } from './view-header.ts';
import { TreeView } from './view-tree.ts';

/** Between two drawings, ms: more often nobody can follow, and the copy needs the processor. */
const DRAW_MS = 125;

interface Charts {
  readonly machines: Readonly<Record<string, string>>;
  readonly hosted: string;
  readonly program: string;
  readonly version: string;
}

const actors = new Actors();
const events = new Events();
const relay = new Relay((sessionId) => actors.get(sessionId) !== undefined);
let chosen: string | null = null;
let isDirty = true;
const connection = { isConnected: false, wasConnected: false, outcome: null as string | null };

const redraw = (): void => {
  isDirty = true;
};

const choose = (name: string): void => {
  chosen = name;
  redraw();
};

function take(text: string): void {
  const frame = parseFrame(text);
  if (frame === null) return;
  if (frame.type === '@xstate.event') {
    events.add(
      frame,
      actors.labelOf(frame.sessionId),
      frame.sourceId === undefined ? null : actors.labelOf(frame.sourceId),
    );
  }
  const transition = actors.apply(frame);
  if (transition !== null) events.settle(actors.get(frame.sessionId)?.name ?? '', transition);
  relay.take(frame);
  redraw();
}

function connect(onNewRun: () => void, failed = 0): void {
  const socket = new WebSocket(`ws://${location.host}/`);
  let isFirst = true;
  socket.addEventListener('open', () => {
    Object.assign(connection, { isConnected: true, wasConnected: true });
    redraw();
  });
  socket.addEventListener('message', ({ data }) => {
    // What is known stays until the copier, perhaps another one, tells anew what there is.
    if (isFirst) {
      isFirst = false;
      actors.clear();
      relay.clear();
      onNewRun();
    }
    take(String(data));
  });
  // An error is followed by `close`.
  socket.addEventListener('close', () => {
    const lost = connection.isConnected ? 0 : failed + 1;
    connection.isConnected = false;
    redraw();
    setTimeout(() => connect(onNewRun, lost), pauseMs(lost));
  });
}

/** Tabs as the ARIA practices have them: arrows move, the one that is shown is in the tab order. */
function openTabs(hosted: HostedTab): void {
  const tabs = [byId('tab-live'), byId('tab-hosted')];
  const show = (tab: HTMLElement): void => {
    for (const each of tabs) {
      each.setAttribute('aria-selected', String(each === tab));
      each.tabIndex = each === tab ? 0 : -1;
      byId(each.getAttribute('aria-controls') ?? '').hidden = each !== tab;
    }
    if (tab === tabs[1]) hosted.open();
    redraw();
  };
  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener('click', () => show(tab));
    tab.addEventListener('keydown', ({ key }) => {
      if (key === 'ArrowLeft' || key === 'ArrowRight') tabs[1 - i]?.focus();
    });
  }
}

async function start(): Promise<void> {
  const response = await fetch('/charts.json');
  if (!response.ok) throw new Error(`charts.json: ${response.status}`);
  const charts = (await response.json()) as Charts;
  setText(byId('program'), `${charts.program} ${charts.version}`);
  const hosted = new HostedTab(charts.hosted, relay);
  openTabs(hosted);
  const tree = new TreeView(choose);
  const header = new HeaderView(choose);
  const chart = new ChartView(charts.machines);
  const context = new ContextView();
  const list = new EventsView(events);
  for (const id of ['filter', 'only-chosen', 'pause', 'fit']) {
    byId(id).addEventListener('input', redraw);
    byId(id).addEventListener('click', redraw);
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  addEventListener('resize', redraw);

  let drawnAt = 0;
  const draw = (now: number): void => {
    requestAnimationFrame(draw);
    if (!isDirty || now - drawnAt < DRAW_MS) return;
    isDirty = false;
    drawnAt = now;
    const { roots } = actors;
    const supervisor = roots[0];
    if (supervisor) connection.outcome = isOver(supervisor) ? stateText(supervisor) : null;
    const eras = [...(supervisor?.children ?? [])].filter((actor) => actor.machine === 'era');
    // Who is not there may come back: after a reconnection everybody is told of anew, one by one.
    const actor = (chosen === null ? undefined : actors.named(chosen)) ?? eras[0] ?? supervisor ?? null;
    const name = actor?.name ?? null;
    header.draw(eras, connection);
    tree.draw(roots, name);
    chart.draw(actor);
    context.draw(actor, now);
    list.draw(name);
    // A context that changed within its pause is drawn later.
    if (context.isBehind(actor)) isDirty = true;
  };
  requestAnimationFrame(draw);
  connect(() => hosted.restart());
}

start().catch((error: unknown) => {
  setText(byId('connection'), `the page cannot work: ${String(at(error, 'message') ?? error)}`);
});
