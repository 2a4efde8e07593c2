/**
 * `check-proof FILE --key K`: checks a proof of one ledger (docs/proofs.md). It asks nobody and reads nothing but the files
 * that are named. It must never say OK of what the proof does not show.
 */
import { statSync } from 'node:fs';
import { chainKey } from '../../actors/bronze/names.ts';
import { parseJson } from '../../actors/json.ts';
import { checkProof, type Proved } from '../../actors/proof/check.ts';
import { PROOF_LIMIT, proofInvalid } from '../../actors/proof/format.ts';
import type { Word } from '../../actors/proof/network.ts';
import { readVerifierKeys } from '../../actors/state/key-files.ts';
import { type Validators, validatorsOf } from '../../config/anchors.ts';
import { readOrdinaryFile } from '../../config/text-file.ts';
import { BUILT_IN_VALIDATORS } from '../../config/validators.ts';
import { type Failure, toFailure } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import { counted, grouped, printable } from '../human.ts';
import { errorText } from '../print-error.ts';
import { print, say } from '../streams.ts';
import { type CommandLine, quorumOption, switchOption, textOption, usage } from './command-line.ts';

/** As `verify --anchor` has it: nothing is wrong, and no quorum says that it is the network's. */
const NOT_VOUCHED = 4;

/** Who vouches for the ledger. */
interface Vouched {
  readonly quorum: number;
  readonly organisations: number;
  /** Where the list of validators is from. */
  readonly validators: string;
  /** By organisation the first word in the proof. */
  readonly voices: readonly { readonly organisation: string; readonly key: string; readonly ledger: number }[];
  /** Signed by keys that no organisation has. */
  readonly strangers: readonly Word[];
}

interface Asked {
  readonly file: string;
  readonly quorum: number | null;
  /** Whether whoever asks wants to know whose network it is. */
  readonly wants: boolean;
}

/** Null where nobody's word is known: no list was named, and none is built in. @throws ANCHORS_INVALID */
function validatorsFor(network: string, { file, quorum }: Asked): Validators | null {
  if (file === '' && !BUILT_IN_VALIDATORS.has(network)) return null;
  return validatorsOf(network, file, quorum, parseJson);
}

function vouchedBy(words: readonly Word[], { byKey, quorum, organisations, origin }: Validators): Vouched {
  const voices = new Map<string, Vouched['voices'][number]>();
  for (const { signer, ledger } of words) {
    const organisation = byKey.get(signer);
    if (organisation === undefined || voices.has(organisation)) continue;
    voices.set(organisation, { organisation, key: signer, ledger });
  }
  const strangers = words.filter(({ signer }) => !byKey.has(signer));
  return { quorum, organisations, validators: origin, voices: [...voices.values()], strangers };
}

/** What is shown, and what is not: the verdict and the words for it. */
function judged(proved: Proved, asked: Asked): { ok: boolean; verdict: string; vouched: Vouched | null; why: string } {
  const { network, chain } = proved;
  if (network === null) {
    const why = asked.wants
      ? 'the proof has no words of validators: prove --network writes them'
      : 'nobody was asked whose network it is (prove --network, --validators)';
    return { ok: !asked.wants, verdict: asked.wants ? 'not_vouched' : 'in_log', vouched: null, why };
  }
  const validators = validatorsFor(chain.network, asked);
  if (validators === null) {
    const why = `nobody has named validators of the network ${chain.network}: name them with --validators`;
    return { ok: false, verdict: 'not_vouched', vouched: null, why };
  }
  const vouched = vouchedBy(network.words, validators);
  const { voices, quorum } = vouched;
  const by = voices.map(({ organisation, ledger }) => `${organisation} (by ledger ${ledger})`).join(', ');
  if (voices.length >= quorum) return { ok: true, verdict: 'vouched', vouched, why: `vouched for by ${by}` };
  const why = `${voices.length} of the ${quorum} organisations that it takes ${voices.length === 1 ? 'vouches' : 'vouch'} for it${by === '' ? '' : `: ${by}`}`;
  return { ok: false, verdict: 'not_vouched', vouched, why };
}

const timeText = (closeTimeMs: bigint): string => new Date(Number(closeTimeMs)).toISOString().replace('.000Z', 'Z');

function lines(proved: Proved, { ok, vouched, why }: ReturnType<typeof judged>): string[] {
  const { ledger, chain, range, log } = proved;
  return [
    `ledger ${ledger.sequence} of ${chainKey(chain)}: hash ${ledger.ledgerHash}, closed ${timeText(ledger.closeTimeMs)}; ` +
      `${grouped(ledger.xdrByteLength)} bytes of XDR with SHA-256 ${ledger.xdrSha256}`,
    `row ${ledger.sequence - range.start} of partition ${rangeLabel(range)}: content root ${proved.contentRoot}, manifest SHA-256 ${proved.manifestSha256}`,
    `event ${log.index} of the log ${log.origin}, whose head of ${counted(log.size, 'event')} is signed by ${log.keys.map(String).join(', ')}`,
    ...(vouched === null
      ? []
      : [
          `${chain.network}, of the passphrase "${proved.network?.passphrase}": quorum ${vouched.quorum} of ${counted(vouched.organisations, 'organisation')}; keys: ${vouched.validators}`,
          ...vouched.strangers.map(
            ({ signer, ledger: at }) => `  ledger ${at} is signed by ${signer}, whom nobody has named`,
          ),
        ]),
    ok
      ? `OK: ledger ${ledger.sequence} is in the signed log ${log.origin}; ${why}`
      : `NOT VOUCHED FOR: ledger ${ledger.sequence} is in the signed log ${log.origin}; that it is the network's is not shown: ${why}`,
  ];
}

function json(proved: Proved, { ok, verdict, vouched, why }: ReturnType<typeof judged>): object {
  const { ledger, chain, range, log } = proved;
  return {
    ok,
    verdict,
    why,
    ledger: {
      sequence: ledger.sequence,
      hash: ledger.ledgerHash,
      close_time: timeText(ledger.closeTimeMs),
      xdr_byte_length: ledger.xdrByteLength,
      xdr_sha256: ledger.xdrSha256,
    },
    chain: chainKey(chain),
    partition: { ...range, content_root: proved.contentRoot, manifest_sha256: proved.manifestSha256 },
    log: {
      origin: log.origin,
      event: log.index,
      size: log.size,
      root: log.root.toString('base64'),
      keys: log.keys.map(String),
    },
    network: proved.network && { ...proved.network, ...(vouched ?? {}) },
  };
}

/** What is wrong with a proof is the answer, and no failure to give one. */
async function tellWrong(failure: Failure, asJson: boolean): Promise<number> {
  if (asJson) await print(`${JSON.stringify({ ok: false, verdict: 'wrong', failure }, null, 2)}\n`);
  else {
    await print(`NOT OK: ${printable(failure.message)}\n`);
    say(errorText(failure));
  }
  return 3;
}

/** @throws USAGE where there is no such file, PROOF_INVALID for one that is none by its size */
function bytesOf(file: string): Buffer {
  try {
    const found = statSync(file);
    if (!found.isFile() || found.size <= PROOF_LIMIT) return readOrdinaryFile(file, PROOF_LIMIT);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw usage(`the proof ${file} cannot be read: ${why}`, 'name the file that prove has written');
  }
  const expected = `at most ${PROOF_LIMIT} bytes`;
  throw proofInvalid('format', `${file} is larger than any proof`, { object: file, expected });
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const [file = ''] = commandLine.args;
  const asJson = switchOption(commandLine, 'json');
  const given = textOption(commandLine, 'key');
  if (given === undefined) {
    throw usage(
      'check-proof needs --key: without it anybody could have written the proof',
      'get the verifier key from whoever keeps the log (pas keygen printed it), not with the proof',
    );
  }
  const keys = await readVerifierKeys(given.split('\n'));
  const validators = textOption(commandLine, 'validators') ?? '';
  const quorum = quorumOption(commandLine);
  const asked: Asked = { file: validators, quorum, wants: validators !== '' || quorum !== null };
  let proved: Proved;
  try {
    proved = checkProof(bytesOf(file), keys);
  } catch (error) {
    const failure = toFailure(error);
    if (failure.code !== 'PROOF_INVALID') throw error;
    return tellWrong(failure, asJson);
  }
  const verdict = judged(proved, asked);
  if (asJson) await print(`${JSON.stringify(json(proved, verdict), null, 2)}\n`);
  else
    await print(
      lines(proved, verdict)
        .map((line) => `${printable(line)}\n`)
        .join(''),
    );
  return verdict.ok ? 0 : NOT_VOUCHED;
}
