/**
 * The dashboard as code: what an operator wants to see at a glance, and below it what explains that. `queriesOf` finds
 * every query in what was built, so that tests can run each of them. No query may ask for a metric that neither
 * runtime/metrics/definitions.ts nor the recording rules know.
 */
import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  type RowPanel,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DETAILS } from './details.ts';
import { OVERVIEW } from './overview.ts';
import { DATASOURCE } from './panels.ts';

const choice = (name: string, label: string, query: string): QueryVariableBuilder =>
  new QueryVariableBuilder(name)
    .label(label)
    .datasource(DATASOURCE)
    .query({ query, refId: name })
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ selected: true, text: ['All'], value: ['$__all'] });

/** For Grafana 10 and newer. */
export function buildDashboard(): Dashboard {
  const builder = new DashboardBuilder('Bronze Copier')
    .uid('bronze-copier')
    .description('How far, does it move, what hurts. Needs the recording rules; see docs/monitoring.md.')
    .tags(['bronze-copier', 'stellar'])
    .timezone('browser')
    .time({ from: 'now-6h', to: 'now' })
    .refresh('30s')
    .tooltip(DashboardCursorSync.Crosshair)
    .editable()
    .withVariable(new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'))
    .withVariable(choice('network', 'Network', 'label_values(bronze_copier_era_healthy, network)'))
    .withVariable(choice('era_id', 'Era', 'label_values(bronze_copier_era_healthy{network=~"$network"}, era_id)'));
  for (const [title, panels] of Object.entries({ ...OVERVIEW, ...DETAILS })) {
    builder.withRow(new RowBuilder(title));
    for (const panel of panels()) builder.withPanel(panel);
  }
  return builder.build();
}

export interface PanelQuery {
  readonly panel: string;
  /** As Prometheus takes it: everything chosen, and the interval that Grafana would put in. */
  readonly expr: string;
}

const isPanel = (panel: Panel | RowPanel): panel is Panel => panel.type !== 'row';

/** Every query of every panel; `interval` stands for Grafana's `$__rate_interval`. */
export function queriesOf(dashboard: Dashboard, interval: string): PanelQuery[] {
  return (dashboard.panels ?? []).filter(isPanel).flatMap(({ title = '', targets = [] }) =>
    targets.map((target) => ({
      panel: title,
      expr: (target as { expr?: string }).expr
        ?.replaceAll('$__rate_interval', interval)
        .replaceAll(/\$(network|era_id)\b/g, '.*') as string,
    })),
  );
}
