/**
 * Writes the dashboard's JSON from tools/dashboard/. `--check` only says whether it is current.
 */
import { buildDashboard } from './dashboard/board.ts';
import { writeGenerated } from './generated.ts';

const TARGET = 'runtime/observability/grafana/dashboards/bronze-copier.json';

writeGenerated(TARGET, `${JSON.stringify(buildDashboard(), null, 2)}\n`);
