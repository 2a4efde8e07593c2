// The logic of the inspector's page, without a browser: what it makes of frames, and what it shows of them.
import { describe, expect, it } from 'vitest';
import { chartMermaid, MACHINES } from '../../runtime/charts.ts';
import { type Actor, Actors, hasFailure, kindOf, stateText, waitOf } from '../../runtime/inspect/page/actors.ts';
import { chartId, leaves, stateOfElement } from '../../runtime/inspect/page/chart.ts';
import { connectionText, pauseMs, staleText } from '../../runtime/inspect/page/connection.ts';
import { clock, detailOf, Events, KEPT_EVENTS } from '../../runtime/inspect/page/events.ts';
import { fieldsOf, glance } from '../../runtime/inspect/page/format.ts';
import { type EventFrame, type Frame, parseFrame, type Snapshot } from '../../runtime/inspect/page/frames.ts';
import { Relay } from '../../runtime/inspect/page/relay.ts';

const WORKER = JSON.stringify(MACHINES.worker?.config);

const born = (sessionId: string, name: string, parentId: string | undefined, snapshot: Snapshot): Frame => ({
  type: '@xstate.actor',
  sessionId,
  name,
  ...(parentId === undefined ? {} : { parentId }),
  definition: name.startsWith('worker:') ? WORKER : '{}',
  snapshot,
});

const became = (sessionId: string, snapshot: Snapshot, event = 'some.event'): Frame => ({
  type: '@xstate.snapshot',
  sessionId,
  event: { type: event },
  snapshot,
});

const sent = (sessionId: string, type: string, fields: object = {}): EventFrame => ({
  type: '@xstate.event',
  sessionId,
  createdAt: '1795442703182',
  event: { type, ...fields },
});

const active = (value: unknown, more: Partial<Snapshot> = {}): Snapshot => ({ status: 'active', value, ...more });

/** A supervisor with one era, its sequencer and a worker that builds. */
function run(): Actors {
  const actors = new Actors();
  actors.apply(born('x:0', 'supervisor', undefined, active('running')));
  actors.apply(born('x:1', 'era:one', 'x:0', active('copying')));
  actors.apply(born('x:2', 'sequencer:one', 'x:1', active('waiting')));
  actors.apply(born('x:3', 'worker:one:1', 'x:1', active('building')));
  actors.apply(born('x:4', '0.worker.building', 'x:3', { status: 'active' }));
  return actors;
}

const actor = (actors: Actors, name: string): Actor => {
  const found = actors.named(name);
  if (!found) throw new Error(`no actor ${name}`);
  return found;
};

const shape = (from: Actor): unknown => ({ [from.label]: [...from.children].map(shape) });

describe('frames', () => {
  it('are read where they are some, and left out where they are not', () => {
    expect(parseFrame(JSON.stringify(sent('x:1', 'a')))).toEqual(sent('x:1', 'a'));
    const none = ['', '{', 'null', '[]', '{"type":"@xstate.event"}', '{"type":"@xstate.event","sessionId":"x:1"}'];
    const odd = ['{"type":"@xstate.snapshot","sessionId":"x:1"}', '{"type":"@xstate.microstep","sessionId":"x:1"}'];
    expect([...none, ...odd].map(parseFrame)).toEqual([...none, ...odd].map(() => null));
  });
});

describe('the tree of actors', () => {
  it('has everybody below whom started it, and says what effects do', () => {
    const [root] = run().roots;
    expect(shape(root as Actor)).toEqual({
      supervisor: [{ 'era:one': [{ 'sequencer:one': [] }, { 'worker:one:1': [{ buildPartition: [] }] }] }],
    });
  });

  it('loses effects that have ended, and those that were cancelled', () => {
    const actors = run();
    actors.apply(became('x:4', { status: 'done' }));
    expect(actors.get('x:4')).toBeUndefined();
    actors.apply(born('x:5', '0.worker.staging', 'x:3', { status: 'active' }));
    actors.apply(became('x:3', active('staging', { children: { '0.worker.staging': {} } })));
    expect(actors.get('x:5')).toBeDefined();
    actors.apply(became('x:3', active('idle', { children: {} })));
    expect(actors.get('x:5')).toBeUndefined();
  });

  it('knows what an effect was called when an event of it comes late', () => {
    const actors = run();
    actors.apply(became('x:4', { status: 'done' }));
    actors.apply(born('x:5', '0.worker.staging', 'x:3', { status: 'done' }));
    const labels = ['x:3', 'x:4', 'x:5', 'x:6'].map((id) => actors.labelOf(id));
    expect(labels).toEqual(['worker:one:1', 'buildPartition', 'stagePartition', 'x:6']);
    expect([...actors.all].map(({ sessionId }) => sessionId)).toEqual(['x:0', 'x:1', 'x:2', 'x:3']);
  });

  it('keeps effects of which a frame that was cut says nothing', () => {
    const actors = run();
    actors.apply(became('x:3', active('building', { children: {}, context: '…' })));
    actors.apply(became('x:3', active('building', { children: { '…': '2 more' } })));
    expect(actors.get('x:4')).toBeDefined();
  });

  it('tells transitions, and only those', () => {
    const actors = run();
    expect(actors.apply(became('x:3', active('building', { context: {} }), 'build.progressed'))).toBeNull();
    const transition = { from: 'building', to: 'staging', event: 'xstate.done.actor.x' };
    expect(actors.apply(became('x:3', active('staging'), 'xstate.done.actor.x'))).toEqual(transition);
    expect(actor(actors, 'worker:one:1').last).toEqual(transition);
    expect(actors.apply(became('x:99', active('staging')))).toBeNull();
  });

  it('gives the place of an actor to the one that is started under its name', () => {
    const actors = run();
    actors.apply(born('x:9', 'era:one', 'x:0', active({ recovering: 'opening' })));
    expect([...actors.all].map(({ sessionId }) => sessionId)).toEqual(['x:0', 'x:9']);
    expect(stateText(actor(actors, 'era:one'))).toBe('recovering.opening');
  });

  it('takes an actor that is told of again for the same', () => {
    const actors = run();
    actors.apply(born('x:3', 'worker:one:1', 'x:1', active('idle')));
    expect(stateText(actor(actors, 'worker:one:1'))).toBe('idle');
    expect([...actors.all]).toHaveLength(5);
  });

  it('bears a definition that was cut', () => {
    const actors = run();
    actors.apply({ ...born('x:7', 'courier:one', 'x:1', active('idle')), definition: '{"id":"cou…' } as Frame);
    actors.apply(born('x:8', '0.courier.recording', 'x:7', { status: 'active' }));
    expect(actors.get('x:8')?.label).toBe('0.courier.recording');
  });

  it('tells kinds of states apart', () => {
    const kind = (value: unknown, more: Partial<Snapshot> = {}, name = 'era:one', id = 'x:1') => {
      const actors = run();
      actors.apply(became(id, active(value, more)));
      return kindOf(actor(actors, name));
    };
    expect(kind('copying')).toBe('running');
    expect(kind({ recovering: 'backingOff' })).toBe('waiting');
    expect(kind({ awaitingLedgers: 'polling' })).toBe('waiting');
    expect(kind({ draining: 'delivering' }, { context: { waits: { era: 'delivering what is left' } } })).toBe(
      'waiting',
    );
    expect(kind('waiting', {}, 'sequencer:one', 'x:2')).toBe('idle');
    expect(kind({ delivering: 'waitingForDelivery' }, {}, 'sequencer:one', 'x:2')).toBe('waiting');
    expect(kind('done', { status: 'done' })).toBe('done');
    expect(kind('failed', { status: 'done' })).toBe('failed');
    expect(kind('crashed', { status: 'done' })).toBe('failed');
    expect(kind('orphaned', { status: 'done' }, 'worker:one:1', 'x:3')).toBe('stopped');
    expect(kind('building', { status: 'error' }, 'worker:one:1', 'x:3')).toBe('failed');
    expect(kind('done', { status: 'done' }, 'worker:one:1', 'x:1')).toBe('stopped');
  });

  it('is red from a failure up to the root, and nowhere else', () => {
    const actors = run();
    actors.apply(born('x:5', 'era:two', 'x:0', active('copying')));
    actors.apply(became('x:2', active('failed')));
    const red = [...actors.all].filter(hasFailure).map(({ name }) => name);
    expect(red).toEqual(['supervisor', 'era:one', 'sequencer:one']);
  });

  it('takes an era for failed that the supervisor has given up', () => {
    const actors = run();
    const context = { eras: { one: { summary: { outcome: 'failed' } } } };
    actors.apply(became('x:0', active('running', { context })));
    expect(kindOf(actor(actors, 'era:one'))).toBe('failed');
  });

  it('says what an actor waits for', () => {
    const actors = run();
    const waits = { 'worker:one:1': 'backing off after SOURCE_FAILED' };
    actors.apply(became('x:1', active('copying', { context: { waits } })));
    expect(waitOf(actor(actors, 'worker:one:1'))).toBe('backing off after SOURCE_FAILED');
    expect(waitOf(actor(actors, 'era:one'))).toBeNull();
  });
});

describe('the chart', () => {
  it.each(Object.keys(MACHINES))('has every state of %s under the name that is lit', (name) => {
    const text = chartMermaid(name);
    const visit = (states: object, path: readonly string[]): string[] =>
      Object.entries(states).flatMap(([key, state]: [string, { states?: object }]) => [
        [...path, key].join('.'),
        ...visit(state.states ?? {}, [...path, key]),
      ]);
    const paths = visit(MACHINES[name]?.states ?? {}, []);
    expect(paths.length).toBeGreaterThan(4);
    expect(paths.filter((path) => !new RegExp(` as ${chartId(path)}\\b`).test(text))).toEqual([]);
  });

  it('lights the innermost states', () => {
    expect(leaves(['draining', 'draining.closing'])).toEqual(['draining.closing']);
    expect(leaves(['idle', 'idleness'])).toEqual(['idle', 'idleness']);
  });

  it('knows the elements of states', () => {
    expect(stateOfElement('chart-era', 'chart-era-state-recovering_opening-22')).toBe('recovering_opening');
    expect(stateOfElement('chart-era', 'chart-era-state-recovering_opening----note-2')).toBeNull();
    expect(stateOfElement('chart-era', 'chart-worker-state-idle-1')).toBeNull();
    expect(stateOfElement('chart-era', 'chart-era-edge1')).toBeNull();
  });
});

describe('the list of events', () => {
  const everything = { actor: null, text: '' };

  it('is newest first, bounded, and counts what it forgot', () => {
    const events = new Events();
    for (let i = 0; i < 5 * KEPT_EVENTS; i++) events.add(sent('x:1', `event.${i}`), 'era:one', null);
    const rows = events.shown(everything);
    expect(events.count).toBe(5 * KEPT_EVENTS);
    expect(rows).toHaveLength(KEPT_EVENTS);
    expect(rows[0]?.event.type).toBe(`event.${5 * KEPT_EVENTS - 1}`);
    expect(events.shown(everything, events.count - 3)).toHaveLength(3);
  });

  it('is filtered by actor and by text', () => {
    const events = new Events();
    events.add(sent('x:1', 'partition.staged', { range: { start: 16 } }), 'era:one', 'worker:one:1');
    events.add(sent('x:2', 'partition.staged'), 'sequencer:one', 'era:one');
    events.add(sent('x:3', 'work.cancelled'), 'worker:one:2', null);
    const types = (actor: string | null, text = '') =>
      events.shown({ actor, text }).map(({ event, to }) => `${event.type} ${to}`);
    expect(types('era:one')).toEqual(['partition.staged sequencer:one', 'partition.staged era:one']);
    expect(types('worker:one:1')).toEqual(['partition.staged era:one']);
    expect(types(null, 'CANCEL')).toEqual(['work.cancelled worker:one:2']);
    expect(types(null, '"start":16')).toEqual(['partition.staged era:one']);
    expect(types('era:one', 'cancel')).toEqual([]);
  });

  it('says what state an event led to, also where another was sent before it was told', () => {
    const events = new Events();
    events.add(sent('x:3', 'partition.assigned'), 'worker:one:1', 'era:one');
    events.add(sent('x:3', 'build.started'), 'worker:one:1', null);
    events.add(sent('x:9', 'partition.assigned'), 'worker:one:2', 'era:one');
    events.settle('worker:one:1', { from: 'idle', to: 'building', event: 'partition.assigned' });
    events.settle('worker:one:1', { from: 'idle', to: 'building', event: 'something.else' });
    expect(events.shown(everything).map(({ to, result }) => `${to} ${result}`)).toEqual([
      'worker:one:2 null',
      'worker:one:1 null',
      'worker:one:1 building',
    ]);
  });

  it('shows fields on one line of limited length', () => {
    expect(detailOf({ type: 'a', ticket: 3, range: { start: 2, end: 9 } })).toBe('ticket=3 range={"start":2,"end":9}');
    expect(detailOf({ type: 'a', text: 'x'.repeat(10_000) }).length).toBeLessThan(400);
    expect(clock(new Date(2026, 0, 2, 3, 4, 5, 6).getTime())).toBe('03:04:05.006');
    expect(clock(Number.NaN)).toBe('');
  });
});

describe('contexts and figures', () => {
  it('are shown field by field, bounded', () => {
    const fields = fieldsOf({ n: 1, none: null, list: [], nested: { a: [1, 2] }, long: 'y'.repeat(100_000) });
    expect(fields.slice(0, 3)).toEqual([
      { key: 'n', short: '1', long: null },
      { key: 'none', short: 'null', long: null },
      { key: 'list', short: '[]', long: null },
    ]);
    expect(fields[3]?.short).toBe('{a}');
    expect(JSON.parse(fields[3]?.long ?? '')).toEqual({ a: [1, 2] });
    expect(fields[4]?.long?.length).toBeLessThan(5_000);
    expect(fieldsOf(undefined)).toEqual([]);
    expect(fieldsOf('…')).toEqual([{ key: 'value', short: '…', long: null }]);
  });

  const era = (context: unknown): Actor => {
    const actors = run();
    actors.apply(became('x:1', active('copying', { context })));
    return actor(actors, 'era:one');
  };

  it('tell how far an era is', () => {
    const context = {
      spec: { grid: { ledgerStart: 1001 } },
      frontier: 1251,
      target: 2000,
      summary: { partitions: 12, partitionsFound: 1, retries: 1 },
      waits: { era: 'waiting for ledgers' },
    };
    const seen = glance(era(context));
    expect(seen.text).toBe('ledger 1,250 of 2,000 · 13 partitions · 1 retry · waiting for ledgers');
    expect(seen.fraction).toBe(0.25);
    expect(seen.eraId).toBe('one');
  });

  it('tell no part of what has no end, and nothing that is not there', () => {
    const unbounded = { spec: { grid: { ledgerStart: 2 } }, frontier: 1_234_568, target: 4_294_967_295, summary: {} };
    expect(glance(era(unbounded))).toMatchObject({ text: 'ledger 1,234,567 · 0 partitions', fraction: null });
    expect(glance(era('…'))).toMatchObject({ text: '0 partitions', fraction: null, kind: 'running' });
  });

  it('name why an era failed', () => {
    expect(glance(era({ failure: { code: 'LEDGER_INVALID' } })).text).toContain('LEDGER_INVALID');
  });
});

describe('the relay to the hosted inspector', () => {
  /** As the page does it: first the tree, then the relay. */
  function relayed(frames: readonly Frame[], actors = new Actors()): { relay: Relay; actors: Actors } {
    const relay = new Relay((sessionId) => actors.get(sessionId) !== undefined);
    for (const frame of frames) {
      actors.apply(frame);
      relay.take(frame);
    }
    return { relay, actors };
  }

  const first = born('x:0', 'supervisor', undefined, active('running'));
  const effects = Array.from({ length: 3_000 }, (_, i) => [
    born(`x:${i + 10}`, `0.worker.building`, 'x:0', { status: 'active' }),
    became(`x:${i + 10}`, { status: 'done' }),
  ]).flat();

  it('sends nothing before it is connected, then what was kept, then everything', () => {
    const second = became('x:0', active('done', { status: 'done' }));
    const { relay } = relayed([first]);
    const got: Frame[] = [];
    relay.connect((frame) => got.push(frame));
    expect(got).toEqual([first]);
    relay.take(second);
    expect(got).toEqual([first, second]);
  });

  it('keeps an actor and its last snapshot however much came after, and is bounded', () => {
    const states = [became('x:0', active('starting')), became('x:0', active('draining'))];
    const { relay } = relayed([first, ...states, ...effects]);
    const got: Frame[] = [];
    relay.connect((frame) => got.push(frame));
    expect(got.slice(0, 2)).toEqual([first, states[1]]);
    expect(got.length).toBeLessThan(400);
    // Each frame is about an actor that was told of before.
    const told = new Set<string>();
    const strangers = got.filter((frame) => {
      if (frame.type === '@xstate.actor') told.add(frame.sessionId);
      return !told.has(frame.sessionId);
    });
    expect(strangers).toEqual([]);
  });

  it('tells everything once more to a page that was loaded again, and nothing of another run', () => {
    const { relay } = relayed([first]);
    const got: Frame[][] = [[], []];
    relay.connect((frame) => got[0]?.push(frame));
    relay.connect((frame) => got[1]?.push(frame));
    expect(got).toEqual([[first], [first]]);
    relay.clear();
    relay.take(first);
    expect(got).toEqual([[first], [first]]);
  });
});

describe('the connection', () => {
  it('is tried again with growing pauses', () => {
    expect([0, 1, 2, 3, 4, 5, 60].map(pauseMs)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  });

  it('is told in words', () => {
    const words = (isConnected: boolean, wasConnected: boolean, outcome: string | null) => {
      const state = { isConnected, wasConnected, outcome };
      return [connectionText(state), staleText(state)?.split('.')[0] ?? null];
    };
    expect(words(false, false, null)).toEqual(['connecting…', null]);
    expect(words(true, true, null)).toEqual(['connected', null]);
    expect(words(true, true, 'done')).toEqual(['connected; the run is over: done', null]);
    expect(words(false, true, null)).toEqual([
      'reconnecting… the copier does not answer',
      'The copier is gone, or does not answer',
    ]);
    expect(words(false, true, 'failed')).toEqual([
      'the copier is gone',
      'The run is over (failed) and the copier is gone',
    ]);
  });
});
