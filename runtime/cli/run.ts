/** `run`: copies the active eras. Starts the machines, turns signals into a drain, reports what was done. */
import { writeFile } from 'node:fs/promises';
import { openContext } from '../context.ts';
import { runEras } from '../run-eras.ts';
import { reportText } from '../summary.ts';
import { type Answer, ledgerOption, switchOption, textOption } from './answer.ts';

const EXIT = { done: 0, drained: 0, failed: 1 } as const;

export async function execute(answer: Answer): Promise<number> {
  if (switchOption(answer, 'dry-run')) {
    const plan = await import('./plan.ts');
    return plan.execute(answer);
  }
  const context = openContext(answer);
  const wanted = answer.options.progress;
  const terminal = wanted === true || (wanted === undefined && process.stderr.isTTY) ? process.stderr : null;
  const report = await runEras(context, {
    stopAfter: ledgerOption(answer, 'to'),
    once: switchOption(answer, 'once'),
    progress: wanted === false ? 'none' : (terminal ?? 'log'),
  });
  const file = textOption(answer, 'summary');
  if (file !== undefined) await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
  if (switchOption(answer, 'json')) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else process.stderr.write(reportText(report));
  return EXIT[report.status];
}
