/**
 * A run as somebody sees it in a terminal: every era once, log lines above, nothing left over after a resize, a failure,
 * Ctrl-C or the end; without a terminal, without colours, on one that cannot move its cursor.
 */
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { copyOf, objectOf, SAMPLE_SOURCE, sampleEra, sampleLake } from '../support/lakes.ts';
import { Scene } from '../support/program.ts';
import { describeTerminal, InTerminal, uncoloured } from '../support/terminal.ts';

/** One era that ends, one that fails, one that follows the lake until it is told to stop. */
async function scene(): Promise<Scene> {
  const lake = copyOf((await sampleLake()).path);
  truncateSync(join(lake, objectOf(lake, 50)), 0);
  return new Scene(
    lake,
    [
      sampleEra({ era_id: 'whole', ledger_end: 40 }),
      sampleEra({ era_id: 'broken', ledger_start: 41, ledger_end: 63, partition_size: 8 }),
      sampleEra({ era_id: 'tail', ledger_start: 64, ledger_end: 0, partition_size: 8 }),
    ],
    { source: { ...SAMPLE_SOURCE, poll_interval_ms: 200 }, logging: { format: 'text' } },
  );
}

const start = (of: Scene, columns: number, rows: number, env: Record<string, string> = {}): InTerminal =>
  new InTerminal(['run', '--config', of.config()], { cwd: of.root, columns, rows, env });

const ERAS = ['whole ', 'broken', 'tail  '];
/** Rows of the display, not of the log. */
const displayed = (seen: readonly string[]): string[] =>
  seen.filter((row) => ERAS.some((era) => row.startsWith(`${era}  `)));
const isSettled = (seen: readonly string[]): boolean => {
  const rows = displayed(seen).join('\n');
  return /whole +done/.test(rows) && /broken +failed/.test(rows) && /tail +following/.test(rows);
};

describeTerminal('in a terminal', () => {
  it('shows every era once, below the log, also after resizes, and leaves nothing at the end', async () => {
    const run = start(await scene(), 100, 24);
    await run.until(isSettled, 'all eras are where they end');
    const whole = displayed(run.screen.seen);
    expect(whole).toHaveLength(3);
    expect(whole[0]).toMatch(/^whole {3}done {7}100 % {2}39 of 39 ledgers {2}5 partitions$/);
    expect(whole[1]).toMatch(/^broken {2}failed {6}30 % {2}7 of 23 ledgers {2}1 partition$/);
    expect(whole[2]).toMatch(
      /^tail {4}following {2}ledger 127 {2}at the head {2}\d+\.\d MB\/s {2}\d+ ledgers\/s {2}8 partitions$/,
    );
    const seen = run.screen.seen.join('\n');
    expect(seen).toMatch(/\n {8}OBJECT_EMPTY: \S+ is empty\n/);
    expect(seen).toMatch(/\n {8}waiting for ledgers\n/);
    // Log lines are whole: none begins in the middle of the display, none of the display stands among them.
    const rows = run.screen.seen;
    const first = rows.findIndex((row) => displayed([row]).length > 0);
    expect(rows.slice(first).filter((row) => /^\d\d:\d\d:\d\d /.test(row))).toEqual([]);
    for (const range of ['2..9', '10..19', '20..29', '30..39']) {
      expect(
        rows.filter((row) =>
          new RegExp(`^[0-9:]{8} info  whole ${range.replaceAll('.', '\\.')} committed in`).test(row),
        ),
      ).toHaveLength(1);
    }
    // Narrower: the old rows wrap; what no longer fits is left out, and everything stands there once. (What a terminal
    // has pushed out at its top because it became lower as well nobody can take back.)
    const log = rows.slice(0, first).join('').replaceAll(/\s/g, '');
    for (const [columns, lines] of [
      [40, 24],
      [25, 16],
      [120, 30],
      [100, 24],
    ] as const) {
      const before = run.raw.length;
      run.resize(columns, lines);
      await run.until(
        () => run.raw.length > before && displayed(run.screen.seen).length === 3,
        `${columns} columns are drawn`,
      );
      const now = run.screen.seen;
      expect(displayed(now)).toHaveLength(3);
      const at = now.findIndex((row) => displayed([row]).length > 0);
      expect(now.slice(0, at).join('').replaceAll(/\s/g, '')).toBe(log);
    }
    // Ctrl-C, as the terminal sends it.
    run.type('\x03');
    expect(await run.done).toBe(1);
    expect(displayed(run.screen.seen)).toEqual([]);
    expect(run.screen.seen.join('\n')).toContain('SIGINT: finishing what is being committed');
    expect(run.screen.seen.join('\n')).not.toContain('waiting for ledgers');
    expect(run.screen.seen.join('\n')).toMatch(/\nfailed in \d+\.\d s\n {2}whole: done; 39 ledgers in 5 partitions/);
    expect(run.screen.cursorColumn).toBe(0);
    expect(run.raw).not.toContain('\x1b[?');
  });

  it('is not coloured with NO_COLOR, and moves no cursor with TERM=dumb', async () => {
    const plain = start(await scene(), 100, 24, { NO_COLOR: '1' });
    const dumb = start(await scene(), 100, 24, { TERM: 'dumb' });
    await plain.until(isSettled, 'all eras are where they end');
    expect(plain.raw).toContain('\x1b[0J');
    expect(plain.raw).toBe(uncoloured(plain.raw));
    await dumb.until((seen) => seen.some((row) => row.endsWith('whole done, next ledger 41')), 'the first era ends');
    plain.type('\x03');
    dumb.type('\x03');
    expect(await plain.done).toBe(1);
    expect(await dumb.done).toBe(1);
    expect(dumb.raw).not.toContain('\x1b');
  });
});
