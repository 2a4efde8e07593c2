/**
 * Explores every configuration and prints what was seen: states, edges, depth, time, how often each kind of move was
 * taken. Exits 1 where a rule is broken, a move that a configuration allows was never taken, or something was left out.
 * `--deep` explores the larger products instead; further words choose configurations by a part of their name.
 */

import { type ModelResult, writeResults } from '../support/results.ts';
import { configurations, deepConfigurations, expectedMoves } from './configurations.ts';
import { explore, type Report } from './explore.ts';
import { tell } from './trace.ts';

const LIMIT = 20_000_000;

const deep = process.argv.includes('--deep');
const wanted = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const chosen = (deep ? deepConfigurations : configurations).filter(
  ({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)),
);

const number = (value: number, width: number): string => value.toLocaleString('en').padStart(width);
const line = ({ name, states, edges, depth, ms }: Pick<Report, 'name' | 'states' | 'edges' | 'depth' | 'ms'>): string =>
  `${name.padEnd(36)}${number(states, 12)}${number(edges, 12)}${number(depth, 7)}${(ms / 1000).toFixed(1).padStart(8)}`;

const problems: string[] = [];
const results: ModelResult[] = [];
const totals = new Map<string, number>();
const sum = { states: 0, edges: 0, depth: 0, ms: 0 };

console.log(
  `${'configuration'.padEnd(36)}${'states'.padStart(12)}${'edges'.padStart(12)}${'depth'.padStart(7)}${'s'.padStart(8)}`,
);
for (const config of chosen) {
  const report = explore(config, { limit: LIMIT });
  console.log(line(report));
  console.log(`    ${[...report.moves].map(([kind, count]) => `${kind} ${number(count, 0)}`).join(' · ')}`);
  const { name, states, edges, depth } = report;
  results.push({ name, about: config.about, states, edges, depth, moves: Object.fromEntries(report.moves) });
  for (const [kind, count] of report.moves) totals.set(kind, (totals.get(kind) ?? 0) + count);
  sum.states += report.states;
  sum.edges += report.edges;
  sum.depth = Math.max(sum.depth, report.depth);
  sum.ms += report.ms;
  if (report.violation) problems.push(tell(report));
  else if (!report.exhausted) problems.push(`${config.name}: more than ${number(LIMIT, 0)} states; not exhausted`);
  else {
    const never = expectedMoves(config).filter((kind) => !report.moves.has(kind));
    if (never.length > 0) problems.push(`${config.name}: never taken: ${never.join(', ')}`);
  }
}
console.log(line({ name: 'all', ...sum }));
console.log(
  `\nmoves in all\n${[...totals]
    .sort()
    .map(([kind, count]) => `  ${kind.padEnd(28)}${number(count, 12)}`)
    .join('\n')}`,
);
if (wanted.length === 0) writeResults(deep ? 'model-deep' : 'model', results);
for (const problem of problems) console.log(`\n${problem}`);
if (problems.length > 0) process.exitCode = 1;
