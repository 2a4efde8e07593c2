/**
 * Collects the body of an answer into one buffer of the announced length. It must never give fewer or more bytes than
 * were announced, and never wait without end for bytes that do not come.
 */
import type { Readable } from 'node:stream';
import { ownSignal } from '../bounded.ts';

/** Silence on a body after which the other side counts as gone, ms. A slow body that moves is not disturbed. */
export const BODY_IDLE_MS = 30_000;

/** Thrown as an error of the network: the answer ended early, went on too long, or stopped. */
export class BodyFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TimeoutError';
  }
}

/** The whole body. `length` in bytes, as announced; null where nothing was announced. `into`: memory of
 * exactly that length. Throws BodyFault, stream errors. */
export function collectBody(
  stream: Readable,
  length: number | null,
  limit: number,
  whose?: AbortSignal,
  into?: Uint8Array,
): Promise<Uint8Array> {
  const signal = ownSignal(whose);
  return new Promise((resolve, reject) => {
    let whole = into ?? Buffer.allocUnsafe(length ?? 64 * 1024);
    let used = 0;
    let last = performance.now();
    const idle = setInterval(() => {
      if (performance.now() - last >= BODY_IDLE_MS) fail(new BodyFault(`no bytes came for ${BODY_IDLE_MS / 1000} s`));
    }, BODY_IDLE_MS / 4);
    idle.unref();
    const onAbort = (): void => fail(signal?.reason instanceof Error ? signal.reason : new Error('cancelled'));
    let isOver = false;
    const settle = (): void => {
      isOver = true;
      clearInterval(idle);
      signal?.removeEventListener('abort', onAbort);
    };
    const fail = (error: Error): void => {
      settle();
      reject(error);
      stream.destroy();
    };
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    stream.on('data', (chunk: Buffer) => {
      // The memory may be somebody else's by now.
      if (isOver) return;
      last = performance.now();
      const end = used + chunk.length;
      if (length !== null && end > length)
        return fail(new BodyFault(`more than the ${length} bytes that were announced`));
      if (end > limit) return fail(new BodyFault(`more than ${limit} bytes`));
      if (end > whole.length) {
        const larger = Buffer.allocUnsafe(Math.max(end, whole.length * 2));
        larger.set(whole.subarray(0, used));
        whole = larger;
      }
      whole.set(chunk, used);
      used = end;
    });
    stream.on('error', fail);
    const onClose = (): void =>
      fail(new BodyFault(`the body ended after ${used} bytes of ${length ?? 'an unknown number'}`));
    // A connection that is cut shows as `close` without `end`.
    stream.on('close', onClose);
    stream.on('end', () => {
      if (length !== null && used !== length) return fail(new BodyFault(`the body has ${used} bytes, not ${length}`));
      stream.off('close', onClose);
      settle();
      resolve(whole.subarray(0, used));
    });
  });
}
