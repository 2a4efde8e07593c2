// The catalog suite on every backend: one line each.
import { embeddedUnderTest } from '../support/catalog.ts';
import { describePostgres, postgresUnderTest } from '../support/postgres.ts';
import { catalogConformance, heldCatalogConformance } from './catalog.ts';

catalogConformance('embedded', embeddedUnderTest);
heldCatalogConformance('embedded', embeddedUnderTest);
describePostgres('the suite of catalogs', (server) => catalogConformance('postgres', () => postgresUnderTest(server)));
