/** `machines [name]`: prints the state machines as they are compiled in. Touches nothing. */

import { readOrdinaryFile } from '../../config/text-file.ts';
import { BronzeError } from '../../machines/errors.ts';
import { chartJson, chartMermaid, MACHINES } from '../charts.ts';
import { parseDump } from '../diagnostics.ts';
import { printable } from '../human.ts';
import { print } from '../streams.ts';
import { type CommandLine, textOption, usage } from './command-line.ts';

/** Bytes; a dump of hundreds of eras has a few MB. */
const DUMP_LIMIT = 256 * 1024 * 1024;

/** Events of a dump that are printed; the file has more. */
const SHOWN_EVENTS = 50;

/** A dump for a person: every actor with its state, its chart with that state lit, and the last events. */
async function dumpText(file: string, name: string | undefined): Promise<string> {
  let text: string;
  try {
    text = readOrdinaryFile(file, DUMP_LIMIT).toString();
  } catch (error) {
    throw new BronzeError('USAGE', `the dump ${file} cannot be read: ${(error as Error).message}`, {
      details: { object: file, hint: 'a run writes dumps into checkpoint.dir, as dump_….json' },
    });
  }
  const dump = parseDump(text, file);
  const lines = [`%% ${dump.reason}; ${dump.written_at}; ${dump.program}`];
  for (const actor of dump.actors) {
    if (actor.machine === null || (name !== undefined && actor.machine !== name)) continue;
    lines.push(
      `%% ${actor.id}: ${actor.status}, ${actor.active.at(-1) ?? 'no state'}${actor.error ? `, ${actor.error}` : ''}`,
    );
    lines.push(chartMermaid(actor.machine, actor.active));
  }
  lines.push(`%% the last ${Math.min(dump.events.length, SHOWN_EVENTS)} of ${dump.events.length} events`);
  for (const { at, from, to, event } of dump.events.slice(-SHOWN_EVENTS)) {
    lines.push(`%% ${at} ${from ?? '-'} > ${to} ${JSON.stringify(event).slice(0, 200)}`);
  }
  // Charts are of several lines.
  return `${lines
    .flatMap((each) => each.split('\n'))
    .map(printable)
    .join('\n')}\n`;
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const [name] = commandLine.args;
  const names = Object.keys(MACHINES);
  if (name !== undefined && !names.includes(name)) {
    throw new BronzeError('USAGE', `there is no machine ${name}`, {
      details: { expected: names.join(', '), found: name },
    });
  }
  const snapshot = textOption(commandLine, 'snapshot');
  const format = textOption(commandLine, 'format') ?? 'mermaid';
  if (snapshot !== undefined) {
    if (format !== 'mermaid') throw usage('--snapshot prints mermaid only', 'the dump itself is JSON');
    await print(await dumpText(snapshot, name));
    return 0;
  }
  const chosen = name === undefined ? names : [name];
  if (format === 'json') {
    const one =
      name === undefined ? Object.fromEntries(chosen.map((each) => [each, chartJson(each)])) : chartJson(name);
    await print(`${JSON.stringify(one, null, 2)}\n`);
    return 0;
  }
  if (format !== 'mermaid') {
    throw new BronzeError('USAGE', `--format is json or mermaid, not ${format}`);
  }
  for (const each of chosen) {
    await print(`${chosen.length > 1 ? `%% ${each}\n` : ''}${chartMermaid(each)}\n`);
  }
  return 0;
}
