/**
 * Loads the configuration: file, then environment, then flags; checks everything and reports everything at once. It
 * starts nothing, and what it returns has no problem.
 */
import { availableParallelism } from 'node:os';
import { BronzeError } from '../machines/errors.ts';
import { Draft } from './draft.ts';
import {
  type Environment,
  FILE_VARIABLE,
  type FlagSetting,
  PORT_VARIABLE,
  readFlags,
  readPort,
  readVariables,
} from './environment.ts';
import { checkEras, FIRST_LEDGER } from './eras.ts';
import { checkLayoutNames } from './layout-names.ts';
import { checkLocalPaths } from './local-paths.ts';
import { ConfigError, type Origin, type Problem, sortProblems } from './problems.ts';
import { type Config, type EraConfig, fileSchema } from './schema.ts';
import { printableConfig } from './secrets.ts';
import { checkSemantics } from './semantics.ts';
import { CONFIG_LIMIT, decodeText, readOrdinaryFile } from './text-file.ts';
import { leaves } from './tree.ts';
import { type Reading, readYaml } from './yaml-source.ts';

export interface LoadOptions {
  /** From `--config`; without it CONFIG_FILE of `env` names the file, and without that there is none. */
  readonly file?: string;
  /** Usually process.env. */
  readonly env: Environment;
  /** Settings of the command line, over both. */
  readonly flags?: readonly FlagSetting[];
  /** What "the cores" means for defaults; the machine's, unless told. */
  readonly cores?: number;
}

/** Exactly one of the two: a configuration, or why there is none. */
export type Checked =
  | { readonly config: Config; readonly settings: readonly EffectiveSetting[]; readonly problems: readonly [] }
  | { readonly config: null; readonly settings: readonly []; readonly problems: readonly Problem[] };

/** A key as it counts in the end, with where its value was written; secrets are masked. */
export interface EffectiveSetting {
  /** Of the resolved configuration: eras are `eras[0].network`, also where they were written as `era`. */
  readonly key: string;
  readonly value: unknown;
  readonly from: Origin | { readonly kind: 'default' };
}

/**
 * The configuration of this run.
 * @throws ConfigError (CONFIG_INVALID) with every problem; BronzeError CONFIG_UNREADABLE where the file cannot be read.
 */
export function loadConfig(options: LoadOptions): Config {
  const { config, problems } = checkConfig(options);
  if (config === null) throw new ConfigError(problems);
  return config;
}

/**
 * Like loadConfig, with the problems as data, sorted by their place.
 * @throws BronzeError CONFIG_UNREADABLE where the file cannot be read.
 */
export function checkConfig(options: LoadOptions): Checked {
  const name = options.file ?? (options.env[FILE_VARIABLE] || undefined);
  const file = name === undefined ? null : readConfigFile(name);
  const draft = new Draft(file);

  const several = (file?.eraCount ?? 0) > 1;
  const given = eraPathsOf(file);
  draft.overlay(readVariables(options.env, several ? null : (given[0] ?? 'era')));
  draft.overlay(readFlags(options.flags ?? []));
  const { port, problems } = readPort(options.env);
  draft.problems.push(...problems);

  const eraPaths = given.length === 0 && draft.hasBelow('era') ? ['era'] : given;
  if (file?.understood !== false) {
    checkForms(draft, file, eraPaths);
    checkEras(draft, eraPaths);
    checkSemantics(draft, eraPaths);
    checkLocalPaths(draft);
    checkLayoutNames(draft, eraPaths);
  }
  if (draft.problems.length > 0) return { config: null, settings: [], problems: sortProblems(draft.problems) };
  const config = resolve(draft, eraPaths, port, options.cores ?? availableParallelism());
  return { config, settings: effective(config, draft, eraPaths, port !== undefined), problems: [] };
}

/** Every key of the configuration, in the order of the schema. */
function effective(
  config: Config,
  draft: Draft,
  eraPaths: readonly string[],
  hasPort: boolean,
): readonly EffectiveSetting[] {
  const shown = printableConfig(config);
  const one = (key: string, written: string): EffectiveSetting => {
    const isSet = draft.given(written) !== undefined;
    const from: EffectiveSetting['from'] = isSet ? draft.originOf(written) : { kind: 'default' };
    const value = key
      .split(/[.[\]]+/)
      .reduce<unknown>((at, name) => (at as Record<string, unknown> | null)?.[name], shown);
    return { key, value, from };
  };
  return leaves.flatMap(({ path }) => {
    if (path.startsWith('era.')) return [];
    if (path === 'metrics.address' && hasPort) {
      return [{ ...one(path, path), from: { kind: 'variable', name: PORT_VARIABLE } as const }];
    }
    if (!path.startsWith('eras[].')) return [one(path, path)];
    const name = path.slice('eras[].'.length);
    return eraPaths.map((written, n) => one(`eras[${n}].${name}`, `${written}.${name}`));
  });
}

function readConfigFile(name: string): Reading {
  let bytes: Buffer;
  try {
    bytes = readOrdinaryFile(name, CONFIG_LIMIT);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BronzeError('CONFIG_UNREADABLE', `the configuration file cannot be read: ${reason}`, {
      details: { object: name, hint: 'check the path given by --config or CONFIG_FILE, and its permissions' },
      cause,
    });
  }
  const decoded = decodeText(bytes, name);
  return 'text' in decoded ? readYaml(decoded.text, name) : decoded.reading;
}

/** Paths of the eras in the file: the list, else the old block. */
function eraPathsOf(file: Reading | null): string[] {
  if (file === null) return [];
  if (file.eraCount !== null) return Array.from({ length: file.eraCount }, (_, index) => `eras[${index}]`);
  return file.hasEraBlock ? ['era'] : [];
}

function checkForms(draft: Draft, file: Reading | null, eraPaths: readonly string[]): void {
  if (file?.hasEraBlock === true && file.eraCount !== null) {
    draft.complain('era', {
      message: 'both forms of eras at once',
      expected: '`eras`, or the old form `era`, not both',
      found: '`era` beside `eras`',
    });
  } else if (eraPaths.length === 0 && !draft.isBroken('eras') && !draft.isBroken('era')) {
    draft.complain('eras', {
      message:
        file === null
          ? 'no configuration file is given, and no era'
          : 'required and not given: there is nothing to copy',
      expected:
        file === null
          ? '--config FILE (or CONFIG_FILE in the environment), or ERA_ID, LEDGER_START, … in the environment'
          : 'a list `eras`, the old form `era`, or ERA_ID, LEDGER_START, … in the environment',
      found: file === null ? 'neither' : 'no era',
    });
  }
}

/** Fills in what depends on other keys. Only for a draft without problems. */
function resolve(draft: Draft, eraPaths: readonly string[], port: number | undefined, cores: number): Config {
  const {
    era,
    eras: listed,
    ...parsed
  } = fileSchema.parse({
    // An era of which every key is left to its default is an era all the same.
    ...(eraPaths.includes('era') ? { era: {} } : {}),
    ...draft.toObject(),
  });
  const eras = (era === undefined ? (listed ?? []) : [era]).map(
    (each): EraConfig => ({
      ...each,
      ledger_start: Math.max(each.ledger_start, FIRST_LEDGER),
      ledger_end: each.ledger_end === 0 ? null : each.ledger_end,
      protocol_min: each.protocol_min ?? null,
      protocol_max: each.protocol_max ?? null,
    }),
  );
  const wanted = new Set(parsed.active_eras);
  const ids = eras.map((each) => each.era_id);
  const { perf, catalog, storage, metrics } = parsed;
  const workers = perf.workers ?? perf.max_in_flight_partitions ?? cores;
  return {
    ...parsed,
    eras,
    active_eras: wanted.size === 0 ? ids : ids.filter((id) => wanted.has(id)),
    storage: { ...storage, prefix: normalPrefix(storage.prefix) },
    catalog: { ...catalog, backend: catalog.backend ?? (catalog.postgres_dsn === '' ? 'embedded' : 'postgres') },
    perf: {
      ...perf,
      workers,
      threads: perf.threads ?? cores,
      max_in_flight_partitions: perf.max_in_flight_partitions ?? workers,
      queue_size: perf.queue_size ?? 2 * workers,
    },
    metrics: port === undefined ? metrics : { ...metrics, address: metrics.address.replace(/:\d+$/, `:${port}`) },
  };
}

/** `bronze` and `bronze/` are the same; `/` is no prefix at all. */
function normalPrefix(prefix: string): string {
  const bare = prefix.replace(/\/$/, '');
  return bare === '' ? '' : `${bare}/`;
}
