/** `unlock`: removes a lock whose holder cannot be checked. Refuses where the holder certainly runs. */
import { resolve } from 'node:path';
import { chainKey } from '../../actors/bronze/names.ts';
import { removeLock } from '../../actors/state/lock.ts';
import { BronzeError } from '../../machines/errors.ts';
import { chainOf, configOf } from '../context.ts';
import { print } from '../streams.ts';
import { type Answer, switchOption, textOption } from './answer.ts';

export async function execute(answer: Answer): Promise<number> {
  const config = configOf(answer);
  const name = textOption(answer, 'era');
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
  if (switchOption(answer, 'json')) {
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
