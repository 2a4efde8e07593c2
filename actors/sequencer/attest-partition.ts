/** Writes the event of a sealed partition to the audit chain, and signs the log that the chain is, where a key is configured. */
import { appendEvent } from '../chain/audit-chain.ts';
import { recordedPrefix } from '../chain/bronze-file.ts';
import type { Effect } from '../effects/effect.ts';
import { signLog } from '../effects/sign-log.ts';
import { eventLeaf } from '../tlog/event-tree.ts';

export const attestPartition: Effect<'attestPartition'> = async (era, input, { signal }) => {
  era.lock?.assertHeld();
  const { range, expected } = input;
  // A fact of the chain, wherever it was moved since it began.
  era.storagePrefix ??= (await recordedPrefix(era.place, signal)) ?? era.setup.store.prefix;
  const known = era.manifest?.start === range.start ? era.manifest.bytes : null;
  const onEvent = (sequence: number, bytes: Uint8Array): void => era.tree?.note(sequence, eventLeaf(bytes));
  const place = { ...era.place, onEvent };
  const answer = await appendEvent(place, { ...input, storagePrefix: era.storagePrefix }, signal, known);
  await signLog(era, signal);
  era.events = Math.max(era.events ?? 0, answer.sequence + 1);
  const checksum = expected?.data.checksum ?? era.checksums.get(range.start);
  if (answer.attested && checksum !== undefined) era.noteAttested(range, checksum, answer.sequence);
  return answer;
};
