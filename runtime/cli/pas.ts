/**
 * `pas verify [path]`: checks audit chains from their events alone: `_audit/` of Bronze, copies, an export of an
 * endpoint. `pas deliver` is in a file of its own.
 */

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chainKey } from '../../actors/bronze/names.ts';
import { summedUp } from '../../actors/verify/findings.ts';
import {
  type GatheredEvents,
  gatherBelow,
  gatherChain,
  gatherExport,
  gatherFolder,
  kindOf,
} from '../../actors/verify/gather.ts';
import { type ChainFinding, groupKey, verifySource } from '../../actors/verify/verify-source.ts';
import { BronzeError, type Failure } from '../../machines/errors.ts';
import { chainOf, openContext } from '../context.ts';
import { counted, printable } from '../human.ts';
import { errorText } from '../print-error.ts';
import { print, say } from '../streams.ts';
import { type CommandLine, switchOption, usage } from './command-line.ts';
import { deliver } from './pas-deliver.ts';

interface Verified {
  readonly places: readonly string[];
  readonly findings: readonly ChainFinding[];
  readonly failures: readonly Failure[];
}

/** A folder of events, one above several, or an export. */
async function verifyPath(given: string): Promise<Verified> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(given)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== 'file') {
    throw usage(`pas verify reads files, not ${scheme}://`, 'without a path it reads the Bronze that --config names');
  }
  const path = resolve(scheme === 'file' ? fileURLToPath(given) : given);
  const kind = await kindOf(path);
  if (kind === null) throw new BronzeError('USAGE', `there is no folder and no file ${path} with events`);
  const sources = kind === 'file' ? [await gatherExport(path)] : await gatherBelow(path);
  return together(
    sources,
    sources.map((source) => verifySource(source)),
  );
}

/** The chains in the configured Bronze, and the copies beside it, which may hold nothing that Bronze does not have. */
async function verifyConfigured(commandLine: CommandLine): Promise<Verified> {
  const { config, eras, store } = openContext(commandLine);
  const folder = resolve(config.pas.backup_dir);
  // Copies first: a copier at work writes them after the event.
  const copies = (await kindOf(folder)) === 'folder' ? await gatherFolder(folder) : null;
  const sources: GatheredEvents[] = [];
  const known = new Map<string, Set<string>>();
  for (const era of eras) {
    const chain = chainOf(era);
    const source = await gatherChain(store, chain);
    sources.push(source);
    known.set(groupKey({ chain: chainKey(chain), version: '1.2' }), new Set());
    for (const { version, eventHash } of source.events) {
      const key = groupKey({ chain: chainKey(chain), version });
      known.set(key, (known.get(key) ?? new Set()).add(eventHash));
    }
  }
  const verdicts = sources.map((source) => verifySource(source));
  if (copies === null) return together(sources, verdicts);
  return together([...sources, copies], [...verdicts, verifySource(copies, known)]);
}

const together = (
  sources: readonly GatheredEvents[],
  verdicts: readonly { findings: readonly ChainFinding[]; failures: readonly Failure[] }[],
): Verified => ({
  places: sources.map(({ place }) => place),
  findings: verdicts.flatMap(({ findings }) => findings),
  failures: verdicts.flatMap(({ failures }) => failures),
});

function line(finding: ChainFinding): string {
  const name = finding.version === '1.1' ? `${finding.chain} (events 1.1, of the old program)` : finding.chain;
  const twice = finding.duplicates > 0 ? `; ${finding.duplicates} came more than once` : '';
  const heads = finding.heads === 'behind' ? '; pas-chain-heads.json is behind, the next run writes it again' : '';
  if (finding.ok) {
    return `${name}: ${counted(finding.events, 'event')}, unbroken, head ${finding.head}${twice}${heads}; in ${finding.place}`;
  }
  return `${name}: breaks at ${finding.object} (ledgers ${finding.start} to ${finding.end}): ${finding.reason}`;
}

/** Whoever reads standard output alone has to learn of events that could not be used. */
function lastLine(findings: readonly ChainFinding[], failures: readonly Failure[]): string {
  const broken = findings.filter((finding) => !finding.ok).length;
  if (broken + failures.length === 0)
    return `OK: ${findings.length === 1 ? 'the chain is' : 'all chains are'} unbroken\n`;
  return `NOT OK: ${broken} of ${findings.length} chains broken, ${counted(failures.length, 'file or element that is no good event', 'files or elements that are no good events')}\n`;
}

async function verify(commandLine: CommandLine): Promise<number> {
  const [, given] = commandLine.args;
  const { places, findings, failures } =
    given === undefined ? await verifyConfigured(commandLine) : await verifyPath(given);
  if (findings.length === 0 && failures.length === 0) {
    throw new BronzeError('USAGE', `there are no events in ${places.join(' or ')}`);
  }
  const ok = failures.length === 0 && findings.every((finding) => finding.ok);
  if (switchOption(commandLine, 'json')) {
    await print(`${JSON.stringify({ ok, chains: findings, failures }, null, 2)}\n`);
  } else {
    await print(findings.map((finding) => `${printable(line(finding))}\n`).join('') + lastLine(findings, failures));
    say(summedUp(failures).map(errorText).join(''));
  }
  return ok ? 0 : 3;
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const [action, path] = commandLine.args;
  if (action === 'verify') return verify(commandLine);
  if (action !== 'deliver') throw usage(`pas has no action ${action}`, 'pas verify [path] or pas deliver');
  if (path !== undefined)
    throw usage(`pas deliver takes no path: ${path}`, 'it delivers the eras of the configuration');
  return deliver(commandLine);
}
