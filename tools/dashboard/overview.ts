/** What is seen first: how far, does it move, what hurts. */
import type { ValueMap } from '@grafana/grafana-foundation-sdk/dashboard';
import { bars, type PanelBuilder, stat, table } from './panels.ts';
import { ERA, era, NAME, NETWORK, perEra, rule } from './select.ts';

const HEALTH: ValueMap['options'] = {
  0: { text: 'stands or failed', color: 'red', index: 0 },
  1: { text: 'copies', color: 'green', index: 1 },
  2: { text: 'waits', color: 'blue', index: 2 },
};
const health = `bronze_copier_era_healthy{${ERA}} * (1 + bronze_copier_era_waiting{${ERA}})`;

const SOME_IS_BAD = [
  { value: null, color: 'green' },
  { value: 1, color: 'orange' },
];

const glance = { width: 3, height: 4 };

export const OVERVIEW: Readonly<Record<string, () => PanelBuilder[]>> = {
  'At a glance': () => [
    stat(
      {
        ...glance,
        title: 'Health',
        description:
          'As /health says: an era copies, waits for something outside as it may, or stands still or has failed.',
        unit: 'none',
      },
      { expr: health, legend: NAME },
      { words: HEALTH, nothing: 'nobody answers' },
    ),
    stat(
      { ...glance, title: 'Alerts', description: 'Alerts of the copier that fire now.', unit: 'none' },
      {
        expr: 'count(ALERTS{alertname=~"BronzeCopier.*", alertstate="firing"}) or vector(0)',
        legend: '',
      },
      {
        steps: [
          { value: null, color: 'green' },
          { value: 1, color: 'red' },
        ],
      },
    ),
    stat(
      {
        ...glance,
        title: 'Progress',
        description: 'Committed ledgers of all eras that have an end.',
        unit: 'percentunit',
      },
      {
        expr: `1 - sum(bronze_copier_ledgers_behind{${ERA}} and bronze_copier_era_last_ledger) / sum(bronze_copier_era_last_ledger{${ERA}} - bronze_copier_era_first_ledger + 1)`,
        legend: '',
      },
      { decimals: 1, nothing: 'no end' },
    ),
    stat(
      {
        ...glance,
        title: 'Longest ETA',
        description: 'Until the last era is done, at the pace of the last quarter of an hour.',
        unit: 's',
      },
      { expr: `max(${rule('era_eta:seconds')})`, legend: '' },
      { nothing: '–' },
    ),
    stat(
      { ...glance, title: 'Ledgers per second', description: 'Read and checked, over the last minute.', unit: 'none' },
      { expr: `sum(${era('ledgers_per_second')})`, legend: '' },
      { decimals: 1 },
    ),
    stat(
      { ...glance, title: 'Read', description: 'From the lake, compressed as it lies there.', unit: 'Bps' },
      { expr: `sum(${rule('source_bytes:rate5m')})`, legend: '' },
      { decimals: 1 },
    ),
    stat(
      {
        ...glance,
        title: 'Failed attempts, 1 h',
        description: 'At the lake, Bronze, the catalog and the audit endpoint.',
        unit: 'none',
      },
      { expr: `sum(avg_over_time(${rule('errors:rate5m', NETWORK)}[1h])) * 3600`, legend: '' },
      { steps: SOME_IS_BAD, decimals: 0 },
    ),
    stat(
      {
        ...glance,
        title: 'Left for outside',
        description: 'Events that are not delivered and rows that are not in the catalog.',
        unit: 'none',
      },
      {
        expr: `(sum(${era('pas_undelivered_events')}) or vector(0)) + (sum(${era('catalog_pending_rows')}) or vector(0))`,
        legend: '',
      },
      { steps: SOME_IS_BAD },
    ),
  ],
  Eras: () => [
    bars(
      {
        width: 8,
        height: 8,
        title: 'Progress',
        description: 'Committed part of each era that has an end.',
        unit: 'percentunit',
      },
      { expr: perEra(rule('era_progress:ratio')), legend: NAME },
      {
        steps: [
          { value: null, color: 'blue' },
          { value: 1, color: 'green' },
        ],
      },
    ),
    table(
      {
        width: 16,
        height: 8,
        title: 'Eras',
        description: 'Where each era stands. No end and no ETA: it follows its lake.',
        unit: 'none',
      },
      { network: 'Network', era_id: 'Era', version: 'Version' },
      [
        { title: 'State', expr: perEra(health), unit: 'none', words: HEALTH },
        { title: 'Last committed', expr: perEra(era('last_ledger_sequence')), unit: 'none' },
        { title: 'End', expr: perEra(era('era_last_ledger')), unit: 'none' },
        { title: 'Behind', expr: perEra(era('ledgers_behind')), unit: 'locale' },
        { title: 'Ledgers/s', expr: perEra(era('ledgers_per_second')), unit: 'none' },
        { title: 'ETA', expr: perEra(rule('era_eta:seconds')), unit: 's' },
        { title: 'Last commit', expr: `time() - ${perEra(era('last_commit_timestamp_seconds'))}`, unit: 's' },
      ],
    ),
  ],
};
