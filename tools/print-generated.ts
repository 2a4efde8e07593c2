/**
 * Prints the generated cases for a person to read: what happens, where the machine is then, what it said and asked for.
 * Names of machines as arguments limit it to those. It runs nothing; test/generated/generated.test.ts does.
 */
import { Coverage, generate } from '../test/generated/generate.ts';
import { MODELS } from '../test/generated/models/index.ts';
import type { Model, Situation } from '../test/generated/stepper.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** `draining.closing` */
function stateOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return Object.entries(value as object)
    .map(([name, below]) => `${name}.${stateOf(below)}`)
    .join(' + ');
}

/** What a move led to; `crashed` is the child that it took away. */
function after(before: Situation | null, at: Situation, crashed: string | null = null): string {
  const isNew = (child: string): boolean => child === crashed || !before?.children.includes(child);
  return [
    stateOf(at.snapshot.value),
    ...at.sent.map(({ to, event }) => `tells ${to} ${event.type}`),
    ...at.children.filter(isNew).map((child) => `starts ${child}`),
    ...at.effects.filter((effect) => !before?.effects.includes(effect)).map(({ name }) => `asks for ${name}`),
    ...at.timers.filter((timer) => !before?.timers.includes(timer)).map(({ event }) => `waits for ${event.type}`),
  ].join('; ');
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in MODELS));
if (unknown.length > 0) {
  process.stderr.write(`there is no machine ${unknown.join(', ')}; there are: ${Object.keys(MODELS).join(', ')}\n`);
  process.exit(2);
}
const rows: string[] = [];

for (const [machine, models] of Object.entries(MODELS)) {
  if (wanted.length > 0 && !wanted.includes(machine)) continue;
  const covered = new Coverage(models[0] as Model);
  let total = 0;
  for (const model of models) {
    const { cases, situations } = generate(model);
    total += cases.length;
    say(`\n# ${machine}: ${model.scenario} (${situations} situations, ${cases.length} cases)`);
    for (const [n, { moves, expected }] of cases.entries()) {
      say(`\n## ${machine}, ${model.scenario}, case ${n + 1}`);
      say(`   starts in ${after(null, expected[0] as Situation)}`);
      for (const [i, move] of moves.entries()) {
        say(`${String(i + 1).padStart(3)}. ${move.type}`);
        const crashed = move.kind === 'crash' ? move.child : null;
        say(`     → ${after(expected[i] as Situation, expected[i + 1] as Situation, crashed)}`);
      }
      for (const at of expected) covered.add(at);
    }
  }
  const { states, transitions } = covered.row;
  rows.push(`${machine.padEnd(12)}${String(total).padStart(6)}${states.padStart(10)}${transitions.padStart(14)}`);
  for (const name of covered.missing) rows.push(`  not reached: ${name}`);
}

say(`\n${'machine'.padEnd(12)}${'cases'.padStart(6)}${'states'.padStart(10)}${'transitions'.padStart(14)}`);
for (const row of rows) say(row);
