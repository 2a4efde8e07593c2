/** `prove LEDGER [path] --out FILE`: writes a proof of one ledger (docs/proofs.md). Reads Bronze, and nothing else. */
import { writeFile } from 'node:fs/promises';
import { chainKey } from '../../actors/bronze/names.ts';
import { parseJson } from '../../actors/json.ts';
import { makeProof, type NetworkWanted } from '../../actors/proof/make.ts';
import { openShelves } from '../../actors/proof/shelf.ts';
import { openStore } from '../../actors/store/index.ts';
import { type FoundChain, findChains } from '../../actors/verify/chains.ts';
import { validatorsOf } from '../../config/anchors.ts';
import { KNOWN_PASSPHRASES, networkPassphrase } from '../../config/networks.ts';
import type { AnchorsConfig } from '../../config/schema.ts';
import { chainOf, namedEras, openContext } from '../context.ts';
import { counted, grouped, printable } from '../human.ts';
import { onSignals } from '../signals.ts';
import { outputFailed, print } from '../streams.ts';
import { accessOption, type CommandLine, quorumOption, switchOption, textOption, usage } from './command-line.ts';

interface Subject {
  /** All chains, so that words are heard over the edge of an era. */
  readonly chains: readonly FoundChain[];
  /** Those that the ledger is looked for in. */
  readonly isChosen: (chain: FoundChain['chain']) => boolean;
  readonly passphrase: (network: string) => string | null;
  /** Null where no configuration was asked. */
  readonly anchors: AnchorsConfig | null;
}

/** From the path, or from the configuration where none is given. */
async function subjectOf(commandLine: CommandLine): Promise<Subject> {
  const [, path] = commandLine.args;
  if (path !== undefined) {
    const chains = await findChains(path, accessOption(commandLine));
    const names = namedEras(commandLine);
    const lost = names?.find((name) => chains.every(({ chain }) => chain.eraId !== name));
    if (lost !== undefined) {
      throw usage(
        `--eras: there is no era ${lost} below ${path}`,
        `there are ${chains.map(({ chain }) => chainKey(chain)).join(', ')}`,
      );
    }
    const passphrase = (network: string): string | null => KNOWN_PASSPHRASES.get(network) ?? null;
    return { chains, isChosen: ({ eraId }) => names?.includes(eraId) ?? true, passphrase, anchors: null };
  }
  const { config, eras, storeSpec } = openContext(commandLine);
  const chosen = new Set(eras.map((era) => chainKey(chainOf(era))));
  return {
    chains: config.eras.map((era) => ({ chain: chainOf(era), store: storeSpec })),
    isChosen: (chain) => chosen.has(chainKey(chain)),
    passphrase: (network) => networkPassphrase(config, network),
    anchors: config.anchors,
  };
}

/** Whose words are looked for; null where `--network` was not given. @throws USAGE */
function wantedOf(
  commandLine: CommandLine,
  { passphrase, anchors }: Subject,
): ((network: string) => NetworkWanted) | null {
  const quorum = quorumOption(commandLine) ?? anchors?.quorum ?? null;
  const file = textOption(commandLine, 'validators') ?? anchors?.validators ?? '';
  if (!switchOption(commandLine, 'network')) {
    const without = ['validators', 'quorum'].find((name) => textOption(commandLine, name) !== undefined);
    if (without !== undefined) throw usage(`--${without} goes with --network`);
    return null;
  }
  return (network) => {
    const validators = validatorsOf(network, file, quorum, parseJson);
    return {
      jury: { organisations: validators.byKey, quorum: validators.quorum },
      passphrase: passphrase(network),
    };
  };
}

function sequenceOf(text: string | undefined): number {
  if (text !== undefined && /^[1-9]\d{0,9}$/.test(text) && Number(text) <= 0xffff_ffff) return Number(text);
  throw usage(`prove takes the sequence of one ledger (1 to 4294967295), not ${text}`);
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const ledger = sequenceOf(commandLine.args[0]);
  const out = textOption(commandLine, 'out');
  if (out === undefined) throw usage('prove needs --out FILE', 'the file that the proof is written to');
  const subject = await subjectOf(commandLine);
  const wanted = wantedOf(commandLine, subject);
  const stop = new AbortController();
  const takeHandlersOff = onSignals(() => stop.abort());
  try {
    const opened = subject.chains.map(({ chain, store }) => ({ chain, store: openStore(store) }));
    const shelves = await openShelves(opened, stop.signal);
    const among = shelves.filter(({ chain }) => subject.isChosen(chain));
    const { bytes, proved } = await makeProof(among, shelves, ledger, wanted, stop.signal);
    try {
      await writeFile(out, bytes);
    } catch (error) {
      throw outputFailed(`the proof ${out}`, error);
    }
    const { origin, index, size } = proved.log;
    if (switchOption(commandLine, 'json')) {
      const words = proved.network?.words.length ?? null;
      const told = {
        file: out,
        bytes: bytes.length,
        ledger,
        chain: chainKey(proved.chain),
        origin,
        index,
        size,
        words,
      };
      await print(`${JSON.stringify(told, null, 2)}\n`);
      return 0;
    }
    const also =
      proved.network === null ? '' : `, and ${counted(proved.network.words.length, 'signed ledger')} after it`;
    const line = `${out}: ledger ${ledger} of ${chainKey(proved.chain)}, event ${index} of the ${size} in the log ${origin}${also}; ${grouped(bytes.length)} bytes`;
    await print(`${printable(line)}\n`);
    return 0;
  } finally {
    takeHandlersOff();
  }
}
