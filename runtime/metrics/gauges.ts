/**
 * The gauges: found out when somebody asks, from the last snapshot of every actor that is there, from what running eras and
 * disks say. It keeps references to snapshots and nothing else; those of actors that ended are forgotten.
 */

import type { RunningEra } from '../../actors/effects/running-era.ts';
import type { QueueReadings } from '../../actors/queue/readings.ts';
import type { EraSummary } from '../../machines/protocol.ts';
import { activePaths } from '../diagnostics.ts';
import { PRODUCER } from '../version.ts';
import type { Ask } from './ask.ts';
import type { MetricName } from './definitions.ts';
import type { Disk } from './disks.ts';
import type { EraGauges, EraWatch, SeenSnapshot } from './era-watch.ts';
import type { Fill } from './registry.ts';

export interface GaugeSources {
  readonly eras: ReadonlyMap<string, EraWatch>;
  readonly running: ReadonlyMap<string, Pick<RunningEra, 'readings'>>;
  /** By what lies on them. */
  readonly disks: Readonly<Record<string, Disk>>;
  /** Null where no remote workers build. */
  readonly queue: Ask<QueueReadings> | null;
  readonly isHealthy: (eraId: string) => boolean;
  /** Ms, monotonic. */
  readonly now: () => number;
}

/** The path of the innermost active state; no machine here has parallel ones. */
export const statePath = (value: unknown): string => activePaths(value).at(-1) ?? '';

/** One value for each era; null = absent. */
type PerEra = (era: EraWatch) => number | null;

const ERA_GAUGES = [
  'last_ledger_sequence',
  'lake_head_ledger',
  'ledgers_behind',
  'lake_behind_ledgers',
  'lake_hole_ledger',
  'worker_queue_depth',
  'sequencer_pending',
  'in_flight_partitions',
  'active_workers',
  'ledgers_per_second',
  'era_waiting',
  'era_first_ledger',
  'era_last_ledger',
  'last_commit_timestamp_seconds',
] as const satisfies readonly (keyof EraGauges)[];

type SupervisorEras = Readonly<Record<string, { readonly summary: EraSummary | null }>>;

export class Gauges {
  readonly #sources: GaugeSources;
  /** Of workers, sequencers and couriers, by the reference to the actor: an era that begins anew has others of the same ids. */
  readonly #actors = new Map<
    unknown,
    { readonly kind: string; readonly eraId: string; readonly snapshot: SeenSnapshot }
  >();
  #supervisor: SeenSnapshot | null = null;

  constructor(sources: GaugeSources) {
    this.#sources = sources;
  }

  /** A snapshot of a child of an era. */
  see(ref: unknown, kind: string, eraId: string, snapshot: SeenSnapshot): void {
    if (snapshot.status === 'active') this.#actors.set(ref, { kind, eraId, snapshot });
    else this.#actors.delete(ref);
  }

  seeSupervisor(snapshot: SeenSnapshot): void {
    this.#supervisor = snapshot;
  }

  /** An actor is gone without a last snapshot. */
  forget(ref: unknown): void {
    this.#actors.delete(ref);
  }

  fills(): Readonly<Record<MetricName<'gauge'>, Fill>> {
    const { running, isHealthy, now } = this.#sources;
    const readings = ({ spec }: EraWatch) => running.get(spec.eraId)?.readings();
    const fromSnapshot = (name: (typeof ERA_GAUGES)[number]): Fill => this.#perEra((era) => era.gauges(now())[name]);
    return {
      ...(Object.fromEntries(ERA_GAUGES.map((name) => [name, fromSnapshot(name)])) as Record<
        (typeof ERA_GAUGES)[number],
        Fill
      >),
      pas_undelivered_events: this.#perEra((era) => readings(era)?.undelivered ?? null),
      catalog_pending_rows: this.#perEra((era) => readings(era)?.pendingRows ?? null),
      era_healthy: this.#perEra(({ spec }) => (isHealthy(spec.eraId) ? 1 : 0)),
      machine_state: (set) => this.#fillStates(set),
      build_info: (set) =>
        set({ app_version: PRODUCER.version, commit: PRODUCER.git_sha, node: process.versions.node }, 1),
      disk_free_bytes: this.#perDisk('free'),
      disk_size_bytes: this.#perDisk('size'),
      queue_up: async (set) => {
        const { queue } = this.#sources;
        if (queue !== null) set({}, (await queue.answer()) === null ? 0 : 1);
      },
      queue_waiting: this.#ofQueue(({ waiting }) => waiting),
      queue_active: this.#ofQueue(({ active }) => active),
      queue_workers: this.#ofQueue(({ workers }) => workers?.length ?? null),
    };
  }

  /** Of an era that the supervisor gave up: its own actor has no last word. */
  #outcomeOf(eraId: string): string | null {
    const { eras } = (this.#supervisor?.context ?? {}) as { eras?: SupervisorEras };
    return eras?.[eraId]?.summary?.outcome ?? null;
  }

  #perEra(find: PerEra): Fill {
    return (set) => {
      for (const era of this.#sources.eras.values()) {
        const value = find(era);
        if (value !== null) set({ ...era.labels }, value);
      }
    };
  }

  #perDisk(what: 'free' | 'size'): Fill {
    return async (set) => {
      for (const [disk, facts] of await Promise.all(
        Object.entries(this.#sources.disks).map(async ([name, of]) => [name, await of.facts()] as const),
      )) {
        if (facts !== null) set({ disk }, facts[what]);
      }
    };
  }

  #ofQueue(find: (readings: QueueReadings) => number | null): Fill {
    return async (set) => {
      const readings = await this.#sources.queue?.answer();
      const value = readings ? find(readings) : null;
      if (value !== null) set({}, value);
    };
  }

  #fillStates(set: Parameters<Fill>[0]): void {
    const { eras } = this.#sources;
    const count = new Map<string, { labels: Record<string, string>; count: number }>();
    const add = (labels: Record<string, string>): void => {
      const key = JSON.stringify(labels);
      const known = count.get(key);
      count.set(key, { labels, count: (known?.count ?? 0) + 1 });
    };
    // It belongs to no era.
    if (this.#supervisor) add({ actor: 'supervisor', state: statePath(this.#supervisor.value) });
    for (const { labels, snapshot } of eras.values()) {
      const state = snapshot ? statePath(snapshot.value) : this.#outcomeOf(labels.era_id);
      if (state !== null) add({ ...labels, actor: 'era', state });
    }
    for (const { kind, eraId, snapshot } of this.#actors.values()) {
      const era = eras.get(eraId);
      if (era) add({ ...era.labels, actor: kind, state: statePath(snapshot.value) });
    }
    for (const { labels, count: n } of count.values()) set(labels, n);
  }
}
