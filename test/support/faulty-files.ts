/**
 * File operations that fail on purpose: with an errno, or as a process does that was killed: from some operation on
 * nothing happens any more, clean-up included.
 */
import { type FileOps, OPEN, realFiles } from '../../actors/files.ts';

/** An error as the kernel gives it. */
export const errno = (code: string): Error => Object.assign(new Error(`${code}: made up for a test`), { code });

/** The real operations, where the named ones throw `code`; `times` says how often (default: always). */
export function failing(names: readonly (keyof FileOps)[], code: string, times = Number.POSITIVE_INFINITY): FileOps {
  let left = times;
  return new Proxy(realFiles, {
    get(target, name: keyof FileOps) {
      const real = target[name];
      if (!names.includes(name)) return real;
      return (...args: never[]) => {
        if (left > 0) {
          left -= 1;
          const error = errno(code);
          if (name.endsWith('Sync')) throw error;
          return Promise.reject(error);
        }
        return (real as (...all: never[]) => unknown)(...args);
      };
    },
  });
}

const CHANGING = new Set<PropertyKey>([
  'write',
  'fsync',
  'link',
  'unlink',
  'rename',
  'mkdir',
  'rmdir',
  'writeSync',
  'unlinkSync',
  'mkdirsSync',
]);

class Killed extends Error {}

/**
 * Dies instead of doing the changing operation number `after` (from 0); a write is torn in the middle. Everything
 * after that fails too, so that no clean-up runs. `state.died` tells whether it came to that.
 */
export function dyingAfter(after: number): { files: FileOps; state: { died: boolean } } {
  const state = { died: false };
  let count = 0;
  const files = new Proxy(realFiles, {
    get(target, name: keyof FileOps) {
      const real = target[name] as (...all: unknown[]) => unknown;
      return (...args: unknown[]) => {
        if (state.died) {
          // Descriptors are closed when a process dies.
          if (name === 'close' || name === 'closeSync') return real(...args);
          throw new Killed(`${name} after death`);
        }
        if (CHANGING.has(name) && count++ === after) {
          state.died = true;
          const [fd, buffer, offset, length] = args as [number, Uint8Array, number, number];
          if (name === 'write' && length > 1) {
            return (real(fd, buffer, offset, length >> 1) as Promise<number>).then(() => {
              throw new Killed('torn write');
            });
          }
          throw new Killed(`${name} number ${after}`);
        }
        return real(...args);
      };
    },
  });
  return { files, state };
}

export interface Fault {
  /** Number of the changing operation, from 0. */
  readonly at: number;
  readonly errno: string;
  /** `from then on`: every changing operation after it fails as well, as on a disk that stays full. */
  readonly mode: 'once' | 'from then on';
}

/** Opening a file for writing is a change too: it makes a name. */
const opensForWriting = (name: PropertyKey, flags: unknown): boolean =>
  (name === 'open' || name === 'openSync') && typeof flags === 'number' && (flags & OPEN.create & 3) !== 0;

/**
 * The real operations, but for a fault. `state.hit` names the operation that failed first; `state.seen` counts the
 * changing operations. A full disk can still remove; a read-only or forbidden one cannot.
 */
export function faultAt(
  at: number,
  code: string,
  mode: Fault['mode'],
): { files: FileOps; state: { hit: string | null; seen: number } } {
  const state = { hit: null as string | null, seen: 0 };
  const removes = new Set<PropertyKey>(['unlink', 'unlinkSync', 'rmdir']);
  const files = new Proxy(realFiles, {
    get(target, name: keyof FileOps) {
      const real = target[name] as (...all: unknown[]) => unknown;
      return (...args: unknown[]) => {
        if (!CHANGING.has(name) && !opensForWriting(name, args[1])) return real(...args);
        const number = state.seen++;
        const strikes = mode === 'once' ? number === at : number >= at;
        if (!strikes || (removes.has(name) && code === 'ENOSPC')) return real(...args);
        state.hit ??= `${name} ${String(args[name === 'link' || name === 'rename' ? 1 : 0])}`;
        const error = errno(code);
        if (name.endsWith('Sync')) throw error;
        return Promise.reject(error);
      };
    },
  });
  return { files, state };
}

/** The real operations until `isDead` says so; from then on nothing is done and nothing is answered. */
export const mortalFiles = (isDead: () => boolean): FileOps =>
  new Proxy(realFiles, {
    get(target, name: keyof FileOps) {
      const real = target[name] as (...all: unknown[]) => unknown;
      if (name.endsWith('Sync')) return real;
      return (...args: unknown[]) => (isDead() ? new Promise<never>(() => {}) : real(...args));
    },
  });
