/**
 * The two layers over the file: environment variables and flags. Both are text, judged by the same rules as the file.
 * The caller says which environment counts; process.env is not read here.
 */
import { judge, judgeItem } from './judge.ts';
import type { Origin, Problem } from './problems.ts';
import { type Leaf, leafAt, leaves } from './tree.ts';
import type { Setting } from './yaml-source.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A flag that sets a key, e.g. `{ flag: '--eras', key: 'active_eras', text: 'a,b' }`. Empty text sets nothing. */
export interface FlagSetting {
  readonly flag: string;
  readonly key: string;
  readonly text: string;
}

/** Names the file where no `--config` does. */
export const FILE_VARIABLE = 'CONFIG_FILE';
/** Replaces the port of metrics.address. */
export const PORT_VARIABLE = 'METRICS_PORT';

/** What a layer says; paths in `broken` were given, but wrongly. */
export interface Layer {
  readonly settings: readonly Setting[];
  readonly broken: ReadonlySet<string>;
  readonly problems: readonly Problem[];
}

/** Variables of eras stand for the one era of the file, wherever that is. */
const isEraPath = (path: string): boolean => path.startsWith('era.');

/** Every variable with the key that it sets, in the order of the schema; those of eras under `era`. */
export const variables: readonly { readonly name: string; readonly path: string; readonly leaf: Leaf }[] =
  leaves.flatMap(({ path, leaf }) => {
    const name = leaf.facts.variable;
    // Both forms of an era carry the variable; the old form stands for both.
    return name === undefined || path.includes('[]') ? [] : [{ name, path, leaf }];
  });

function judgeText(path: string, leaf: Leaf, text: string, origin: Origin): Setting | Problem {
  if (leaf.facts.kind !== 'labels') {
    const verdict = judge(leaf, { text, style: 'shell' });
    return verdict.ok ? { path, value: verdict.value, origin } : { ...problemOf(verdict), origin, key: path };
  }
  const names: string[] = [];
  for (const part of text.split(',')) {
    const verdict = judgeItem(leaf, { text: part.trim(), style: 'shell' });
    if (!verdict.ok) return { ...problemOf(verdict), origin, key: path };
    names.push(String(verdict.value));
  }
  return { path, value: names, origin };
}

const problemOf = (verdict: { readonly message: string; readonly expected: string; readonly found: string }) => ({
  message: verdict.message,
  expected: verdict.expected,
  found: verdict.found,
});

function layerOf(results: readonly (Setting | Problem)[]): Layer {
  const settings: Setting[] = [];
  const problems: Problem[] = [];
  const broken = new Set<string>();
  for (const result of results) {
    if ('path' in result) {
      settings.push(result);
    } else {
      problems.push(result);
      broken.add(result.key);
    }
  }
  return { settings, broken, problems };
}

/**
 * Reads the variables. `eraPath` is where the one era of this configuration stands (`era`, or `eras[0]`), null where
 * the file has several: then no variable can say which of them it means.
 */
export function readVariables(env: Environment, eraPath: string | null): Layer {
  const results: (Setting | Problem)[] = [];
  for (const { name, path, leaf } of variables) {
    const text = env[name];
    if (text === undefined || text === '') continue;
    const origin: Origin = { kind: 'variable', name };
    if (!isEraPath(path)) {
      results.push(judgeText(path, leaf, text, origin));
    } else if (eraPath === null) {
      results.push({
        origin,
        key: `eras[].${path.slice('era.'.length)}`,
        message: 'sets a key of an era, and the file has several `eras`',
        expected: 'the variable unset, or one era in the file',
        found: text,
      });
    } else {
      results.push(judgeText(path.replace(/^era/, eraPath), leaf, text, origin));
    }
  }
  return layerOf(results);
}

/** METRICS_PORT, judged; `port` undefined = not set or wrong. */
export function readPort(env: Environment): {
  readonly port: number | undefined;
  readonly problems: readonly Problem[];
} {
  const text = env[PORT_VARIABLE];
  if (text === undefined || text === '') return { port: undefined, problems: [] };
  const port = /^(?:0|[1-9][0-9]{0,4})$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return { port, problems: [] };
  const origin: Origin = { kind: 'variable', name: PORT_VARIABLE };
  const expected = 'a port, a whole number from 0 to 65535';
  return {
    port: undefined,
    problems: [{ origin, key: 'metrics.address', message: 'not a port', expected, found: text }],
  };
}

/** Reads the flags. A key that the schema does not know is a bug of the caller and throws. */
export function readFlags(flags: readonly FlagSetting[]): Layer {
  return layerOf(
    flags
      .filter(({ text }) => text !== '')
      .map(({ flag, key, text }) => {
        const leaf = leafAt(key);
        if (leaf === undefined) throw new Error(`${flag} sets a key that does not exist: ${key}`);
        return judgeText(key, leaf, text, { kind: 'flag', name: flag });
      }),
  );
}
