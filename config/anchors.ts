/**
 * Whose word counts as proof that a history is the network's: organisations with their keys, and how many have to agree,
 * from a file or from the list that is built in. It must never let one organisation speak with two voices, or one key for
 * two organisations.
 */
import { BronzeError } from '../machines/errors.ts';
import { decodePublicKey } from './strkey.ts';
import { readOrdinaryFile } from './text-file.ts';
import { BUILT_IN_VALIDATORS, type Organisations, organisationOfKeys, usualQuorum } from './validators.ts';

/** Bytes of a file of validators: thousands of keys. */
const FILE_LIMIT = 1024 * 1024;

export interface Validators {
  /** Organisation of each key (G…). */
  readonly byKey: ReadonlyMap<string, string>;
  /** How many organisations there are. */
  readonly organisations: number;
  readonly quorum: number;
  /** Where the list is from, for people. */
  readonly origin: string;
}

const invalid = (message: string, object: string, expected?: string, found?: string): BronzeError =>
  new BronzeError('ANCHORS_INVALID', message, {
    details: {
      object,
      ...(expected === undefined ? {} : { expected }),
      ...(found === undefined ? {} : { found }),
      hint: 'docs/anchors.md has the form',
    },
  });

/** Reads a file that the user named, of at most `limit` bytes. @throws ANCHORS_INVALID */
export function readAnchorFile(name: string, limit: number): Buffer {
  try {
    return readOrdinaryFile(name, limit);
  } catch (error) {
    throw invalid(`${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`, name);
  }
}

/** `{"organisation": ["G…", …], …}`; a key said twice in one object is what the caller's JSON reader finds. */
function organisationsIn(value: unknown, file: string): Organisations {
  const form = 'an object: each organisation with a list of its public keys (G…)';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`${file} is not ${form}`, file, form, Array.isArray(value) ? 'a list' : typeof value);
  }
  const owners = new Map<string, string>();
  for (const [name, keys] of Object.entries(value)) {
    if (!Array.isArray(keys) || keys.length === 0) {
      throw invalid(`${file}: ${name} has no list of keys`, file, 'a list of public keys (G…)');
    }
    for (const key of keys) {
      if (typeof key !== 'string' || decodePublicKey(key) === null) {
        throw invalid(`${file}: ${name} has a key that is none`, file, 'a public key (G…)', String(key).slice(0, 80));
      }
      const owner = owners.get(key);
      if (owner !== undefined) {
        const whose = owner === name ? `twice of ${name}` : `of ${owner} and of ${name}`;
        throw invalid(`${file}: one key is ${whose}`, file, 'each key once', key);
      }
      owners.set(key, name);
    }
  }
  if (owners.size === 0) throw invalid(`${file} names no organisation`, file, form);
  return value as Organisations;
}

/**
 * @param parse from bytes to a JSON value; throws a plain Error
 * @param file empty: the list that is built in for `network`
 * @param quorum null: more than two thirds
 * @throws ANCHORS_INVALID
 */
export function validatorsOf(
  network: string,
  file: string,
  quorum: number | null,
  parse: (bytes: Uint8Array) => unknown,
): Validators {
  const { organisations, origin } = file === '' ? builtIn(network) : fromFile(file, parse);
  const count = Object.keys(organisations).length;
  if (quorum !== null && (quorum < 1 || quorum > count)) {
    throw invalid(
      `a quorum of ${quorum} cannot be reached by ${count} organisation${count === 1 ? '' : 's'}`,
      origin,
      `1 to ${count}`,
      String(quorum),
    );
  }
  return {
    byKey: organisationOfKeys(organisations),
    organisations: count,
    quorum: quorum ?? usualQuorum(count),
    origin,
  };
}

function builtIn(network: string): { readonly organisations: Organisations; readonly origin: string } {
  const list = BUILT_IN_VALIDATORS.get(network);
  if (list === undefined) {
    throw invalid(
      `no validators of the network ${network} are known: name them in a file`,
      network,
      `one of ${[...BUILT_IN_VALIDATORS.keys()].join(', ')}, or a file of validators`,
    );
  }
  return {
    organisations: list.organisations,
    origin: `the built-in list of ${network} of ${list.asOf} (${list.source})`,
  };
}

function fromFile(file: string, parse: (bytes: Uint8Array) => unknown) {
  let value: unknown;
  try {
    value = parse(readAnchorFile(file, FILE_LIMIT));
  } catch (error) {
    if (error instanceof BronzeError) throw error;
    throw invalid(`${file}: ${error instanceof Error ? error.message : String(error)}`, file, 'JSON');
  }
  return { organisations: organisationsIn(value, file), origin: file };
}
