// `bigquery ddl`: what it prints, and what it refuses.
import { describe, expect, it, vi } from 'vitest';
import { COLUMNS } from '../../actors/bronze/columns.ts';
import { execute } from '../../runtime/cli/bigquery.ts';
import { withFile } from '../support/config.ts';
import { taken } from '../support/said.ts';

const ERAS = `eras:
  - { era_id: pre_p23, version_label: v1, network: pubnet, ledger_start: 2, ledger_end: 999 }
  - { era_id: p23, version_label: v1.2, network: pubnet, ledger_start: 1000, ledger_end: 1999 }
source: { local_path: l }
`;
const GCS = 'storage: { backend: gcs, gcs_bucket: bkt, prefix: bronze }\n';
const CATALOG = 'catalog: { bigquery: { project: my-project, dataset: stellar } }\n';

vi.mock('../../runtime/streams.ts', async (original) => (await import('../support/said.ts')).quietly(original));

async function printed(
  content: string,
  options: Record<string, string | boolean> = {},
  action = 'ddl',
): Promise<string> {
  taken();
  // Read before the first await: the file is gone after it.
  const code = await withFile(content, (file) => execute({ args: [action], options: { config: file, ...options } }));
  expect(code).toBe(0);
  return taken();
}

const refusal = (...of: Parameters<typeof printed>) => printed(...of).then(String, (error: unknown) => error);

describe('bigquery ddl', () => {
  it('prints a statement per era: all columns, one wildcard, Parquet files only', async () => {
    const text = await printed(ERAS + GCS + CATALOG);
    const statements = text.split(/^-- /m).slice(1);
    expect(statements.map((statement) => statement.split('\n').slice(0, 2))).toEqual([
      ['pubnet/pre_p23/v1', 'CREATE EXTERNAL TABLE IF NOT EXISTS `my-project.stellar.bronze_pubnet_pre_p23_v1` ('],
      ['pubnet/p23/v1.2', 'CREATE EXTERNAL TABLE IF NOT EXISTS `my-project.stellar.bronze_pubnet_p23_v1-2` ('],
    ]);
    const uris = [...text.matchAll(/uris = \['(.*)'\]/g)].map(([, uri]) => uri);
    expect(uris).toEqual([
      'gs://bkt/bronze/pubnet/pre_p23/v1/ledgers_lcm_raw/*.parquet',
      'gs://bkt/bronze/pubnet/p23/v1.2/ledgers_lcm_raw/*.parquet',
    ]);
    const columns = [...(statements[0] ?? '').matchAll(/^ {2}(\w+) (INT64|STRING|TIMESTAMP|BYTES),?$/gm)];
    expect(columns.map(([, name]) => name)).toEqual(COLUMNS.map(({ element }) => element.name));
    const types = new Map(columns.map(([, name, type]) => [name, type]));
    expect(
      ['ledger_sequence', 'tx_count', 'close_time', 'ledger_hash', 'xdr_bytes'].map((name) => types.get(name)),
    ).toEqual(['INT64', 'INT64', 'TIMESTAMP', 'STRING', 'BYTES']);
    expect(text).not.toMatch(/PARTITION|NOT NULL/);
  });

  it('takes one era and another data set, and prints the load table where asked', async () => {
    const text = await printed(ERAS + GCS, { eras: 'p23', dataset: 'other', 'load-table': true });
    expect(text.match(/CREATE .*/g)).toEqual([
      'CREATE EXTERNAL TABLE IF NOT EXISTS `other.bronze_pubnet_p23_v1-2` (',
      'CREATE TABLE IF NOT EXISTS `other.ledgers_lcm_raw` (',
    ]);
    expect(text).toContain('  xdr_bytes BYTES NOT NULL,');
    expect(text).toContain('PARTITION BY RANGE_BUCKET(ledger_sequence, GENERATE_ARRAY(0, 200000000, 100000))');
    expect(text).toContain('CLUSTER BY ledger_sequence;');
  });

  it.each([
    ['another store', ERAS + CATALOG, {}, /storage\.backend local/],
    ['no data set', ERAS + GCS, {}, /no data set/],
    ['a data set that is none', ERAS + GCS, { dataset: 'a`b' }, /\[project\.\]dataset/],
    ['an era that is none', ERAS + GCS + CATALOG, { eras: 'p24' }, /no era p24/],
    [
      'two eras of one name',
      `${ERAS.replace('p23, version_label: v1.2', 'pre.p23, version_label: v1').replace('pre_p23', 'pre-p23')}${GCS}${CATALOG}`,
      {},
      /would both be/,
    ],
  ])('refuses %s', async (_, content, options, words) => {
    expect(await refusal(content, options)).toMatchObject({ code: 'USAGE', message: expect.stringMatching(words) });
  });

  it('knows no other action', async () => {
    expect(await refusal(ERAS + GCS, {}, 'load')).toMatchObject({ code: 'USAGE' });
  });
});
