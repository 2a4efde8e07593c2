/** `pas keygen --out FILE [--origin NAME]`: makes the key that signs the heads of audit logs, and prints its public part. */
import { resolve } from 'node:path';
import { createKeyFile } from '../../actors/state/key-files.ts';
import { isKeyName } from '../../actors/tlog/keys.ts';
import { configOf } from '../context.ts';
import { print } from '../streams.ts';
import { type CommandLine, switchOption, textOption, usage } from './command-line.ts';

/** As given, or that of the configuration. */
function originOf(commandLine: CommandLine): string {
  const given = textOption(commandLine, 'origin');
  if (given !== undefined) return given;
  const hint = '--origin example.com/bronze, or pas.origin in the configuration: a name that is yours';
  if (textOption(commandLine, 'config') === undefined && (process.env.CONFIG_FILE ?? '') === '') {
    throw usage('pas keygen needs the name of the log', hint);
  }
  const { origin } = configOf(commandLine).pas;
  if (origin === '') throw usage('pas keygen needs the name of the log, and pas.origin is not set', hint);
  return origin;
}

export async function keygen(commandLine: CommandLine): Promise<number> {
  const out = textOption(commandLine, 'out');
  if (out === undefined) throw usage('pas keygen needs --out FILE', 'the file that pas.signing_key will name');
  const origin = originOf(commandLine);
  if (!isKeyName(origin) || /^\/|\/$|\/\/|:\/\//.test(origin)) {
    throw usage(`--origin takes a name without spaces, "+" and scheme, such as example.com/bronze, not ${origin}`);
  }
  const key = await createKeyFile(resolve(out), origin);
  await print(
    switchOption(commandLine, 'json') ? `${JSON.stringify({ origin, verifier_key: String(key) })}\n` : `${key}\n`,
  );
  return 0;
}
