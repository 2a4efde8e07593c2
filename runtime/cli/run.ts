/** `run`: copies the active eras. Starts the machines, turns signals into a drain, reports what was done. */
import { open, writeFile } from 'node:fs/promises';
import { openContext } from '../context.ts';
import { runEras } from '../run-eras.ts';
import { reportText } from '../summary.ts';
import { type Answer, ledgerOption, switchOption, textOption, usage } from './answer.ts';

const EXIT = { done: 0, drained: 0, failed: 1 } as const;

export async function execute(answer: Answer): Promise<number> {
  if (switchOption(answer, 'dry-run')) {
    const plan = await import('./plan.ts');
    return plan.execute(answer);
  }
  const file = textOption(answer, 'summary');
  if (file !== undefined) await checkWritable(file);
  const context = openContext(answer);
  const wanted = answer.options.progress;
  const terminal = wanted === true || (wanted === undefined && process.stderr.isTTY) ? process.stderr : null;
  const report = await runEras(context, {
    stopAfter: ledgerOption(answer, 'to'),
    once: switchOption(answer, 'once'),
    progress: wanted === false ? 'none' : (terminal ?? 'log'),
  });
  if (switchOption(answer, 'json')) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else process.stderr.write(reportText(report));
  if (file !== undefined) await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
  return EXIT[report.status];
}

/** Before hours of copying rather than after them. */
async function checkWritable(file: string): Promise<void> {
  try {
    const handle = await open(file, 'a');
    await handle.close();
  } catch (error) {
    throw usage(
      `--summary: ${file} cannot be written: ${(error as Error).message}`,
      'name a file in a folder that is there',
    );
  }
}
