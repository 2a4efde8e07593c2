/**
 * Addressing other actors by their system id, at the moment of sending.
 * XState answers an unknown id with `undefined` and a message to nowhere vanishes; here that is an error, so that a
 * lost message can never pass for a delivered one.
 */
import type { AnyActorRef } from 'xstate';

export const SUPERVISOR_ID = 'supervisor';
export const eraActorId = (eraId: string): string => `era:${eraId}`;
export const workerActorId = (eraId: string, n: number): string => `worker:${eraId}:${n}`;
export const sequencerActorId = (eraId: string): string => `sequencer:${eraId}`;
export const courierActorId = (eraId: string): string => `courier:${eraId}`;

interface Directory {
  get(id: string): AnyActorRef | undefined;
}

/** Looks a peer up when the message is sent. Throws where there is none. */
export function peer(system: Directory, id: string): AnyActorRef {
  const ref = system.get(id);
  if (!ref) throw new Error(`no actor ${id} to send to`);
  return ref;
}
