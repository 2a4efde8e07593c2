/**
 * An effect is what a machine asks of the outside world: the work behind one of its `invoke`s. Each is a file of its own, in
 * the folder of the actor that asks for it, and each throws BronzeError where it fails. None decides what comes next.
 */
import { fromPromise, type PromiseActorLogic } from 'xstate';
import type { EffectInput, EffectName, EffectOutput } from '../../machines/effects.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { RunningEra } from './running-era.ts';

/** What an effect has beside its input. */
export interface Tools {
  /** Aborted where the machine does not want the answer any more. */
  readonly signal: AbortSignal;
}

export type Effect<K extends EffectName> = (
  era: RunningEra,
  input: EffectInput<K>,
  tools: Tools,
) => Promise<EffectOutput<K>>;

/** Makes of an effect the logic that a machine is given. The name is for who wants to put something in its place. */
export type Perform = <K extends EffectName>(
  name: K,
  effect: Effect<K>,
) => PromiseActorLogic<EffectOutput<K>, EffectInput<K>>;

/** Effects done for these eras, by their id. */
export const performFor =
  (eras: ReadonlyMap<string, RunningEra>): Perform =>
  (_name, effect) =>
    fromPromise(({ input, signal }) => {
      const era = eras.get(input.eraId);
      if (era === undefined) throw new BronzeError('INTERNAL', `the era ${input.eraId} was not opened`);
      return effect(era, input, { signal });
    });
