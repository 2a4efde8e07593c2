import { afterAll, beforeAll } from 'vitest';
import { openBigQuery } from '../../actors/catalog/bigquery.ts';
import { type BigQueryDouble, startBigQueryDouble } from '../support/bigquery-double.ts';
import { catalogConformance } from './catalog.ts';

let double: BigQueryDouble;
beforeAll(async () => {
  double = await startBigQueryDouble();
  process.env.BIGQUERY_EMULATOR_HOST = double.url;
});
afterAll(() => double.close());
let places = 0;
catalogConformance('BigQuery (double)', async () => {
  const dataset = `catalog_${++places}`;
  return {
    open: () => openBigQuery({ backend: 'bigquery', project: 'p', dataset, location: null, load: false }),
    query: (sql) => double.sql(sql.replaceAll(/\b(_meta_\w+)/g, `\`p.${dataset}.$1\``)),
  };
});
