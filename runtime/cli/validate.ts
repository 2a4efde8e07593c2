/** `validate`: every problem of the configuration; `--online` also whether lake, store and state can be used. */

import { randomBytes } from 'node:crypto';
import { link, mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { openEndpoint } from '../../actors/endpoint/endpoint.ts';
import { type Domain, fileError } from '../../actors/files.ts';
import { checkConfig } from '../../config/load.ts';
import { formatOrigin, formatProblem } from '../../config/problems.ts';
import { type Failure, fromFailure } from '../../machines/errors.ts';
import { openAnchors } from '../anchors.ts';
import { type Context, chainOf, openContext, signerOf } from '../context.ts';
import { printable } from '../human.ts';
import { failureOf, outlookOf } from '../outlook.ts';
import { errorText } from '../print-error.ts';
import { print, say } from '../streams.ts';
import { type CommandLine, switchOption, textOption } from './command-line.ts';

const never = new AbortController().signal;

/** With a file and a hard link of its own, which it takes away again. Throws STORE_* or STATE_IO. */
async function checkFolder(domain: Domain, folder: string, what: string): Promise<void> {
  const probe = join(folder, `.probe-${randomBytes(6).toString('hex')}`);
  const linked = `${probe}-link`;
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(probe, '', { flag: 'wx' });
    await link(probe, linked);
  } catch (error) {
    throw fileError(domain, `write to ${what}`, folder, error);
  } finally {
    for (const made of [linked, probe]) await rm(made, { force: true }).catch(() => undefined);
  }
}

interface Findings {
  readonly failures: readonly Failure[];
  readonly notices: readonly string[];
}

/** Every problem that a look outside shows; each look goes on after the others' failures. */
async function checkSurroundings(context: Context): Promise<Findings> {
  const { config, eras, store, catalog } = context;
  const failures: Failure[] = [];
  const notices: string[] = [];
  const attempt = async (look: () => Promise<void>): Promise<void> => {
    const failure = await failureOf(look);
    // A lake that is missing is missing for every era.
    if (failure && !failures.some((known) => known.code === failure.code && known.message === failure.message)) {
      failures.push(failure);
    }
  };
  for (const era of eras) {
    const outlook = await outlookOf(context, era);
    notices.push(...outlook.notices);
    for (const failure of outlook.refusals) await attempt(() => Promise.reject(fromFailure(failure)));
  }
  if (catalog) await attempt(() => catalog.probe(never).finally(() => catalog.close()));
  if (config.pas.enabled && config.pas.endpoint !== '') {
    await attempt(() => openEndpoint(config.pas.endpoint).probe(never));
  }
  for (const era of eras) await attempt(async () => void signerOf(config, chainOf(era)));
  // Where Bronze is not what it was, its mount may be absent: nothing is made in its place.
  const isRefused = failures.some(({ code }) => code === 'EVIDENCE_CONTRADICTS');
  await attempt(async () =>
    isRefused
      ? undefined
      : context.storeSpec.backend === 'local'
        ? checkFolder('store', resolve(config.storage.local_dir), 'storage.local_dir')
        : // Whether it can be written, and what it enforces: with objects of its own, which it takes away again.
          store.prepare(),
  );
  await attempt(() => checkFolder('state', resolve(config.checkpoint.dir), 'checkpoint.dir'));
  if (config.pas.enabled) await attempt(() => checkFolder('state', resolve(config.pas.backup_dir), 'pas.backup_dir'));
  return { failures, notices };
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const json = switchOption(commandLine, 'json');
  const file = textOption(commandLine, 'config');
  const { config, problems, settings } = checkConfig({ env: process.env, ...(file === undefined ? {} : { file }) });
  if (config !== null) openAnchors(config);
  const isOnline = problems.length === 0 && switchOption(commandLine, 'online');
  const { failures, notices } = isOnline
    ? await checkSurroundings(openContext(commandLine))
    : { failures: [], notices: [] };
  if (json)
    await print(
      `${JSON.stringify({ valid: problems.length + failures.length === 0, problems, failures, notices, settings }, null, 2)}\n`,
    );
  if (problems.length > 0) {
    if (!json) say(`${problems.map(formatProblem).map(printable).join('\n')}\n`);
    return 2;
  }
  if (!json) await print(notices.map((notice) => `note: ${printable(notice)}\n`).join(''));
  if (failures.length > 0) {
    if (!json) say(failures.map(errorText).join(''));
    return 1;
  }
  if (!json) {
    const lines = settings.map(({ key, value, from }) => {
      const where = from.kind === 'default' ? 'default' : formatOrigin(from);
      return printable(`${key}: ${JSON.stringify(value) ?? 'not set'}  # ${where}`);
    });
    await print(`${lines.join('\n')}\n`);
  }
  if (!json)
    await print(
      `the configuration is valid${switchOption(commandLine, 'online') ? ', and what it names can be used' : ''}\n`,
    );
  return 0;
}
