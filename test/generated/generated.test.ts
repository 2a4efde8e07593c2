// Every machine against the real actor, over generated paths: all reachable situations, all transitions.
import { afterAll, describe, expect, it } from 'vitest';
import { Coverage, generate } from './generate.ts';
import { MODELS } from './models/index.ts';
import { replay } from './replay.ts';
import type { Model } from './stepper.ts';

/** States and transitions that nothing can reach, each with its reason. There is none. */
const UNREACHABLE: Readonly<Record<string, string>> = {};

const table: Record<string, unknown>[] = [];

afterAll(() => console.table(table));

describe.each(Object.entries(MODELS))('the %s', (machine, models) => {
  const covered = new Coverage(models[0] as Model);
  const totals = { machine, situations: 0, cases: 0, steps: 0 };

  it.each(models.map((model) => [model.scenario, model] as const))('is where its model says: %s', async (_, model) => {
    const { cases, situations } = generate(model);
    expect(cases.length).toBeGreaterThan(10);
    for (const test of cases) {
      await replay(model, test);
      for (const at of test.expected) covered.add(at);
      totals.steps += test.moves.length;
    }
    totals.situations += situations;
    totals.cases += cases.length;
  });

  it('was in every state and took every transition', () => {
    table.push({ ...totals, ...covered.row });
    const missing = covered.missing;
    expect(missing.filter((name) => !(name in UNREACHABLE))).toEqual([]);
    expect(Object.keys(UNREACHABLE).filter((name) => name.startsWith(machine) && !missing.includes(name))).toEqual([]);
  });
});

describe('a replay', () => {
  it('notices an actor that does something else than its model', async () => {
    const [model] = MODELS.worker as [Model];
    const { cases } = generate(model);
    const longest = cases.reduce((a, b) => (b.moves.length > a.moves.length ? b : a));
    const [first, ...rest] = longest.moves;
    await expect(replay(model, { ...longest, moves: [...rest, first as never] })).rejects.toThrow();
    const other = { ...model, input: { ...(model.input as object), retryAttempts: 1 } };
    const retries = cases.find((test) => test.moves.some((move) => move.type.startsWith('time passes')));
    await expect(replay(other, retries as never)).rejects.toThrow(/is not where the model says after/);
  });
});
