/**
 * Who watches a run: metrics, health, the inspector. A watcher is told of everything that passes between actors (XState's
 * `inspect`) and must never send an event, throw, or take longer than a few microseconds for one.
 */
import type { InspectionEvent } from 'xstate';

export interface Watcher {
  /** Called at once for every inspection event, in order. */
  readonly inspect: (event: InspectionEvent) => void;
  /** When the run is over. */
  readonly close: () => Promise<void>;
}
