// The small configurations to exhaustion, and that leaving moves out changes no end. All of them: `npm run test:model`.
import { describe, expect, it } from 'vitest';
import { type Configuration, configuration, configurations, expectedMoves } from './configurations.ts';
import { explore } from './explore.ts';
import { tell } from './trace.ts';

/** More states than these have, and it is left to the runner. */
const SMALL = 30_000;

describe('configurations', () => {
  it.each(configurations.map((config) => [config.name, config] as const))('%s', (_, config) => {
    const report = explore(config, { limit: SMALL });
    expect(report.violation === null ? '' : tell(report)).toBe('');
    if (!report.exhausted) return;
    expect(expectedMoves(config).filter((kind) => !report.moves.has(kind))).toEqual([]);
  });

  it('allow every kind of move between them', () => {
    const kinds = new Set(configurations.flatMap(expectedMoves));
    for (const fault of [
      'fail',
      'fail for good',
      'lose the answer',
      'perform twice',
      'crash worker',
      'crash sequencer',
    ])
      expect(kinds).toContain(fault);
    for (const fault of ['restart', 'signal', 'staged data vanishes', 'lose the checkpoint', 'lose lock and journal'])
      expect(kinds).toContain(fault);
    for (const name of ['buildPartition', 'publishPartition', 'sealPartition', 'attestPartition', 'writeCheckpoint'])
      expect(kinds).toContain(`late ${name}`);
  });
});

describe('reductions', () => {
  const base = configuration('pool');
  const grid = (partitions: number) => ({ size: 10, origin: 0, ledgerStart: 10, ledgerEnd: 9 + partitions * 10 });
  const tiny = (changes: Partial<Configuration>, partitions: number, workers: number): Configuration => {
    const [era] = base.eras as [Configuration['eras'][number]];
    return { ...base, ...changes, eras: [{ ...era, spec: { ...era.spec, workers, grid: grid(partitions) } }] };
  };

  it.each([
    ['one partition, a failure', tiny({ budget: { fail: 1 } }, 1, 1)],
    ['one partition, a crash', tiny({ budget: { crash: 1 } }, 1, 1)],
    ['one partition, a restart and another release', tiny({ budget: { restart: 1 }, writers: ['w1', 'w2'] }, 1, 1)],
    ['one partition, a signal', tiny({ budget: { drain: 1 }, staysFailed: true }, 1, 1)],
  ] as const)('leave every end as it was: %s', (_, config) => {
    const reduced = explore(config, { collectEnds: true });
    const exact = explore({ ...config, exact: true }, { collectEnds: true });
    expect(reduced.violation).toBeNull();
    expect(exact.violation === null ? '' : tell(exact)).toBe('');
    expect(exact.states).toBeGreaterThan(reduced.states);
    expect([...reduced.ends].sort()).toEqual([...exact.ends].sort());
  });
});
