/**
 * Every metric of this program as data: name, kind, labels, meaning. The registry, docs/metrics.md and the tests that ask
 * for each of them follow from this table. Labels are few and bounded: never a ledger, a path or an id of a partition.
 */

import { READ_BUCKETS } from '../../actors/source/meter.ts';

type Kind = 'counter' | 'gauge' | 'histogram';

export interface MetricFacts<N extends string = string, K extends Kind = Kind> {
  /** Without the prefix. */
  readonly name: N;
  readonly kind: K;
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds; histograms only. */
  readonly buckets?: readonly number[];
}

export const PREFIX = 'bronze_copier_';

/** Labels of what belongs to one era. `version` is its version_label. */
const ERA = ['network', 'era_id', 'version'] as const;

const counter = <N extends string>(
  name: N,
  help: string,
  labels: readonly string[] = ERA,
): MetricFacts<N, 'counter'> => ({
  name,
  kind: 'counter',
  labels,
  help,
});
const gauge = <N extends string>(name: N, help: string, labels: readonly string[] = ERA): MetricFacts<N, 'gauge'> => ({
  name,
  kind: 'gauge',
  labels,
  help,
});
const histogram = <N extends string>(
  name: N,
  help: string,
  buckets: readonly number[],
): MetricFacts<N, 'histogram'> => ({
  name,
  kind: 'histogram',
  labels: ERA,
  help,
  buckets,
});

const SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800];

export const METRICS = [
  counter('ledgers_processed_total', 'Ledgers in partitions that this process built and committed'),
  counter('partitions_processed_total', 'Partitions that this process built and committed'),
  counter('partitions_skipped_total', 'Partitions that stood there already and had not to be built'),
  counter('partitions_failed_total', 'Partitions at which an era stopped, by error code', [...ERA, 'error_type']),
  counter('pas_events_emitted_total', 'Events written to the audit chain'),
  counter('pas_errors_total', 'Failed attempts to write or to deliver events', ['network']),
  counter('source_errors_total', 'Failed attempts to read the lake or wrong content in it', ['network', 'source_type']),
  counter('storage_errors_total', 'Failed attempts to read or write Bronze', ['network', 'backend']),
  counter('metadata_errors_total', 'Failed attempts to reach the catalog', ['network']),
  counter('retry_attempts_total', 'Steps that are tried again after a failure', ['network', 'operation']),
  counter(
    'source_bytes_total',
    'Bytes read from the lake, compressed as they lie there, attempts that failed included',
  ),
  counter('bronze_bytes_total', 'Bytes of the Parquet files that were committed'),
  counter(
    'circuit_breaker_trips_total',
    'Times that an era stood still for stall_timeout_ms and was restarted or given up',
  ),
  counter('log_lines_lost_total', 'Lines of logs and the like that could not be written', []),
  gauge('last_ledger_sequence', 'Last committed ledger'),
  gauge('lake_head_ledger', 'Highest ledger seen in the lake; only eras that follow their lake look for it'),
  gauge(
    'ledgers_behind',
    'Ledgers between the last committed one and the end: of the era where it has one, else of the lake',
  ),
  gauge(
    'lake_behind_ledgers',
    'Ledgers that are committed and beyond the end of the lake; above 0 the lake was reset, cut, or is another one',
  ),
  gauge('worker_queue_depth', 'Builds that wait for a thread'),
  gauge('sequencer_pending', 'Partitions that are staged and not committed'),
  gauge('in_flight_partitions', 'Partitions that are being built, or staged and not committed'),
  gauge('active_workers', 'Workers that have a partition'),
  gauge('ledgers_per_second', 'Ledgers read and checked per second, over the last minute'),
  gauge('pas_undelivered_events', 'Events that the endpoint has not acknowledged; absent where that is not known'),
  gauge('catalog_pending_rows', 'Committed partitions without a row in the catalog; absent where that is not known'),
  gauge('machine_state', 'Actors of a kind that are in a state', [...ERA, 'actor', 'state']),
  histogram('partition_build_duration_seconds', 'Reading, checking and building a partition, one attempt', SECONDS),
  histogram('partition_upload_duration_seconds', 'Staging a partition in the store, one attempt', SECONDS),
  histogram('partition_commit_duration_seconds', 'From the start of publishing to the checkpoint', SECONDS),
  histogram('partition_rows', 'Rows of a partition', [1, 10, 100, 1_000, 10_000, 25_000, 50_000, 64_000, 100_000]),
  histogram('partition_bytes', 'Bytes of a Parquet file', [1e4, 1e5, 1e6, 1e7, 5e7, 1e8, 5e8, 1e9, 5e9, 1e10, 5e10]),
  histogram('source_read_duration_seconds', 'Reading one object of the lake', READ_BUCKETS),
  // beyond the contract: what alerts and dashboards need beside it
  gauge(
    'era_healthy',
    '1 while the era moves or waits legitimately, 0 when it stands still or has failed, as /health says',
  ),
  gauge('build_info', 'Always 1: version and commit of the program, and the Node that it runs on', [
    'app_version',
    'commit',
    'node',
  ]),
  gauge(
    'lake_hole_ledger',
    'Ledger that an era waits for, missing in the lake although later ones are there; 0 where there is none',
  ),
  gauge('era_waiting', '1 while the era waits for something outside'),
  gauge('era_first_ledger', 'First ledger of the era'),
  gauge('era_last_ledger', 'Last ledger that this run is to commit; absent for eras that follow their lake'),
  gauge('last_commit_timestamp_seconds', 'When the last partition of this process was committed, Unix time'),
  gauge('disk_free_bytes', 'Free bytes of a disk that the copier writes to: bronze (local stores only), state', [
    'disk',
  ]),
  gauge('disk_size_bytes', 'Size of that disk', ['disk']),
  gauge('queue_up', '1 while the queue of remote workers answers, else 0; only with perf.queue', []),
  gauge('queue_waiting', 'Tasks in the queue that no remote worker has taken; only with perf.queue', []),
  gauge('queue_active', 'Tasks that a remote worker has taken and not finished', []),
  gauge('queue_workers', 'Remote workers that are connected to the queue', []),
  counter('queue_stalled_total', 'Tasks whose remote worker went silent, so that another one begins them anew', []),
] as const satisfies readonly MetricFacts[];

type Definition = (typeof METRICS)[number];

/** Names of the metrics of a kind; of all of them where none is given. */
export type MetricName<K extends Kind = Kind> = Extract<Definition, { kind: K }>['name'];
