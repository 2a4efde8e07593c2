// Rules, alerts, dashboard, and the page that explains them: what Prometheus says of each, and that they know the same
// metrics and the same alerts. test/e2e/metrics.prometheus.test.ts runs them on a real run.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { METRICS, PREFIX } from '../../runtime/metrics/definitions.ts';
import { buildDashboard, queriesOf } from '../../tools/dashboard/board.ts';
import { tempFolder } from '../support/bronze.ts';
import {
  describePrometheus,
  OBSERVABILITY,
  promtool,
  type RuleFile,
  ruleFiles,
  rulesIn,
} from '../support/prometheus.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const CASES = join(import.meta.dirname, 'alerts');
const read = (...path: string[]): string => readFileSync(join(...path), 'utf8');

const files = ruleFiles();
const rules = rulesIn(files.values());
const alerts = rules.flatMap(({ alert }) => (alert === undefined ? [] : [alert]));
const recorded = rules.flatMap(({ record }) => (record === undefined ? [] : [record]));
const dashboard = buildDashboard();
const queries = queriesOf(dashboard, '1m');

interface CaseFile {
  readonly tests: readonly {
    readonly promql_expr_test: readonly {
      readonly expr: string;
      readonly exp_samples: readonly { labels: string }[];
    }[];
  }[];
}

const caseFiles = readdirSync(CASES).map((name) => join(CASES, name));

/** What each case says of which alert: that it fires, or that it does not. */
const told = caseFiles
  .flatMap((file) => (parse(read(file)) as CaseFile).tests)
  .flatMap(({ promql_expr_test }) => promql_expr_test)
  .flatMap(({ expr, exp_samples }) => {
    const named = /ALERTS\{alertname="(\w+)"/.exec(expr)?.[1];
    if (exp_samples.length === 0) return named === undefined ? [] : [{ alert: named, fires: false }];
    return exp_samples.flatMap(({ labels }) => {
      const alert = /alertname="(\w+)"/.exec(labels)?.[1];
      return alert !== undefined && expr.includes('alertstate="firing"') ? [{ alert, fires: true }] : [];
    });
  });

const ofHistogram = METRICS.filter(({ kind }) => kind === 'histogram').flatMap(({ name }) =>
  ['_bucket', '_sum', '_count'].map((part) => `${PREFIX}${name}${part}`),
);
const ofOthers = METRICS.filter(({ kind }) => kind !== 'histogram').map(({ name }) => `${PREFIX}${name}`);
const known = new Set([...ofHistogram, ...ofOthers, ...recorded]);

const variables = (dashboard.templating?.list ?? []).flatMap(({ query }) =>
  typeof query === 'object' ? [String(query.query)] : [],
);

/** Names of metrics in an expression; what stands in quotes is a label's value. */
const namesIn = (expr: string): string[] => expr.replaceAll(/"[^"]*"/g, '""').match(/\bbronze_copier[\w:]*/g) ?? [];

describe('names', () => {
  it.each([
    ['rules', rules.map(({ expr }) => expr)],
    ['dashboard', queries.map(({ expr }) => expr)],
    ['variables of the dashboard', variables],
  ])('of metrics in the %s are defined', (_, exprs) => {
    const names = exprs.flatMap(namesIn);
    expect(names.length).toBeGreaterThan(1);
    expect(names.filter((name) => !known.has(name))).toEqual([]);
  });

  it('of metrics: rules or dashboard ask for each', () => {
    const asked = new Set([...rules, ...queries].flatMap(({ expr }) => namesIn(expr)));
    const unasked = METRICS.filter(({ name }) => ![...asked].some((used) => used.startsWith(`${PREFIX}${name}`)));
    expect(unasked.map(({ name }) => name)).toEqual([]);
  });

  it('of labels in the dashboard and the rules belong to the metric', () => {
    const selectors = [...rules, ...queries].flatMap(({ expr }) => [
      ...expr.matchAll(/bronze_copier_(\w+)\{([^}]*)\}/g),
    ]);
    const wrong = selectors.flatMap(([whole, name = '', inside = '']) => {
      const metric = METRICS.find(
        (facts) => name.replace(/_(?:bucket|sum|count)$/, '') === facts.name || name === facts.name,
      );
      const labels = [...inside.matchAll(/(\w+)=/g)].map((match) => match[1] as string);
      return labels.every((label) => (metric?.labels as readonly string[] | undefined)?.includes(label)) ? [] : [whole];
    });
    expect(selectors.length).toBeGreaterThan(20);
    expect(wrong).toEqual([]);
  });

  it('of recorded series: rules or dashboard ask for each', () => {
    const asked = new Set([...rules, ...queries].flatMap(({ expr }) => namesIn(expr)));
    expect(recorded.filter((name) => !asked.has(name))).toEqual([]);
  });
});

describe('alerts', () => {
  it('each has a case in which it fires and one in which it does not', () => {
    const lacking = alerts.flatMap((alert) =>
      [true, false].flatMap((fires) =>
        told.some((one) => one.alert === alert && one.fires === fires)
          ? []
          : [`${alert}: ${fires ? 'firing' : 'not firing'}`],
      ),
    );
    expect(alerts.length).toBeGreaterThanOrEqual(10);
    expect(lacking).toEqual([]);
  });

  it('each says what it means, what to look at, how bad it is, and names a section of the runbook', () => {
    const anchors = new Set(
      [...read(ROOT, 'docs/runbook.md').matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
        (heading as string)
          .toLowerCase()
          .replace(/[^\w\s-]/g, '')
          .replaceAll(' ', '-'),
      ),
    );
    for (const { alert, labels, annotations } of rules.filter(({ alert }) => alert !== undefined)) {
      expect(labels?.severity, alert).toMatch(/^(?:critical|warning)$/);
      expect(annotations?.summary?.length, alert).toBeGreaterThan(20);
      expect(annotations?.description?.length, alert).toBeGreaterThan(80);
      const [page, anchor] = (annotations?.runbook ?? '').split('#');
      expect(page, alert).toBe('docs/runbook.md');
      expect(anchors, alert).toContain(anchor);
    }
  });

  it('docs/monitoring.md has a section for each, in their order, which names the same severity', () => {
    const page = read(ROOT, 'docs/monitoring.md').split('\n## Alerts\n')[1] ?? '';
    const sections = page.split('\n### ').slice(1);
    expect(sections.map((section) => section.split('\n')[0])).toEqual(alerts);
    for (const [i, section] of sections.entries()) {
      const severity = rules.filter(({ alert }) => alert !== undefined)[i]?.labels?.severity;
      expect(section.split('\n')[2]?.toLowerCase().startsWith(`${severity}`), section).toBe(true);
    }
  });
});

describe('the dashboard', () => {
  it('is the JSON that users get', () => {
    const stored = read(OBSERVABILITY, 'grafana/dashboards/bronze-copier.json');
    expect(JSON.parse(stored)).toEqual(JSON.parse(JSON.stringify(dashboard)));
  });

  it('has a title, a description, a unit and a place for every panel', () => {
    const panels = (dashboard.panels ?? []).filter((panel) => panel.type !== 'row');
    expect(panels.length).toBeGreaterThan(25);
    for (const panel of panels) {
      const { title, description, gridPos, fieldConfig } = panel as {
        title?: string;
        description?: string;
        gridPos?: { x: number; w: number };
        fieldConfig?: { defaults: { unit?: string } };
      };
      expect(description?.length, title).toBeGreaterThan(10);
      expect(fieldConfig?.defaults.unit, title).toBeTruthy();
      expect((gridPos?.x ?? 99) + (gridPos?.w ?? 99), title).toBeLessThanOrEqual(24);
    }
  });
});

describePrometheus('promtool', () => {
  it('takes the example of a configuration, and the rules with it', async () => {
    const said = await promtool('check', 'config', join(OBSERVABILITY, 'prometheus/prometheus.yaml'));
    expect(said).toContain(`${files.size} rule files found`);
  });

  it('finds nothing to complain about in the rules', async () => {
    const said = await promtool(
      'check',
      'rules',
      '--lint-fatal',
      ...[...files.keys()].map((name) => join(OBSERVABILITY, 'prometheus/rules', name)),
    );
    expect(said.match(/SUCCESS: \d+ rules found/g)).toHaveLength(files.size);
  });

  it.each(caseFiles.map((file) => [file.slice(CASES.length + 1), file]))('cases of %s', async (_, file) => {
    expect(await promtool('test', 'rules', file)).toContain('SUCCESS');
  });

  it('parses every query of the dashboard', async () => {
    const file = join(tempFolder(), 'queries.yaml');
    const asRules: RuleFile = {
      groups: [{ name: 'dashboard', rules: queries.map(({ expr }, i) => ({ record: `query:${i}`, expr })) }],
    };
    writeFileSync(file, JSON.stringify(asRules));
    expect(await promtool('check', 'rules', file)).toContain(`SUCCESS: ${queries.length} rules found`);
  });
});
