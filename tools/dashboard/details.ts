/** What explains the overview: throughput, stages, occupancy, errors, lag, machine. */
import { lines, type PanelBuilder, type Query, stacked } from './panels.ts';
import { ERA, era, increase, NAME, NETWORK, PROCESS, rule } from './select.ts';

const stages = (stage: string): Query[] => [
  { expr: rule('stage_duration_seconds:quantile15m', `${ERA}, stage="${stage}"`), legend: `${NAME} p{{quantile}}` },
];

const third = { width: 8, height: 8 };
const quarter = { width: 6, height: 8 };

export const DETAILS: Readonly<Record<string, () => PanelBuilder[]>> = {
  Throughput: () => [
    lines({ ...third, title: 'Ledgers per second', description: 'Read and checked, over a minute.', unit: 'none' }, [
      { expr: era('ledgers_per_second'), legend: NAME },
    ]),
    lines(
      {
        ...third,
        title: 'Bytes per second',
        description: 'Read from the lake over five minutes, committed to Bronze over fifteen. Both are compressed.',
        unit: 'Bps',
      },
      [
        { expr: rule('source_bytes:rate5m'), legend: `${NAME} read` },
        { expr: rule('bronze_bytes:rate15m'), legend: `${NAME} committed` },
      ],
    ),
    lines(
      {
        ...third,
        title: 'Partitions',
        description: 'Since the process was started: built and committed, or found there already.',
        unit: 'none',
      },
      [
        { expr: era('partitions_processed_total'), legend: `${NAME} committed` },
        { expr: era('partitions_skipped_total'), legend: `${NAME} there already` },
      ],
    ),
    lines(
      {
        ...quarter,
        title: 'Ledgers committed per second',
        description: 'Comes in steps: a whole partition at once.',
        unit: 'none',
      },
      [{ expr: `rate(${era('ledgers_processed_total')}[15m])`, legend: NAME }],
    ),
    lines(
      {
        ...quarter,
        title: 'Mean size of a file',
        description: 'Parquet files that this process committed.',
        unit: 'bytes',
      },
      [{ expr: `${era('partition_bytes_sum')} / (${era('partition_bytes_count')} > 0)`, legend: NAME }],
    ),
    lines(
      {
        ...quarter,
        title: 'Mean rows of a partition',
        description: 'Partitions that this process committed.',
        unit: 'none',
      },
      [{ expr: `${era('partition_rows_sum')} / (${era('partition_rows_count')} > 0)`, legend: NAME }],
    ),
    lines(
      { ...quarter, title: 'Events written', description: 'Events of the audit chain in this interval.', unit: 'none' },
      [{ expr: increase('pas_events_emitted_total', ERA), legend: NAME }],
    ),
  ],
  Stages: () => [
    lines(
      {
        ...quarter,
        title: 'Reading an object',
        description: 'One object of the lake; median and 95 % over 15 minutes.',
        unit: 's',
      },
      stages('read'),
    ),
    lines(
      {
        ...quarter,
        title: 'Building a partition',
        description: 'Reading, checking and writing Parquet, one attempt; median and 95 % over 15 minutes.',
        unit: 's',
      },
      stages('build'),
    ),
    lines(
      {
        ...quarter,
        title: 'Staging a partition',
        description: 'To the store, one attempt; median and 95 % over 15 minutes.',
        unit: 's',
      },
      stages('upload'),
    ),
    lines(
      {
        ...quarter,
        title: 'Committing a partition',
        description:
          'From publishing to the checkpoint, with every wait in strict mode; median and 95 % over 15 minutes.',
        unit: 's',
      },
      stages('commit'),
    ),
  ],
  'Workers and sequencer': () => [
    stacked(
      {
        ...third,
        title: 'Workers by state',
        description: 'All building: the lake or the CPU is the limit. Many idle: the sequencer or the window is.',
        unit: 'none',
      },
      [{ expr: `sum by (state) (${era('machine_state', ', actor="worker"')})`, legend: '{{state}}' }],
    ),
    stacked(
      {
        ...third,
        title: 'Sequencers by state',
        description: 'Waiting: the workers are the limit. Anything else for long: that step is.',
        unit: 'none',
      },
      [{ expr: `sum by (state) (${era('machine_state', ', actor="sequencer"')})`, legend: '{{state}}' }],
    ),
    stacked(
      {
        ...third,
        title: 'Eras by state',
        description: 'Awaiting ledgers is where an era rests that follows its lake.',
        unit: 'none',
      },
      [{ expr: `sum by (state) (${era('machine_state', ', actor="era"')})`, legend: '{{state}}' }],
    ),
    lines(
      {
        ...third,
        title: 'Partitions under way',
        description:
          'In flight: being built, or staged and not committed. Staged: only the latter. At the window the workers rest.',
        unit: 'none',
      },
      [
        { expr: era('in_flight_partitions'), legend: `${NAME} in flight` },
        { expr: era('sequencer_pending'), legend: `${NAME} staged` },
      ],
    ),
    lines(
      {
        ...third,
        title: 'Workers and threads',
        description: 'Workers that have a partition, and builds that wait for a thread.',
        unit: 'none',
      },
      [
        { expr: era('active_workers'), legend: `${NAME} workers` },
        { expr: era('worker_queue_depth'), legend: `${NAME} wait for a thread` },
      ],
    ),
    lines(
      {
        ...third,
        title: 'Waiting',
        description: '1 while an era waits for something outside: a back-off, ledgers, a strict catalog or endpoint.',
        unit: 'none',
      },
      [{ expr: era('era_waiting'), legend: NAME }],
    ),
  ],
  'Remote workers': () => [
    lines(
      {
        ...third,
        title: 'Tasks in the queue',
        description: 'Only with perf.queue. Waiting: workers are the limit. Nothing there: the queue does not answer.',
        unit: 'none',
      },
      [
        { expr: `bronze_copier_queue_waiting ${PROCESS}`, legend: '{{instance}} waiting' },
        { expr: `bronze_copier_queue_active ${PROCESS}`, legend: '{{instance}} being built' },
      ],
    ),
    lines(
      {
        ...third,
        title: 'Remote workers',
        description:
          'Connected to the queue; one that died with its machine counts until its connection is given up. Up: 1 while the queue answers.',
        unit: 'none',
      },
      [
        { expr: `bronze_copier_queue_workers ${PROCESS}`, legend: '{{instance}} workers' },
        { expr: `bronze_copier_queue_up ${PROCESS}`, legend: '{{instance}} up' },
      ],
    ),
    lines(
      {
        ...third,
        title: 'Tasks of silent workers',
        description: 'Since the process was started: begun anew by another worker. Each costs a partition of work.',
        unit: 'none',
      },
      [{ expr: `bronze_copier_queue_stalled_total ${PROCESS}`, legend: '{{instance}}' }],
    ),
  ],
  'What hurts': () => [
    lines(
      { ...quarter, title: 'Failed attempts', description: 'Per second, by what they were made at.', unit: 'none' },
      [{ expr: rule('errors:rate5m', NETWORK), legend: '{{network}} {{kind}}' }],
    ),
    lines(
      {
        ...quarter,
        title: 'Share of failed attempts',
        description: 'At lake and store, to each of these and each committed partition. 1 = nothing but failures.',
        unit: 'percentunit',
      },
      [{ expr: rule('error:ratio15m', NETWORK), legend: '{{network}}' }],
    ),
    lines(
      { ...quarter, title: 'Retries', description: 'Steps that were tried again in this interval.', unit: 'none' },
      [
        {
          expr: `sum by (network, operation) (${increase('retry_attempts_total', NETWORK)})`,
          legend: '{{network}} {{operation}}',
        },
      ],
    ),
    lines(
      {
        ...quarter,
        title: 'Failed partitions and breaker trips',
        description: 'Since the process was started; either stays until the next start.',
        unit: 'none',
      },
      [
        { expr: era('partitions_failed_total'), legend: `${NAME} {{error_type}}` },
        { expr: era('circuit_breaker_trips_total'), legend: `${NAME} breaker` },
      ],
    ),
  ],
  'Lag and those outside': () => [
    lines(
      {
        ...quarter,
        title: 'Ledgers behind',
        description:
          'Up to the end of the era where it has one, else to the head of the lake. Up to one partition is normal there.',
        unit: 'locale',
      },
      [{ expr: era('ledgers_behind'), legend: NAME }],
    ),
    lines(
      {
        ...quarter,
        title: 'Head of the lake and last committed ledger',
        description: 'Eras that follow their lake know its head.',
        unit: 'none',
      },
      [
        { expr: era('lake_head_ledger'), legend: `${NAME} lake` },
        { expr: `${era('last_ledger_sequence')} unless bronze_copier_era_last_ledger`, legend: `${NAME} committed` },
      ],
    ),
    lines(
      {
        ...quarter,
        title: 'Undelivered events',
        description: 'The endpoint has not acknowledged them; they are safe in Bronze.',
        unit: 'none',
      },
      [{ expr: era('pas_undelivered_events'), legend: NAME }],
    ),
    lines(
      {
        ...quarter,
        title: 'Rows that the catalog lacks',
        description: 'Committed partitions without a row; written when the catalog is back.',
        unit: 'none',
      },
      [{ expr: era('catalog_pending_rows'), legend: NAME }],
    ),
  ],
  'Process and disks': () => [
    lines(
      {
        ...quarter,
        title: 'Memory',
        description: 'Resident, threads included. It does not grow with the size of a partition.',
        unit: 'bytes',
      },
      [{ expr: `process_resident_memory_bytes ${PROCESS}`, legend: '{{instance}}' }],
    ),
    lines({ ...quarter, title: 'CPU', description: 'Cores in use, threads included.', unit: 'none' }, [
      { expr: `rate(process_cpu_seconds_total[$__rate_interval]) ${PROCESS}`, legend: '{{instance}}' },
    ]),
    lines(
      {
        ...quarter,
        title: 'Event loop lag',
        description: 'The main thread decides and commits; 99 % of its turns begin within this.',
        unit: 's',
      },
      [{ expr: `nodejs_eventloop_lag_p99_seconds ${PROCESS}`, legend: '{{instance}}' }],
    ),
    lines(
      { ...quarter, title: 'Free space', description: 'Of disks that the copier writes to.', unit: 'percentunit' },
      [
        {
          expr: `bronze_copier_disk_free_bytes / bronze_copier_disk_size_bytes ${PROCESS}`,
          legend: '{{instance}} {{disk}}',
        },
      ],
    ),
    lines(
      {
        width: 12,
        height: 8,
        title: 'Lost lines of the log',
        description: 'Lines that could not be written: a full disk, a closed pipe. Copying goes on without them.',
        unit: 'none',
      },
      [{ expr: `bronze_copier_log_lines_lost_total ${PROCESS}`, legend: '{{instance}}' }],
    ),
    lines(
      {
        width: 12,
        height: 8,
        title: 'Versions',
        description: 'Which program, built from which commit, ran on which Node, and when that changed.',
        unit: 'none',
      },
      [
        {
          expr: `bronze_copier_build_info ${PROCESS}`,
          legend: '{{instance}} {{app_version}} {{commit}}, Node {{node}}',
        },
      ],
    ),
  ],
};
