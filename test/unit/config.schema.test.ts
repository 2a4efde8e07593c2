/** The generated schema and reference are current, and the example files are right by both judges. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../config/load.ts';
import { leaves } from '../../config/tree.ts';
import { generatedFiles } from '../../tools/generate-config-schema.ts';
import { problemsOf } from '../support/config.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EXAMPLES = join(ROOT, 'config', 'examples');
const examples = readdirSync(EXAMPLES).filter((name) => name.endsWith('.yaml'));

const schema: unknown = JSON.parse(readFileSync(join(ROOT, 'config', 'schema.json'), 'utf8'));
const validate = new Ajv({ strict: true, allErrors: true }).compile(schema as object);

describe('generated files', () => {
  it.each([...generatedFiles().keys()])('%s is current', (path) => {
    expect(readFileSync(join(ROOT, path), 'utf8')).toBe(generatedFiles().get(path));
  });

  it('name every key with its meaning', () => {
    const reference = generatedFiles().get('docs/configuration.md') ?? '';
    for (const { path, leaf } of leaves) {
      expect(leaf.doc, path).toMatch(/\w.*[.]$/);
      expect(reference, path).toContain(`| \`${path}\` `);
    }
  });
});

describe('example files', () => {
  it('are there', () => {
    expect(examples.toSorted()).toEqual(['quickstart.yaml', 'two-era-backfill.yaml', 'unbounded.yaml']);
  });

  it.each(examples)('%s loads, fits the schema, and tells editors where that is', (name) => {
    const text = readFileSync(join(EXAMPLES, name), 'utf8');
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=../schema.json');
    validate(parse(text));
    expect(validate.errors).toBeNull();
    expect(loadConfig({ file: join(EXAMPLES, name), env: {} }).eras.length).toBeGreaterThan(0);
  });

  it('hold what they are named after', () => {
    const [quick, two, open] = ['quickstart', 'two-era-backfill', 'unbounded'].map((name) =>
      loadConfig({ file: join(EXAMPLES, `${name}.yaml`), env: {} }),
    );
    expect(
      quick?.eras.map((era) => [era.era_id, era.network, era.ledger_start, era.ledger_end, era.partition_size]),
    ).toEqual([
      ['sample_v1', 'sample', 2, 63, 16],
      ['sample_v2', 'sample', 64, 127, 16],
    ]);
    expect(quick?.source).toMatchObject({
      local_path: './quickstart/lake',
      network_passphrase: 'Bronze Copier Sample Network ; 2026',
    });
    expect(two?.eras.map((era) => [era.ledger_end, era.protocol_min, era.protocol_max])).toEqual([
      [58_762_516, null, 22],
      [59_999_999, 23, null],
    ]);
    expect(open?.eras).toMatchObject([{ ledger_start: 58_762_517, ledger_end: null }]);
  });
});

describe('schema and loader', () => {
  const base = { era: { era_id: 'e' }, source: { local_path: 'l' } };
  const asFile = (config: object) => JSON.stringify({ ...base, ...config });

  // JSON is YAML, so that both judges can be given the same text.
  it.each([
    {},
    { perf: { workers: 0, threads: 4 } },
    { storage: { prefix: 'a/b', s3_endpoint: '' } },
    { storage: { prefix: '/' } },
    { catalog: { backend: 'embedded', bigquery: { load: true } } },
    { metrics: { address: '[::1]:0', path: '/m' } },
  ])('agree that it is right: %j', (config) => {
    expect(validate(JSON.parse(asFile(config)))).toBe(true);
    expect(problemsOf(asFile(config))).toEqual([]);
  });

  it.each([
    { perf: { workers: '4' } },
    { perf: { workers: 4.5 } },
    { perf: { worker: 4 } },
    { eras: [{ era_id: 'a', version_label: 'v', network: 'n' }] },
    { era: { era_id: '..' } },
    { era: { partition_size: 0 } },
    { era: { ledger_end: 4_294_967_296 } },
    { storage: { prefix: '../a' } },
    { storage: { local_dir: 'a\u0007b' } },
    { metrics: { address: ':65536' } },
    { pas: { enabled: 'true' } },
    { source: [] },
  ])('agree that it is wrong: %j', (config) => {
    expect(validate(JSON.parse(asFile(config)))).toBe(false);
    expect(problemsOf(asFile(config)).length).toBeGreaterThan(0);
  });
});
