/**
 * Bugs, seeded one at a time: each is a production machine with one action or guard replaced, or one assumption about
 * the outside world broken. The explorer has to catch every one of them. Nothing in the machines knows of this.
 */
import { enqueueActions } from 'xstate';
import { courierMachine } from '../../machines/courier.ts';
import { type EraContext, plan, setPhase, without } from '../../machines/dispatch.ts';
import type { EffectName } from '../../machines/effects.ts';
import { eraMachine } from '../../machines/era.ts';
import type {
  AttestedEvent,
  ChainHead,
  EraFacts,
  LedgerRange,
  PublishedPartition,
  StagedPartition,
  WorkerEvent,
} from '../../machines/protocol.ts';
import { sequencerMachine } from '../../machines/sequencer.ts';
import { type Current, takeNext } from '../../machines/sequencing.ts';
import { type Configuration, configuration } from './configurations.ts';
import { type Chain, deriveEvent, labelOf, type ManifestObject, manifestHash, type StagedObject } from './durable.ts';
import { ASKS, type EffectModel, effectModels, manifestOf, type Place, type Result, remoteBuild } from './effects.ts';

export interface Mutant {
  readonly name: string;
  /** The rule that it breaks, in the explorer's words. */
  readonly breaks: RegExp;
  readonly config: Configuration;
}

// ── dispatch ─────────────────────────────────────────────────────────────────────────────────────────────────────

type Planned = ReturnType<typeof plan>;

const dispatching = (planner: (context: EraContext) => Planned) =>
  eraMachine.provide({
    actions: {
      dispatch: enqueueActions(({ context, enqueue }) => {
        const { assignments, changes } = planner(context);
        enqueue.assign(changes);
        for (const { workerId, job } of assignments) {
          const event: WorkerEvent = { type: 'partition.assigned', job };
          enqueue.sendTo(workerId, event);
        }
      }),
    },
  });

const counted = (context: EraContext): number => context.outstanding.filter((entry) => entry.counted).length;

type Hide = (context: EraContext, start: number) => boolean;

/** Plans as if some of the line were being built: it takes its place in the window and nobody is given it. */
function planHiding(context: EraContext, hides: Hide): Planned {
  const inLine = new Set(context.outstanding.filter(({ phase }) => phase === 'line').map(({ range }) => range.start));
  const hidden = ({ range }: { range: LedgerRange }): boolean => inLine.has(range.start) && hides(context, range.start);
  const shown = context.outstanding.map((entry) => (hidden(entry) ? { ...entry, phase: 'building' as const } : entry));
  const { assignments, changes } = plan({ ...context, outstanding: shown });
  const outstanding = (changes.outstanding ?? shown).map((entry) =>
    hidden(entry) ? { ...entry, phase: 'line' as const } : entry,
  );
  return { assignments, changes: { ...changes, outstanding } };
}

/** New partitions go first; one that has to be done again needs room in the window behind them. */
function planAtTail(context: EraContext): Planned {
  const fresh = planHiding(context, () => true);
  const state = { ...context, ...fresh.changes };
  const rest = planHiding(state, () => counted(state) >= state.spec.queueSize);
  return { assignments: [...fresh.assignments, ...rest.assignments], changes: { ...fresh.changes, ...rest.changes } };
}

/** What lies in the sequencer's buffer takes no place in the window. */
function planWithoutBuffer(context: EraContext): Planned {
  const seen = context.outstanding.map((entry) => (entry.phase === 'staged' ? { ...entry, counted: false } : entry));
  const { assignments, changes } = plan({ ...context, outstanding: seen });
  const was = new Map(context.outstanding.map((entry) => [entry.range.start, entry.counted]));
  const outstanding = (changes.outstanding ?? seen).map((entry) => ({
    ...entry,
    counted: was.get(entry.range.start) ?? entry.counted,
  }));
  return { assignments, changes: { ...changes, outstanding } };
}

/** What has to be staged again needs room in the window like anything new. */
const planCountingRestages = (context: EraContext): Planned =>
  planHiding(context, ({ outstanding, spec }, start) => {
    const entry = outstanding.find(({ range }) => range.start === start);
    return entry !== undefined && entry.restages > 0 && counted(context) >= spec.queueSize;
  });

/** A worker that crashed is replaced; what it was doing is forgotten, or done again and still taken for its own. */
const respawning = (keepsJob: boolean) =>
  eraMachine.provide({
    actions: {
      respawn: enqueueActions(({ context, enqueue, self }, params: { actorId: string }) => {
        const { eraId, retryAttempts, retryBackoffMs } = context.spec;
        const workerId = params.actorId;
        const job = keepsJob ? context.workers[workerId] : null;
        enqueue.stopChild(workerId);
        enqueue.spawnChild('worker', {
          id: workerId,
          input: { eraId, parent: self, workerId, retryAttempts, retryBackoffMs },
        });
        enqueue.assign({
          workers: keepsJob ? context.workers : { ...context.workers, [workerId]: null },
          waits: without(context.waits, workerId),
          outstanding: job ? setPhase(context, job.range, 'line') : context.outstanding,
          recentCrashes: context.recentCrashes + 1,
        });
      }),
    },
  });

// ── sequencer ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Whatever was staged first is committed first. */
const firstComeFirst = sequencerMachine.provide({
  guards: { canTakeNext: ({ context }) => context.buffer.length > 0 || takeNext(context) !== null },
  actions: {
    takeNext: enqueueActions(({ context, enqueue }) => {
      const staged = context.buffer[0];
      const current: Current | null = staged
        ? { range: staged.range, item: null, staged, published: null, sealed: null, rowPending: false }
        : takeNext(context);
      enqueue.assign({ current, failures: 0, failure: null });
    }),
  },
});

/** No error is worth a second attempt. */
const neverRetrying = sequencerMachine.provide({ guards: { canRetry: () => false } });

/** Told to drain, it takes nothing in hand any more. */
const forgetful = sequencerMachine.provide({
  guards: { canTakeNext: ({ context }) => !context.draining && takeNext(context) !== null },
});

/** What a strict catalog cannot take now is left to the courier, as if it were lenient. */
const strictIsLenient = sequencerMachine.provide({
  guards: { mayBePending: (_, { failure }) => failure.retryable },
});

/** Whatever the endpoint has heard. */
const neverDelivering = sequencerMachine.provide({ guards: { isDeliveryStrict: () => false } });

/** Rows of new partitions are waited for, those of earlier runs are not. */
const catchesUpOnNoRows = sequencerMachine.provide({ guards: { isCatalogStrict: () => false } });

// ── courier ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Begins with nothing, whatever earlier runs left. */
const startsIdle = courierMachine.provide({ guards: { isLenient: () => false } });

// ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** One effect with another implementation. */
const withEffect = <K extends EffectName>(name: K, changes: (model: EffectModel) => Partial<EffectModel>) => ({
  [name]: { ...effectModels[name], ...changes(effectModels[name]) },
});

const NO_EVIDENCE = { copies: {}, head: null };

interface Sealing {
  readonly published: PublishedPartition;
  readonly attested: AttestedEvent | null;
}

/** Does something first, in a move of its own, and then what the effect does. */
const preceded = (name: EffectName, first: (place: Place, input: Sealing) => Omit<Result, 'next'>) =>
  withEffect(name, ({ perform }) => ({
    perform: (place, input, phase) =>
      phase === 0 ? { ...first(place, input), next: { phase: 1 } } : perform(place, input, phase),
  }));

const checkpointFirst = preceded('sealPartition', ({ host }, { published }) => ({
  host: { ...host, checkpoint: { range: published.range, checksum: published.data.checksum } },
}));

/** The event of a manifest that is only in memory. */
const eventFirst = preceded('sealPartition', ({ chain }, input) => {
  const manifest = manifestOf(chain, input) as ManifestObject;
  const events = Object.values(chain.events);
  const last = events.find(({ sequence }) => sequence === events.length - 1);
  const event = deriveEvent(labelOf(input.published.range), manifest, events.length, last?.eventHash ?? null);
  return { chain: { ...chain, events: { ...chain.events, [event.sequence]: event } } };
});

/** The row of a manifest that is stored, without its event. */
const rowFirst = withEffect('attestPartition', ({ perform }) => ({
  perform: (place, input: { range: LedgerRange }, phase) => {
    const label = labelOf(input.range);
    const { chain } = place;
    if (phase > 0 || chain.rows[label]) return perform(place, input, phase);
    const { checksum } = chain.manifests[label] as ManifestObject;
    return { chain: { ...chain, rows: { ...chain.rows, [label]: { checksum, event: null } } }, next: { phase: 1 } };
  },
}));

/** Each worker begins the upload itself, which the coordinator's journal does not know. */
const uploadOfItsOwn = {
  buildPartition: {
    ...remoteBuild,
    perform: (place, input, phase) => {
      const result = remoteBuild.perform(place, input, phase);
      if (phase === 0 || !('answer' in result.next)) return result;
      const { handle } = result.next.answer as { handle: string };
      const staged = result.chain?.staged ?? {};
      const own = Object.keys(staged).length;
      const object = { ...(staged[handle] as StagedObject), owner: 'a worker' };
      return { ...result, chain: { ...(result.chain as Chain), staged: { ...staged, [`worker/${own}`]: object } } };
    },
  } satisfies EffectModel,
};

/** What was aborted is begun again by whoever comes late. */
const lateBeginsAnew = {
  buildPartition: {
    ...remoteBuild,
    late: (place, input, phase) =>
      phase === 0 ? remoteBuild.perform(place, input, 0) : effectModels.buildPartition.perform(place, input, 0),
  } satisfies EffectModel,
};

const countsNothing = withEffect('closeChain', ({ perform }) => ({
  perform: (place, input, phase) => {
    const result = perform(place, input, phase);
    return 'answer' in result.next ? { ...result, next: { answer: { rows: 0, events: 0 } } } : result;
  },
}));

/** Every attempt to seal remembers the manifest that it made; the event is derived from that one. */
const fromMemory = {
  ...withEffect('sealPartition', ({ perform }) => ({
    perform: (place, input: Sealing, phase) => {
      const label = labelOf(input.published.range);
      const time = manifestOf(place.chain, input)?.time ?? '';
      const result = perform(place, input, phase);
      return { ...result, session: { ...place.session, memory: { ...place.session.memory, [label]: time } } };
    },
  })),
  ...withEffect('attestPartition', ({ perform }) => ({
    perform: (place, input: { range: LedgerRange; chain: ChainHead }, phase) => {
      const label = labelOf(input.range);
      const stored = place.chain.manifests[label];
      const time = place.session.memory[label];
      if (!stored || time === undefined || place.chain.events[input.chain.nextSequence])
        return perform(place, input, phase);
      const { nextSequence, prevEventHash } = input.chain;
      const event = deriveEvent(label, { ...stored, time }, nextSequence, prevEventHash);
      const chain: Chain = { ...place.chain, events: { ...place.chain.events, [nextSequence]: event } };
      return { chain, next: { answer: { attested: true, sequence: nextSequence, eventHash: event.eventHash } } };
    },
  })),
};

const conflictWhereSomethingStands = withEffect('publishPartition', ({ perform }) => ({
  perform: (place, input, phase) => {
    const stands = place.chain.data[labelOf(input.staged.range)] !== undefined;
    return phase === 2 && stands ? { next: { error: 'PARTITION_CONFLICT' } } : perform(place, input, phase);
  },
}));

const sweepsEverybody = withEffect('surveyChain', ({ perform }) => ({
  perform: (place, input, phase) =>
    phase === 1
      ? perform({ ...place, chain: { ...place.chain, staged: {} } }, input, phase)
      : perform(place, input, phase),
}));

/** What is remembered is not read. */
const evidenceIsNotLookedAt = withEffect('surveyChain', ({ perform }) => ({
  perform: (place, input, phase) =>
    phase === 0
      ? perform({ ...place, host: { ...place.host, ...NO_EVIDENCE, checkpoint: null } }, input, phase)
      : perform(place, input, phase),
}));

/** Nor what stands there when it is written. */
const copiesAreOverwritten = withEffect('surveyChain', ({ perform }) => ({
  perform: (place, input, phase) => {
    if (phase === 0) return evidenceIsNotLookedAt.surveyChain?.perform(place, input, phase) as Result;
    const { host = place.host, ...result } = perform({ ...place, copies: false }, input, phase);
    const { events } = place.kept as EraFacts;
    const copies = events.map(({ range, sequence, eventHash }) => [labelOf(range), { sequence, eventHash }]);
    const head = events.at(-1)?.eventHash ?? null;
    return { ...result, host: { ...host, copies: { ...host.copies, ...Object.fromEntries(copies) }, head } };
  },
}));

/** Any lake is taken for the one that Bronze was copied from. */
const takesAnyLake = withEffect('compareLake', () => ({ perform: () => ({ next: { answer: { behind: null } } }) }));

const forgetsFormers = withEffect('openChain', ({ perform }) => ({
  perform: (place, input, phase) =>
    perform({ ...place, host: { ...place.host, lock: null, journal: [] } }, input, phase),
}));

/** Looks and then completes, without aborting what others have under way. */
const unfenced = (name: 'publishPartition' | 'sealPartition' | 'attestPartition') =>
  withEffect(name, ({ perform }) => ({
    perform: (place, input, phase) => {
      const { fences, ...result } = perform(place, input, phase);
      const aborts = fences !== undefined && result.chain !== undefined;
      return aborts ? { ...result, chain: { ...result.chain, staged: place.chain.staged } as Chain } : result;
    },
  }));

/** What a store answers is the fact: nobody asks for what was said to be done. */
const believed = {
  ...withEffect('publishPartition', ({ perform }) => ({
    perform: (place, input: { staged: StagedPartition }, phase) => {
      if (phase !== ASKS || place.chain.data[labelOf(input.staged.range)]) return perform(place, input, phase);
      const { range, data, ledgers, writer, checks, source } = input.staged;
      return { next: { answer: { range, data, ledgers, writer, checks, source, found: false } } };
    },
  })),
};

const believedManifest = withEffect('sealPartition', ({ perform }) => ({
  perform: (place, input: Sealing, phase) => {
    const label = labelOf(input.published.range);
    if (phase !== ASKS || place.chain.manifests[label]) return perform(place, input, phase);
    const manifest = manifestOf(place.chain, input) as ManifestObject;
    const { data, ledgers, range } = input.published;
    const sealed = { range, data, ledgers, manifestSha256: manifestHash(label, manifest), createdAt: manifest.time };
    return { next: { answer: sealed } };
  },
}));

const believedEvent = withEffect('attestPartition', ({ perform }) => ({
  perform: (place, input: { range: LedgerRange; chain: ChainHead }, phase) => {
    const { nextSequence, prevEventHash } = input.chain;
    if (phase !== ASKS || place.chain.events[nextSequence]) return perform(place, input, phase);
    const label = labelOf(input.range);
    const event = deriveEvent(label, place.chain.manifests[label] as ManifestObject, nextSequence, prevEventHash);
    return { next: { answer: { attested: true, sequence: nextSequence, eventHash: event.eventHash } } };
  },
}));

const neverSynced = withEffect('stagePartition', () => ({
  perform: (_, { staged }) => ({ next: { answer: staged } }),
}));

/** A lost manifest is written as that of a new partition is, whatever its event names. */
const sealsAnew = withEffect('sealPartition', ({ perform }) => ({
  perform: (place, input: Sealing, phase) => {
    const label = labelOf((input.published ?? input.attested)?.range as LedgerRange);
    const stored = place.chain.data[label];
    if (input.published !== null || !stored || place.chain.manifests[label]) return perform(place, input, phase);
    const manifests = { ...place.chain.manifests, [label]: { ...stored, time: 'now' } };
    return { chain: { ...place.chain, manifests }, next: { phase: 1 } };
  },
}));

const linksOnlyBeforeSealing = withEffect('checkNeighbours', ({ perform }) => ({
  perform: (place, input, phase) =>
    place.chain.manifests[labelOf(input.range)] ? { next: { answer: null } } : perform(place, input, phase),
}));

/** Takes a manifest that stands there for its own without reading it, and answers with what it would have written. */
const ownManifestAnswered = withEffect('publishPartition', ({ perform }) => ({
  perform: (place, input, phase) => {
    const result = perform(place, input, phase);
    const answered = 'answer' in result.next ? (result.next.answer as PublishedPartition) : null;
    if (answered === null || !answered.found) return result;
    const ours = { ...answered, data: input.staged.data, writer: input.staged.writer };
    return { ...result, next: { answer: ours } };
  },
}));

const latestFirst = withEffect('deliverPending', ({ perform }) => ({
  perform: (place, input, phase) => {
    const last = place.chain.events[Object.keys(place.chain.events).length - 1];
    if (phase === 1 || !last || place.chain.endpoint.includes(last.eventHash)) return perform(place, input, phase);
    return { chain: { ...place.chain, endpoint: [...place.chain.endpoint, last.eventHash] }, next: { phase: 1 } };
  },
}));

// ── all of them ──────────────────────────────────────────────────────────────────────────────────────────────────

const seeded = (name: string, base: string, breaks: RegExp, changes: Partial<Configuration>): Mutant => ({
  name,
  breaks,
  config: { ...configuration(base), ...changes, name: `mutant: ${name}` },
});

export const mutants: readonly Mutant[] = [
  seeded('a retry goes to the tail', 'pool', /deadlock|no finished world/, { logic: { era: dispatching(planAtTail) } }),
  seeded('a crashed worker is forgotten', 'pool', /deadlock|no finished world/, { logic: { era: respawning(false) } }),
  seeded('a respawned worker has a stale job', 'pool', /deadlock|no finished world/, {
    logic: { era: respawning(true) },
    budget: { crash: 1 },
  }),
  seeded('what arrives first is committed', 'pool', /is published before/, { logic: { sequencer: firstComeFirst } }),
  seeded('checkpoint before seal', 'every step', /checkpoint says .* is committed, and Bronze does not hold it/, {
    models: checkpointFirst,
  }),
  seeded('event before manifest', 'every step', /is there before the manifest/, { models: eventFirst }),
  seeded('a lost answer is a failure', 'another release', /a run failed although/, {
    logic: { sequencer: neverRetrying },
  }),
  seeded('412 is taken for somebody else', 'another release', /PARTITION_CONFLICT/, {
    models: conflictWhereSomethingStands,
  }),
  seeded('the window forgets the buffer', 'pool', /the window is/, { logic: { era: dispatching(planWithoutBuffer) } }),
  seeded('restages are counted in the window', 'staging vanishes', /deadlock|no finished world/, {
    logic: { era: dispatching(planCountingRestages) },
  }),
  seeded('a drain forgets what is staged', 'drain', /throws .* away/, { logic: { sequencer: forgetful } }),
  seeded('the manifest in memory is attested', 'every step', /is not that of the stored manifest/, {
    models: fromMemory,
  }),
  seeded("everybody's staging is swept", 'two copiers', /which the living .* has staged/, { models: sweepsEverybody }),
  seeded('former holders are forgotten', 'another release', /of a dead process is still staged/, {
    models: forgetsFormers,
    budget: { restart: 1 },
  }),
  seeded('data without a fence', 'a store without conditions', /published .* changes/, {
    models: unfenced('publishPartition'),
  }),
  seeded('manifests without a fence', 'a store without conditions', /the manifest of .* changes/, {
    models: unfenced('sealPartition'),
  }),
  seeded('the answer is believed', 'the answer was a lie', /the manifest of .* has no data/, { models: believed }),
  seeded('the answer to a manifest is believed', 'the answer was a lie', /deadlock|no finished world|failed although/, {
    models: believedManifest,
  }),
  seeded('the answer to an event is believed', 'the answer was a lie', /checkpoint says .* not committed/, {
    models: believedEvent,
  }),
  seeded('published before it is durable', 'pool', /before what was staged is durable/, { models: neverSynced }),
  seeded('links are looked at only before sealing', 'two eras that do not link', /both sides/, {
    models: linksOnlyBeforeSealing,
  }),
  seeded('another release takes its own word', 'another release', /about other bytes/, { models: ownManifestAnswered }),
  seeded('a lost manifest is made anew', 'mending: a manifest is gone', /is not that of the stored manifest/, {
    models: sealsAnew,
  }),
  seeded('a strict catalog is not waited for', 'catalog, strict', /the checkpoint says .* is not recorded/, {
    logic: { sequencer: strictIsLenient },
    budget: { fail: 1 },
  }),
  seeded('a strict endpoint is not waited for', 'delivery, strict', /the checkpoint says .* is not delivered/, {
    logic: { sequencer: neverDelivering },
  }),
  seeded('strict forgets what earlier runs left', 'strict at last', /and 10-19 is not recorded/, {
    logic: { sequencer: catchesUpOnNoRows },
    budget: {},
  }),
  seeded('a pending row is forgotten', 'catalog, lenient', /no finished world/, {
    logic: { courier: startsIdle },
    budget: { fail: 1 },
    late: [],
    again: false,
  }),
  seeded('a row before its event', 'catalog, strict', /the row of .* is there before its event/, { models: rowFirst }),
  seeded('what is left is not counted', 'delivery, lenient', /leaves more to the next one than it says/, {
    models: countsNothing,
  }),
  seeded('evidence is not looked at', 'evidence: rolled back', /Bronze changes while/, {
    models: evidenceIsNotLookedAt,
    budget: { rollback: 1 },
  }),
  seeded('copies are overwritten', 'evidence: rolled back', /is replaced/, {
    models: copiesAreOverwritten,
    budget: { rollback: 1 },
  }),
  seeded('the lake is not compared', 'the lake is reset', /builds from a lake that contradicts/, {
    models: takesAnyLake,
  }),
  seeded('the latest event is delivered first', 'delivery, lenient', /delivery/, { models: latestFirst }),
  seeded('a task that is done twice begins an upload of its own', 'many machines', /is still staged/, {
    models: uploadOfItsOwn,
    budget: {},
    late: [],
  }),
  seeded('a late worker makes its upload anew', 'many machines', /is still staged/, {
    models: lateBeginsAnew,
    budget: { restart: 1 },
  }),
];
