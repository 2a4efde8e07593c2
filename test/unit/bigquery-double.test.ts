// The double of BigQuery speaks the recorded routes with Google's own client, and does not guess.
import { BigQuery } from '@google-cloud/bigquery';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type BigQueryDouble, startBigQueryDouble } from '../support/bigquery-double.ts';

let double: BigQueryDouble;
let client: BigQuery;

beforeAll(async () => {
  double = await startBigQueryDouble();
  vi.stubEnv('BIGQUERY_EMULATOR_HOST', double.url);
  // No credentials, and nobody is asked for any.
  vi.stubEnv('METADATA_SERVER_DETECTION', 'none');
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', '');
  client = new BigQuery({ projectId: 'p', location: 'US', autoRetry: false });
  await client.createDataset('d');
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await double.close();
});
afterEach(() => {
  double.faults = () => null;
});

describe('the double of BigQuery, with its client', () => {
  it('makes data sets and tables, and knows them again', async () => {
    expect(await client.dataset('d').exists()).toEqual([true]);
    expect(await client.dataset('other').exists()).toEqual([false]);
    await client.dataset('d').createTable('t', { schema: [{ name: 'ledger', type: 'INTEGER' }] });
    expect(await client.dataset('d').table('t').exists()).toEqual([true]);
    await expect(client.createDataset('d')).rejects.toMatchObject({ code: 409, errors: [{ reason: 'duplicate' }] });
  });

  it('runs queries with named parameters, at once and as jobs', async () => {
    const params = { n: 5, text: "it's" };
    const [rows] = await client.query({ query: 'SELECT @n AS n, @text AS text', params });
    expect(rows).toEqual([params]);
    const [job] = await client.createQueryJob({ query: 'SELECT @n AS n', params: { n: 7 }, jobId: 'q-1' });
    const [results] = await job.getQueryResults();
    expect(results).toEqual([{ n: 7 }]);
    expect((await job.getMetadata())[0]).toMatchObject({ status: { state: 'DONE' }, jobReference: { jobId: 'q-1' } });
    const again = client.createQueryJob({ query: 'SELECT 1', jobId: 'q-1' });
    await expect(again).rejects.toMatchObject({ code: 409, errors: [{ reason: 'duplicate' }] });
  });

  it('lets arrays of structs be rows, scripts be one transaction, and RAISE end it', async () => {
    const table = '`p.d.rows`';
    await client.dataset('d').createTable('rows', { schema: [{ name: 'n', type: 'INTEGER' }] });
    const query = (condition: string) =>
      `BEGIN TRANSACTION;\nINSERT INTO ${table} (n) SELECT n FROM UNNEST(@rows) AS r;\n` +
      `IF ${condition} THEN RAISE USING MESSAGE = 'no'; END IF;\nCOMMIT TRANSACTION;\n`;
    const params = { rows: [{ n: 1 }, { n: 2 }] };
    await client.query({ query: query(`(SELECT COUNT(*) FROM ${table}) > 2`), params });
    await expect(client.query({ query: query(`(SELECT COUNT(*) FROM ${table}) > 2`), params })).rejects.toMatchObject({
      errors: [{ reason: 'invalidQuery', message: expect.stringContaining('no') }],
    });
    expect(await double.sql(`SELECT n FROM ${table} ORDER BY n`)).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it('refuses what it does not know, and fails as it is told', async () => {
    await expect(client.getDatasets()).rejects.toMatchObject({ errors: [{ reason: 'notImplemented' }] });
    double.faults = () => ({ refusal: { status: 403, reason: 'accessDenied' } });
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 403, errors: [{ reason: 'accessDenied' }] });
  });
});
