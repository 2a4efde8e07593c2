/**
 * What `plan` and `status` see of an era without taking its lock or writing anything: what is durable, what recovery
 * would decide, where the lake ends, who holds the lock.
 */
import { resolve } from 'node:path';
import type { ChainName } from '../actors/bronze/names.ts';
import { assertOnGrid, compareBronze, expectBronze, rangesFound } from '../actors/chain/bronze-json.ts';
import { findAdoption } from '../actors/chain/find-adoption.ts';
import { SignedLog } from '../actors/chain/signed-log.ts';
import { surveyChain } from '../actors/chain/survey.ts';
import { openCheckpoint } from '../actors/state/checkpoint.ts';
import { inspectLock, type LockSight } from '../actors/state/lock.ts';
import { type Adoption, adoptionText } from '../actors/version-1/adoption.ts';
import { networkPassphrase } from '../config/networks.ts';
import type { EraConfig } from '../config/schema.ts';
import { BronzeError, type Failure, fromFailure, toFailure } from '../machines/errors.ts';
import { rangeLabel } from '../machines/partitions.ts';
import type { EraFacts, Grid, Recovered } from '../machines/protocol.ts';
import { assess } from '../machines/recovery.ts';
import { type Context, chainOf, copiesOf, memoriesOf, signerOf } from './context.ts';

export interface EraSurvey {
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
  /** The signed log, as far as it was looked at; null where nothing is signed, or nothing could be read. */
  readonly log: SignedLogSight | null;
  /** What the next run will adopt of the old program; null where there is nothing, or it was done. */
  readonly adoption: Adoption | null;
}

/** The newest head of a log, and why a run would not go on from it. */
export interface SignedLogSight {
  readonly newest: { readonly size: number; readonly origin: string; readonly root: string } | null;
  /** HEAD_CONTRADICTS, HEAD_INVALID, KEY_INVALID; null: it fits. */
  readonly failure: Failure | null;
}

/** What of the signed log is read before its events; null where nothing is signed. */
async function openLog({ config, store }: Context, chain: ChainName): Promise<SignedLog | Failure | null> {
  try {
    const signer = signerOf(config, chain);
    return signer && (await SignedLog.open({ store, chain, backup: copiesOf(config, chain) }, signer));
  } catch (error) {
    const failure = toFailure(error);
    if (!/^(?:HEAD|KEY)_/.test(failure.code)) throw error;
    return failure;
  }
}

function judgeLog(log: SignedLog | Failure | null, events: number): SignedLogSight | null {
  if (log === null) return null;
  if (!(log instanceof SignedLog)) return { newest: null, failure: log };
  const head = log.newest?.head ?? null;
  const newest = head && { size: head.size, origin: head.origin, root: head.root.toString('base64') };
  try {
    log.assertSound(events);
    return { newest, failure: null };
  } catch (error) {
    return { newest, failure: toFailure(error) };
  }
}

const gridOf = (era: EraConfig): Grid => ({
  size: era.partition_size,
  origin: era.partition_origin,
  ledgerStart: era.ledger_start,
  ledgerEnd: era.ledger_end,
});

export async function surveyEra(context: Context, era: EraConfig): Promise<EraSurvey> {
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
  let adoption: Adoption | null = null;
  let log: SignedLogSight | null = null;
  try {
    begun = (await compareBronze(place, terms)) !== null;
    await expectBronze(place, terms);
    const checkpoint = config.checkpoint.enabled ? openCheckpoint({ dir, chain, copierId: config.copier_id }) : null;
    const memories = memoriesOf(config, chain, context.catalog);
    const signed = await openLog(context, chain);
    const onEvent = (sequence: number, bytes: Uint8Array): void =>
      signed instanceof SignedLog ? signed.note(sequence, bytes) : undefined;
    facts = await surveyChain({ ...place, checkpoint, memories, onEvent });
    const count = facts.events.reduce((most, { sequence }) => Math.max(most, sequence + 1), 0);
    log = judgeLog(signed, count);
    if (!begun) {
      adoption = await findAdoption(place, copiesOf(config, chain));
      assertOnGrid(chain, terms, rangesFound(facts), adoption);
    }
    const judged = assess(facts, grid, config.pas.enabled);
    if ('failure' in judged) throw fromFailure(judged.failure);
    return { era, chain, grid, facts, recovered: judged.recovered, failure: null, lock, begun, log, adoption };
  } catch (error) {
    if (!(error instanceof BronzeError)) throw error;
    return { era, chain, grid, facts, recovered: null, failure: toFailure(error), lock, begun, log, adoption };
  }
}

/** Partitions that the next run mends before it copies; those that it adopts are not among them. */
export function partitionsToMend({ recovered, adoption }: EraSurvey): number {
  const adopted = new Set(adoption?.ranges.map(rangeLabel));
  const agenda = recovered?.agenda ?? [];
  return agenda.filter((item) => item.kind !== 'attested' && !adopted.has(rangeLabel(item.range))).length;
}

/** What `plan` and `status` say of partitions of the old program. */
export const adoptionLines = ({ adoption, failure }: EraSurvey): string[] =>
  adoption === null || failure !== null
    ? []
    : [`  the next run adopts ${adoptionText(adoption)}`, ...adoption.warnings.map((warning) => `  note: ${warning}`)];
