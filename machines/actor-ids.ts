/** Ids of actors. A parent sends to a child by its id; logs, dumps and the inspector show them. */
export const SUPERVISOR_ID = 'supervisor';
export const eraActorId = (eraId: string): string => `era:${eraId}`;
export const workerActorId = (eraId: string, n: number): string => `worker:${eraId}:${n}`;
export const sequencerActorId = (eraId: string): string => `sequencer:${eraId}`;
export const courierActorId = (eraId: string): string => `courier:${eraId}`;
