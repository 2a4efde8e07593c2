/** S28: files and environments of the old Go program mean what they meant. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PORT_VARIABLE, variables } from '../../config/environment.ts';
import { loadConfig } from '../../config/load.ts';
import { lakeLocation } from '../../config/networks.ts';
import { load, loadEnvironment } from '../support/config.ts';
import { describeShared, SHARED } from '../support/shared.ts';

/** As the old program's users wrote it: everything in quotes, one era, empty strings for "none". */
const OLD_FILE = `copier_id: "copier-eu-7"
era:
  era_id: "pre_p23"           # Era identifier
  version_label: "v1"
  network: "pubnet"
  ledger_start: 1             # Starting ledger (inclusive)
  ledger_end: 0               # Ending ledger (0 = unbounded/tail)
  partition_size: 5000
  allow_overwrite: true
source:
  mode: "datastore"
  datastore_type: "GCS"
  datastore_path: "some-bucket/landing/ledgers/pubnet"
  # mode: "s3"
storage:
  backend: "s3"
  prefix: "bronze"
  s3_bucket: "bronze-bucket"
  s3_endpoint: "https://s3.us-west-000.example.com"
  s3_region: "us-west-000"
catalog:
  postgres_dsn: "postgres://copier:secret@db:5432/obsrvr?sslmode=disable"
  namespace: "mainnet"
  strict: true
pas:
  enabled: false
  endpoint: ""
  backup_dir: "./audit"
  strict: true
bronze:
  primary_table: "ledgers_lcm_raw"
checkpoint:
  enabled: true
  dir: "./chk"
perf:
  max_in_flight_partitions: 3
  workers: 0
  queue_size: 0
  retry_attempts: 7
  retry_backoff_ms: 250
logging:
  format: "text"
  level: "WARNING"
metrics:
  enabled: true
  address: "0.0.0.0:9100"
`;

const OLD_ENVIRONMENT = {
  COPIER_ID: 'copier-eu-7',
  ERA_ID: 'pre_p23',
  VERSION_LABEL: 'v1',
  NETWORK: 'pubnet',
  LEDGER_START: '1',
  LEDGER_END: '0',
  PARTITION_SIZE: '5000',
  ALLOW_OVERWRITE: 'true',
  SOURCE_MODE: 'datastore',
  SOURCE_DATASTORE_TYPE: 'GCS',
  SOURCE_DATASTORE_PATH: 'some-bucket/landing/ledgers/pubnet',
  STORAGE_BACKEND: 's3',
  STORAGE_PREFIX: 'bronze',
  STORAGE_S3_BUCKET: 'bronze-bucket',
  STORAGE_S3_ENDPOINT: 'https://s3.us-west-000.example.com',
  STORAGE_S3_REGION: 'us-west-000',
  CATALOG_DSN: 'postgres://copier:secret@db:5432/obsrvr?sslmode=disable',
  CATALOG_NAMESPACE: 'mainnet',
  CATALOG_STRICT: 'true',
  PAS_ENABLED: 'false',
  PAS_ENDPOINT: '',
  PAS_BACKUP_DIR: './audit',
  PAS_STRICT: 'true',
  BRONZE_PRIMARY_TABLE: 'ledgers_lcm_raw',
  CHECKPOINT_ENABLED: 'true',
  CHECKPOINT_DIR: './chk',
  MAX_IN_FLIGHT_PARTITIONS: '3',
  RETRY_ATTEMPTS: '7',
  RETRY_BACKOFF_MS: '250',
  LOG_FORMAT: 'text',
  LOG_LEVEL: 'WARNING',
  METRICS_ENABLED: 'true',
  METRICS_ADDRESS: '0.0.0.0:9100',
};

describe('S28: a configuration file of the old program', () => {
  it('is understood unchanged', () => {
    const config = load(OLD_FILE);
    expect(config).toMatchObject({
      copier_id: 'copier-eu-7',
      eras: [
        {
          era_id: 'pre_p23',
          version_label: 'v1',
          network: 'pubnet',
          ledger_start: 2,
          ledger_end: null,
          partition_size: 5000,
          partition_origin: 0,
          allow_overwrite: true,
        },
      ],
      active_eras: ['pre_p23'],
      storage: {
        backend: 's3',
        prefix: 'bronze/',
        s3_bucket: 'bronze-bucket',
        s3_endpoint: 'https://s3.us-west-000.example.com',
        s3_region: 'us-west-000',
      },
      catalog: { backend: 'postgres', namespace: 'mainnet', strict: true },
      pas: { enabled: false, endpoint: '', backup_dir: './audit', strict: true },
      bronze: { primary_table: 'ledgers_lcm_raw' },
      checkpoint: { enabled: true, dir: './chk' },
      perf: { workers: 3, max_in_flight_partitions: 3, queue_size: 6, retry_attempts: 7, retry_backoff_ms: 250 },
      logging: { format: 'text', level: 'warn' },
      metrics: { enabled: true, address: '0.0.0.0:9100' },
    });
    expect(lakeLocation(config.source)).toEqual({
      kind: 'gcs',
      bucket: 'some-bucket',
      prefix: 'landing/ledgers/pubnet/',
    });
  });

  it('takes what the old program took where something is left out', () => {
    const { eras, copier_id, storage } = load(
      'era: { era_id: "" }\nsource: { local_path: ./lake }\nstorage: { prefix: "" }\n',
    );
    expect(copier_id).toBe('bronze-copier-001');
    expect(eras).toMatchObject([{ era_id: 'pre_p23', version_label: 'v1', network: 'pubnet', partition_size: 10_000 }]);
    expect(storage).toMatchObject({ backend: 'local', prefix: 'bronze/' });
  });

  it('understands its list of eras', () => {
    const { eras, active_eras } = load(`eras:
  - era_id: "pre_p23"
    version_label: "v1"
    network: "pubnet"
    ledger_start: 1
    ledger_end: 52345677
    partition_size: 10000
  - era_id: "p23_plus"
    version_label: "v2"
    network: "pubnet"
    ledger_start: 52345678
    ledger_end: 0
active_eras:
  - "pre_p23"
source:
  mode: "local"
  local_path: "./lake"
`);
    expect(eras.map(({ ledger_start, ledger_end }) => [ledger_start, ledger_end])).toEqual([
      [2, 52_345_677],
      [52_345_678, null],
    ]);
    expect(active_eras).toEqual(['pre_p23']);
  });
});

describe('S28: an environment of the old program', () => {
  it('means the same as its file', () => {
    expect(loadEnvironment(OLD_ENVIRONMENT)).toEqual(load(OLD_FILE));
  });

  it('needs no file and no name of an era', () => {
    const config = loadEnvironment({ SOURCE_LOCAL_PATH: './lake', LEDGER_START: '10', LEDGER_END: '19' });
    expect(config.eras).toMatchObject([
      { era_id: 'pre_p23', version_label: 'v1', network: 'pubnet', ledger_start: 10, ledger_end: 19 },
    ]);
  });

  it('is known by every name that users may have set', () => {
    const names = `COPIER_ID ERA_ID VERSION_LABEL NETWORK LEDGER_START LEDGER_END PARTITION_SIZE
      ALLOW_OVERWRITE ACTIVE_ERAS SOURCE_MODE SOURCE_LOCAL_PATH SOURCE_GCS_BUCKET SOURCE_GCS_PREFIX SOURCE_S3_BUCKET
      SOURCE_S3_PREFIX SOURCE_S3_ENDPOINT SOURCE_S3_REGION SOURCE_DATASTORE_TYPE SOURCE_DATASTORE_PATH STORAGE_BACKEND
      STORAGE_LOCAL_DIR STORAGE_GCS_BUCKET STORAGE_S3_BUCKET STORAGE_S3_ENDPOINT STORAGE_S3_REGION STORAGE_PREFIX
      CATALOG_DSN CATALOG_NAMESPACE CATALOG_STRICT PAS_ENABLED PAS_ENDPOINT PAS_BACKUP_DIR PAS_STRICT
      BRONZE_PRIMARY_TABLE CHECKPOINT_ENABLED CHECKPOINT_DIR MAX_IN_FLIGHT_PARTITIONS WORKERS QUEUE_SIZE
      RETRY_ATTEMPTS RETRY_BACKOFF_MS LOG_FORMAT LOG_LEVEL METRICS_ENABLED METRICS_ADDRESS METRICS_PORT
      QUEUE_URL QUEUE_PASSWORD_FILE PAS_SIGNING_KEY_FILE PAS_ORIGIN PAS_DELIVER_HEADS`;
    const known = [...variables.map(({ name }) => name), PORT_VARIABLE];
    expect(known.toSorted()).toEqual(names.split(/\s+/).toSorted());
  });

  it.each(variables.map(({ name, path, leaf }) => ({ name, path, kind: leaf.facts.kind })))(
    '$name reaches $path',
    ({ name, path, kind }) => {
      const values: Readonly<Record<string, string>> = {
        SOURCE_MODE: 'gcs',
        SOURCE_DATASTORE_TYPE: 'S3',
        SOURCE_S3_ENDPOINT: 'http://h:1',
        STORAGE_S3_ENDPOINT: 'http://h:1',
        PAS_ENDPOINT: 'http://h:1',
        QUEUE_URL: 'redis://h:1',
        STORAGE_BACKEND: 'gcs',
        STORAGE_PREFIX: 'x/',
        CATALOG_DSN: 'postgres://h/d',
        ACTIVE_ERAS: 'pre_p23',
        LOG_FORMAT: 'text',
        LOG_LEVEL: 'error',
        METRICS_ADDRESS: 'h:1',
      };
      const fallback = { integer: '17', boolean: 'true', text: 'x', label: 'x', choice: '', labels: '' }[kind];
      const text = values[name] ?? fallback;
      const more = {
        QUEUE_URL: { STORAGE_BACKEND: 'gcs' },
        PAS_SIGNING_KEY_FILE: { PAS_ORIGIN: 'example.com/bronze' },
        PAS_DELIVER_HEADS: { PAS_ORIGIN: 'example.com/bronze', PAS_SIGNING_KEY_FILE: 'signing.key' },
      }[name];
      const base = {
        SOURCE_LOCAL_PATH: 'l',
        SOURCE_GCS_BUCKET: 'b',
        STORAGE_GCS_BUCKET: 'b',
        LEDGER_START: '3',
        ...more,
      };
      let found: unknown = loadEnvironment({ ...base, [name]: text });
      for (const step of path.replace(/^era\./, 'eras.0.').split('.')) found = (found as Record<string, unknown>)[step];
      expect(Array.isArray(found) ? found.join(',') : String(found)).toBe(text);
    },
  );
});

describeShared('S28: estates of the old program', () => {
  const estates = join(SHARED, 'old-estate');
  const files = existsSync(estates)
    ? readdirSync(estates)
        .map((name) => join(estates, name, 'config.yaml'))
        .filter((file) => existsSync(file))
    : [];

  it('are there', () => {
    expect(files.length).toBeGreaterThan(0);
  });

  it.each(files)('%s loads as it stands', (file) => {
    const config = loadConfig({ file, env: {} });
    expect(config).toMatchObject({
      copier_id: 'bronze-copier-001',
      eras: [{ era_id: 'pre_p23', version_label: 'v1', network: 'pubnet', partition_size: 10, allow_overwrite: false }],
      source: { mode: 'local', local_path: './lake' },
      storage: { backend: 'local', prefix: 'bronze/', local_dir: './data' },
      catalog: { backend: 'embedded', namespace: 'mainnet' },
      pas: { enabled: true, endpoint: '', backup_dir: './pas-backup' },
      checkpoint: { enabled: true, dir: './state' },
      perf: { workers: 1, queue_size: 2 },
    });
    const [era] = config.eras;
    expect([era?.ledger_start, era?.ledger_end]).toEqual(
      file.includes('unaligned') ? [64_003, 64_019] : [64_000, 64_024],
    );
  });
});
