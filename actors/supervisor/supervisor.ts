/** The supervisor: the eras of one run, and the circuit breaker over them. With it the whole system is put together. */
import { supervisorMachine } from '../../machines/supervisor.ts';
import type { Perform } from '../effects/effect.ts';
import { type EraTimes, era } from '../era/era.ts';

export interface Times extends EraTimes {
  /** How long an era may show no sign of life, ms. */
  readonly stallTimeout: number;
}

/** `onStall` is told of an era that is given up because it stands still. */
export const supervisor = (perform: Perform, times: Times, onStall: (eraId: string, reason: string) => void) =>
  supervisorMachine.provide({
    actors: { era: era(perform, times) },
    actions: { dumpDiagnostics: (_, { eraId, reason }) => onStall(eraId, reason) },
    delays: { stallTimeout: times.stallTimeout },
  });
