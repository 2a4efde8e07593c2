/**
 * Streams that cannot be written, terminals that vanish, process 1 of a container with a disk that hangs (S43): copying
 * goes on or drains, what was asked for is there whole or the command says that it is not, and every process ends.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { END_PATIENCE_MS } from '../../runtime/last-resort.ts';
import { tempFolder } from '../support/bronze.ts';
import { said } from '../support/copier.ts';
import { attestedIn, grid, namesIn } from '../support/estate.ts';
import { copyOf, SAMPLE_SOURCE, sampleEra, sampleLake, sampleScene, takeAway } from '../support/lakes.ts';
import { itInNamespace, PROCESS_1, PROCESS_1_FOREIGN_PROC, pidInside } from '../support/namespaces.ts';
import { BINARY, type Outcome, Running, Scene } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';
import { itMounted, type itStalled, Stall, smallDisk } from '../support/starving.ts';
import { describeTerminal, PYTHON } from '../support/terminal.ts';

const ALL = grid(2, 127, 10);

/** Words that redirect the streams of what follows them, and then become it. */
const redirected = (to: string): string[] => ['sh', '-c', `exec "$@" ${to}`, 'sh'];

async function expectCopied(scene: Scene, run: Outcome): Promise<void> {
  expect(run.code, said(run)).toBe(0);
  expect(attestedIn(scene.chain('sample', 'whole'))).toEqual(ALL);
  expect(namesIn(scene.state).filter((name) => name.startsWith('lock_'))).toEqual([]);
  await expectVerified(scene);
}

describe('a log that cannot be written', () => {
  it('standard output is full: said on standard error, counted, copied', async () => {
    const scene = await sampleScene();
    const run = await scene.run({ under: redirected('>/dev/full') });
    await expectCopied(scene, run);
    expect(run.stderr).toMatch(/^logs cannot be written: ENOSPC: .*; the work goes on/);
    expect(run.summary?.log_lines_lost).toBeGreaterThan(10);
    expect(run.stderr).toMatch(/\d+ lines of the log could not be written/);
  });

  it('standard error is full, or both are, or closed: copied', async () => {
    for (const to of ['2>/dev/full', '>/dev/full 2>&1', '>&- 2>&-']) {
      const scene = await sampleScene();
      const run = await scene.run({ under: redirected(to) });
      await expectCopied(scene, run);
      if (to.includes('/dev/full 2')) expect(run.summary?.log_lines_lost).toBeGreaterThan(10);
    }
  });

  it('its reader goes away: copied', async () => {
    const scene = await sampleScene();
    const run = await scene.run({ under: ['sh', '-c', '"$@" | head -n 1; exit 7', 'sh'] });
    expect(run.code).toBe(7);
    expect(run.summary).toMatchObject({ status: 'done' });
    expect(run.summary?.log_lines_lost).toBeGreaterThan(10);
    expect(attestedIn(scene.chain('sample', 'whole'))).toEqual(ALL);
  });

  itMounted('its disk is full and has room again: copied; the log says how much is missing', async () => {
    const scene = await sampleScene(sampleEra({ ledger_end: 0 }), { source: { poll_interval_ms: 20 } });
    const folder = join(scene.root, 'logs');
    const disk = await smallDisk(scene, folder, '4k');
    // The shell opens the file where the disk is.
    const running = scene.start('run', {
      under: [...disk.under, ...redirected(`>${join(folder, 'log')}`)],
      settings: { logging: { level: 'debug' } },
    });
    await running.until(
      () => existsSync(scene.state) && running.stderr.includes('logs cannot be written'),
      'it is full',
    );
    disk.resize('4m');
    running.kill('SIGTERM');
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    const text = readFileSync(join(`${disk.place.state}/..`, 'logs/log'), 'utf8');
    expect(text).toMatch(/"lines":\d+,"msg":"lines of this log could not be written"/);
    // Half a line stands alone.
    const broken = text.split('\n').filter((line) => line !== '' && !line.endsWith('}'));
    expect(broken.length).toBeLessThan(2);
  });
});

describe('an answer that cannot be written', () => {
  const COMMANDS = [
    ['status'],
    ['status', '--json'],
    ['plan'],
    ['plan', '--json'],
    ['verify', '--json'],
    ['verify'],
    ['validate'],
    ['reconcile', '--json'],
    ['pas', 'verify'],
    ['run', '--json'],
    ['unlock'],
  ];

  it('on a full disk: OUTPUT_FAILED, whatever was asked', async () => {
    const scene = await sampleScene();
    expect((await scene.run()).code).toBe(0);
    for (const [command = '', ...args] of COMMANDS) {
      const run = await scene.start(command, { args, under: redirected('>/dev/full') }).done;
      expect([command, run.code, run.stderr]).toEqual([command, 1, expect.stringContaining('OUTPUT_FAILED')]);
    }
    for (const args of [['--help'], ['--version'], ['machines'], ['machines', '--format', 'json'], ['run', '--help']]) {
      const run = await new Running(args, { cwd: scene.root, under: redirected('>/dev/full') }).done;
      expect(run.code, args.join(' ')).toBe(1);
    }
  });

  itMounted('on a disk with room for a part of it: OUTPUT_FAILED', async () => {
    const scene = await sampleScene();
    const folder = join(scene.root, 'answers');
    const disk = await smallDisk(scene, folder, '8k');
    const under = [...disk.under, ...redirected(`>${join(folder, 'answer')}`)];
    const run = await new Running(['machines', '--format', 'json'], { cwd: scene.root, under }).done;
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('OUTPUT_FAILED');
  });

  itMounted('a summary: OUTPUT_FAILED, and the earlier one stays', async () => {
    const scene = await sampleScene();
    const folder = join(scene.root, 'summaries');
    const disk = await smallDisk(scene, folder, '16k');
    const file = join(folder, 'summary.json');
    const run = (before: string) => {
      const under = [...disk.under, 'sh', '-c', `${before} exec "$@"`, 'sh'];
      return new Running(['run', '--config', scene.config(), '--summary', file], { cwd: scene.root, under }).done;
    };
    const first = await run('');
    expect(first.code, said(first)).toBe(0);
    const second = await run(`head -c 1M /dev/zero >${join(folder, 'full')} 2>/dev/null;`);
    expect([second.code, second.stderr]).toEqual([1, expect.stringMatching(/OUTPUT_FAILED: .*summary\.json.*ENOSPC/)]);
    const kept = readFileSync(join(`${disk.place.state}/..`, 'summaries/summary.json'), 'utf8');
    expect(JSON.parse(kept)).toMatchObject({ eras: [{ partitions: 13 }] });
  });

  it('the reader goes away: nothing is said, and it is no success', async () => {
    const scene = await sampleScene();
    // What bash says is the code of whoever failed in the pipe.
    const run = await scene.start('status', { under: ['bash', '-o', 'pipefail', '-c', '"$@" | true', 'bash'] }).done;
    expect([run.code, run.stderr]).toEqual([141, '']);
  });

  it('the reader is slow: all of it comes', async () => {
    const eras = Array.from({ length: 120 }, (_, i) =>
      sampleEra({
        era_id: `an_era_with_a_name_that_is_rather_long_and_number_${i}`,
        ledger_start: 2 + i,
        ledger_end: 2 + i,
        partition_size: 1,
      }),
    );
    const scene = await sampleScene(eras);
    // Longer than the program would wait for anything else that is open at its end.
    const late = `"$@" | { sleep ${Math.ceil(END_PATIENCE_MS / 1_000) + 2}; cat; }`;
    const run = await scene.start('status', { args: ['--json'], under: ['sh', '-c', late, 'sh'] }).done;
    const text = run.stdout;
    expect(text.length).toBeGreaterThan(65_536);
    expect(JSON.parse(text).eras).toHaveLength(120);
  });
});

describe('something that nobody closes', () => {
  it('keeps a command that has failed for a while, and does not make a success of it', async () => {
    const root = tempFolder();
    const module = join(root, 'open.cjs');
    const late = END_PATIENCE_MS - 2_000;
    writeFileSync(module, `setInterval(() => {}, 1000); setTimeout(() => console.error('still open'), ${late});`);
    const env = { NODE_OPTIONS: `--require ${module}` };
    const run = await new Running(['run', '--config', join(root, 'absent.yaml')], { cwd: root, env }).done;
    expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(/CONFIG_UNREADABLE[\s\S]*still open/)]);
  });
});

describeTerminal('a terminal that vanishes', () => {
  /** `onceGone` is given what lets the era end: until then it waits for a ledger. */
  async function inVanishing(kind: 'session' | 'streams', onceGone: (goOn: () => void) => void) {
    const lake = copyOf((await sampleLake()).path);
    const goOn = takeAway(lake, 62);
    const scene = new Scene(lake, sampleEra(), { source: { ...SAMPLE_SOURCE, poll_interval_ms: 50 } });
    const summary = join(scene.root, 'summary.json');
    const words = ['run', '--config', scene.config(), '--summary', summary];
    const script = join(import.meta.dirname, '../support/vanishing-terminal.py');
    const child = spawn(PYTHON, [script, kind, '2..9 committed', process.execPath, BINARY, ...words], {
      cwd: scene.root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      said.push(line);
      if (line === 'gone') onceGone(goOn);
    }
    expect(said).toEqual(['gone', '0']);
    const report: unknown = JSON.parse(readFileSync(summary, 'utf8'));
    return { report, scene, attested: attestedIn(scene.chain('sample', 'whole')) };
  }

  it('under a program that has another one, or none: copied to the end', async () => {
    const { report, attested, scene } = await inVanishing('streams', (goOn) => goOn());
    expect(report).toMatchObject({ status: 'done' });
    expect((report as { log_lines_lost: number }).log_lines_lost).toBeGreaterThan(0);
    expect(attested).toEqual(ALL);
    expect(namesIn(scene.state).filter((name) => name.startsWith('lock_'))).toEqual([]);
  });

  it('of the program itself: it hangs up, which is a drain', async () => {
    const { report, attested, scene } = await inVanishing('session', () => undefined);
    expect(report).toMatchObject({ status: 'drained' });
    expect(attested).toEqual(ALL.slice(0, attested.length));
    expect(namesIn(scene.state).filter((name) => name.startsWith('lock_'))).toEqual([]);
  });
});

describe('process 1 of a container, with a disk that hangs', () => {
  const hanging = async (settings: object) => {
    const scene = await sampleScene(undefined, settings as never);
    const stall = new Stall(join(scene.chain('sample', 'whole'), 'ledgers_lcm_raw', 'range=40-49'));
    return { scene, stall };
  };
  const itStalledInside: typeof itStalled = (name, body) => itInNamespace(name, () => body());

  for (const [what, under] of [
    ['its own /proc', PROCESS_1],
    ['the /proc of those outside', PROCESS_1_FOREIGN_PROC],
  ] as const) {
    itStalledInside(`two signals, with ${what}: it ends`, async () => {
      const { scene, stall } = await hanging({ perf: { stall_timeout_ms: 60_000 } });
      const running = scene.start('run', { env: stall.env, under });
      await stall.met(running);
      const pid = await pidInside(running);
      process.kill(pid, 'SIGTERM');
      await running.untilLogged(({ msg }) => msg.startsWith('SIGTERM: finishing'), 'it heard');
      process.kill(pid, 'SIGTERM');
      const run = await running.done;
      expect(run.stderr, said(run)).toContain('process 1 aborts');
      expect(run.code).not.toBe(0);
      stall.lift();
    });
  }

  itStalledInside('for good: it reports, and ends', async () => {
    const { scene, stall } = await hanging({ perf: { stall_timeout_ms: 1_000 } });
    const run = await scene.start('run', { env: stall.env, under: PROCESS_1, patienceMs: 120_000 }).done;
    expect(run.stderr, said(run)).toContain('STALLED: era whole made no progress');
    expect(run.stderr, said(run)).toContain('process 1 aborts');
    expect(run.summary).toMatchObject({ status: 'failed' });
    stall.lift();
  });
});
