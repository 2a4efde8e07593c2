/** Signs the audit log of an era, where a key is configured and the log has grown since. */
import { createHead } from '../chain/log-heads.ts';
import type { RunningEra } from './running-era.ts';

/** Throws HEAD_CONTRADICTS, HEAD_INVALID, STORE_*, STATE_IO. Called again, it goes on with what was not signed. */
export async function signLog(era: RunningEra, signal: AbortSignal): Promise<void> {
  const { signer } = era.setup;
  const { tree } = era;
  if (signer === null || tree === null || tree.size <= era.signedSize) return;
  const { size, root } = tree;
  await createHead(era.place, signer, { size, root }, signal);
  era.signedSize = size;
}
