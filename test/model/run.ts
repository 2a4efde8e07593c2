/** Explores every configuration and prints what was seen; exits 1 where a rule is broken or a move was never taken. */
import { configurations, deepConfigurations } from './configurations.ts';
import { explore } from './explore.ts';
import { tell } from './trace.ts';

const only = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const all = process.argv.includes('--deep') ? deepConfigurations : configurations;
for (const config of all) {
  if (only.length > 0 && !only.some((word) => config.name.includes(word))) continue;
  const report = explore(config, { limit: 600_000 });
  console.log(report.name, report.states, report.edges, report.depth, report.goals, `${report.ms} ms`, report.exhausted ? '' : 'LIMIT', JSON.stringify(Object.fromEntries(report.moves)));
  if (report.violation) console.log(tell(report));
}
