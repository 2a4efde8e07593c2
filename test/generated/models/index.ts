/** Every machine with the worlds in which it is explored. */
import type { Model } from '../stepper.ts';
import { courierModels } from './courier.ts';
import { eraModels } from './era.ts';
import { sequencerModels } from './sequencer.ts';
import { supervisorModels } from './supervisor.ts';
import { workerModels } from './worker.ts';

export const MODELS: Readonly<Record<string, readonly Model[]>> = {
  supervisor: supervisorModels,
  era: eraModels,
  worker: workerModels,
  sequencer: sequencerModels,
  courier: courierModels,
};
