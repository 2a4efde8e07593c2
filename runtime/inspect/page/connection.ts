/**
 * How the page speaks of its connection, and when it tries again. Pure: the socket is in `page.ts`.
 */
const FIRST_MS = 500;
const LONGEST_MS = 10_000;

/** Ms before the next attempt, after so many that failed in a row (0: the connection was just lost). */
export const pauseMs = (failed: number): number => Math.min(FIRST_MS * 2 ** failed, LONGEST_MS);

export interface ConnectionState {
  readonly isConnected: boolean;
  /** Whether it ever was. */
  readonly wasConnected: boolean;
  /** The last run seen came to its end: `done`, `stopped`, `failed`; null = not that anybody knew. */
  readonly outcome: string | null;
}

/** For the header. */
export function connectionText({ isConnected, wasConnected, outcome }: ConnectionState): string {
  if (isConnected) return outcome === null ? 'connected' : `connected; the run is over: ${outcome}`;
  if (!wasConnected) return 'connecting…';
  return outcome === null ? 'reconnecting… the copier does not answer' : 'the copier is gone';
}

/** Over the page, where what it shows is no longer live; null where it is. */
export function staleText({ isConnected, wasConnected, outcome }: ConnectionState): string | null {
  if (isConnected || !wasConnected) return null;
  return outcome === null
    ? 'The copier is gone, or does not answer. This is the last state that was seen; the page tries to connect again.'
    : `The run is over (${outcome}) and the copier is gone. This is its last state; a new run on this port is shown when it begins.`;
}
