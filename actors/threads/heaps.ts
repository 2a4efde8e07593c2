/**
 * Keeps JavaScript's heaps as small as what is in them. Left to itself V8 lets garbage grow to several times the 15 MB
 * that a run needs, here and in each thread, because memory is cheaper than collecting; of a program that moves bytes
 * outside of these heaps it is most of the resident size. Measured: 205 MB become 140, for 1 % of processor time.
 */
import { setFlagsFromString } from 'node:v8';

const FLAGS = [
  // Old objects: collected when there are half as many again as were left the last time; otherwise up to four times.
  '--heap-growing-percent=50',
  // New objects: room for 4 MB in each thread, and what this one has, instead of growing to 16.
  '--min-semi-space-size=4',
  '--semi-space-growth-factor=1',
];

/**
 * Of all threads of the process, from now on. To be called where the program starts and where each thread does: V8 takes
 * the growth factor back whenever a thread is made. A V8 that does not know a flag says so on standard error.
 */
export function keepHeapsSmall(): void {
  for (const flag of FLAGS) setFlagsFromString(flag);
}
