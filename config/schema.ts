/**
 * Every key of the configuration: its type, default, environment variable, unit and meaning. The one place where a
 * default is written; loader, JSON Schema and the reference in docs/configuration.md all come from here. It reads no
 * file, no environment and no clock.
 */
import { z } from 'zod';
import { choice, FOLDER_LABEL, flag, integer, label, labels, openChoice, text, texts, UINT32_MAX } from './fields.ts';

const DAY_MS = 86_400_000;
/** `bucket` or, for S3, the ARN of an access point; the scheme and the prefix have keys of their own. */
const BUCKET = { pattern: /^(?:arn:\S+|[^\s/:\\]+)$/, expected: 'the name of a bucket, without scheme and path' };
/** Keys of the lake are below it: no part is empty, "." or "..". Empty = the root of the bucket. */
const LAKE_PATH = {
  pattern: /^\/?$|^\/?(?!\.{1,2}(?:\/|$))[^/\\]+(?:\/(?!\.{1,2}(?:\/|$))[^/\\]+)*\/?$/,
  expected: 'a path with forward slashes, without empty, "." and ".." parts',
};
/** Credentials come from the SDK's own places, never from a URL that is printed in messages. */
const S3_URL = {
  pattern: /^https?:\/\/[^\s/?#@]+(?:\/[^\s?#@]*)?$/,
  expected: 'a URL that begins with http:// or https://, without credentials and query',
};
const HTTP_URL = { pattern: /^https?:\/\/[^\s/?#]+\S*$/, expected: 'a URL that begins with http:// or https://' };

/** As C2SP's signed-note writes it; the first byte says Ed25519. */
const VERIFIER_KEY = /^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$/;
const ARCHIVE = /^[^=,\s][^=,]*=https?:\/\/[^\s/?#@,]+(?:\/[^\s?#,]*)?$/;

const eraTail = {
  ledger_start: integer('First ledger. 0 and 1 mean 2: no lake holds ledger 1.', {
    min: 0,
    max: UINT32_MAX,
    preset: 2,
    variable: 'LEDGER_START',
  }),
  ledger_end: integer('Last ledger, inclusive; 0 = unbounded: follow the head of the lake.', {
    min: 0,
    max: UINT32_MAX,
    preset: 0,
    variable: 'LEDGER_END',
  }),
  partition_size: integer('Ledgers per partition.', {
    min: 1,
    max: UINT32_MAX,
    preset: 10_000,
    variable: 'PARTITION_SIZE',
  }),
  partition_origin: integer(
    'Ledger at which the grid of partitions begins: [origin + k*size, origin + (k+1)*size - 1], clipped to the era.',
    { min: 0, max: UINT32_MAX, preset: 0 },
  ),
  allow_overwrite: flag(
    'Accepted for old files and without effect: Bronze is never overwritten, a correction is a new version_label.',
    false,
    { variable: 'ALLOW_OVERWRITE' },
  ),
  protocol_min: integer('Guard: a ledger of a lower protocol stops the era.', {
    min: 0,
    max: UINT32_MAX,
    fallback: 'no guard',
  }),
  protocol_max: integer('Guard: a ledger of a higher protocol stops the era.', {
    min: 0,
    max: UINT32_MAX,
    fallback: 'no guard',
  }),
};

const ERA_ID = 'Name of the era: part of every path, and what active_eras and --eras refer to.';
const VERSION_LABEL = 'Version of this copy; a correction is a new one.';
const NETWORK = 'pubnet, testnet, futurenet, or any label (then see source.network_passphrase).';

/** The old form. Its names default to what the old program took, so that its files and environments mean the same. */
const singleEra = z.strictObject({
  era_id: label(ERA_ID, { ...FOLDER_LABEL, preset: 'pre_p23', variable: 'ERA_ID' }),
  version_label: label(VERSION_LABEL, { ...FOLDER_LABEL, preset: 'v1', variable: 'VERSION_LABEL' }),
  network: label(NETWORK, { ...FOLDER_LABEL, preset: 'pubnet', variable: 'NETWORK' }),
  ...eraTail,
});

const listedEra = z.strictObject({
  era_id: label(ERA_ID, { ...FOLDER_LABEL, variable: 'ERA_ID' }),
  version_label: label(VERSION_LABEL, { ...FOLDER_LABEL, variable: 'VERSION_LABEL' }),
  network: label(NETWORK, { ...FOLDER_LABEL, variable: 'NETWORK' }),
  ...eraTail,
});

const source = z.strictObject({
  mode: choice('Where the lake is.', ['local', 'gcs', 's3', 'datastore'], 'local', { variable: 'SOURCE_MODE' }),
  local_path: text('Folder of the lake (mode local).', '', { variable: 'SOURCE_LOCAL_PATH' }),
  gcs_bucket: text('Bucket of the lake (mode gcs).', '', { ...BUCKET, variable: 'SOURCE_GCS_BUCKET' }),
  gcs_prefix: text('Path of the lake in its bucket, with or without a slash at the end.', '', {
    ...LAKE_PATH,
    variable: 'SOURCE_GCS_PREFIX',
  }),
  s3_bucket: text('Bucket of the lake (mode s3).', '', { ...BUCKET, variable: 'SOURCE_S3_BUCKET' }),
  s3_prefix: text('Path of the lake in its bucket, with or without a slash at the end.', '', {
    ...LAKE_PATH,
    variable: 'SOURCE_S3_PREFIX',
  }),
  s3_endpoint: text('URL of an S3-compatible store; empty = AWS.', '', {
    ...S3_URL,
    variable: 'SOURCE_S3_ENDPOINT',
  }),
  s3_region: text('Region of the bucket; empty = from the AWS environment.', '', { variable: 'SOURCE_S3_REGION' }),
  s3_path_style: flag('Bucket in the path (true) or in the host name (false).', true),
  datastore_type: choice('Kind of store (mode datastore, the old form).', ['GCS', 'S3'], 'GCS', {
    variable: 'SOURCE_DATASTORE_TYPE',
  }),
  datastore_path: text('bucket/prefix of the lake (mode datastore).', '', {
    // As for the prefixes: no part of the path is empty, "." or "..".
    pattern: /^[^\s/:\\]+(?:\/(?!\.{1,2}(?:\/|$))[^/\\\s]+)*\/?$/,
    expected: 'bucket/prefix, without scheme and without ".." in it',
    variable: 'SOURCE_DATASTORE_PATH',
  }),
  anonymous: flag('No credentials: for public buckets.', false),
  requester_pays: flag('Whether reading is billed to the reader.', false),
  poll_interval_ms: integer('Unbounded eras: how often the head of the lake is looked for (milliseconds).', {
    min: 1,
    max: DAY_MS,
    preset: 5000,
  }),
  network_passphrase: text(
    'Passphrase that the lake must carry, for networks other than pubnet, testnet, futurenet; empty = not compared.',
    '',
  ),
  ledgers_per_file: integer('Ledgers per object, only where the lake has no .config.json.', {
    min: 1,
    max: UINT32_MAX,
    preset: 1,
  }),
  files_per_partition: integer('Objects per folder of the lake, only where it has no .config.json.', {
    min: 1,
    max: UINT32_MAX,
    preset: 64_000,
  }),
});

const storage = z.strictObject({
  backend: choice('Where Bronze is written.', ['local', 'gcs', 's3'], 'local', { variable: 'STORAGE_BACKEND' }),
  local_dir: text('Folder that holds Bronze (backend local).', './data', { variable: 'STORAGE_LOCAL_DIR' }),
  gcs_bucket: text('Bucket of Bronze (backend gcs).', '', { ...BUCKET, variable: 'STORAGE_GCS_BUCKET' }),
  s3_bucket: text('Bucket of Bronze (backend s3).', '', { ...BUCKET, variable: 'STORAGE_S3_BUCKET' }),
  s3_endpoint: text('URL of an S3-compatible store; empty = AWS.', '', {
    ...S3_URL,
    variable: 'STORAGE_S3_ENDPOINT',
  }),
  s3_region: text('Region of the bucket; empty = from the AWS environment.', '', { variable: 'STORAGE_S3_REGION' }),
  s3_path_style: flag('Bucket in the path (true) or in the host name (false).', true),
  shared: flag('Whether all machines see local_dir under the same path; only for remote workers (perf.queue).', false),
  anonymous: flag('No credentials.', false),
  requester_pays: flag('Whether requests are billed to the requester.', false),
  prefix: text('Path below the folder or bucket, with or without a slash at the end; "/" = none.', 'bronze/', {
    // Segments neither empty nor "." or "..": a key and a file name then mean the same thing on every backend.
    pattern: /^\/$|^(?!\.{1,2}(?:\/|$))[^/\\]+(?:\/(?!\.{1,2}(?:\/|$))[^/\\]+)*\/?$/,
    expected: 'a relative path with forward slashes, without empty, "." and ".." parts (or "/" for none)',
    variable: 'STORAGE_PREFIX',
  }),
});

const catalog = z.strictObject({
  backend: openChoice('Where the catalog is kept.', ['none', 'embedded', 'postgres', 'bigquery'], {
    fallback: 'postgres where postgres_dsn is set, else embedded',
  }),
  dir: text('Folder of the embedded catalog.', './state/catalog'),
  postgres_dsn: text('PostgreSQL connection string; never printed.', '', {
    pattern: /^postgres(?:ql)?:\/\/\S+$|^[A-Za-z_]+\s*=[^\r\n]*$/,
    expected: 'postgres://user:password@host/database, or key=value pairs',
    secret: true,
    variable: 'CATALOG_DSN',
  }),
  namespace: label('Domain of the data sets in the catalog.', { preset: 'mainnet', variable: 'CATALOG_NAMESPACE' }),
  strict: flag('Whether copying waits for a catalog that cannot be reached.', false, { variable: 'CATALOG_STRICT' }),
  bigquery: z
    .strictObject({
      project: text('Google Cloud project.', ''),
      dataset: text('BigQuery data set.', ''),
      location: text('Location of the data set; empty = the default of the project.', ''),
      load: flag('Whether each partition is loaded into a table as well.', false),
    })
    .prefault({})
    .describe('BigQuery (backend bigquery).'),
});

const pas = z.strictObject({
  enabled: flag('Whether an event per partition is written to the audit chain beside the data.', true, {
    variable: 'PAS_ENABLED',
  }),
  endpoint: text('URL to which events are delivered; empty = nowhere.', '', {
    ...HTTP_URL,
    secret: true,
    variable: 'PAS_ENDPOINT',
  }),
  backup_dir: text("Folder for copies of the events, in the old program's form.", './pas-backup', {
    variable: 'PAS_BACKUP_DIR',
  }),
  signing_key: text(
    'File that holds the key which signs the heads of the audit log (`pas keygen` makes one); empty = nothing is signed.',
    '',
    {
      // Whoever puts the key itself here is told so, and it is not repeated.
      pattern: /^(?!PRIVATE\+KEY)[\s\S]+$/,
      expected: 'the path of a file; the key itself never stands in a configuration',
      secret: true,
      variable: 'PAS_SIGNING_KEY_FILE',
    },
  ),
  origin: text('Name of the signed logs, before /{network}/{era_id}/{version_label}; needed with signing_key.', '', {
    pattern: /^[^\s+/]+(?:\/[^\s+/]+)*$/,
    expected: 'a name without spaces, "+" and scheme, such as example.com/bronze',
    variable: 'PAS_ORIGIN',
  }),
  former_keys: texts(
    'Public keys that signed before signing_key did, as `pas keygen` printed them; needed after the key was replaced.',
    {
      pattern: VERIFIER_KEY,
      expected: 'a list of public keys, each as pas keygen printed it: NAME+ID+KEY',
    },
  ),
  deliver_heads: flag(
    'Whether the endpoint gets the signed head of the log with each event (docs/delivery.md); needs signing_key.',
    false,
    { variable: 'PAS_DELIVER_HEADS' },
  ),
  strict: flag('Whether copying waits for delivery.', false, { variable: 'PAS_STRICT' }),
});

const checkpoint = z.strictObject({
  enabled: flag('Whether a checkpoint is kept. Only a hint: Bronze itself tells where a run goes on.', true, {
    variable: 'CHECKPOINT_ENABLED',
  }),
  dir: text('Folder for checkpoints and locks.', './state', { variable: 'CHECKPOINT_DIR' }),
});

const checks = z.strictObject({
  results: flag("Whether the hash of each ledger's transaction results is recomputed as well.", true),
  signatures: choice(
    'Which signatures of validators are verified (docs/anchors.md). A network whose passphrase nobody has told has none.',
    ['all', 'off'],
    'all',
  ),
});

const anchors = z.strictObject({
  quorum: integer('Organisations that have to vouch for a history.', {
    min: 1,
    max: 1000,
    fallback: 'more than two thirds of those that are named',
  }),
  validators: text(
    'File that says whose word counts: JSON, each organisation with its public keys; empty = the list that is built in.',
    '',
  ),
  trusted_hashes: text(
    'File of hashes that stellar-core verify-checkpoints has written; run refuses a partition that contradicts one.',
    '',
  ),
  archives: texts('History archives that verify --anchor compares with.', {
    pattern: ARCHIVE,
    expected: 'a list of ORGANISATION=URL, each URL with http:// or https://, without credentials and query',
  }),
});

const perf = z.strictObject({
  workers: integer('Workers per era, each building one partition at a time.', {
    min: 1,
    max: 1024,
    zeroIsUnset: true,
    fallback: 'max_in_flight_partitions where that is set, else the cores',
    variable: 'WORKERS',
  }),
  threads: integer('CPU threads of the whole process, shared by all eras.', {
    min: 1,
    max: 1024,
    zeroIsUnset: true,
    fallback: 'the cores',
  }),
  max_in_flight_partitions: integer("The old program's name for workers.", {
    min: 1,
    max: 1024,
    zeroIsUnset: true,
    fallback: 'workers',
    variable: 'MAX_IN_FLIGHT_PARTITIONS',
  }),
  queue_size: integer('Partitions per era that are being built or staged and not committed, at the most.', {
    min: 1,
    max: 65_536,
    zeroIsUnset: true,
    fallback: '2 x workers',
    variable: 'QUEUE_SIZE',
  }),
  retry_attempts: integer('Attempts of one step before it counts as failed.', {
    min: 1,
    max: 1000,
    zeroIsUnset: true,
    preset: 3,
    variable: 'RETRY_ATTEMPTS',
  }),
  retry_backoff_ms: integer('First pause between attempts (milliseconds); doubles, with jitter, capped at 60 s.', {
    min: 1,
    max: 3_600_000,
    zeroIsUnset: true,
    preset: 1000,
    variable: 'RETRY_BACKOFF_MS',
  }),
  queue: text(
    'URL of the Redis or Valkey server through which remote workers build partitions; empty = the threads of this process.',
    '',
    {
      pattern: /^rediss?:\/\/(?:[^\s:/?#@]+@)?(?:\[[0-9A-Fa-f:.]+\]|[^\s:/?#@[\]]+)(?::[0-9]{1,5})?(?:\/[0-9]{0,5})?$/,
      expected: 'redis://[user@]host[:port][/database] or rediss://…, without a password (QUEUE_PASSWORD holds it)',
      secret: true,
      variable: 'QUEUE_URL',
    },
  ),
  queue_password_file: text('File that holds the password of the queue; QUEUE_PASSWORD comes before it.', '', {
    variable: 'QUEUE_PASSWORD_FILE',
  }),
  respawn_limit: integer('Worker crashes per era and hour that are survived.', { min: 0, max: 100_000, preset: 5 }),
  stall_timeout_ms: integer('Time without progress after which an era counts as stalled (milliseconds).', {
    min: 1,
    max: 7 * DAY_MS,
    preset: 300_000,
  }),
});

const bronze = z.strictObject({
  primary_table: label('Folder of the table.', {
    ...FOLDER_LABEL,
    preset: 'ledgers_lcm_raw',
    variable: 'BRONZE_PRIMARY_TABLE',
  }),
  compression: choice('Codec of the Parquet files.', ['zstd', 'snappy', 'none'], 'zstd'),
  compression_level: integer('Level of zstd; only with compression zstd.', { min: 1, max: 22, preset: 3 }),
});

const logging = z.strictObject({
  format: openChoice('json for machines, text for people.', ['json', 'text'], {
    fallback: 'text where logs go to a terminal, else json',
    variable: 'LOG_FORMAT',
    synonyms: {},
  }),
  level: choice('Least severity that is logged.', ['trace', 'debug', 'info', 'warn', 'error'], 'info', {
    variable: 'LOG_LEVEL',
    synonyms: { warning: 'warn' },
  }),
});

const metrics = z.strictObject({
  enabled: flag('Whether metrics and health are served over HTTP.', false, { variable: 'METRICS_ENABLED' }),
  address: text(
    'host:port to listen on; :port = all interfaces, port 0 = any. METRICS_PORT replaces the port.',
    '127.0.0.1:9090',
    {
      pattern:
        /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(?:[0-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$/,
      expected: 'host:port or :port, such as 127.0.0.1:9090 or ":9090"',
      variable: 'METRICS_ADDRESS',
    },
  ),
  path: text('Path of the metrics.', '/metrics', {
    pattern: /^\/(?!(?:health|ready)\/?$)[A-Za-z0-9._~/-]+$/,
    expected: 'a path that begins with "/", other than /health and /ready',
  }),
});

/** The file as a whole. A run needs eras in one of the two forms; the loader says so, because variables can give one. */
export const fileSchema = z
  .strictObject({
    copier_id: label('Name of this copier, in checkpoints and locks.', {
      preset: 'bronze-copier-001',
      variable: 'COPIER_ID',
    }),
    eras: z.array(listedEra).optional().describe('What is copied: ranges of ledgers, each with partitions of its own.'),
    era: singleEra.optional().describe('The old form of eras, for one era. Both together is an error.'),
    active_eras: labels('The eras that run copies, by era_id; empty = all.', { variable: 'ACTIVE_ERAS' }),
    source: source.prefault({}).describe('The lake.'),
    storage: storage.prefault({}).describe('Bronze.'),
    catalog: catalog.prefault({}).describe('Tables that say what Bronze holds.'),
    pas: pas.prefault({}).describe('The public audit stream.'),
    checkpoint: checkpoint.prefault({}).describe('State that is kept beside Bronze.'),
    checks: checks.prefault({}).describe('What is recomputed before anything is published, beyond what always is.'),
    anchors: anchors.prefault({}).describe('Who says that it is the history of the network: see docs/anchors.md.'),
    perf: perf.prefault({}).describe('How much at once, and how patiently.'),
    bronze: bronze.prefault({}).describe('How the Parquet files are written.'),
    logging: logging.prefault({}).describe('Logs.'),
    metrics: metrics.prefault({}).describe('Prometheus metrics and health.'),
  })
  .describe('Configuration of Bronze Copier.');

type FileConfig = z.output<typeof fileSchema>;

/** One era, with every default filled in. */
export interface EraConfig {
  readonly era_id: string;
  readonly version_label: string;
  readonly network: string;
  /** Never below 2. */
  readonly ledger_start: number;
  /** Inclusive; null = unbounded. */
  readonly ledger_end: number | null;
  readonly partition_size: number;
  readonly partition_origin: number;
  /** Accepted and without effect. */
  readonly allow_overwrite: boolean;
  /** null = no guard. */
  readonly protocol_min: number | null;
  readonly protocol_max: number | null;
}

export type CatalogBackend = 'none' | 'embedded' | 'postgres' | 'bigquery';

export type SourceConfig = Readonly<FileConfig['source']>;
/** `prefix` is normalised: empty, or with exactly one slash at its end and none at its beginning. */
export type StorageConfig = Readonly<FileConfig['storage']>;
export type CatalogConfig = Readonly<Omit<FileConfig['catalog'], 'backend'> & { backend: CatalogBackend }>;
export type PasConfig = Readonly<FileConfig['pas']>;
export type CheckpointConfig = Readonly<FileConfig['checkpoint']>;
export type ChecksConfig = Readonly<FileConfig['checks']>;
/** `quorum` undefined: more than two thirds. Files are as written, relative to the working directory. */
export type AnchorsConfig = Readonly<FileConfig['anchors']>;
/** Every number is at least 1, but for respawn_limit; `0` and "not set" have been resolved. */
export type PerfConfig = Readonly<Required<FileConfig['perf']>>;
export type BronzeConfig = Readonly<FileConfig['bronze']>;
export type LoggingConfig = Readonly<FileConfig['logging']>;
/** `address` carries the port of METRICS_PORT where that was set. */
export type MetricsConfig = Readonly<FileConfig['metrics']>;

/**
 * The configuration of a run: checked, every default filled in, the same keys as in the file. Text that is not set is
 * the empty string. Paths are as written, relative to the working directory, as in the old program.
 */
export interface Config {
  readonly copier_id: string;
  /** In the order in which they were written; at least one. */
  readonly eras: readonly EraConfig[];
  /** era_ids to be copied, in the order of `eras`; all of them where none were named. Never empty. */
  readonly active_eras: readonly string[];
  readonly source: SourceConfig;
  readonly storage: StorageConfig;
  readonly catalog: CatalogConfig;
  readonly pas: PasConfig;
  readonly checkpoint: CheckpointConfig;
  readonly checks: ChecksConfig;
  readonly anchors: AnchorsConfig;
  readonly perf: PerfConfig;
  readonly bronze: BronzeConfig;
  readonly logging: LoggingConfig;
  readonly metrics: MetricsConfig;
}
