// What `plan` estimates, held against what `run` then does. Times are compared by `npm run bench`, never here.
import { expect, it } from 'vitest';
import { said } from '../support/copier.ts';
import { SAMPLE_SOURCE, sampleEra, sampleLake } from '../support/lakes.ts';
import { Scene, SIDE_BY_SIDE } from '../support/program.ts';

interface Planned {
  readonly eras: readonly {
    readonly partitions_to_copy: number;
    readonly estimate: { sampled_ledgers: number; source_bytes: number; raw_bytes: number; bronze_bytes: number };
  }[];
  readonly memory_bytes: number;
  readonly memory_bytes_at_most: number;
}

/** Plans, runs, and compares. */
async function expectForeseen(scene: Scene): Promise<void> {
  scene.config();
  const { stdout } = await scene.command('plan', '--config', 'config.yaml', '--json');
  const planned = JSON.parse(stdout) as Planned;
  const run = await scene.run();
  expect(run.code, said(run)).toBe(0);
  const era = run.summary?.eras[0];
  const guess = planned.eras[0]?.estimate;
  expect(planned.eras[0]?.partitions_to_copy).toBe(era?.partitions);
  for (const key of ['source_bytes', 'raw_bytes', 'bronze_bytes'] as const) {
    const part = (guess?.[key] ?? 0) / (era?.[key] ?? 0);
    expect(part, `${key}: ${guess?.[key]} foreseen, ${era?.[key]} in the end`).toBeGreaterThan(0.8);
    expect(part, `${key}: ${guess?.[key]} foreseen, ${era?.[key]} in the end`).toBeLessThan(1.25);
  }
  expect(run.summary?.peak_rss_bytes).toBeLessThanOrEqual(planned.memory_bytes_at_most);
  expect(planned.memory_bytes).toBeLessThanOrEqual(planned.memory_bytes_at_most);
}

it('bytes and memory of 20 partitions of 200 small ledgers', async () => {
  const { path } = await sampleLake({ last: 4_001 });
  const era = sampleEra({ ledger_end: 4_001, partition_size: 200 });
  await expectForeseen(new Scene(path, era, { source: SAMPLE_SOURCE, ...SIDE_BY_SIDE }));
});

it('of files that hold 64 ledgers, which partitions of 100 cut', async () => {
  const { path } = await sampleLake({ last: 1_000, ledgersPerFile: 64 });
  const era = sampleEra({ ledger_end: 901, partition_size: 100 });
  await expectForeseen(new Scene(path, era, { source: SAMPLE_SOURCE }));
});
