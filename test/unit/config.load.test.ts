/** Layers, defaults and S24: what a correct configuration turns into. */
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../config/load.ts';
import { lakeLocation, networkPassphrase } from '../../config/networks.ts';
import { formatConfig, printableConfig, redactSecrets } from '../../config/secrets.ts';
import { BronzeError } from '../../machines/errors.ts';
import { CORES, load, loadEnvironment, problemsOf, withFile } from '../support/config.ts';

const LAKE = 'source: { local_path: ./lake }\n';
const ERA = 'era: { era_id: e, version_label: v1, network: pubnet, ledger_start: 2, ledger_end: 99 }\n';
const BASE = ERA + LAKE;

describe('defaults', () => {
  it('fills in everything that a minimal file leaves out', () => {
    expect(load(BASE)).toEqual({
      copier_id: 'bronze-copier-001',
      eras: [
        {
          era_id: 'e',
          version_label: 'v1',
          network: 'pubnet',
          ledger_start: 2,
          ledger_end: 99,
          partition_size: 10_000,
          partition_origin: 0,
          allow_overwrite: false,
          protocol_min: null,
          protocol_max: null,
        },
      ],
      active_eras: ['e'],
      source: {
        mode: 'local',
        local_path: './lake',
        gcs_bucket: '',
        gcs_prefix: '',
        s3_bucket: '',
        s3_prefix: '',
        s3_endpoint: '',
        s3_region: '',
        s3_path_style: true,
        datastore_type: 'GCS',
        datastore_path: '',
        anonymous: false,
        requester_pays: false,
        poll_interval_ms: 5000,
        network_passphrase: '',
        ledgers_per_file: 1,
        files_per_partition: 64_000,
      },
      storage: {
        backend: 'local',
        local_dir: './data',
        gcs_bucket: '',
        s3_bucket: '',
        s3_endpoint: '',
        s3_region: '',
        s3_path_style: true,
        anonymous: false,
        requester_pays: false,
        prefix: 'bronze/',
        shared: false,
      },
      catalog: {
        backend: 'embedded',
        dir: './state/catalog',
        postgres_dsn: '',
        namespace: 'mainnet',
        strict: false,
        bigquery: { project: '', dataset: '', location: '', load: false },
      },
      pas: {
        enabled: true,
        endpoint: '',
        backup_dir: './pas-backup',
        signing_key: '',
        origin: '',
        former_keys: [],
        deliver_heads: false,
        strict: false,
      },
      checkpoint: { enabled: true, dir: './state' },
      checks: { results: true, signatures: 'all' },
      anchors: { validators: '', trusted_hashes: '', archives: [] },
      perf: {
        workers: CORES,
        threads: CORES,
        max_in_flight_partitions: CORES,
        queue_size: 2 * CORES,
        retry_attempts: 3,
        retry_backoff_ms: 1000,
        queue: '',
        queue_password_file: '',
        respawn_limit: 5,
        stall_timeout_ms: 300_000,
      },
      bronze: { primary_table: 'ledgers_lcm_raw', compression: 'zstd', compression_level: 3 },
      logging: { level: 'info' },
      metrics: { enabled: false, address: '127.0.0.1:9090', path: '/metrics' },
    });
  });

  it('derives workers and queue_size, and takes 0 for "not set"', () => {
    const perf = (text: string) => load(`${BASE}perf: ${text}\n`).perf;
    expect(perf('{ max_in_flight_partitions: 3 }')).toMatchObject({ workers: 3, queue_size: 6 });
    expect(perf('{ max_in_flight_partitions: 3, workers: 5 }')).toMatchObject({
      workers: 5,
      queue_size: 10,
      max_in_flight_partitions: 3,
    });
    expect(perf('{ workers: 0, threads: 0, queue_size: 0, retry_attempts: 0, retry_backoff_ms: 0 }')).toMatchObject({
      workers: CORES,
      threads: CORES,
      queue_size: 2 * CORES,
      retry_attempts: 3,
      retry_backoff_ms: 1000,
    });
    expect(perf('{ workers: 2, queue_size: 1 }')).toMatchObject({ workers: 2, queue_size: 1 });
  });

  it('takes postgres for the catalog where a DSN is set, unless told otherwise', () => {
    const catalog = (text: string) => load(`${BASE}catalog: ${text}\n`).catalog.backend;
    expect(catalog('{ postgres_dsn: "postgres://h/d" }')).toBe('postgres');
    expect(catalog('{ postgres_dsn: "host=h dbname=d" }')).toBe('postgres');
    expect(catalog('{ postgres_dsn: "postgres://h/d", backend: embedded }')).toBe('embedded');
    expect(catalog('{ postgres_dsn: "" }')).toBe('embedded');
  });

  it('brings storage.prefix into one form', () => {
    const prefix = (text: string) => load(`${BASE}storage: { prefix: ${text} }\n`).storage.prefix;
    expect(prefix('bronze')).toBe('bronze/');
    expect(prefix('bronze/')).toBe('bronze/');
    expect(prefix('a/b.c/..d')).toBe('a/b.c/..d/');
    expect(prefix('/')).toBe('');
    // As in the old program, whose estates under `bronze/` would otherwise not be found again.
    expect(prefix('""')).toBe('bronze/');
  });

  it('takes a key without a value for "not set"', () => {
    const config = load(
      `${BASE}copier_id:\nstorage:\ncatalog: ~\nactive_eras: null\npas: { endpoint: "" }\nlogging:\n  level:\n`,
    );
    expect(config.copier_id).toBe('bronze-copier-001');
    expect(config.storage.backend).toBe('local');
    expect(config.logging.level).toBe('info');
  });
});

describe('layers', () => {
  it('lays the environment over the file and flags over both', () => {
    const file = `${BASE}copier_id: file\nperf: { workers: 2, queue_size: 9 }\nlogging: { level: debug }\n`;
    const flags = [{ flag: '--level', key: 'logging.level', text: 'warn' }];
    const config = load(file, { env: { COPIER_ID: 'env', WORKERS: '3', LOG_LEVEL: 'error' }, flags });
    expect(config.copier_id).toBe('env');
    expect(config.perf).toMatchObject({ workers: 3, queue_size: 9 });
    expect(config.logging.level).toBe('warn');
  });

  it('takes an empty variable for unset', () => {
    const config = load(`${BASE}copier_id: file\n`, { env: { COPIER_ID: '', WORKERS: '', LEDGER_END: '' } });
    expect(config.copier_id).toBe('file');
    expect(config.eras[0]?.ledger_end).toBe(99);
  });

  it('replaces lists instead of merging them', () => {
    const two = `eras:
  - { era_id: a, version_label: v1, network: pubnet, ledger_end: 9 }
  - { era_id: b, version_label: v1, network: pubnet, ledger_start: 10, ledger_end: 19 }
active_eras: [a]
${LAKE}`;
    expect(load(two).active_eras).toEqual(['a']);
    expect(load(two, { env: { ACTIVE_ERAS: 'b' } }).active_eras).toEqual(['b']);
    expect(load(two, { env: { ACTIVE_ERAS: ' b , a,b' } }).active_eras).toEqual(['a', 'b']);
    const flags = [{ flag: '--eras', key: 'active_eras', text: 'a,b' }];
    expect(load(two, { env: { ACTIVE_ERAS: 'b' }, flags }).active_eras).toEqual(['a', 'b']);
    expect(load(two.replace('[a]', '[]')).active_eras).toEqual(['a', 'b']);
  });

  it('lets the environment define the single era, or change the one that the file has', () => {
    expect(load(LAKE, { env: { ERA_ID: 'x', LEDGER_END: '9' } }).eras).toMatchObject([{ era_id: 'x', ledger_end: 9 }]);
    expect(load(BASE, { env: { ERA_ID: 'x' } }).eras).toMatchObject([{ era_id: 'x', ledger_end: 99 }]);
    const one = `eras:\n  - { era_id: a, version_label: v1, network: pubnet }\n${LAKE}`;
    expect(load(one, { env: { LEDGER_END: '7' } }).eras).toMatchObject([{ era_id: 'a', ledger_end: 7 }]);
    expect(load(`eras: []\n${LAKE}`, { env: { ERA_ID: 'x' } }).eras).toMatchObject([{ era_id: 'x' }]);
    expect(load(`era: { network: }\n${LAKE}`).eras).toMatchObject([{ network: 'pubnet' }]);
  });

  it('takes METRICS_PORT for the port of whatever address there is', () => {
    const address = (text: string) =>
      load(`${BASE}metrics: { address: "${text}" }\n`, { env: { METRICS_PORT: '1234' } }).metrics.address;
    expect(address(':9090')).toBe(':1234');
    expect(address('127.0.0.1:1')).toBe('127.0.0.1:1234');
    expect(address('[::1]:65535')).toBe('[::1]:1234');
    expect(address('')).toBe('127.0.0.1:1234');
    expect(load(BASE, { env: { METRICS_PORT: '1234' } }).metrics.address).toBe('127.0.0.1:1234');
    expect(load(BASE, { env: { METRICS_PORT: '1', METRICS_ADDRESS: 'h:2' } }).metrics.address).toBe('h:1');
  });

  it('finds the file by CONFIG_FILE, and prefers the one that was named', () => {
    withFile(`${BASE}copier_id: by-variable\n`, (variable) => {
      expect(loadConfig({ env: { CONFIG_FILE: variable } }).copier_id).toBe('by-variable');
      withFile(`${BASE}copier_id: by-flag\n`, (file) => {
        expect(loadConfig({ file, env: { CONFIG_FILE: variable } }).copier_id).toBe('by-flag');
      });
    });
    const env = { CONFIG_FILE: '', SOURCE_LOCAL_PATH: './lake', ERA_ID: 'e' };
    expect(loadEnvironment(env).eras[0]?.era_id).toBe('e');
  });

  it('says that a file cannot be read', () => {
    for (const options of [
      { file: '/no/such.yaml', env: {} },
      { env: { CONFIG_FILE: '/no/such.yaml' } },
      { file: '/', env: {} },
    ]) {
      let thrown: unknown;
      try {
        loadConfig(options);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(BronzeError);
      expect(thrown).toMatchObject({ code: 'CONFIG_UNREADABLE' });
      expect((thrown as BronzeError).details.object).toMatch(/^\//);
    }
  });

  it('refuses a flag for a key that does not exist, which is a bug and no problem of the user', () => {
    expect(() => load(BASE, { flags: [{ flag: '--x', key: 'no.such', text: '1' }] })).toThrow('no.such');
  });
});

describe('YAML', () => {
  it('understands anchors, aliases and merge keys', () => {
    const config = load(`eras:
  - &first { era_id: a, version_label: &v v7, network: pubnet, ledger_end: 9, partition_size: 4 }
  - <<: *first
    era_id: b
    version_label: *v
    ledger_start: 10
    ledger_end: 19
active_eras: [a, b]
${LAKE}`);
    expect(config.eras[1]).toMatchObject({ era_id: 'b', version_label: 'v7', ledger_start: 10, partition_size: 4 });
  });

  it('does not follow a file that refers to itself', () => {
    const problems = problemsOf(`era: &e\n  <<: *e\n  era_id: a\nsource: *nowhere\n`);
    expect(problems.length).toBeGreaterThanOrEqual(2);
  });

  it('takes names as they are written', () => {
    const era = load(`era: { era_id: 007, version_label: 1.10, network: 1e3 }\n${LAKE}`).eras[0];
    expect(era).toMatchObject({ era_id: '007', version_label: '1.10', network: '1e3' });
    expect(load(`era: { era_id: !!str 5, version_label: "2", network: 'n' }\n${LAKE}`).eras[0]?.era_id).toBe('5');
  });

  it('reads a file with a byte order mark, with CRLF, with document marks', () => {
    expect(load(`\uFEFF${BASE}`).eras).toHaveLength(1);
    expect(load(BASE.replaceAll('\n', '\r\n')).eras).toHaveLength(1);
    expect(load(`%YAML 1.2\n---\n${BASE}...\n`).eras).toHaveLength(1);
  });
});

describe('S24: the edges of ledger sequences', () => {
  const era = (text: string) => load(`era: { ${text} }\n${LAKE}`).eras[0];

  it('takes ledger_start 0 and 1 for 2', () => {
    expect(era('ledger_start: 0')?.ledger_start).toBe(2);
    expect(era('ledger_start: 1')?.ledger_start).toBe(2);
    expect(era('ledger_start: 2')?.ledger_start).toBe(2);
    expect(era('ledger_start: 3')?.ledger_start).toBe(3);
    expect(loadEnvironment({ SOURCE_LOCAL_PATH: 'l', LEDGER_START: '1' }).eras[0]?.ledger_start).toBe(2);
  });

  it('takes ledger 4294967295 as first and last ledger, and nothing above', () => {
    expect(era('ledger_start: 4294967295, ledger_end: 4294967295')).toMatchObject({
      ledger_start: 4_294_967_295,
      ledger_end: 4_294_967_295,
    });
    for (const over of ['4294967296', '18446744073709551616', `1${'0'.repeat(400)}`]) {
      const problems = problemsOf(`era: { ledger_end: ${over} }\n${LAKE}`);
      expect(problems).toMatchObject([{ key: 'era.ledger_end', message: 'out of range' }]);
    }
  });

  it('takes partition_size 1 and refuses 0', () => {
    expect(era('partition_size: 1')?.partition_size).toBe(1);
    expect(problemsOf(`era: { partition_size: 0 }\n${LAKE}`)).toMatchObject([
      { key: 'era.partition_size', expected: 'a whole number from 1 to 4294967295', found: '0' },
    ]);
  });

  it('takes ledger_end 0 for unbounded', () => {
    expect(era('ledger_end: 0')?.ledger_end).toBeNull();
  });
});

describe('networks and lakes', () => {
  it('knows the passphrases of three networks and takes the configured one for others', () => {
    const config = load(`${BASE}`);
    expect(networkPassphrase(config, 'pubnet')).toBe('Public Global Stellar Network ; September 2015');
    expect(networkPassphrase(config, 'testnet')).toBe('Test SDF Network ; September 2015');
    expect(networkPassphrase(config, 'futurenet')).toBe('Test SDF Future Network ; October 2022');
    expect(networkPassphrase(config, 'mine')).toBeNull();
    const mine = load(`era: { network: mine }\nsource: { local_path: l, network_passphrase: "Mine ; 2026" }\n`);
    expect(networkPassphrase(mine, 'mine')).toBe('Mine ; 2026');
  });

  it('resolves where the lake is, also in the old form', () => {
    const lake = (text: string) => lakeLocation(load(`${ERA}source: { ${text} }\n`).source);
    expect(lake('local_path: ./lake')).toEqual({ kind: 'local', path: './lake' });
    expect(lake('mode: gcs, gcs_bucket: b, gcs_prefix: p/q')).toEqual({ kind: 'gcs', bucket: 'b', prefix: 'p/q/' });
    expect(lake('mode: s3, s3_bucket: b')).toEqual({ kind: 's3', bucket: 'b', prefix: '' });
    expect(lake('mode: datastore, datastore_path: b/p/q/')).toEqual({ kind: 'gcs', bucket: 'b', prefix: 'p/q/' });
    expect(lake('mode: datastore, datastore_type: S3, datastore_path: b')).toEqual({
      kind: 's3',
      bucket: 'b',
      prefix: '',
    });
  });
});

describe('secrets', () => {
  const secrets = [
    'postgres://user:hunter2@host:5432/db?sslmode=require',
    'postgres://user:a/hunter2:b@c@host/db',
    'postgresql://user@tenant:hunter2@host/db',
    'postgres://:hunter2@host/db',
    'postgres://host/db?user=u&password=hunter2&sslmode=require',
    'host=h user=u password=hunter2 dbname=d',
    "host=h password = 'hun ter2 hunter2' dbname=d",
    "password='hunter2",
    'https://token:hunter2@pas.example/v1',
    'https://pas.example/v1?api_key=hunter2',
    'https://hunter2@pas.example/v1',
    'https://hunter2@pas.example:8080/v1/@me',
    'https://fn.example/api?code=hunter2',
    'https://pas.example/v1?a=1&key=hunter2',
    'https://blob.example/c?sv=1&sig=hunter2&se=2',
    'https://pas.example/v1?auth=hunter2',
  ];

  it.each(secrets)('masks the password of a connection string: %#', (dsn) => {
    const text = redactSecrets(dsn);
    expect(text).not.toContain('hunter2');
    expect(text).toContain('***');
  });

  it('leaves what is not secret as it is', () => {
    for (const text of [
      'postgres://user@host:5432/db',
      'https://pas.example/v1?x=1',
      'https://pas.example/v1?monkey=1&decode=1',
      'host=h dbname=d',
      './a:b/c',
    ]) {
      expect(redactSecrets(text)).toBe(text);
    }
    expect(redactSecrets('postgres://u:p@h/db')).toBe('postgres://u:***@h/db');
  });

  it('prints an effective configuration without them, which loads again', () => {
    const config = load(`${BASE}catalog: { postgres_dsn: "postgres://u:hunter2@h/d" }
pas: { endpoint: "https://u:hunter2@h/x" }
storage: { prefix: / }
`);
    const text = formatConfig(config);
    expect(text).not.toContain('hunter2');
    expect(JSON.stringify(printableConfig(config))).not.toContain('hunter2');
    expect(load(text)).toEqual(printableConfig(config));
  });

  it('does not print a secret in a problem either', () => {
    const wrong = `${ERA}source: postgres://u:hunter2@h/d
catalog: { postgres_dsn: "mysql://u:hunter2@h/d" }
pas: { endpoint: "ftp://u:hunter2@h/d" }
`;
    const env = { CATALOG_DSN: 'hunter2', PAS_ENDPOINT: 'pas.example/v1/hunter2' };
    expect(JSON.stringify(problemsOf(wrong, { env }))).not.toContain('hunter2');
    expect(JSON.stringify(problemsOf('catalog: { postgres_dsn: "postgres://u:hunter2@h/d"\nera: 1\n'))).not.toContain(
      'hunter2',
    );
  });
});
