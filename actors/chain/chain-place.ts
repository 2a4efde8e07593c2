/**
 * Where a chain is: its store, its name, and the table that its partitions are in. Each job on a chain extends this by
 * what else it needs (`CommitPlace`, `SurveyPlace`, `DeliveryPlace`, …).
 */
import type { ChainName } from '../bronze/names.ts';
import type { BronzeStore } from '../ports/store.ts';

export interface ChainPlace {
  readonly store: BronzeStore;
  readonly chain: ChainName;
  readonly table: string;
  /** The grid that `_bronze.json` fixes for all who write here, where it is known: it spares listings. */
  readonly grid?: { readonly size: number; readonly origin: number };
}
