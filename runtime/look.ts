/**
 * What `plan` and `status` see of an era without taking its lock or writing anything: what is durable, what recovery
 * would decide, where the lake ends, who holds the lock.
 */
import { resolve } from 'node:path';
import { compareBronze, expectBronze } from '../actors/commit/bronze-json.ts';
import { surveyChain } from '../actors/commit/survey.ts';
import type { ChainName } from '../actors/paths.ts';
import { openCheckpoint } from '../actors/state/checkpoint.ts';
import { inspectLock, type LockSight } from '../actors/state/lock.ts';
import { networkPassphrase } from '../config/networks.ts';
import type { EraConfig } from '../config/schema.ts';
import { BronzeError, type Failure, fromFailure, toFailure } from '../machines/errors.ts';
import type { EraFacts, Grid, Recovered } from '../machines/protocol.ts';
import { assess } from '../machines/recovery.ts';
import { type Context, chainOf } from './context.ts';

export interface EraLook {
  readonly era: EraConfig;
  readonly chain: ChainName;
  readonly grid: Grid;
  /** Also there where recovery would refuse; null where nothing could be read. */
  readonly facts: EraFacts | null;
  readonly recovered: Recovered | null;
  /** Why recovery would refuse, or why nothing could be read. */
  readonly failure: Failure | null;
  readonly lock: LockSight | null;
  /** Whether `_bronze.json` is there already. */
  readonly begun: boolean;
}

const gridOf = (era: EraConfig): Grid => ({
  size: era.partition_size,
  origin: era.partition_origin,
  ledgerStart: era.ledger_start,
  ledgerEnd: era.ledger_end,
});

export async function lookAt(context: Context, era: EraConfig): Promise<EraLook> {
  const { config, store } = context;
  const chain = chainOf(era);
  const table = config.bronze.primary_table;
  const grid = gridOf(era);
  const dir = resolve(config.checkpoint.dir);
  const place = { store, chain, table };
  const terms = { grid, networkPassphrase: networkPassphrase(config, era.network) };
  const lock = await inspectLock(dir, chain);
  let begun = false;
  let facts: EraFacts | null = null;
  try {
    begun = (await compareBronze(place, terms)) !== null;
    await expectBronze(place, terms);
    const checkpoint = config.checkpoint.enabled ? openCheckpoint({ dir, chain, copierId: config.copier_id }) : null;
    facts = await surveyChain({ ...place, checkpoint });
    const judged = assess(facts, grid, config.pas.enabled);
    if ('failure' in judged) throw fromFailure(judged.failure);
    return { era, chain, grid, facts, recovered: judged.recovered, failure: null, lock, begun };
  } catch (error) {
    if (!(error instanceof BronzeError)) throw error;
    return { era, chain, grid, facts, recovered: null, failure: toFailure(error), lock, begun };
  }
}
