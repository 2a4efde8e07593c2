/**
 * `verify --anchor`: who vouches that a chain is the network's. It reads what the user named, and tells what the judge
 * says. It must never call a history OK for which no quorum vouches, nor wrong because of that.
 */

import { type ArchivePlace, type ArchiveReport, HistoryArchive } from '../../actors/anchor/archive.ts';
import { type ChainAnchor, type Jury, judge, stretchText } from '../../actors/anchor/judge.ts';
import { KnownHashes, type TrustedReport } from '../../actors/anchor/known-hashes.ts';
import { chainKey } from '../../actors/bronze/names.ts';
import { parseJson } from '../../actors/json.ts';
import type { FoundChain } from '../../actors/verify/chains.ts';
import { ledgersText } from '../../actors/verify/findings.ts';
import type { AnchorOptions, ChainReport } from '../../actors/verify/verify-chain.ts';
import { type Validators, validatorsOf } from '../../config/anchors.ts';
import { KNOWN_PASSPHRASES } from '../../config/networks.ts';
import type { AnchorsConfig } from '../../config/schema.ts';
import { trustedHashesOf } from '../anchors.ts';
import { counted } from '../human.ts';
import { type CommandLine, quorumOption, switchOption, textOption, usage } from './command-line.ts';

const NEEDS_ANCHOR = ['validators', 'quorum', 'trusted-hashes', 'archive'] as const;
/** What is about one network, and does not say which. */
const OF_ONE = ['validators', 'trusted-hashes', 'archive'] as const;

/** What is known of one network, and what was found. */
export interface NetworkAnchor {
  readonly network: string;
  readonly quorum: number;
  readonly organisations: number;
  /** Where the list of validators is from. */
  readonly validators: string;
  readonly chains: readonly ChainAnchor[];
}

export interface AnchorReport {
  readonly verdict: ChainAnchor['verdict'];
  readonly networks: readonly NetworkAnchor[];
  /** Null where none were named. */
  readonly trusted_hashes: TrustedReport | null;
  readonly archives: readonly ArchiveReport[];
}

/** What the user has to say about anchors: of each network that is verified. */
export class Anchors {
  readonly #validators: ReadonlyMap<string, Validators>;
  readonly #hashes: KnownHashes;

  constructor(validators: ReadonlyMap<string, Validators>, hashes: KnownHashes) {
    this.#validators = validators;
    this.#hashes = hashes;
  }

  options(network: string): AnchorOptions {
    return {
      ...this.#jury(network),
      known: (range) => this.#hashes.of(range),
      compare: (range, hashes, signal) => this.#hashes.compare(range, hashes, signal),
    };
  }

  #jury(network: string): Jury {
    const { byKey, quorum } = this.#validators.get(network) as Validators;
    return { organisations: byKey, quorum };
  }

  report(reports: readonly { readonly report: ChainReport; readonly chain: FoundChain['chain'] }[]): AnchorReport {
    const networks = [...this.#validators].map(([network, { quorum, organisations, origin }]): NetworkAnchor => {
      const its = reports.filter(({ chain }) => chain.network === network);
      const pieces = its.flatMap(({ report }) => report.pieces);
      const names = its.map(({ chain }) => chainKey(chain));
      return { network, quorum, organisations, validators: origin, chains: judge(pieces, names, this.#jury(network)) };
    });
    const all = networks.flatMap(({ chains }) => chains);
    const isVouched = all.length > 0 && all.every(({ verdict }) => verdict === 'vouched');
    return { verdict: isVouched ? 'vouched' : 'not_vouched', networks, ...this.#hashes.report() };
  }
}

/**
 * What `--anchor` asks for, an option before what the configuration says; null where it was not given.
 * @throws USAGE, ANCHORS_INVALID
 */
export function anchorsOf(
  commandLine: CommandLine,
  networks: readonly string[],
  configured: AnchorsConfig | null,
): Anchors | null {
  const given = (name: (typeof NEEDS_ANCHOR)[number]): string | undefined => textOption(commandLine, name);
  if (!switchOption(commandLine, 'anchor')) {
    const without = NEEDS_ANCHOR.find((name) => given(name) !== undefined);
    if (without !== undefined) throw usage(`--${without} goes with --anchor`);
    return null;
  }
  const each = [...new Set(networks)];
  const ofOne = OF_ONE.find((name) => given(name) !== undefined);
  if (ofOne !== undefined && each.length > 1) {
    throw usage(`--${ofOne} is about one network, and there are chains of ${each.join(', ')}`, 'name one of them');
  }
  const wanted = quorumOption(commandLine) ?? configured?.quorum ?? null;
  const file = given('validators') ?? configured?.validators ?? '';
  const passphrase = KNOWN_PASSPHRASES.get(each[0] ?? '') ?? null;
  const places = given('archive')?.split(',') ?? configured?.archives ?? [];
  return new Anchors(
    new Map(each.map((network) => [network, validatorsOf(network, file, wanted, parseJson)])),
    new KnownHashes(
      trustedHashesOf(given('trusted-hashes') ?? configured?.trusted_hashes ?? ''),
      places.map((place) => new HistoryArchive(archivePlace(place), passphrase)),
    ),
  );
}

/** `ORG=URL` */
function archivePlace(text: string): ArchivePlace {
  const [, organisation, url] = /^\s*([^=]+)=(https?:\/\/[^\s/?#@]+[^\s?#]*?)\/*\s*$/.exec(text) ?? [];
  if (organisation === undefined || url === undefined || !URL.canParse(url)) {
    throw usage(`--archive takes ORGANISATION=URL, separated by commas, not ${text}`);
  }
  return { organisation, url };
}

/** What is said of anchors, line by line. */
export function anchorLines({ networks, trusted_hashes: trusted, archives }: AnchorReport): string[] {
  const vouchers = networks.flatMap(({ network, quorum, organisations, validators, chains }) => [
    `${network}: quorum ${quorum} of ${counted(organisations, 'organisation')}; keys: ${validators}`,
    ...chains.flatMap(({ chain, stretches }) => {
      if (stretches.length === 0) return [`${chain}: NOT VOUCHED FOR: there is nothing that could be`];
      return stretches.flatMap((stretch) => [
        `${chain}: ${stretchText(stretch)}`,
        ...(stretch.stranger_keys === 0
          ? []
          : [
              `  signed by keys that no organisation has: ${counted(stretch.stranger_ledgers, 'ledger')}, ` +
                `${stretch.strangers.map(({ key, ledgers, last }) => `${key} (${ledgers}, the last ${last})`).join(', ')}` +
                (stretch.stranger_keys > stretch.strangers.length
                  ? ` and ${stretch.stranger_keys - stretch.strangers.length} more keys`
                  : ''),
            ]),
        ...(stretch.not_read.length === 0
          ? []
          : [`  by their manifests alone, rows not read: ledgers ${ledgersText(stretch.not_read)}`]),
      ]);
    }),
  ]);
  return [
    ...vouchers,
    ...(trusted === null
      ? []
      : [
          `trusted hashes of ${trusted.file}: ${trusted.agrees} agree, ${trusted.contradicts} contradict; ` +
            `${trusted.hashes - trusted.agrees - trusted.contradicts} of ledgers that were not read`,
        ]),
    ...archives.flatMap(archiveLines),
  ];
}

function archiveLines({ organisation, url, agrees, contradicts, no_answer: silences }: ArchiveReport): string[] {
  const silent = silences.reduce((sum, { count }) => sum + count, 0);
  return [
    `archive of ${organisation}, ${url}: of ${counted(agrees + contradicts + silent, 'checkpoint')} ` +
      `${agrees} agree, ${contradicts} contradict, no answer for ${silent}`,
    ...silences.map(({ why, count, first }) => `  no answer for ${count}, ledger ${first} the first: ${why}`),
  ];
}
