/** A trace for people: as a numbered sequence, and as a Mermaid sequence diagram. */
import type { Report, TraceStep } from './explore.ts';

export function readable(steps: readonly TraceStep[]): string {
  return steps
    .map(({ from, to, text }, i) => `${String(i + 1).padStart(3)}. ${from}${from === to ? '' : ` → ${to}`}: ${text}`)
    .join('\n');
}

/** Names in the order of their first appearance; `:` and blanks are not allowed in a Mermaid id. */
export function mermaid(steps: readonly TraceStep[], rule: string): string {
  const ids = new Map<string, string>();
  for (const { from, to } of steps)
    for (const name of [from, to]) if (!ids.has(name)) ids.set(name, `a${ids.size + 1}`);
  const participants = [...ids].map(([name, id]) => `  participant ${id} as ${name}`);
  const clean = (text: string): string => text.replaceAll(/[;#]/g, ',');
  const arrows = steps.map(({ from, to, text }) =>
    from === to
      ? `  Note over ${ids.get(from)}: ${clean(text)}`
      : `  ${ids.get(from)}->>${ids.get(to)}: ${clean(text)}`,
  );
  const end = ids.size > 0 ? [`  Note over ${[...ids.values()][0]}: ${clean(rule)}`] : [];
  return ['sequenceDiagram', ...participants, ...arrows, ...end].join('\n');
}

export function tell(report: Report): string {
  const { violation, name } = report;
  if (!violation) return `${name}: nothing is broken`;
  return [
    `${name}: ${violation.rule}`,
    '',
    readable(violation.trace),
    '',
    '```mermaid',
    mermaid(violation.trace, violation.rule),
    '```',
  ].join('\n');
}
