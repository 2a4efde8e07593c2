/**
 * `npm start`: the main job on made-up ledgers. Makes the sample lake, copies two eras of it, verifies them, proves one
 * ledger to somebody else, says where all is and how to query it. Run again, it finds everything done and writes nothing.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { logOrigin } from '../actors/chain/log-heads.ts';
import { writeSampleLake } from '../actors/sample/index.ts';
import { createKeyFile, readSigningKey } from '../actors/state/key-files.ts';
import { CODES } from '../machines/errors.ts';
import { execute as checkProof } from './cli/check-proof.ts';
import { execute as prove } from './cli/prove.ts';
import { execute as verify } from './cli/verify.ts';
import { type Context, chainOf, openContext } from './context.ts';
import { printError } from './print-error.ts';
import { runEras } from './run-eras.ts';
import { guardStreams, print, READER_GONE, readerIsGone } from './streams.ts';
import { reportText } from './summary.ts';

/** From dist/bin/ two folders up; the example's paths are relative to it. */
const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const CONFIG = join(ROOT, 'config/examples/quickstart.yaml');
/** The made-up organisations that sign the sample. */
const VALIDATORS = join(ROOT, 'config/examples/sample-validators.json');

/** In the first era: words for it stand in that one and in the next. */
const PROVED_LEDGER = 62;

const say = (text: string): Promise<void> => print(`${text}\n`);

/** The key that signs the audit logs, made at the first time, and its public part in a file. */
async function signingKey({ config, eras }: Context): Promise<{ readonly file: string; readonly publicFile: string }> {
  const { signing_key: name, origin } = config.pas;
  const file = resolve(name);
  const publicFile = `${file}.pub`;
  if (!existsSync(file)) await createKeyFile(file, origin);
  const [era] = eras;
  if (era === undefined) throw new Error('the example has no era');
  const { verifier } = readSigningKey(file, logOrigin(origin, chainOf(era)));
  if (!existsSync(publicFile)) writeFileSync(publicFile, `${verifier.named(origin)}\n`);
  return { file, publicFile };
}

async function main(): Promise<number> {
  process.chdir(ROOT);
  // Nothing of the newcomer's environment: a NETWORK or LOG_LEVEL set for something else is none of ours.
  const context = openContext({ args: [], options: { config: CONFIG } }, {});
  const { config } = context;
  const made = await writeSampleLake(resolve(config.source.local_path));
  const where = (path: string): string => relative(ROOT, path) || '.';
  await say(
    `1. a lake: ${where(made.path)}, ledgers ${made.ledgerStart} to ${made.ledgerEnd}, made up, valid, hash-chained`,
  );
  const { file, publicFile } = await signingKey(context);
  await say(
    `2. copying the eras ${config.active_eras.join(' and ')} at once, their audit logs signed with ${where(file)}`,
  );
  const report = await runEras(context, { stopAfter: null, once: false, progress: 'none' });
  await print(reportText(report));
  if (report.status !== 'done') return report.status === 'failed' ? 1 : 0;
  const bronze = resolve(config.storage.local_dir, config.storage.prefix);
  await say(`3. verifying ${where(bronze)}, and who vouches for it: ${where(VALIDATORS)}`);
  const verdict = await verify({ args: [bronze], options: { progress: false, anchor: true, validators: VALIDATORS } });
  if (verdict !== 0) return verdict;
  const proof = resolve(dirname(file), 'ledger.proof');
  await say(
    `4. proving ledger ${PROVED_LEDGER} (${where(proof)}) to somebody who has that file, ${where(publicFile)} and nothing else`,
  );
  const options = { out: where(proof), network: true, validators: VALIDATORS };
  const written = await prove({ args: [String(PROVED_LEDGER), bronze], options });
  if (written !== 0) return written;
  const told = await checkProof({ args: [where(proof)], options: { key: publicFile, validators: VALIDATORS } });
  if (told !== 0) return told;
  const glob = `${where(bronze)}/**/*.parquet`;
  await say('5. query it with DuckDB (https://duckdb.org):');
  await say('');
  await say(`   SELECT era_id, count(*) AS ledgers, sum(tx_count) AS transactions, max(close_time) AS last_close`);
  await say(`   FROM read_parquet('${glob}') GROUP BY era_id ORDER BY era_id;`);
  await say('');
  await say(`Configuration: ${where(CONFIG)}. Run it again: nothing is written twice. Then: docs/runbook.md`);
  return 0;
}

guardStreams();
try {
  const code = await main();
  process.exitCode = code === 0 && readerIsGone() ? READER_GONE : code;
} catch (error) {
  process.exitCode = CODES[printError(error)].exit;
}
