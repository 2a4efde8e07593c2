// The catalog suite on every backend: one line each.
import { embeddedUnderTest } from '../support/catalog.ts';
import { catalogConformance } from './catalog.ts';

catalogConformance('embedded', embeddedUnderTest);
