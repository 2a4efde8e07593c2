/**
 * From a machine's state to what is lit in its chart. Pure: it knows the names that `runtime/charts.ts` gives to states
 * and how Mermaid turns them into ids, and touches no element.
 */

/** `{copying: {}}` and the like as paths, outer states first: `draining`, `draining.closing`. */
export function activePaths(value: unknown, before: readonly string[] = []): string[] {
  if (typeof value === 'string') return [[...before, value].join('.')];
  if (!value || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const deeper = activePaths(inner, [...before, key]);
    return [[...before, key].join('.'), ...deeper];
  });
}

/** The innermost states: those that no other path goes through. */
export const leaves = (paths: readonly string[]): string[] =>
  paths.filter((path) => !paths.some((other) => other.startsWith(`${path}.`)));

/** The name of a state in a chart: see `mermaidId` of `runtime/charts.ts`. */
export const chartId = (path: string): string => path.replaceAll('.', '_');

/**
 * The name of the state that an element of a drawn chart stands for; null where it is none, as a note or a start.
 * Mermaid 11 gives a state's element the id `{id of the svg}-state-{name}-{number}`.
 */
export function stateOfElement(svgId: string, elementId: string): string | null {
  const head = `${svgId}-state-`;
  if (!elementId.startsWith(head)) return null;
  const name = /^(.+)-\d+$/.exec(elementId.slice(head.length))?.[1];
  return name === undefined || name.includes('----') ? null : name;
}
