/** Recovery's view of a chain: what is durable. Unless recovery will refuse it, what a run writes to is made ready. */
import { toFailure } from '../../machines/errors.ts';
import type { EraFacts } from '../../machines/protocol.ts';
import { assess } from '../../machines/recovery.ts';
import { chainPrefix } from '../bronze/names.ts';
import { committedIn } from '../catalog/recorder.ts';
import { placeInChain } from '../chain/audit-chain.ts';
import { assertOnGrid, rangesFound, restoreBronze } from '../chain/bronze-json.ts';
import { restoreCopies } from '../chain/copies.ts';
import { findAdoption } from '../chain/find-adoption.ts';
import { SignedLog } from '../chain/signed-log.ts';
import { surveyChain as readFacts } from '../chain/survey.ts';
import type { Effect } from '../effects/effect.ts';
import type { RunningEra } from '../effects/running-era.ts';
import { signLog } from '../effects/sign-log.ts';
import { committedEnds } from '../source/compare-lake.ts';
import { type Adoption, adoptionText } from '../version-1/adoption.ts';
import { OLD_EVENTS } from '../version-1/old-chain.ts';

export const surveyChain: Effect<'surveyChain'> = async (era, { askedBy }, { signal }) => {
  const { checkpoint, memories, terms, attests, chain } = era.setup;
  // The era hears nothing before it ends, and of what the old program left something of every file is read.
  const onProgress = (): void => askedBy.send({ type: 'effect.progressed' });
  const onProblem = (problem: string, isOld: boolean): void =>
    era.log[isOld ? 'info' : 'warn']({ component: 'checkpoint' }, problem);
  const { signer } = era.setup;
  const signed = signer && (await SignedLog.open(era.place, signer, signal));
  const onEvent = (sequence: number, bytes: Uint8Array): void => signed?.note(sequence, bytes);
  const facts = await readFacts({ ...era.place, checkpoint, memories, onEvent, onProblem, onProgress }, signal);
  era.storagePrefix = facts.events.at(-1)?.storagePrefix ?? null;
  const adoption = era.termsAreFixed ? null : await findTerms(era, facts, signal, onProgress);
  // Where the era ends plays no part in what is committed.
  const judged = assess(facts, { ...terms.grid, ledgerEnd: null }, attests);
  era.events = facts.events.reduce((count, { sequence }) => Math.max(count, sequence + 1), 0);
  // The era fails by the same judgement: nothing is written, and nothing is recorded.
  if ('failure' in judged) return facts;
  signed?.assertSound(era.events);
  if (signed?.newest === null && era.events > 0) {
    era.log.warn(
      { component: 'audit', events: era.events },
      'no signed head lies beside these events, and they are signed as they are now; if there were heads, compare with copies of them: pas verify --key --heads',
    );
  }
  era.tree = signed?.tree ?? null;
  era.signedSize = 0;
  await prepare(era, signal);
  if (!era.termsAreFixed) await restoreTerms(era, facts, adoption, signal);
  await restoreCopiesOf(era, facts, signal, onProgress);
  // A run that died after an event left it without a head. Of those before, heads may be missing.
  await signLog(era, signal);
  for (const partition of committedIn(chain, facts, judged.recovered)) era.recorder?.note(partition);
  era.isSurveyed = true;
  era.ends.clear();
  for (const one of committedEnds(facts)) era.ends.set(one.range.start, one);
  return facts;
};

/**
 * Makes ready what is written to. Only once what is remembered was held against what is there: a mount that is absent is
 * an empty folder.
 */
async function prepare(era: RunningEra, signal: AbortSignal): Promise<void> {
  const { setup, lock, log } = era;
  const { chain, store, newNames } = setup;
  era.isPrepared = true;
  await store.prepare();
  // Also where nobody is known to have died here: what is older than a day may be of a machine that is gone.
  const removed = await store.sweep(chainPrefix(chain), lock?.orphaned ?? [], signal);
  // Else they are swept once more at the end, whoever comes to it.
  if (lock !== null && lock.orphaned.length > 0 && !setup.buildsElsewhere) await lock.swept();
  if (removed > 0) log.info({ component: 'store', removed }, 'removed what an earlier run had staged');
  if (!era.termsAreFixed) for (const notice of await newNames()) log.warn({ component: 'store' }, notice);
  const conditions = await store.conditions();
  if (conditions !== null && !(conditions.create && conditions.publish)) {
    log.warn(
      { component: 'store', store: store.uri, ...conditions },
      'the store does not refuse to overwrite by itself: uploads are fenced; no second copier should work on this chain',
    );
  }
  await openCatalog(era, signal);
}

/** Strict, it has to answer now; lenient, rows wait for it. What no retry helps against ends the era in both modes. */
async function openCatalog({ recorder, setup, log }: RunningEra, signal: AbortSignal): Promise<void> {
  try {
    await recorder?.prepare(signal);
  } catch (error) {
    const { retryable, code, message } = toFailure(error);
    if (!retryable || setup.catalog?.mode === 'strict') throw error;
    log.warn({ component: 'catalog', code, error: message }, 'the catalog cannot be reached: rows are pending');
  }
}

async function restoreCopiesOf(
  { setup, place, log }: RunningEra,
  { events }: EraFacts,
  signal: AbortSignal,
  onProgress: () => void,
): Promise<void> {
  const { backup, store } = setup;
  if (backup === null) return;
  const placeOf = placeInChain(place, events.at(-1)?.sequence ?? -1, signal);
  const { written, old } = await restoreCopies(backup, store, events, signal, onProgress, placeOf);
  if (old > 0) log.info({ component: 'audit', events: old }, `events of version 1.1 are kept in ${OLD_EVENTS}/`);
  if (written > 0) log.info({ component: 'audit', written }, 'wrote copies of events that were missing');
}

/** What is to be adopted, where `_bronze.json` is not there; throws where what is there does not fit the configuration. */
async function findTerms(
  { setup, place }: RunningEra,
  facts: EraFacts,
  signal: AbortSignal,
  onProgress: () => void,
): Promise<Adoption | null> {
  const { chain, terms, oldEvents } = setup;
  const adoption = await findAdoption(place, oldEvents, signal, onProgress);
  assertOnGrid(chain, terms, rangesFound(facts), adoption);
  return adoption;
}

/** Lost, and there is Bronze that only it protects from another grid; or the partitions are the old program's. */
async function restoreTerms(
  era: RunningEra,
  facts: EraFacts,
  adoption: Adoption | null,
  signal: AbortSignal,
): Promise<void> {
  const { setup, place, log } = era;
  era.termsAreFixed = await restoreBronze(place, setup.terms, facts, adoption, signal);
  if (!era.termsAreFixed) return;
  if (adoption === null) log.warn({ component: 'store' }, '_bronze.json was missing and is written again');
  else log.info({ component: 'store', ...adoption.record }, `adopting ${adoptionText(adoption)}`);
  for (const warning of adoption?.warnings ?? []) log.warn({ component: 'audit' }, warning);
}
