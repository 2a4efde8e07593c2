/**
 * The machines as charts: Mermaid for docs and terminals, JSON for Stately Studio. Made from the machines themselves,
 * so that a chart can never say anything else than what runs.
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

/** The definition that Stately Studio imports. */
export const chartJson = (name: string): unknown => MACHINES[name]?.definition;

const mermaidId = (node: AnyStateNode): string => node.path.join('_') || node.key;

const guardName = (guard: unknown): string => {
  if (typeof guard === 'string') return guard;
  if (guard && typeof guard === 'object' && 'type' in guard) return String(guard.type);
  if (typeof guard === 'function' && 'guards' in guard && Array.isArray(guard.guards)) {
    return guard.guards.map(guardName).join(' and ');
  }
  return 'guard';
};

/** What makes a transition happen, in words. */
function trigger(eventType: string): string {
  if (eventType === '') return '';
  const done = /^xstate\.done\.actor\./.test(eventType);
  if (done) return 'done';
  if (/^xstate\.error\.actor\.\*/.test(eventType)) return 'child crashed';
  if (/^xstate\.error\.actor\./.test(eventType)) return 'error';
  const after = /^xstate\.after\.([^.]+)\./.exec(eventType);
  if (after) return `after ${after[1]}`;
  return eventType;
}

function transitions(node: AnyStateNode): string[] {
  const lines: string[] = [];
  const all = [...node.transitions.values()].flat();
  for (const transition of [...all, ...(node.always ?? [])]) {
    const { target, eventType, guard } = transition;
    if (!target || target.length === 0) continue;
    const label = [trigger(eventType), guard ? `[${guardName(guard)}]` : ''].filter(Boolean).join(' ');
    for (const to of target) {
      const from = node.parent === undefined ? null : mermaidId(node);
      const line =
        from === null ? '' : `${from} --> ${mermaidId(to)}${label ? ` : ${label.replaceAll(':', '#58;')}` : ''}`;
      if (line && !lines.includes(line)) lines.push(line);
    }
  }
  return lines;
}

function draw(node: AnyStateNode, depth: number, lit: ReadonlySet<string>): string[] {
  const pad = '  '.repeat(depth);
  const lines: string[] = [];
  const initial = node.initial?.target[0];
  if (initial) lines.push(`${pad}[*] --> ${mermaidId(initial)}`);
  for (const child of Object.values(node.states)) {
    const id = mermaidId(child);
    const nested = Object.keys(child.states).length > 0;
    if (nested) {
      lines.push(`${pad}state "${child.key}" as ${id} {`, ...draw(child, depth + 1, lit), `${pad}}`);
    } else {
      lines.push(`${pad}state "${child.key}" as ${id}`);
    }
    for (const invoked of child.invoke) lines.push(`${pad}note right of ${id} : ${String(invoked.src)}`);
    if (child.type === 'final') lines.push(`${pad}${id} --> [*]`);
    if (lit.has(child.path.join('.'))) lines.push(`${pad}class ${id} active`);
  }
  return lines;
}

/** Transitions stand outside of all composite states: inside one, a target elsewhere would be drawn as its child. */
const arrows = (node: AnyStateNode): string[] =>
  Object.values(node.states).flatMap((child) => [...transitions(child).map((line) => `  ${line}`), ...arrows(child)]);

/** A Mermaid state diagram. `active`: paths of states (joined by dots) to mark. */
export function chartMermaid(name: string, active: readonly string[] = []): string {
  const machine = MACHINES[name];
  if (!machine) return '';
  const lit = new Set(active);
  return [
    'stateDiagram-v2',
    ...(lit.size > 0 ? ['  classDef active fill:#b36b00,color:#fff'] : []),
    ...draw(machine.root, 1, lit),
    ...arrows(machine.root),
    '',
  ].join('\n');
}
