/** `pas verify [dir]`: checks audit chains from files alone: `_audit/` of Bronze, or a folder of copies. */
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type ChainEvent, parseEvent } from '../../actors/audit/event.ts';
import { verifyChain } from '../../actors/audit/verify-chain.ts';
import { chainKey } from '../../actors/paths.ts';
import { BronzeError, type Failure, toFailure } from '../../machines/errors.ts';
import { configOf } from '../context.ts';
import { errorText } from '../print-error.ts';
import { type Answer, switchOption } from './answer.ts';

/** Events of all chains in a folder of copies; files that are no events are findings, the heads file is none. */
export async function readEventFiles(dir: string): Promise<{ events: ChainEvent[]; failures: Failure[] }> {
  let names: string[];
  try {
    names = (await readdir(dir)).filter((name) => name.endsWith('.json') && name !== 'pas-chain-heads.json').sort();
  } catch {
    throw new BronzeError('USAGE', `there is no folder ${dir} with events`);
  }
  const events: ChainEvent[] = [];
  const failures: Failure[] = [];
  for (const name of names) {
    try {
      events.push(parseEvent(await readFile(join(dir, name)), join(dir, name)));
    } catch (error) {
      failures.push(toFailure(error));
    }
  }
  return { events, failures };
}

export async function execute(answer: Answer): Promise<number> {
  const [action, given] = answer.args;
  if (action !== 'verify') {
    throw new BronzeError(action === 'deliver' ? 'NOT_BUILT' : 'USAGE', `pas ${action} is not in this release`, {
      details: { expected: 'pas verify [dir]' },
    });
  }
  const dir = resolve(given ?? configOf(answer).pas.backup_dir);
  const { events, failures } = await readEventFiles(dir);
  if (events.length === 0 && failures.length === 0) throw new BronzeError('USAGE', `there are no events in ${dir}`);
  const byChain = new Map<string, ChainEvent[]>();
  for (const event of events) {
    const key = chainKey(event.chain);
    byChain.set(key, [...(byChain.get(key) ?? []), event]);
  }
  const chains = [...byChain].map(([chain, its]) => ({ chain, ...verifyChain(its) }));
  const ok = failures.length === 0 && chains.every((verdict) => verdict.ok);
  if (switchOption(answer, 'json')) {
    process.stdout.write(`${JSON.stringify({ ok, chains, failures }, null, 2)}\n`);
  } else {
    for (const verdict of chains) {
      process.stdout.write(
        verdict.ok
          ? `${verdict.chain}: ${verdict.events} events, unbroken, head ${verdict.head}\n`
          : `${verdict.chain}: breaks at ${verdict.object} (ledgers ${verdict.start} to ${verdict.end}): ${verdict.reason}\n`,
      );
    }
    process.stderr.write(failures.map(errorText).join(''));
  }
  return ok ? 0 : 3;
}
