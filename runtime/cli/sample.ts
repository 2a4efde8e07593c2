/** `sample --out DIR [--ledgers N]`: writes the made-up lake. Idempotent; refuses a folder that holds anything else. */
import { resolve } from 'node:path';
import { SAMPLE_FIRST, writeSampleLake } from '../../actors/sample/index.ts';
import { BronzeError } from '../../machines/errors.ts';
import { print } from '../streams.ts';
import { type CommandLine, textOption, usage } from './command-line.ts';

export async function execute(commandLine: CommandLine): Promise<number> {
  const out = textOption(commandLine, 'out');
  if (out === undefined) throw new BronzeError('USAGE', 'sample needs --out DIR');
  const count = textOption(commandLine, 'ledgers');
  if (count !== undefined && !/^[1-9]\d{0,4}$/.test(count)) {
    throw usage(`--ledgers takes a number from 1 to 99999, not ${count}`);
  }
  const made = await writeSampleLake(
    resolve(out),
    count === undefined ? {} : { last: SAMPLE_FIRST + Number(count) - 1 },
  );
  await print(`${JSON.stringify(made)}\n`);
  return 0;
}
