/**
 * What commands have in common: the configuration, a logger, the chosen eras. Opens no lake and no
 * store beyond what is asked for; whoever made a context closes it.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { isatty } from 'node:tty';
import { type ChainName, checkpointFile, deliveryFile } from '../actors/bronze/names.ts';
import { openCatalog } from '../actors/catalog/index.ts';
import { logOrigin } from '../actors/chain/log-heads.ts';
import type { MemorySources } from '../actors/chain/memories.ts';
import { RunningEra } from '../actors/effects/running-era.ts';
import type { EraSetup, Neighbour } from '../actors/effects/setup.ts';
import { openEndpoint } from '../actors/endpoint/endpoint.ts';
import type { Catalog, CatalogSpec } from '../actors/ports/catalog.ts';
import type { LakeSource, SourceSpec } from '../actors/ports/source.ts';
import type { BronzeStore, StoreSpec } from '../actors/ports/store.ts';
import type { QueueSpec } from '../actors/queue/connect.ts';
import { QueuePool } from '../actors/queue/queue-pool.ts';
import type { BucketAddress } from '../actors/remote/bucket.ts';
import { openSource } from '../actors/source/index.ts';
import { openCheckpoint } from '../actors/state/checkpoint.ts';
import { openDeliveryPointer } from '../actors/state/delivery.ts';
import { readSigningKey, verifierIn } from '../actors/state/key-files.ts';
import { openStore } from '../actors/store/index.ts';
import { type PoolOptions, ThreadPool } from '../actors/threads/pool.ts';
import { keysFor } from '../actors/tlog/keys.ts';
import type { BackupFolder } from '../actors/version-1/old-chain.ts';
import type { Environment } from '../config/environment.ts';
import { type Checked, checkConfig, type EffectiveSetting } from '../config/load.ts';
import { lakeLocation, networkPassphrase } from '../config/networks.ts';
import { ConfigError } from '../config/problems.ts';
import type { Config, EraConfig, SourceConfig, StorageConfig } from '../config/schema.ts';
import { BronzeError } from '../machines/errors.ts';
import { type CommandLine, switchOption, textOption } from './cli/command-line.ts';
import { chosenEras, modeOf } from './era-spec.ts';
import { type Logger, makeLogger } from './log.ts';
import { newNames } from './new-names.ts';
import { PRODUCER } from './version.ts';

/** The numbers of a lake without `.config.json`, as far as somebody wrote them down; otherwise they are found. */
function configuredNumbers(source: SourceConfig): SourceSpec['configured'] {
  const { ledgers_per_file, files_per_partition } = source;
  if (ledgers_per_file === 1 && files_per_partition === 64_000) return null;
  return { ledgersPerFile: ledgers_per_file, filesPerPartition: files_per_partition };
}

const orNull = (text: string): string | null => (text === '' ? null : text);

/** Where the lake is, from the settings of its mode. */
function sourceSpecOf(source: SourceConfig): SourceSpec {
  const configured = configuredNumbers(source);
  const location = lakeLocation(source);
  if (location.kind === 'local') return { mode: 'local', path: resolve(location.path), configured };
  const { kind, bucket, prefix } = location;
  const access = { bucket, anonymous: source.anonymous, requesterPays: source.requester_pays };
  const address: BucketAddress = kind === 'gcs' ? { protocol: kind, ...access } : { ...access, ...s3Of(source) };
  return { mode: 'bucket', address, prefix, configured };
}

/** What only S3 wants to know of an address; the same keys in `source` and `storage`. */
const s3Of = (of: SourceConfig | StorageConfig) =>
  ({
    protocol: 's3',
    endpoint: orNull(of.s3_endpoint),
    region: orNull(of.s3_region),
    pathStyle: of.s3_path_style,
  }) as const;

/** Where Bronze is, from the settings of its backend. */
function storeSpecOf({ storage, checkpoint }: Config): StoreSpec {
  const { backend, prefix } = storage;
  const access = { anonymous: storage.anonymous, requesterPays: storage.requester_pays };
  if (backend === 'local') return { backend, root: resolve(storage.local_dir), prefix };
  if (backend === 'gcs') {
    return { backend, address: { protocol: backend, bucket: storage.gcs_bucket, ...access }, prefix };
  }
  const address = { ...access, bucket: storage.s3_bucket, ...s3Of(storage) };
  return { backend, address, prefix, stateDir: resolve(checkpoint.dir) };
}

/** The catalog that is configured; null where there is none. */
function catalogSpecOf({ catalog }: Config): CatalogSpec | null {
  switch (catalog.backend) {
    case 'none':
      return null;
    case 'embedded':
      return { backend: 'embedded', dir: resolve(catalog.dir) };
    case 'postgres':
      return { backend: 'postgres', dsn: catalog.postgres_dsn };
    case 'bigquery': {
      const { project, dataset, location, load } = catalog.bigquery;
      return { backend: 'bigquery', project, dataset, location: orNull(location), load };
    }
  }
}

export const chainOf = (era: EraConfig): ChainName => ({
  network: era.network,
  eraId: era.era_id,
  versionLabel: era.version_label,
});

/** Where copies of a chain's events are, and where the old program wrote its events. */
export const copiesOf = (config: Config, chain: ChainName): BackupFolder => ({
  dir: resolve(config.pas.backup_dir),
  chain,
});

/** Where something may be remembered of a chain; what is switched off now may have been on. */
export function memoriesOf(config: Config, chain: ChainName, catalog: Catalog | null): MemorySources {
  const dir = resolve(config.checkpoint.dir);
  const dataset = { domain: config.catalog.namespace, dataset: config.bronze.primary_table, chain };
  return {
    copies: copiesOf(config, chain),
    checkpoint: {
      store: openCheckpoint({ dir, chain, copierId: config.copier_id }),
      file: join(dir, checkpointFile(chain)),
    },
    delivery: {
      pointer: openDeliveryPointer({ dir, chain, endpoint: '' }),
      file: join(dir, deliveryFile(chain)),
    },
    catalog: catalog && { catalog, dataset },
  };
}

export interface Context {
  readonly config: Config;
  readonly eras: readonly EraConfig[];
  /** Settings that came from the environment, for people. */
  readonly variables: readonly string[];
  readonly log: Logger;
  readonly store: BronzeStore;
  readonly storeSpec: StoreSpec;
  readonly source: LakeSource;
  readonly sourceSpec: SourceSpec;
  /** Null where none is configured. Connects with the first call. */
  readonly catalog: Catalog | null;
}

/** The eras named by `--eras a,b`; null = not given. */
export function namedEras(commandLine: CommandLine): string[] | null {
  const text = textOption(commandLine, 'eras');
  if (text === undefined) return null;
  const names = text.split(',').map((name) => name.trim());
  if (names.some((name) => name === ''))
    throw new BronzeError('USAGE', `--eras: an empty name in ${JSON.stringify(text)}`);
  return [...new Set(names)];
}

/** Throws CONFIG_INVALID, CONFIG_UNREADABLE. */
const checkedOf = (commandLine: CommandLine, env: Environment): Checked & { readonly config: Config } => {
  const file = textOption(commandLine, 'config');
  const checked = checkConfig({ env, ...(file === undefined ? {} : { file }) });
  if (checked.config === null) throw new ConfigError(checked.problems);
  return checked;
};

export const configOf = (commandLine: CommandLine, env: Environment = process.env): Config =>
  checkedOf(commandLine, env).config;

/** `NETWORK: era.network = pubnet`; secrets are masked. */
const fromEnvironment = (settings: readonly EffectiveSetting[]): string[] =>
  settings.flatMap(({ key, value, from }) =>
    from.kind === 'variable'
      ? [`${from.name}: ${key} = ${typeof value === 'string' ? value : JSON.stringify(value)}`]
      : [],
  );

/** Throws CONFIG_INVALID, CONFIG_UNREADABLE, USAGE. */
export function openContext(commandLine: CommandLine, env: Environment = process.env): Context {
  const { config, settings } = checkedOf(commandLine, env);
  const to = switchOption(commandLine, 'json') ? 'stderr' : 'stdout';
  const eras = chosenEras(config, namedEras(commandLine));
  const sourceSpec = sourceSpecOf(config.source);
  const storeSpec = storeSpecOf(config);
  const catalogSpec = catalogSpecOf(config);
  return {
    config,
    eras,
    variables: fromEnvironment(settings),
    log: makeLogger({
      format: config.logging.format ?? (isatty(to === 'stdout' ? 1 : 2) ? 'text' : 'json'),
      level: config.logging.level,
      to,
      copierId: config.copier_id,
    }),
    source: openSource(sourceSpec),
    sourceSpec,
    store: openStore(storeSpec),
    storeSpec,
    catalog: catalogSpec && openCatalog(catalogSpec),
  };
}

export const openPool = (config: Config, options: PoolOptions = {}): ThreadPool =>
  new ThreadPool(config.perf.threads || availableParallelism(), options);

/** How the queue of remote workers is reached; null where builds stay in this process. Throws CONFIG_UNREADABLE. */
export function queueSpecOf({ perf }: Config, env: Environment = process.env): QueueSpec | null {
  if (perf.queue === '') return null;
  const given = env.QUEUE_PASSWORD ?? '';
  if (given !== '') return { url: perf.queue, password: given };
  if (perf.queue_password_file === '') return { url: perf.queue, password: null };
  const file = resolve(perf.queue_password_file);
  try {
    return { url: perf.queue, password: readFileSync(file, 'utf8').trim() };
  } catch (cause) {
    throw new BronzeError('CONFIG_UNREADABLE', `perf.queue_password_file: ${file} cannot be read`, {
      details: { object: file, hint: 'name a file that this user may read, or set QUEUE_PASSWORD' },
      cause,
    });
  }
}

/** Where builds go: to the threads of this process, or to remote workers. Whoever opened it closes it. */
export function openBuilders(context: Context, pool: ThreadPool): { run: ThreadPool['run']; queue: QueuePool | null } {
  const { config, store, storeSpec, sourceSpec, log } = context;
  const spec = queueSpecOf(config);
  if (spec === null) return { run: pool.run.bind(pool) as ThreadPool['run'], queue: null };
  const queue = new QueuePool({
    spec,
    local: pool,
    store,
    storeSpec,
    sourceSpec,
    table: config.bronze.primary_table,
    onNotice: (level, message) => log[level]({ component: 'queue' }, message),
  });
  return { run: queue.run.bind(queue) as ThreadPool['run'], queue };
}

/** Partitions ahead for which an era that follows its lake looks at once; far behind, a lake has tens of millions of names. */
const PARTITIONS_AHEAD = 256;

/** Where the events of a chain go, and how far they came; null where they go nowhere. */
export function openDelivery(config: Config, chain: ChainName): EraSetup['delivery'] {
  if (!config.pas.enabled || config.pas.endpoint === '') return null;
  const endpoint = openEndpoint(config.pas.endpoint);
  return {
    endpoint,
    pointer: openDeliveryPointer({ dir: resolve(config.checkpoint.dir), chain, endpoint: endpoint.uri }),
    withHeads: config.pas.deliver_heads,
  };
}

/** Who signs the log of a chain; null where nobody does. Only a run needs the key. Throws KEY_INVALID. */
export function signerOf({ pas }: Config, chain: ChainName): EraSetup['signer'] {
  if (!pas.enabled || pas.signing_key === '') return null;
  const origin = logOrigin(pas.origin, chain);
  return {
    origin,
    key: readSigningKey(resolve(pas.signing_key), origin),
    former: keysFor(
      pas.former_keys.map((line) => verifierIn(line, 'pas.former_keys')),
      origin,
    ),
  };
}

/** The other eras of the network. */
export const neighboursOf = (config: Config, era: EraConfig): Neighbour[] =>
  config.eras
    .filter((other) => other !== era && other.network === era.network)
    .map((other) => ({
      chain: chainOf(other),
      table: config.bronze.primary_table,
      ledgerStart: other.ledger_start,
      ledgerEnd: other.ledger_end,
    }));

/** Everything fixed for one era of this configuration. `trusted`: what builds are compared with. */
export function eraSetup(
  context: Context,
  era: EraConfig,
  pool: EraSetup['pool'],
  once = false,
  trusted: EraSetup['trusted'] = null,
): EraSetup {
  const { config } = context;
  const chain = chainOf(era);
  const table = config.bronze.primary_table;
  const passphrase = networkPassphrase(config, era.network);
  const stateDir = resolve(config.checkpoint.dir);
  const copies = copiesOf(config, chain);
  return {
    eraId: era.era_id,
    chain,
    table,
    copierId: config.copier_id,
    producer: PRODUCER,
    stateDir,
    store: context.store,
    storeSpec: context.storeSpec,
    source: context.source,
    sourceSpec: context.sourceSpec,
    passphrase,
    terms: {
      grid: { size: era.partition_size, origin: era.partition_origin, ledgerStart: era.ledger_start },
      networkPassphrase: passphrase,
    },
    attests: config.pas.enabled,
    signer: null,
    neighbours: neighboursOf(config, era),
    // `--once` ends at the head that is found first, so it has to be followed to its end.
    ledgersAhead: once ? Number.POSITIVE_INFINITY : PARTITIONS_AHEAD * era.partition_size,
    compression: { codec: config.bronze.compression, level: config.bronze.compression_level },
    checks: {
      results: config.checks.results,
      protocolMin: era.protocol_min,
      protocolMax: era.protocol_max,
      networkPassphrase: config.checks.signatures === 'all' ? passphrase : null,
    },
    trusted,
    backup: config.pas.enabled ? copies : null,
    oldEvents: copies,
    memories: memoriesOf(config, chain, context.catalog),
    checkpoint: config.checkpoint.enabled ? openCheckpoint({ dir: stateDir, chain, copierId: config.copier_id }) : null,
    catalog: context.catalog && {
      catalog: context.catalog,
      domain: config.catalog.namespace,
      mode: modeOf(true, config.catalog.strict),
      writesBehind: config.catalog.backend === 'embedded' && !config.catalog.strict,
    },
    delivery: openDelivery(config, chain),
    pool,
    buildsElsewhere: config.perf.queue !== '',
    log: context.log.child({ era_id: era.era_id, version_label: era.version_label, network: era.network }),
    newNames: () => newNames({ store: context.store, storeSpec: context.storeSpec, table }, chain),
  };
}

export const openEras = (
  context: Context,
  pool: EraSetup['pool'],
  once: boolean,
  trusted: EraSetup['trusted'],
): Map<string, RunningEra> =>
  new Map(
    context.eras.map((era) => {
      const signer = signerOf(context.config, chainOf(era));
      return [era.era_id, new RunningEra({ ...eraSetup(context, era, pool, once, trusted), signer })];
    }),
  );
