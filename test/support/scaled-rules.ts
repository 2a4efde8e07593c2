/**
 * The rules that users get, made quick enough for a test that lets every alert fire and end. The expressions stay what
 * they are; three things change:
 *
 * - how long a condition must hold (`for`) is divided by `waits`, and groups are evaluated as often as Prometheus is told;
 * - ranges (`[15m]`) are divided by `ranges`, which is to leave room for a few samples in the shortest of them;
 * - thresholds that only mean something at real lengths or on a real disk are replaced one by one, by `replaced`.
 *
 * The real lengths are what promtool tries in test/conformance/alerts/.
 */
import type { Rule, RuleFile } from './prometheus.ts';

export interface Scale {
  readonly waits: number;
  readonly ranges: number;
  /** By alert: text of its expression and what stands there instead. Text that is not there is an error. */
  readonly replaced: Readonly<Record<string, readonly (readonly [from: string, to: string])[]>>;
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function divided(duration: string, by: number): string {
  const [, count, unit = ''] = /^(\d+)([smhd])$/.exec(duration) ?? [];
  const ms = Number(count) * (UNITS[unit] ?? Number.NaN);
  if (Number.isNaN(ms)) throw new Error(`${duration} is not one number with one unit`);
  return `${Math.round(ms / by)}ms`;
}

/** An expression with all its ranges divided. */
export const scaledRanges = (expr: string, by: number): string =>
  expr.replaceAll(/\[(\w+)\]/g, (_, range: string) => `[${divided(range, by)}]`);

function scaledRule(rule: Rule, { waits, ranges, replaced }: Scale): Rule {
  let expr = scaledRanges(rule.expr, ranges);
  for (const [from, to] of replaced[rule.alert ?? ''] ?? []) {
    if (!expr.includes(from)) throw new Error(`${rule.alert} has no ${from} any more`);
    expr = expr.replace(from, to);
  }
  return { ...rule, expr, ...(rule.for === undefined ? {} : { for: divided(rule.for, waits) }) };
}

export function scaledRules(files: ReadonlyMap<string, RuleFile>, scale: Scale): Map<string, RuleFile> {
  return new Map(
    [...files].map(([name, { groups }]) => [
      name,
      {
        groups: groups.map((group) => ({
          name: group.name,
          rules: group.rules.map((rule) => scaledRule(rule, scale)),
        })),
      },
    ]),
  );
}
