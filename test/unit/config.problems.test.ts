/** S25: every mistake is found, once, with its place, its key, what was expected and what is near. */
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../config/load.ts';
import { ConfigError, formatProblem } from '../../config/problems.ts';
import { toFailure } from '../../machines/errors.ts';
import { brief, briefOf, only, problemsOf, withFile } from '../support/config.ts';

const LAKE = 'source: { local_path: ./lake }\n';
const ERA = 'era: { era_id: e, version_label: v1, network: pubnet, ledger_start: 2, ledger_end: 99 }\n';
const BASE = ERA + LAKE;

const withPerf = (value: string) => `${BASE}perf:\n  workers: ${value}\n`;

describe('S25: numbers are judged by what was written', () => {
  it.each([
    ['10k', '10000'],
    ['1e6', '1000000'],
    ['1E2', '100'],
    ['007', '7'],
    ['00', '0'],
    ['1_000', '1000'],
    ['0x10', '16'],
    ['0o17', '15'],
    ['10.0', '10'],
    ['+5', '5'],
    ['-0', '0'],
    ['"10"', '10'],
    ["'10'", '10'],
    ['!!str 10', '10'],
  ])('%s is no number, and %s is what was meant', (written, meant) => {
    const problem = only(withPerf(written));
    expect(brief(problem)).toMatch(/^4:\d+ perf\.workers$/);
    expect(problem.expected).toBe(`a whole number from 1 to 1024 (write ${meant})`);
    expect(problem.found).toContain(written.replace(/^!!str /, '').replaceAll("'", '"'));
  });

  it.each(['ten', '1.5', '1e-3', '.inf', '.nan', 'true', '"ten"', '|\n    10', '-5', '1025', '99999999999999999999'])(
    '%s is no number',
    (written) => {
      const problem = only(withPerf(written));
      expect(brief(problem)).toMatch(/^4:\d+ perf\.workers$/);
      expect(problem.expected).toMatch(/^a whole number from 1 to 1024/);
    },
  );

  it.each(['[1]', '{ a: 1 }', '!!int 5', '!!int "5"', '!own 5'])('%s is no number either', (written) => {
    expect(brief(only(withPerf(written)))).toMatch(/^4:\d+ perf\.workers$/);
  });

  it('judges variables by the same rules', () => {
    for (const text of ['10k', '1e6', '007', ' 5', '5 ', '0x10', '5.0', 'five', '-1', '1025']) {
      const problem = only(BASE, { WORKERS: text });
      expect(brief(problem)).toBe('WORKERS perf.workers');
      expect(problem.found).toContain(text);
    }
  });
});

describe('S25: booleans', () => {
  const withPas = (value: string) => `${BASE}pas: { enabled: ${value} }\n`;

  it('takes the words of YAML', () => {
    for (const word of ['true', 'True', 'TRUE', 'false', 'False', 'FALSE'])
      expect(problemsOf(withPas(word))).toEqual([]);
  });

  it.each([
    ['yes', 'true'],
    ['on', 'true'],
    ['No', 'false'],
    ['off', 'false'],
    ['"true"', 'true'],
  ])('%s is none, with a hint', (written, meant) => {
    expect(only(withPas(written)).expected).toBe(`true or false (write ${meant})`);
  });

  it.each(['1', '0', 'maybe', '[]', 'constructor', '!!bool true'])('%s is none', (written) => {
    expect(only(withPas(written)).key).toBe('pas.enabled');
  });

  it('takes in the environment what the old program took', () => {
    for (const text of ['1', 't', 'T', 'TRUE', 'true', 'True', '0', 'f', 'F', 'FALSE', 'false', 'False']) {
      expect(problemsOf(BASE, { env: { PAS_ENABLED: text } })).toEqual([]);
    }
    for (const text of ['yes', 'on', '2', 'tRUE', 'toString']) {
      expect(brief(only(BASE, { PAS_ENABLED: text }))).toBe('PAS_ENABLED pas.enabled');
    }
  });
});

describe('S25: keys', () => {
  it.each([
    ['soruce: 1', 'soruce', 'source'],
    ['workers: 4', 'workers', 'perf.workers'],
    ['localPath: x', 'localPath', 'source.local_path'],
    ['Eras: []', 'Eras', 'eras'],
    ['perf: { worker: 4 }', 'perf.worker', 'perf.workers'],
    ['perf: { queueSize: 4 }', 'perf.queueSize', 'perf.queue_size'],
    ['perf: { stall-timeout-ms: 4 }', 'perf.stall-timeout-ms', 'perf.stall_timeout_ms'],
    ['storage: { local_path: x }', 'storage.local_path', 'source.local_path'],
    ['catalog: { bigquery: { projekt: x } }', 'catalog.bigquery.projekt', 'catalog.bigquery.project'],
  ])('%s: unknown, with the nearest', (line, key, nearest) => {
    const problem = only(`${BASE}${line}\n`);
    expect(problem).toMatchObject({ key, nearest, message: 'unknown key', origin: { kind: 'file', line: 3 } });
    expect(problem.expected).toMatch(/^one of /);
  });

  it('names the nearest even where nothing is near', () => {
    expect(only(`${BASE}zzzzzzzzzzzzz: 1\n`).nearest).toBeDefined();
  });

  it('names keys inside lists by their index', () => {
    const problem = only(`eras:
  - { era_id: a, version_label: v1, network: pubnet, partition_sise: 5 }
${LAKE}`);
    expect(problem).toMatchObject({ key: 'eras[0].partition_sise', nearest: 'eras[0].partition_size' });
  });

  it('refuses a key written twice, naming both places', () => {
    const problem = only(`copier_id: a\n${BASE}copier_id: b\n`);
    expect(problem).toMatchObject({ key: 'copier_id', origin: { line: 4, column: 1 } });
    expect(problem.message).toContain('first in line 1');
  });

  it('refuses keys that are no words', () => {
    expect(only(`${BASE}? [a]\n: 1\n`).message).toBe('not a key');
    expect(only(`${BASE}1: 1\n`)).toMatchObject({ key: '1', message: 'unknown key' });
    expect(only(`${BASE}"<<": 1\n`)).toMatchObject({ key: '<<', message: 'unknown key' });
    expect(only(`${BASE}<<: 1\n`)).toMatchObject({ message: 'nothing that can be merged' });
  });
});

describe('S25: types', () => {
  it.each([
    ['perf: 4', 'perf', 'a mapping with the keys workers'],
    ['perf: [4]', 'perf', 'a mapping'],
    ['copier_id: [x]', 'copier_id', '1 to 64 of'],
    ['copier_id: true', 'copier_id', 'in quotes: "true"'],
    ['active_eras: e', 'active_eras', 'in brackets'],
    ['active_eras: { e: 1 }', 'active_eras', 'in brackets'],
    ['active_eras: [[e]]', 'active_eras[0]', '1 to 64'],
    ['active_eras: [""]', 'active_eras[0]', '1 to 64'],
    ['storage: { local_dir: 5 }', 'storage.local_dir', 'in quotes: "5"'],
    ['storage: { local_dir: "a\\u0000b" }', 'storage.local_dir', 'printable'],
    ['metrics: { address: 9090 }', 'metrics.address', 'host:port'],
    ['catalog: { backend: true }', 'catalog.backend', 'one of none'],
    ['logging: { level: loud }', 'logging.level', 'one of trace, debug, info, warn, error'],
  ])('%s', (line, key, expected) => {
    const problem = only(`${BASE}${line}\n`);
    expect(problem.key).toBe(key);
    expect(problem.expected).toContain(expected);
    expect(problem.origin).toMatchObject({ kind: 'file', line: 3 });
  });

  it('refuses eras that are no list, and entries that are no mapping', () => {
    expect(only(`eras: { era_id: a }\n${LAKE}`)).toMatchObject({ key: 'eras' });
    expect(only(`eras: [a]\n${LAKE}`)).toMatchObject({ key: 'eras[0]', expected: expect.stringContaining('era_id') });
    expect(only(`era: []\n${LAKE}`)).toMatchObject({ key: 'era' });
  });
});

describe('S25: files that are no configuration', () => {
  it.each([
    ['', 1],
    ['\n\n', 1],
    ['# only a comment\n', 1],
    ['---\n...\n', 1],
    ['- a\n- b\n', 1],
    ['\nhello\n', 2],
    ['era:\n\tera_id: a\n', 2],
    ['era: { era_id: a\nsource: 1\n', 2],
    ['era: "a\n', 2],
    ['a: b: c\n', 1],
    ['era:\n  era_id: a\n network: b\n', 3],
    ['%YAML 1.2\nera: {}\n', 2],
    [new Uint8Array([0x61, 0x3a, 0x0a, 0x62, 0x3a, 0xff, 0x0a]), 2],
    [new Uint8Array([0xff, 0xfe, 0x61, 0x00]), 1],
    [new Uint8Array([0x61, 0x3a, 0x0a, 0x00, 0x0a]), 2],
  ])('%j: one problem with its line', (content, line) => {
    const problem = only(content);
    expect(problem).toMatchObject({ key: '', origin: { kind: 'file', line } });
    expect(problem.origin).toMatchObject({ file: expect.stringMatching(/bronze\.yaml$/) });
  });

  it('refuses a second document, and still checks the first', () => {
    expect(only(`${BASE}---\ncopier_id: b\n`)).toMatchObject({ message: 'a second document', origin: { line: 3 } });
    expect(briefOf(`${BASE}foo: 1\n---\na: 1\n---\nb: 1\n`)).toEqual(['3:1 foo', '4:1 ', '6:1 ']);
  });

  it('reports the environment as well, where the file cannot be understood', () => {
    expect(briefOf('', { env: { WORKERS: 'x' } })).toEqual(['1:1 ', 'WORKERS perf.workers']);
  });
});

describe('S25: all at once', () => {
  const file = `copier_id: a b
era:
  era_id: ..
  ledger_start: 10k
  ledger_end: 1e6
  partition_sise: 10
  allow_overwrite: yes
source:
  mode: lokal
storage: { prefix: ../x, backend: s3 }
bronze: { compression: snappy, compression_level: 5, primary_table: _audit }
`;

  it('gives one problem per mistake, by line, then the environment', () => {
    const env = { LEDGER_START: 'x', METRICS_PORT: '99999', QUEUE_SIZE: '007' };
    expect(briefOf(file, { env })).toEqual([
      '1:12 copier_id',
      '3:11 era.era_id',
      '4:17 era.ledger_start',
      '5:15 era.ledger_end',
      '6:3 era.partition_sise',
      '7:20 era.allow_overwrite',
      '9:9 source.mode',
      '10:1 storage.s3_bucket',
      '10:20 storage.prefix',
      '11:51 bronze.compression_level',
      '11:69 bronze.primary_table',
      'LEDGER_START era.ledger_start',
      'QUEUE_SIZE perf.queue_size',
      'METRICS_PORT metrics.address',
    ]);
  });

  it('throws them in one CONFIG_INVALID, fit for a terminal and for a log', () => {
    const error = withFile(file, (name) => {
      try {
        loadConfig({ file: name, env: {} });
      } catch (thrown) {
        return thrown;
      }
      return null;
    });
    expect(error).toBeInstanceOf(ConfigError);
    const { problems, message } = error as ConfigError;
    expect(problems).toHaveLength(11);
    expect(message.split('\n')).toHaveLength(12);
    expect(message).toMatch(
      /bronze\.yaml:4:17: era\.ledger_start: not a plain whole number; expected a whole number from 0 to 4294967295 \(write 10000\), found 10k/,
    );
    expect(message).toContain('found partition_sise; nearest: era.partition_size');
    expect(toFailure(error)).toMatchObject({ code: 'CONFIG_INVALID', retryable: false, check: 'copier_id' });
    expect(JSON.parse(JSON.stringify(problems))).toEqual(problems);
  });

  it('heals a mistake of the file by no variable: the file stays wrong', () => {
    expect(briefOf(file.replace('10k', 'x'), { env: { LEDGER_START: '5' } })).toContain('4:17 era.ledger_start');
  });
});

describe('required keys', () => {
  it('says what there is to copy, and where from', () => {
    for (const text of ['copier_id: x', 'era:', 'era: {}', 'eras: []', 'eras:']) {
      expect(briefOf(`${text}\n`)).toEqual(['1:1 eras', '1:1 source.local_path']);
    }
    expect(briefOf('copier_id: x\n', { env: { ERA_ID: 'e', SOURCE_LOCAL_PATH: 'l' } })).toEqual([]);
  });

  it('wants every entry of eras named', () => {
    const file = `eras:\n  - ledger_end: 9\n    version_label:\n    network: ""\n${LAKE}`;
    expect(briefOf(file)).toEqual(['2:5 eras[0].era_id', '3:5 eras[0].version_label', '4:5 eras[0].network']);
  });

  it.each([
    ['source: { mode: gcs }', ['source.gcs_bucket']],
    ['source: { mode: s3, gcs_bucket: b }', ['source.s3_bucket']],
    ['source: { mode: datastore }', ['source.datastore_path']],
    ['source: { mode: local }', ['source.local_path']],
    ['source: { local_path: l }\nstorage: { backend: gcs }', ['storage.gcs_bucket']],
    ['source: { local_path: l }\nstorage: { backend: s3 }', ['storage.s3_bucket']],
    ['source: { local_path: l }\ncatalog: { backend: postgres }', ['catalog.postgres_dsn']],
    [
      'source: { local_path: l }\ncatalog: { backend: bigquery }',
      ['catalog.bigquery.project', 'catalog.bigquery.dataset'],
    ],
  ])('%s', (text, keys) => {
    expect(problemsOf(`${ERA}${text}\n`).map(({ key }) => key)).toEqual(keys);
  });

  it.each([
    ['local', 'local_dir: d', ['catalog.bigquery.load']],
    ['s3', 's3_bucket: b', ['catalog.bigquery.load']],
    ['gcs', 'gcs_bucket: b', []],
  ])('lets BigQuery load only from GCS: %s', (backend, where, keys) => {
    const text = (load: boolean) =>
      `${ERA}${LAKE}storage: { backend: ${backend}, ${where} }\n` +
      `catalog: { backend: bigquery, bigquery: { project: p, dataset: d, load: ${load} } }\n`;
    expect(problemsOf(text(true)).map(({ key }) => key)).toEqual(keys);
    expect(problemsOf(text(false))).toEqual([]);
  });

  it('names the variable that could give a key', () => {
    expect(only(ERA).expected).toContain('SOURCE_LOCAL_PATH');
  });

  it('does not ask for more where a section is broken', () => {
    expect(briefOf(`${ERA}source: x\n`)).toEqual(['2:9 source']);
    expect(briefOf(`${ERA}source: { mode: s3, s3_bucket: s3://b }\n`)).toEqual(['2:32 source.s3_bucket']);
  });
});

describe('values', () => {
  it.each([
    ['copier_id: "a/b"', 'copier_id'],
    ['copier_id: ".."', 'copier_id'],
    [`copier_id: ${'x'.repeat(65)}`, 'copier_id'],
    ['copier_id: ä', 'copier_id'],
    ['catalog: { namespace: "a b" }', 'catalog.namespace'],
    ['bronze: { primary_table: a/b }', 'bronze.primary_table'],
    ['bronze: { primary_table: _x }', 'bronze.primary_table'],
    ['bronze: { compression: gzip }', 'bronze.compression'],
    ['bronze: { compression_level: 23 }', 'bronze.compression_level'],
    ['bronze: { compression_level: 0 }', 'bronze.compression_level'],
    ['bronze: { compression: none, compression_level: 3 }', 'bronze.compression_level'],
    ['storage: { prefix: /abs }', 'storage.prefix'],
    ['storage: { prefix: a//b }', 'storage.prefix'],
    ['storage: { prefix: a/../b }', 'storage.prefix'],
    ['storage: { prefix: a/.. }', 'storage.prefix'],
    ['storage: { prefix: ./a }', 'storage.prefix'],
    ['storage: { prefix: . }', 'storage.prefix'],
    ['storage: { prefix: "a\\\\b" }', 'storage.prefix'],
    ['storage: { prefix: "a\\nb" }', 'storage.prefix'],
    ['storage: { prefix: // }', 'storage.prefix'],
    ['storage: { gcs_bucket: gs://b }', 'storage.gcs_bucket'],
    ['storage: { s3_endpoint: localhost:9000 }', 'storage.s3_endpoint'],
    ['pas: { endpoint: pas.example }', 'pas.endpoint'],
    ['metrics: { address: "9090" }', 'metrics.address'],
    ['metrics: { address: ":65536" }', 'metrics.address'],
    ['metrics: { address: ":090" }', 'metrics.address'],
    ['metrics: { address: "a b:1" }', 'metrics.address'],
    ['metrics: { address: "::1:9090" }', 'metrics.address'],
    ['metrics: { path: metrics }', 'metrics.path'],
    ['metrics: { path: /health }', 'metrics.path'],
    ['perf: { retry_attempts: 1001 }', 'perf.retry_attempts'],
    ['perf: { stall_timeout_ms: 0 }', 'perf.stall_timeout_ms'],
  ])('%s is refused', (line, key) => {
    expect(only(`${BASE}${line}\n`)).toMatchObject({ key, origin: { kind: 'file', line: 3 } });
  });

  it.each([
    'metrics: { address: "127.0.0.1:9090" }',
    'metrics: { address: "[::1]:0" }',
    'metrics: { address: "localhost:65535" }',
    'storage: { s3_bucket: "arn:aws:s3:us-west-2:123456789012:accesspoint/mine", backend: s3 }',
    'storage: { s3_endpoint: "http://localhost:9000" }',
    'logging: { level: WARNING, format: Text }',
    'perf: { respawn_limit: 0 }',
    'bronze: { compression: none }',
  ])('%s is taken', (line) => {
    expect(problemsOf(`${BASE}${line}\n`)).toEqual([]);
  });

  it('refuses a passphrase that contradicts the network', () => {
    const file = (network: string) =>
      `era: { network: ${network} }\nsource: { local_path: l, network_passphrase: "Test SDF Network ; September 2015" }\n`;
    expect(only(file('pubnet'))).toMatchObject({ key: 'source.network_passphrase' });
    expect(problemsOf(file('testnet'))).toEqual([]);
    expect(problemsOf(file('mine'))).toEqual([]);
  });
});

describe('folders of this machine', () => {
  it.each([
    ['source: { local_path: ~/lake }', 'source.local_path', /home folder in a shell/],
    ['source: { local_path: ~anna/lake }', 'source.local_path', /home folder/],
    [`source: { local_path: "\${HOME}/lake" }`, 'source.local_path', /not replaced/],
    [`source: { local_path: "/data/\${NAME}" }`, 'source.local_path', /not replaced/],
    ['source: { local_path: $HOME/lake }', 'source.local_path', /not replaced/],
    [
      'source: { local_path: s3://bucket/lake }',
      'source.local_path',
      /s3:\/\/ is no folder.*source\.mode s3.*s3_prefix/,
    ],
    ['source: { local_path: file:///data/lake }', 'source.local_path', /without file:\/\//],
    [
      'storage: { local_dir: GS://bucket/bronze }',
      'storage.local_dir',
      /gs:\/\/ is no folder.*storage\.backend s3 or gcs/,
    ],
    ['catalog: { dir: ~/catalog }', 'catalog.dir', /home folder/],
    ['pas: { backup_dir: s3://bucket/copies }', 'pas.backup_dir', /expected a folder of this machine, found/],
    [`checkpoint: { dir: "\${STATE}" }`, 'checkpoint.dir', /not replaced/],
    ['perf: { queue_password_file: ~/secret }', 'perf.queue_password_file', /home folder/],
  ])('%s is refused, and it is said what to write', (line, key, words) => {
    const problem = only(line.startsWith('source') ? `${ERA}${line}\n` : `${BASE}${line}\n`);
    expect(problem.key).toBe(key);
    expect(formatProblem(problem)).toMatch(words);
  });

  it.each(['./~', 'a~b', 'a$b', './$HOME/x', '/mnt/s3:/x', 'lake'])('%s is one', (path) => {
    expect(problemsOf(`${ERA}source: { local_path: "${path}" }\n`)).toEqual([]);
  });

  it('are not looked at where a bucket is used', () => {
    expect(problemsOf(`${ERA}source: { mode: s3, s3_bucket: b, local_path: s3://b/x }\n`)).toEqual([]);
  });

  it('in a variable are refused as well', () => {
    expect(only(ERA, { SOURCE_LOCAL_PATH: '~/lake' })).toMatchObject({
      key: 'source.local_path',
      origin: { kind: 'variable', name: 'SOURCE_LOCAL_PATH' },
    });
  });
});

describe('places in buckets', () => {
  it.each([
    ['mode: s3, s3_bucket: b, s3_prefix: ../other', 'source.s3_prefix'],
    ['mode: s3, s3_bucket: b, s3_prefix: a/../../b', 'source.s3_prefix'],
    ['mode: gcs, gcs_bucket: b, gcs_prefix: a//b', 'source.gcs_prefix'],
    ['mode: gcs, gcs_bucket: gs://b', 'source.gcs_bucket'],
    ['mode: datastore, datastore_path: b/../c', 'source.datastore_path'],
    ['mode: s3, s3_bucket: b, s3_endpoint: "https://key:secret@host"', 'source.s3_endpoint'],
    ['mode: s3, s3_bucket: b, s3_endpoint: "https://host/?token=secret"', 'source.s3_endpoint'],
  ])('%s is refused: it could leave its place, or holds a credential', (source, key) => {
    const problem = only(`${ERA}source: { ${source} }\n`);
    expect(problem.key).toBe(key);
  });

  it.each(['mode: s3, s3_bucket: b, s3_prefix: /a/b/', 'mode: gcs, gcs_bucket: b, gcs_prefix: a b/ü'])(
    '%s is a place',
    (source) => {
      expect(problemsOf(`${ERA}source: { ${source} }\n`)).toEqual([]);
    },
  );
});

describe('anchors', () => {
  const withAnchors = (value: string) => `${BASE}anchors: ${value}\n`;

  it.each([
    'org',
    'org=ftp://host',
    '=https://host',
    'org=https://user:secret@host/path',
    'org=https://host/path?query',
    'org=https://host,other',
  ])('%s is no archive', (written) => {
    const problem = only(withAnchors(`{ archives: ["${written}"] }`));
    expect(brief(problem)).toMatch(/^3:\d+ anchors\.archives\[0\]$/);
    expect(problem.expected).toContain('ORGANISATION=URL');
  });

  it('of one network do not go with eras of two', () => {
    const eras = ['pubnet', 'testnet'].map(
      (network) =>
        `  - { era_id: ${network}, version_label: v1, network: ${network}, ledger_start: 2, ledger_end: 99 }\n`,
    );
    const text = `eras:\n${eras.join('')}${LAKE}`;
    expect(problemsOf(`${text}anchors: { quorum: 1 }\n`)).toEqual([]);
    for (const anchors of ['trusted_hashes: ./t.json', 'validators: ./v.json', 'archives: [a=https://b]']) {
      const problem = only(`${text}anchors: { ${anchors} }\n`);
      expect(problem).toMatchObject({ key: `anchors.${anchors.split(':')[0]}`, found: 'pubnet, testnet' });
    }
  });
});
