/**
 * `pas verify [path]`: checks audit chains from their events alone: `_audit/` of Bronze, copies, an export of an
 * endpoint; with `--key` also the signed heads of these logs. `pas deliver` and `pas keygen` are in files of their own.
 */

import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chainKey, HEADS_FOLDER } from '../../actors/bronze/names.ts';
import { readVerifierKeys } from '../../actors/state/key-files.ts';
import type { VerifierKey } from '../../actors/tlog/keys.ts';
import { summedUp } from '../../actors/verify/findings.ts';
import {
  type FoundHead,
  type GatheredEvents,
  gatherBelow,
  gatherChain,
  gatherExport,
  gatherFolder,
  gatherHeads,
  kindOf,
} from '../../actors/verify/gather.ts';
import { checkSignatures, type HeadsVerdict, verifyHeads } from '../../actors/verify/verify-heads.ts';
import { type ChainFinding, groupKey, verifySource } from '../../actors/verify/verify-source.ts';
import { BronzeError, type Failure } from '../../machines/errors.ts';
import { chainOf, openContext } from '../context.ts';
import { counted, printable } from '../human.ts';
import { errorText } from '../print-error.ts';
import { print, say } from '../streams.ts';
import { type CommandLine, switchOption, textOption, usage } from './command-line.ts';
import { deliver } from './pas-deliver.ts';
import { keygen } from './pas-keygen.ts';

interface Verified {
  readonly places: readonly string[];
  readonly findings: readonly ChainFinding[];
  readonly failures: readonly Failure[];
  /** Null where no key was given. */
  readonly signed: { readonly verdicts: readonly HeadsVerdict[]; readonly failures: readonly Failure[] } | null;
  /** Whether something that was kept elsewhere says how long the chains have to be. */
  readonly showsRemoval: boolean;
  /** Whether there are heads, and nobody gave a key. */
  readonly hasUnjudged: boolean;
}

/** What signed heads are checked with. */
interface Signed {
  readonly keys: readonly VerifierKey[];
  /** Copies of heads; null where none were given. */
  readonly copies: readonly FoundHead[] | null;
}

/** What `--key` and `--heads` name; null where no key is given. Copies are read before any event. */
async function signedOf(commandLine: CommandLine): Promise<Signed | null> {
  const given = textOption(commandLine, 'key');
  const dir = textOption(commandLine, 'heads');
  if (given === undefined) {
    if (dir === undefined) return null;
    throw usage('--heads needs --key: without it anybody could have written them', 'pas keygen printed the key');
  }
  const keys = await readVerifierKeys(given.split('\n'));
  if (dir === undefined) return { keys, copies: null };
  const folder = resolve(dir);
  if ((await kindOf(folder)) !== 'folder') throw new BronzeError('USAGE', `there is no folder ${folder} with heads`);
  const copies = await gatherHeads(folder);
  if (copies.length === 0) throw new BronzeError('USAGE', `there are no heads in ${folder}`);
  return { keys, copies };
}

const hasUnjudged = (sources: readonly GatheredEvents[], signed: Signed | null): boolean =>
  signed === null && sources.some(({ signedHeads }) => signedHeads.length > 0);

/** `chains`: the only ones that copies are compared with; null = copies have to be of what is there. */
function verifySigned(
  sources: readonly GatheredEvents[],
  signed: Signed | null,
  chains: ReadonlySet<string> | null = null,
): Verified['signed'] {
  if (signed === null) {
    const { failures } = verifyHeads(sources, [], null);
    return failures.length === 0 ? null : { verdicts: [], failures };
  }
  const { known, failures } = checkSignatures(signed.copies ?? [], signed.keys);
  const copies = known.filter(({ chain }) => chains === null || chains.has(chain));
  const verified = verifyHeads(sources, copies, signed.keys);
  return { verdicts: verified.verdicts, failures: [...failures, ...verified.failures] };
}

/** A folder of events, one above several, or an export. */
async function verifyPath(given: string, signed: Signed | null): Promise<Verified> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(given)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== 'file') {
    throw usage(`pas verify reads files, not ${scheme}://`, 'without a path it reads the Bronze that --config names');
  }
  const path = resolve(scheme === 'file' ? fileURLToPath(given) : given);
  const kind = await kindOf(path);
  if (kind === null) throw new BronzeError('USAGE', `there is no folder and no file ${path} with events`);
  const sources = kind === 'file' ? [await gatherExport(path)] : await gatherBelow(path, true);
  const verdicts = sources.map((source) => verifySource(source));
  return {
    ...together(sources, verdicts),
    signed: verifySigned(sources, signed),
    showsRemoval: signed !== null && signed.copies !== null,
    hasUnjudged: hasUnjudged(sources, signed),
  };
}

/** The chains in the configured Bronze, and the copies beside it, which may hold nothing that Bronze does not have. */
async function verifyConfigured(commandLine: CommandLine, given: Signed | null): Promise<Verified> {
  const { config, eras, store } = openContext(commandLine);
  const folder = resolve(config.pas.backup_dir);
  // Copies first: a copier at work writes them after the event.
  const copies = (await kindOf(folder)) === 'folder' ? await gatherFolder(folder) : null;
  const beside = join(folder, HEADS_FOLDER);
  const hasHeads = given !== null && given.copies === null && (await kindOf(beside)) === 'folder';
  const signed = hasHeads ? { ...given, copies: await gatherHeads(beside) } : given;
  const sources: GatheredEvents[] = [];
  const known = new Map<string, Set<string>>();
  for (const era of eras) {
    const chain = chainOf(era);
    const source = await gatherChain(store, chain, true);
    sources.push(source);
    known.set(groupKey({ chain: chainKey(chain), version: '1.2' }), new Set());
    for (const { version, eventHash } of source.events) {
      const key = groupKey({ chain: chainKey(chain), version });
      known.set(key, (known.get(key) ?? new Set()).add(eventHash));
    }
  }
  const verdicts = sources.map((source) => verifySource(source));
  const chains = new Set(eras.map((era) => chainKey(chainOf(era))));
  const more = {
    signed: verifySigned(sources, signed, chains),
    showsRemoval: copies !== null || (signed !== null && signed.copies !== null),
    hasUnjudged: hasUnjudged(sources, signed),
  };
  if (copies === null) return { ...together(sources, verdicts), ...more };
  return { ...together([...sources, copies], [...verdicts, verifySource(copies, known)]), ...more };
}

const together = (
  sources: readonly GatheredEvents[],
  verdicts: readonly { findings: readonly ChainFinding[]; failures: readonly Failure[] }[],
): Pick<Verified, 'places' | 'findings' | 'failures'> => ({
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

function headsLine({ chain, place, heads, newest, events }: HeadsVerdict): string {
  if (newest === null) return `${chain}: no signed head fits the ${counted(events, 'event')} in ${place}`;
  const bare = events - newest;
  const after = bare === 0 ? '' : `; the last ${counted(bare, 'event')} under no head`;
  return `${chain}: ${counted(heads, 'head')} signed by the key, the newest of ${newest} of ${counted(events, 'event')}${after}; in ${place}`;
}

const NOT_SEEN =
  'not seen from here: whether the last partitions were removed with their events and heads; copies of heads that are kept elsewhere show it (--key, --heads)';

const UNJUDGED = 'not looked at: who signed the heads beside the events (--key)';

/** Whoever reads standard output alone has to learn of events that could not be used. */
function lastLine({ findings, failures, signed }: Verified): string {
  const broken = findings.filter((finding) => !finding.ok).length;
  const heads = signed?.failures.length ?? 0;
  if (broken + failures.length + heads === 0)
    return `OK: ${findings.length === 1 ? 'the chain is' : 'all chains are'} unbroken${signed === null ? '' : ', and as signed'}\n`;
  const about = signed === null ? '' : `, ${counted(heads, 'finding')} about signed heads`;
  return `NOT OK: ${broken} of ${findings.length} chains broken, ${counted(failures.length, 'file or element that is no good event', 'files or elements that are no good events')}${about}\n`;
}

async function verify(commandLine: CommandLine): Promise<number> {
  const [, given] = commandLine.args;
  const asked = await signedOf(commandLine);
  const verified = given === undefined ? await verifyConfigured(commandLine, asked) : await verifyPath(given, asked);
  const { places, findings, failures, signed, showsRemoval } = verified;
  const keyless = asked === null;
  const all = [...failures, ...(signed?.failures ?? [])];
  if (findings.length === 0 && all.length === 0) {
    throw new BronzeError('USAGE', `there are no events in ${places.join(' or ')}`);
  }
  const ok = all.length === 0 && findings.every((finding) => finding.ok);
  const notSeen = [...(verified.hasUnjudged ? [UNJUDGED] : []), ...(showsRemoval ? [] : [NOT_SEEN])];
  if (switchOption(commandLine, 'json')) {
    const heads = signed === null || keyless ? {} : { heads: signed.verdicts };
    await print(`${JSON.stringify({ ok, chains: findings, ...heads, failures: all, not_seen: notSeen }, null, 2)}\n`);
  } else {
    const lines = [...findings.map(line), ...(signed?.verdicts.map(headsLine) ?? []), ...notSeen];
    await print(lines.map((text) => `${printable(text)}\n`).join('') + lastLine(verified));
    say(summedUp(all).map(errorText).join(''));
  }
  return ok ? 0 : 3;
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const [action, path] = commandLine.args;
  const foreign = Object.entries({ verify: ['key', 'heads'], keygen: ['out', 'origin'] }).flatMap(([its, names]) =>
    its === action ? [] : names.filter((name) => textOption(commandLine, name) !== undefined),
  );
  if (foreign.length > 0) throw usage(`pas ${action} takes no --${foreign[0]}`);
  if (action === 'verify') return verify(commandLine);
  if (action !== 'deliver' && action !== 'keygen') {
    throw usage(`pas has no action ${action}`, 'pas verify [path], pas deliver or pas keygen');
  }
  if (path !== undefined && action === 'keygen')
    throw usage(`pas keygen takes no path: ${path}`, 'name the file with --out');
  if (action === 'keygen') return keygen(commandLine);
  if (path !== undefined)
    throw usage(`pas deliver takes no path: ${path}`, 'it delivers the eras of the configuration');
  return deliver(commandLine);
}
