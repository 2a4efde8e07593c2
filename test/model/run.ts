/** Explores every configuration and prints what was seen; exits 1 where a rule is broken or a move was never taken. */
import { configurations } from './configurations.ts';
import { explore } from './explore.ts';
import { tell } from './trace.ts';

for (const config of configurations) {
  const report = explore(config);
  console.log(report.name, report.states, report.edges, report.depth, report.goals, `${report.ms} ms`, Object.fromEntries(report.moves));
  if (report.violation) console.log(tell(report));
}
