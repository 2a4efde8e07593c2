/**
 * Writes the dashboard's JSON from test/tools/dashboard/. `--check` only says whether it is current.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { buildDashboard } from './dashboard/board.ts';

const TARGET = 'runtime/observability/grafana/dashboards/bronze-copier.json';

const wanted = `${JSON.stringify(buildDashboard(), null, 2)}\n`;
if (process.argv.includes('--check')) {
  if (readFileSync(TARGET, 'utf8') !== wanted) {
    console.error(`${TARGET} is not current: npm run generate`);
    process.exit(1);
  }
} else {
  writeFileSync(TARGET, wanted);
}
