/** Opens the catalog that a configuration names. The clients are loaded with the first call, only the one that is needed. */
import type { Catalog, CatalogSpec } from '../ports/catalog.ts';
import { openBigQuery } from './bigquery.ts';
import { openEmbedded } from './embedded.ts';
import { openPostgres } from './postgres.ts';

export function openCatalog(spec: CatalogSpec): Catalog {
  switch (spec.backend) {
    case 'embedded':
      return openEmbedded(spec);
    case 'postgres':
      return openPostgres(spec);
    case 'bigquery':
      return openBigQuery(spec);
  }
}
