/** What panels have in common: which series they choose, and what an era is called. */

/** Labels of what belongs to one era, as the variables choose them. */
export const ERA = 'network=~"$network", era_id=~"$era_id"';
export const NETWORK = 'network=~"$network"';
/** Only processes that copy what is chosen. */
export const PROCESS = `and on (job, instance) bronze_copier_era_healthy{${ERA}}`;
/** How a legend calls an era. */
export const NAME = '{{network}}/{{era_id}}';

export const era = (metric: string, more = ''): string => `bronze_copier_${metric}{${ERA}${more}}`;
/** A recorded series. */
export const rule = (name: string, labels = ERA): string => `bronze_copier:${name}{${labels}}`;
export const perEra = (expr: string): string => `max by (network, era_id, version) (${expr})`;
export const increase = (metric: string, labels: string): string =>
  `increase(bronze_copier_${metric}{${labels}}[$__rate_interval])`;
