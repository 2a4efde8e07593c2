/** `unlock`: removes a lock whose holder cannot be checked. Refuses where the holder certainly runs. */
import { resolve } from 'node:path';
import { chainKey } from '../../actors/bronze/names.ts';
import { removeLock } from '../../actors/state/lock.ts';
import { BronzeError } from '../../machines/errors.ts';
import { chainOf, configOf } from '../context.ts';
import { print } from '../streams.ts';
import { type CommandLine, switchOption, textOption } from './command-line.ts';

export async function execute(commandLine: CommandLine): Promise<number> {
  const config = configOf(commandLine);
  const name = textOption(commandLine, 'era');
  const names = config.eras.map((era) => era.era_id);
  if (name === undefined && names.length > 1) {
    throw new BronzeError('USAGE', 'unlock needs --era: the configuration has several', {
      details: { expected: names.join(', ') },
    });
  }
  const era = config.eras.find((each) => name === undefined || each.era_id === name);
  if (!era) {
    throw new BronzeError('USAGE', `there is no era ${name}`, { details: { expected: names.join(', ') } });
  }
  const chain = chainOf(era);
  const removed = await removeLock(resolve(config.checkpoint.dir), chain);
  if (switchOption(commandLine, 'json')) {
    await print(`${JSON.stringify({ chain: chainKey(chain), removed })}\n`);
  } else {
    await print(
      removed
        ? `removed the lock on ${chainKey(chain)}: ${removed.path}, held by ${removed.description}\n`
        : `there is no lock on ${chainKey(chain)}\n`,
    );
  }
  return 0;
}
