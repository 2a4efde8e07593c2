/**
 * `verify --anchor`: who vouches that a chain is the network's. It reads what the user named, and tells what the judge
 * says. It must never call a history OK for which no quorum vouches, nor wrong because of that.
 */
import { type ChainAnchor, type Jury, judge, stretchText } from '../../actors/anchor/judge.ts';
import { chainKey } from '../../actors/bronze/names.ts';
import { parseJson } from '../../actors/json.ts';
import type { FoundChain } from '../../actors/verify/chains.ts';
import { ledgersText } from '../../actors/verify/findings.ts';
import type { AnchorOptions, ChainReport } from '../../actors/verify/verify-chain.ts';
import { type Validators, validatorsOf } from '../../config/anchors.ts';
import { counted } from '../human.ts';
import { type CommandLine, switchOption, textOption, usage } from './command-line.ts';

const NEEDS_ANCHOR = ['validators', 'quorum'] as const;

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
}

/** What the user has to say about anchors: of each network that is verified. */
export class Anchors {
  readonly #validators: ReadonlyMap<string, Validators>;

  constructor(validators: ReadonlyMap<string, Validators>) {
    this.#validators = validators;
  }

  options(network: string): AnchorOptions {
    return { ...this.#jury(network), known: () => [], compare: async () => [] };
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
    return { verdict: isVouched ? 'vouched' : 'not_vouched', networks };
  }
}

/**
 * What `--anchor` asks for; null where it was not given.
 * @throws USAGE, ANCHORS_INVALID
 */
export function anchorsOf(commandLine: CommandLine, networks: readonly string[]): Anchors | null {
  if (!switchOption(commandLine, 'anchor')) {
    const without = NEEDS_ANCHOR.find((name) => textOption(commandLine, name) !== undefined);
    if (without !== undefined) throw usage(`--${without} goes with --anchor`);
    return null;
  }
  const file = textOption(commandLine, 'validators') ?? '';
  const each = [...new Set(networks)];
  if (file !== '' && each.length > 1) {
    throw usage(`--validators is about one network, and there are chains of ${each.join(', ')}`, 'name one of them');
  }
  const quorum = textOption(commandLine, 'quorum');
  if (quorum !== undefined && !/^[1-9]\d{0,3}$/.test(quorum)) {
    throw usage(`--quorum takes a number of organisations, not ${quorum}`);
  }
  const wanted = quorum === undefined ? null : Number(quorum);
  return new Anchors(new Map(each.map((network) => [network, validatorsOf(network, file, wanted, parseJson)])));
}

/** What is said of anchors, line by line. */
export function anchorLines({ networks }: AnchorReport): string[] {
  return networks.flatMap(({ network, quorum, organisations, validators, chains }) => [
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
}
