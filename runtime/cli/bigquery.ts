/** `bigquery ddl`: prints statements for BigQuery over Bronze in GCS. Asks nobody and changes nothing. */

import { chainKey } from '../../actors/bronze/names.ts';
import { externalName, externalTableDdl, loadTableDdl } from '../../actors/catalog/bigquery-table.ts';
import type { Config } from '../../config/schema.ts';
import { BronzeError } from '../../machines/errors.ts';
import { chainOf, configOf, namedEras } from '../context.ts';
import { chosenEras } from '../era-spec.ts';
import { print } from '../streams.ts';
import { type CommandLine, switchOption, textOption, usage } from './command-line.ts';

/** `project.dataset`, or `dataset` of the caller's project: what names of tables begin with. */
function datasetOf(commandLine: CommandLine, { project, dataset }: Config['catalog']['bigquery']): string {
  const given =
    textOption(commandLine, 'dataset') ?? (dataset === '' || project === '' ? dataset : `${project}.${dataset}`);
  if (given === '') {
    throw usage('no data set is named', 'give --dataset [project.]dataset, or configure catalog.bigquery');
  }
  if (!/^([A-Za-z0-9:-]+\.)?\w+$/.test(given)) throw usage(`--dataset takes [project.]dataset, not ${given}`);
  return given;
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const [action] = commandLine.args;
  if (action !== 'ddl') throw usage(`bigquery has no action ${action}`, 'bigquery ddl');
  const config = configOf(commandLine);
  const { storage, bronze, catalog } = config;
  if (storage.backend !== 'gcs') {
    throw new BronzeError('USAGE', `BigQuery cannot read Bronze in storage.backend ${storage.backend}`, {
      details: { expected: 'storage.backend: gcs', found: storage.backend },
    });
  }
  const dataset = datasetOf(commandLine, catalog.bigquery);
  const root = `gs://${storage.gcs_bucket}/${storage.prefix}`;
  const chains = chosenEras(config, namedEras(commandLine)).map(chainOf);
  const named = new Map<string, string>();
  for (const chain of chains) {
    const name = `${dataset}.${externalName(chain)}`;
    const other = named.get(name);
    // The second statement would silently do nothing.
    if (other !== undefined) throw usage(`${other} and ${chainKey(chain)} would both be ${name}`, 'choose with --eras');
    named.set(name, chainKey(chain));
    await print(`-- ${chainKey(chain)}\n${externalTableDdl(name, root, chain, bronze.primary_table)}\n`);
  }
  if (switchOption(commandLine, 'load-table')) {
    await print(`-- what catalog.bigquery.load fills\n${loadTableDdl(`${dataset}.${bronze.primary_table}`)}\n`);
  }
  return 0;
}
