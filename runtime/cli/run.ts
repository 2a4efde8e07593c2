/** `run`: copies the active eras. Starts the machines, turns signals into a drain, reports what was done. */
import { open, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { replaceFile, wrongKind } from '../../actors/durable.ts';
import { errnoOf, realFiles } from '../../actors/files.ts';
import type { BronzeError } from '../../machines/errors.ts';
import { openContext } from '../context.ts';
import type { InspectOptions } from '../inspect/index.ts';
import { runEras } from '../run-eras.ts';
import { outputFailed, print, say } from '../streams.ts';
import { type RunReport, reportText } from '../summary.ts';
import { type CommandLine, ledgerOption, switchOption, textOption, usage } from './command-line.ts';

const EXIT = { done: 0, drained: 0, failed: 1 } as const;

export async function execute(commandLine: CommandLine): Promise<number> {
  if (switchOption(commandLine, 'dry-run')) {
    const plan = await import('./plan.ts');
    return plan.execute(commandLine);
  }
  const inspect = inspectOptions(commandLine);
  const file = textOption(commandLine, 'summary');
  if (file !== undefined) await checkWritable(file);
  const context = openContext(commandLine);
  const wanted = commandLine.options.progress;
  const terminal = wanted === true || (wanted === undefined && process.stderr.isTTY) ? process.stderr : null;
  const report = await runEras(context, {
    stopAfter: ledgerOption(commandLine, 'to'),
    once: switchOption(commandLine, 'once'),
    progress: wanted === false ? 'none' : (terminal ?? 'log'),
    ...(inspect ? { inspect } : {}),
  });
  const unwritten = file === undefined ? null : await writeSummary(file, report);
  if (switchOption(commandLine, 'json')) await print(`${JSON.stringify(report, null, 2)}\n`);
  else say(reportText(report));
  if (unwritten !== null) throw unwritten;
  return EXIT[report.status];
}

const HOSTED_INSPECTOR = 'https://stately.ai/inspect';

/** Null where nobody wants to look. */
function inspectOptions(commandLine: CommandLine): InspectOptions | null {
  const wanted = commandLine.options.inspect;
  const logFile = textOption(commandLine, 'inspect-log') ?? null;
  const hosted = hostedAddress(textOption(commandLine, 'inspect-hosted') ?? HOSTED_INSPECTOR);
  if (wanted === undefined) return logFile === null ? null : { port: null, logFile, hosted };
  if (wanted === true) return { port: 'default', logFile, hosted };
  if (!/^(0|[1-9]\d{0,4})$/.test(String(wanted)) || Number(wanted) > 65_535) {
    throw usage(`--inspect takes a port (0 to 65535), not ${wanted}`, '0 takes any that is free');
  }
  return { port: Number(wanted), logFile, hosted };
}

function hostedAddress(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url.href;
  throw usage(
    '--inspect-hosted takes the address of a page, without user and password',
    `the default is ${HOSTED_INSPECTOR}`,
  );
}

/** Before hours of copying rather than after them. Leaves everything as it was. */
async function checkWritable(file: string): Promise<void> {
  try {
    const wasThere = (await stat(file).catch(() => null)) !== null;
    const handle = await open(file, 'a');
    await handle.close();
    if (!wasThere) await rm(file);
  } catch (error) {
    throw usage(
      `--summary: ${file} cannot be written: ${(error as Error).message}`,
      'name a file in a folder that is there',
    );
  }
}

/** What the disk refuses to one file it refuses to another one: the earlier summary is better than half of a new one. */
const REFUSALS = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS']);

/**
 * An earlier summary stands until the new one is whole, where a file can be replaced: no pipe can, nor what is mounted.
 * Answers why it could not be written; null where it was.
 */
async function writeSummary(file: string, report: RunReport): Promise<BronzeError | null> {
  const bytes = Buffer.from(`${JSON.stringify(report, null, 2)}\n`);
  try {
    const found = await stat(file).catch(() => null);
    try {
      if (found && !found.isFile()) throw wrongKind(file);
      const target = await realpath(file).catch(() => file);
      await replaceFile(realFiles, dirname(target), basename(target), bytes);
    } catch (error) {
      if (REFUSALS.has(errnoOf(error) ?? '')) throw error;
      await writeFile(file, bytes);
    }
    return null;
  } catch (error) {
    return outputFailed(`the summary ${file}`, error);
  }
}
