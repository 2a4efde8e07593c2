/**
 * The one place that joins machines to actors: every effect by its name, every delay with its real length.
 * It holds no logic; what is decided is decided in machines/, what is done is done in actors/.
 */
import { fromPromise } from 'xstate';
import { courierMachine } from '../machines/courier.ts';
import { backoffMs, type EffectInput, type EffectName, type EffectOutput } from '../machines/effects.ts';
import { eraMachine } from '../machines/era.ts';
import { BronzeError } from '../machines/errors.ts';
import { SUPERVISOR_ID, sequencerActorId } from '../machines/peers.ts';
import type { SequencerEvent, SupervisorEvent, WorkerEvent } from '../machines/protocol.ts';
import { sequencerMachine } from '../machines/sequencer.ts';
import { supervisorMachine } from '../machines/supervisor.ts';
import { workerMachine } from '../machines/worker.ts';
import type { EraEffects } from './session.ts';

/** Milliseconds. */
export interface Tuning {
  readonly pollInterval: number;
  readonly stallTimeout: number;
  /** How long a file at the head that cannot be read, or a hole, is put up with before it is said. */
  readonly headPatience: number;
}

interface Tools {
  readonly signal: AbortSignal;
  /** Sends to an actor of the system, if it is still there. */
  readonly tell: (id: string, event: WorkerEvent | SequencerEvent | SupervisorEvent) => void;
}

/** Between half and the whole of the back-off, so that workers which failed together do not come back together. */
const withJitter = (ms: number): number => ms * (0.5 + Math.random() / 2);

/** Times and sizes; the machine has all its effects. */
export function assemble(
  sessions: ReadonlyMap<string, EraEffects>,
  tuning: Tuning,
  onStall: (eraId: string, reason: string) => void,
) {
  const sessionOf = (eraId: string): EraEffects => {
    const session = sessions.get(eraId);
    if (!session) throw new BronzeError('INTERNAL', `no session for era ${eraId}`);
    return session;
  };
  const perform = <K extends EffectName>(
    _name: K,
    run: (session: EraEffects, input: EffectInput<K>, tools: Tools) => Promise<EffectOutput<K>>,
  ) =>
    fromPromise<EffectOutput<K>, EffectInput<K>>(({ input, signal, system }) =>
      run(sessionOf(input.eraId), input, { signal, tell: (id, event) => system.get(id)?.send(event) }),
    );

  /** Jitter may shorten what this program thought out itself, never what the other side asked for. */
  const retry = (context: {
    retryBackoffMs: number;
    failures: number;
    failure: { retryAfterMs?: number } | null;
  }): number =>
    Math.max(withJitter(backoffMs(context.retryBackoffMs, context.failures)), context.failure?.retryAfterMs ?? 0);

  const worker = workerMachine.provide({
    actors: {
      buildPartition: perform('buildPartition', (session, input, { signal, tell }) => {
        const { workerId, job } = input;
        return session.buildPartition(
          input,
          {
            onQueued: (reason) =>
              tell(workerId, { type: 'build.queued', ticket: job.ticket, ...(reason === undefined ? {} : { reason }) }),
            onStarted: () => tell(workerId, { type: 'build.started', ticket: job.ticket }),
            onProgress: (progress) => tell(workerId, { type: 'build.progressed', ticket: job.ticket, ...progress }),
          },
          signal,
        );
      }),
      stagePartition: perform('stagePartition', (session, input, { signal }) => session.stagePartition(input, signal)),
    },
    delays: { retryBackoff: ({ context }) => retry(context), headPatience: tuning.headPatience },
  });

  // Of the courier, and of the sequencer where a mode is strict: an era waits for that one, so it says that it is alive.
  const catchUp = (isAwaited: boolean) => {
    const alive = ({ eraId }: { eraId: string }, tell: Tools['tell']) =>
      isAwaited ? () => tell(sequencerActorId(eraId), { type: 'effect.progressed' }) : undefined;
    return {
      recordPending: perform('recordPending', (session, input, { signal, tell }) =>
        session.recordPending(input, signal, alive(input, tell)),
      ),
      deliverPending: perform('deliverPending', (session, input, { signal, tell }) =>
        session.deliverPending(input, signal, alive(input, tell)),
      ),
    };
  };

  const courier = courierMachine.provide({
    actors: catchUp(false),
    delays: { retryBackoff: ({ context }) => retry(context) },
  });

  const sequencer = sequencerMachine.provide({
    actors: {
      verifySealed: perform('verifySealed', (session, input, { signal, tell }) =>
        session.verifySealed(input, signal, (type) => tell(sequencerActorId(input.eraId), { type })),
      ),
      publishPartition: perform('publishPartition', (session, input, { signal, tell }) =>
        session.publishPartition(input, signal, (type) => tell(sequencerActorId(input.eraId), { type })),
      ),
      checkNeighbours: perform('checkNeighbours', (session, input, { signal }) =>
        session.checkNeighbours(input, signal),
      ),
      sealPartition: perform('sealPartition', (session, input, { signal, tell }) =>
        session.sealPartition(input, signal, (type) => tell(sequencerActorId(input.eraId), { type })),
      ),
      attestPartition: perform('attestPartition', (session, input, { signal }) =>
        session.attestPartition(input, signal),
      ),
      recordPartition: perform('recordPartition', (session, input, { signal }) =>
        session.recordPartition(input, signal),
      ),
      ...catchUp(true),
      writeCheckpoint: perform('writeCheckpoint', (session, input) => session.writeCheckpoint(input)),
      discardStaged: perform('discardStaged', (session, input, { signal }) => session.discardStaged(input, signal)),
    },
    delays: { retryBackoff: ({ context }) => retry(context) },
  });

  const era = eraMachine.provide({
    actors: {
      worker,
      sequencer,
      courier,
      openChain: perform('openChain', (session, _, { signal }) => session.openChain(signal)),
      // The era hears nothing before it ends, and what the old program left may take longer than a stall.
      surveyChain: perform('surveyChain', (session, { eraId }, { signal, tell }) =>
        session.surveyChain(signal, () => tell(SUPERVISOR_ID, { type: 'era.progressed', eraId, waiting: false })),
      ),
      openLake: perform('openLake', (session, _, { signal }) => session.openLake(signal)),
      compareLake: perform('compareLake', (session, input, { signal }) => session.compareLake(input, signal)),
      findHead: perform('findHead', (session, input, { signal }) => session.findHead(input, signal)),
      closeChain: perform('closeChain', (session, _, { signal }) => session.closeChain(signal)),
    },
    delays: {
      retryBackoff: ({ context }) =>
        Math.max(withJitter(backoffMs(context.spec.retryBackoffMs, context.failures)), context.retryAfterMs),
      pollInterval: tuning.pollInterval,
      holePatience: tuning.headPatience,
    },
  });

  return supervisorMachine.provide({
    actors: { era },
    actions: { dumpDiagnostics: (_, params) => onStall(params.eraId, params.reason) },
    delays: { stallTimeout: tuning.stallTimeout },
  });
}
