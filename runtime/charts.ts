/**
 * The machines as charts: Mermaid for docs, terminals and the inspector, JSON for Stately Studio. Made from the machines
 * themselves, so that a chart can never say anything else than what runs.
 */
import type { AnyStateMachine, AnyStateNode } from 'xstate';
import { courierMachine } from '../machines/courier.ts';
import { eraMachine } from '../machines/era.ts';
import { sequencerMachine } from '../machines/sequencer.ts';
import { supervisorMachine } from '../machines/supervisor.ts';
import { workerMachine } from '../machines/worker.ts';

/** In the order in which they spawn each other. */
export const MACHINES: Readonly<Record<string, AnyStateMachine>> = {
  supervisor: supervisorMachine,
  era: eraMachine,
  worker: workerMachine,
  sequencer: sequencerMachine,
  courier: courierMachine,
};

/** `a`, `not a`, `a and b`: what XState makes of `and()`, `or()` and `not()` is a function that knows its parts. */
function guardName(guard: unknown): string {
  if (typeof guard === 'string') return guard;
  if (typeof guard === 'function' && 'check' in guard && 'guards' in guard && Array.isArray(guard.guards)) {
    const [kind, parts] = [(guard.check as { name: string }).name, guard.guards.map(guardName)];
    if (kind.includes('Not')) return `not ${parts[0]}`;
    return parts.join(kind.includes('Or') ? ' or ' : ' and ');
  }
  return String((guard as { type?: unknown }).type);
}

// ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────

interface MachineJson extends Record<string, unknown> {
  /** Every name that the machine uses, for whoever has to provide them. */
  readonly implementations: Readonly<Record<'actions' | 'guards' | 'actors' | 'delays', readonly string[]>>;
}

/**
 * A part of a machine's configuration as plain data. Functions stand there only where a value is computed: `context`,
 * `input`, `output` and `params`. They are left out; a name is what remains of everything else.
 */
function plain(value: unknown, key = ''): unknown {
  if (key === 'guard' && typeof value !== 'object') return { type: guardName(value) };
  if (Array.isArray(value)) return value.map((inner) => plain(inner, key));
  if (!value || typeof value !== 'object') return typeof value === 'function' ? undefined : value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]) => {
      const made = plain(inner, name);
      return made === undefined ? [] : [[name, made]];
    }),
  );
}

/** A machine as `createMachine` and Stately Studio take it; undefined where there is none of that name. */
export function chartJson(name: string): MachineJson | undefined {
  const machine = MACHINES[name];
  if (!machine) return undefined;
  const { actions, guards, actors, delays } = machine.implementations;
  const composite = new Set<string>();
  const note = (node: AnyStateNode): void => {
    for (const { guard } of [...node.transitions.values()].flat().concat(node.always ?? [])) {
      if (typeof guard === 'function') composite.add(guardName(guard));
    }
    for (const child of Object.values(node.states)) note(child);
  };
  note(machine.root);
  const names = (of: object): string[] => Object.keys(of).sort();
  return {
    ...(plain(machine.config) as Record<string, unknown>),
    implementations: {
      actions: names(actions),
      guards: [...names(guards), ...[...composite].sort()],
      actors: names(actors),
      delays: names(delays),
    },
  };
}

// ── Mermaid ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Where transitions begin that are taken in any state. */
const ANYWHERE = 'anywhere';

const mermaidId = (node: AnyStateNode): string => node.path.join('_');

/** What makes a transition happen, in words. */
function trigger(eventType: string): string {
  if (/^xstate\.done\.actor\./.test(eventType)) return 'done';
  if (/^xstate\.error\.actor\.\*/.test(eventType)) return 'child crashed';
  if (/^xstate\.error\.actor\./.test(eventType)) return 'error';
  const after = /^xstate\.after\.([^.]+)\./.exec(eventType);
  return after ? `after ${after[1]}` : eventType;
}

const escaped = (text: string): string => text.replaceAll(':', '#58;');

const transitionsOf = (node: AnyStateNode) => [...[...node.transitions.values()].flat(), ...(node.always ?? [])];

const labelOf = ({ eventType, guard }: { eventType: string; guard?: unknown }): string =>
  [trigger(eventType), guard ? `[${guardName(guard)}]` : ''].filter(Boolean).join(' ');

const nameOf = (node: AnyStateNode): string => (node.parent === undefined ? ANYWHERE : mermaidId(node));

function transitions(node: AnyStateNode): string[] {
  const lines = new Set<string>();
  for (const transition of transitionsOf(node)) {
    const label = labelOf(transition);
    for (const to of transition.target ?? []) {
      lines.add(`${nameOf(node)} --> ${mermaidId(to)}${label ? ` : ${escaped(label)}` : ''}`);
    }
  }
  return [...lines];
}

/** An action by its name; one that sends a fixed message, with the name of the message. */
function actionName(action: unknown): string {
  if (typeof action === 'string') return action;
  const { type, params } = action as { type: string; params?: { type?: unknown } };
  return typeof params === 'object' && typeof params.type === 'string' ? `${type} ${params.type}` : type;
}

/** What a state does with events that do not lead out of it: `event [guard] / actions`. Mermaid breaks long lines: a dot begins each. */
const internal = (node: AnyStateNode): string[] =>
  transitionsOf(node)
    .filter(({ target }) => target === undefined)
    .map((transition) => `• ${labelOf(transition)} / ${transition.actions.map(actionName).join(', ') || 'nothing'}`);

function noteOn(node: AnyStateNode, pad: string): string[] {
  const lines = [...node.invoke.map(({ src }) => String(src)), ...internal(node)];
  if (lines.length === 0) return [];
  const head = `${pad}note right of ${nameOf(node)}`;
  if (lines.length === 1) return [`${head} : ${escaped(lines.join())}`];
  return [head, ...lines.map((line) => `${pad}  ${escaped(line)}`), `${pad}end note`];
}

function draw(node: AnyStateNode, depth: number): string[] {
  const pad = '  '.repeat(depth);
  const lines: string[] = [];
  const initial = node.initial?.target[0];
  if (initial) lines.push(`${pad}[*] --> ${mermaidId(initial)}`);
  for (const child of Object.values(node.states)) {
    const id = mermaidId(child);
    const nested = Object.keys(child.states).length > 0;
    if (nested) {
      lines.push(`${pad}state "${child.key}" as ${id} {`, ...draw(child, depth + 1), `${pad}}`);
    } else {
      lines.push(`${pad}state "${child.key}" as ${id}`);
    }
    lines.push(...noteOn(child, pad));
    if (child.type === 'final') lines.push(`${pad}${id} --> [*]`);
  }
  return lines;
}

/** Transitions stand outside of all composite states: inside one, a target elsewhere would be drawn as its child. */
const arrows = (node: AnyStateNode): string[] => [
  ...transitions(node).map((line) => `  ${line}`),
  ...Object.values(node.states).flatMap(arrows),
];

/** A Mermaid state diagram. `active`: paths of states (joined by dots) to mark. */
export function chartMermaid(name: string, active: readonly string[] = []): string {
  const machine = MACHINES[name];
  if (!machine) return '';
  const lines = arrows(machine.root);
  const isAnywhere = transitionsOf(machine.root).length > 0;
  const known = new Set(stateDescriptions(name).map(({ path }) => path));
  const lit = active.filter((path) => known.has(path)).map((path) => path.replaceAll('.', '_'));
  return [
    'stateDiagram-v2',
    ...(lit.length > 0 ? ['  classDef active fill:#b36b00,color:#fff'] : []),
    ...(isAnywhere ? [`  state "in any state" as ${ANYWHERE}`, ...noteOn(machine.root, '  ')] : []),
    ...draw(machine.root, 1),
    ...lines,
    // Inside a composite state Mermaid would not light its inner states.
    ...lit.map((id) => `  class ${id} active`),
    '',
  ].join('\n');
}

/** What every state of a machine is for: its path joined by dots, and its description. An outer state comes before its inner ones. */
export function stateDescriptions(name: string): { path: string; description: string }[] {
  const list = (node: AnyStateNode): { path: string; description: string }[] =>
    Object.values(node.states).flatMap((child) => [
      { path: child.path.join('.'), description: child.description ?? '' },
      ...list(child),
    ]);
  const machine = MACHINES[name];
  return machine ? list(machine.root) : [];
}
