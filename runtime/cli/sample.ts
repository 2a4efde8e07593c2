/** `sample --out DIR`: writes the made-up lake. Idempotent; refuses a folder that holds anything else. */
import { resolve } from 'node:path';
import { writeSampleLake } from '../../actors/sample/index.ts';
import { BronzeError } from '../../machines/errors.ts';
import { type Answer, textOption } from './answer.ts';

export async function execute(answer: Answer): Promise<number> {
  const out = textOption(answer, 'out');
  if (out === undefined) throw new BronzeError('USAGE', 'sample needs --out DIR');
  const made = await writeSampleLake(resolve(out));
  process.stdout.write(`${JSON.stringify(made)}\n`);
  return 0;
}
