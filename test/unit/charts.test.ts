/**
 * What is shown of the machines: nothing in them is without a name, the JSON says all of it and makes the same machine
 * again, and the charts can be drawn.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AnyStateMachine, type AnyStateNode, createMachine } from 'xstate';
import { ERA_PHASES, type Tag } from '../../machines/tags.ts';
import { chartJson, chartMermaid, MACHINES, stateDescriptions } from '../../runtime/charts.ts';
import { describeBrowser, openBrowser } from '../support/browser.ts';

const NAMES = Object.keys(MACHINES);
const machineOf = (name: string): AnyStateMachine => MACHINES[name] as AnyStateMachine;

function nodes(node: AnyStateNode): AnyStateNode[] {
  return [node, ...Object.values(node.states).flatMap(nodes)];
}

/** Where a value is computed, code may stand; everywhere else a name has to. */
const COMPUTED = new Set(['context', 'input', 'output', 'params']);

const isComposite = (value: unknown): value is { guards: readonly unknown[] } =>
  typeof value === 'function' && 'check' in value && 'guards' in value;

/** Paths of functions in a configuration that nobody can provide or read in a chart. */
function unnamed(value: unknown, path: string): string[] {
  const key = path.slice(path.lastIndexOf('/') + 1);
  if (COMPUTED.has(key)) return [];
  if (isComposite(value)) return value.guards.flatMap((guard, n) => unnamed(guard, `${path}/${n}`));
  if (typeof value === 'function') return [path];
  if (!value || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([inner, deeper]) => unnamed(deeper, `${path}/${inner}`));
}

/** What a machine does in each state, without the code: states, and every transition with its names in order. */
function shape(machine: AnyStateMachine) {
  const guardText = (guard: unknown): unknown => {
    if (isComposite(guard)) {
      const { check } = guard as unknown as { check: { name: string } };
      return `${check.name.replace('check', '')}(${guard.guards.map(guardText).join(',')})`;
    }
    const type = typeof guard === 'string' ? guard : (guard as { type: string } | undefined)?.type;
    // As the JSON writes them.
    if (type?.startsWith('not ')) return `Not(${type.slice(4)})`;
    return type?.includes(' and ') ? `And(${type.split(' and ').join(',')})` : type;
  };
  const typeOf = (action: unknown): unknown =>
    typeof action === 'string' ? action : (action as { type: string } | undefined)?.type;
  return nodes(machine.root).map((node) => ({
    id: node.id,
    type: node.type,
    description: node.description,
    initial: node.initial?.target.map(({ id }) => id),
    entry: node.entry.map(typeOf),
    exit: node.exit.map(typeOf),
    invokes: node.invoke.map(({ src, id }) => [src, id]),
    after: node.after.map(({ delay, target }) => [delay, target?.map(({ id }) => id)]),
    transitions: [...[...node.transitions.values()].flat(), ...(node.always ?? [])].map((transition) => ({
      event: transition.eventType,
      guard: guardText(transition.guard),
      target: transition.target?.map(({ id }) => id),
      reenter: transition.reenter,
      actions: transition.actions.map(typeOf),
    })),
  }));
}

describe.each(NAMES)('the machine %s', (name) => {
  const machine = machineOf(name);

  it('has a name for every action, guard, actor and delay', () => {
    expect(unnamed(machine.config, name)).toEqual([]);
  });

  it('says what each of its states is for, in one line', () => {
    const said = stateDescriptions(name);
    expect(said.map(({ path }) => path)).toEqual(
      nodes(machine.root)
        .slice(1)
        .map(({ path }) => path.join('.')),
    );
    for (const { path, description } of said) expect(description, path).toMatch(/^[A-Z][^\n|]{10,120}[.?]$/);
    expect(machine.root.description).toMatch(/\.$/);
  });

  it('is data that JSON loses nothing of, and createMachine makes the same of it', () => {
    const json = chartJson(name);
    const read = JSON.parse(JSON.stringify(json));
    expect(read).toEqual(json);
    // toEqual takes an undefined for nothing.
    expect(JSON.stringify(read)).toBe(JSON.stringify(json));
    expect(JSON.stringify(json)).not.toContain('null');
    const { implementations: _, ...config } = read;
    expect(shape(createMachine(config))).toEqual(shape(machine));
  });

  it('lists every name that it uses, and no other', () => {
    const { implementations, ...config } = JSON.parse(JSON.stringify(chartJson(name)));
    const used = { actions: new Set(), guards: new Set(), actors: new Set(), delays: new Set() };
    for (const node of nodes(createMachine(config).root)) {
      const all = [...[...node.transitions.values()].flat(), ...(node.always ?? [])];
      for (const action of [...node.entry, ...node.exit, ...all.flatMap(({ actions }) => actions)]) {
        // XState's own, of delays, are functions.
        const type = typeof action === 'string' ? action : (action as { type: string }).type;
        if (typeof action !== 'function') used.actions.add(type);
      }
      for (const { guard } of all)
        if (guard) used.guards.add(typeof guard === 'string' ? guard : (guard as { type: string }).type);
      for (const { src } of node.invoke) used.actors.add(src);
      for (const { delay } of node.after) used.delays.add(delay);
    }
    for (const [kind, names] of Object.entries(used)) {
      expect(implementations[kind], kind).toEqual(expect.arrayContaining([...names]));
      expect(new Set(implementations[kind]).size, kind).toBe(implementations[kind].length);
    }
    for (const [kind, named] of Object.entries(machine.implementations) as [string, object][]) {
      const composite = implementations[kind].filter((each: string) => / and | or |^not /.test(each));
      expect(implementations[kind].filter((each: string) => !composite.includes(each))).toEqual(
        Object.keys(named).sort(),
      );
    }
  });
});

/** With those of the states around it. */
const tagsOf = (node: AnyStateNode): Tag[] => [
  ...(node.tags as Tag[]),
  ...(node.parent === undefined ? [] : tagsOf(node.parent)),
];

describe('the tags', () => {
  it.each(NAMES)('of %s call every state that ends with a delay, and no other, a wait', (name) => {
    const leaves = nodes(machineOf(name).root).filter((node) => Object.keys(node.states).length === 0);
    const untold = leaves.filter((node) => node.after.length > 0 && !tagsOf(node).includes('waiting'));
    expect(untold.map(({ id }) => id)).toEqual([]);
    // An era that follows its lake waits, also while it looks.
    const busy = leaves.filter((node) => node.after.length === 0 && tagsOf(node).includes('waiting'));
    expect(busy.filter((node) => !tagsOf(node).includes('following')).map(({ id }) => id)).toEqual([]);
  });

  it('say of every state of an era, but for its ends, in which phase it is', () => {
    const living = nodes(machineOf('era').root).filter(({ type }) => type !== 'final' && type !== 'compound');
    const phases = living.map((node) => tagsOf(node).filter((tag) => (ERA_PHASES as readonly Tag[]).includes(tag)));
    expect(phases.filter(({ length }) => length !== 1)).toEqual([]);
    expect(new Set(phases.flat())).toEqual(new Set(ERA_PHASES));
  });
});

/** What a chart says: `state: event`, of arrows and notes. */
function shown(chart: string): Set<string> {
  const found = new Set<string>();
  let noteOn: string | null = null;
  const add = (state: string, text: string): void =>
    void found.add(`${state}: ${text.replace(/^• /, '').replace(/ [[/].*$/, '')}`);
  for (const line of chart.split('\n').map((each) => each.trim())) {
    const arrow = /^(\w+) --> \w+ : (.*)$/.exec(line);
    const [, short, said] = /^note right of (\w+) : (.*)$/.exec(line) ?? [];
    const long = /^note right of (\w+)$/.exec(line);
    if (arrow) add(arrow[1] as string, arrow[2] as string);
    else if (short !== undefined) add(short, said as string);
    else if (long) noteOn = long[1] as string;
    else if (line === 'end note') noteOn = null;
    else if (noteOn !== null) add(noteOn, line);
  }
  return found;
}

describe('the charts', () => {
  it('say not, and, and where a transition is taken in any state', () => {
    const era = chartMermaid('era');
    expect(era).toContain('draining_settling --> draining_closing : [not isSpawned]');
    expect(era).toContain('draining_settling --> draining_discarding : [isSpawned and isSettled]');
    expect(chartMermaid('worker')).toContain('anywhere --> orphaned : era.lost');
    expect(era).not.toContain('anywhere');
  });

  it.each(NAMES)('of %s show every event that it handles, in every state that handles it', (name) => {
    const machine = machineOf(name);
    const drawn = shown(chartMermaid(name));
    const handled = nodes(machine.root).flatMap((node) =>
      [...node.transitions.keys()].map((event) => `${node.path.join('_') || 'anywhere'}: ${event}`),
    );
    expect(handled.length).toBeGreaterThan(5);
    const inWords = (event: string): string =>
      event
        .replace(/xstate\.error\.actor\.\*$/, 'child crashed')
        .replace(/xstate\.(done|error)\.actor\..*$/, '$1')
        .replace(/xstate\.after\.([^.]+)\..*$/, 'after $1');
    expect(handled.map(inWords).filter((each) => !drawn.has(each))).toEqual([]);
  });

  it('tell what an era is told in which state, what it does then, and what it passes on', () => {
    const drawn = shown(chartMermaid('era'));
    const known = new Set(machineOf('era').events.filter((event) => !event.startsWith('xstate.')));
    expect([...drawn].filter((each) => /^recovering: |^planning: /.test(each))).toEqual([
      'recovering: drain.requested',
      'planning: drain.requested',
    ]);
    for (const event of known)
      expect(
        [...drawn].some((each) => each.endsWith(`: ${event}`)),
        event,
      ).toBe(true);
    const era = chartMermaid('era');
    expect(era).toContain('partition.staged [isPresent] / takeStaged, passStagedToSequencer, dispatch, progress\n');
    expect(era).toContain(
      'partition.committed [leavesWork] / takeCommit, tellCourier delivery.queued, tellCounts, dispatch, progress\n',
    );
    expect(era).toContain('copying --> draining : partition.failed [isPresent]\n');
  });

  it('have an arrow into every state but the first', () => {
    for (const name of NAMES) {
      const chart = chartMermaid(name);
      for (const node of nodes(machineOf(name).root).slice(1)) {
        expect(chart, `${name} ${node.id}`).toMatch(new RegExp(`--> ${node.path.join('_')}( |\n|$)`));
      }
    }
  });
});

describe('the era', () => {
  const SIGNS = new Set(['progress', 'tellFinished', 'tellCrashed']);
  const typeOf = (action: unknown): string => (typeof action === 'string' ? action : (action as { type: string }).type);
  const above = (node: AnyStateNode): AnyStateNode[] => [node, ...(node.parent ? above(node.parent) : [])];
  const below = (node: AnyStateNode): AnyStateNode[] => [node, ...(node.initial?.target ?? []).flatMap(below)];

  it('says with every event and every end of an effect that it is alive, unless it has declared a wait', () => {
    const silent = nodes(machineOf('era').root)
      .filter((node) => !tagsOf(node).includes('waiting'))
      .flatMap((node) => [...node.transitions.values()].flat())
      .filter(({ source, target, actions }) => {
        const stays = new Set(above(source));
        const entered = (target ?? []).flatMap((to) => [...above(to).filter((each) => !stays.has(each)), ...below(to)]);
        return ![...actions, ...entered.flatMap(({ entry }) => entry)].some((action) => SIGNS.has(typeOf(action)));
      })
      .map(({ source, eventType }) => `${source.id}: ${eventType}`);
    // That a crash is forgotten after an hour is no sign that anything moves. Closing ends at once, which is told.
    const others = silent.filter((each) => !/crash\.forgiven$|^era\.draining\.closing: /.test(each));
    expect(silent).toHaveLength(4);
    expect(others).toEqual([]);
  });
});

describeBrowser('Mermaid', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  it('draws every chart, with every state lit', async () => {
    const page = await browser.newPage();
    const bundle = createRequire(import.meta.url).resolve('@mermaid-js/tiny');
    await page.addScriptTag({ content: readFileSync(bundle, 'utf8') });
    for (const name of NAMES) {
      const states = stateDescriptions(name).map(({ path }) => path);
      const drawn = await page.evaluate(
        async ([id, text]) => {
          const { mermaid } = globalThis as unknown as {
            mermaid: {
              initialize(options: object): void;
              render(id: string, text: string): Promise<{ svg: string }>;
            };
          };
          mermaid.initialize({ startOnLoad: false });
          return (await mermaid.render(id as string, text as string)).svg;
        },
        [`chart-${name}`, chartMermaid(name, states)],
      );
      expect(drawn).toMatch(/^<svg/);
      expect(drawn).not.toContain('Syntax error');
      for (const path of states) expect(drawn, path).toContain(path.slice(path.lastIndexOf('.') + 1));
      const lit = drawn.match(/class="[^"]*\bactive\b/g) ?? [];
      expect(lit.length, `${name}, lit`).toBe(states.length);
    }
  });
});
