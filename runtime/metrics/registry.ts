/**
 * The metrics of definitions.ts as prom-client knows them, in a registry of their own. prom-client is loaded here and
 * nowhere else, and only where metrics are wanted. All of its metrics are in the table, but for those of the process
 * (`process_*`, `nodejs_*`).
 */
import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { READ_BUCKETS, type ReadCounts } from '../../actors/source/meter.ts';
import { METRICS, type MetricFacts, type MetricName, PREFIX } from './definitions.ts';

/** Fills a gauge anew at every scrape: what it does not set is gone. */
export type Fill = (set: (labels: Readonly<Record<string, string>>, value: number) => void) => void | Promise<void>;

/** What is filled from the meters of the threads, in classes that were counted there. */
type Metered = 'source_read_duration_seconds';

export interface Sources {
  readonly gauges: Readonly<Record<MetricName<'gauge'>, Fill>>;
  /** Reads of each lake so far, with the labels of its era. */
  readonly reads: () => Iterable<{ readonly labels: object; readonly reads: ReadCounts }>;
}

export interface Metrics {
  readonly registry: Registry;
  readonly counters: Readonly<Record<MetricName<'counter'>, Counter>>;
  readonly histograms: Readonly<Record<Exclude<MetricName<'histogram'>, Metered>, Histogram>>;
}

export async function openRegistry({ gauges, reads }: Sources): Promise<Metrics> {
  const prom = await import('prom-client');
  const registry = new prom.Registry();
  // Its observers of garbage collection and of the event loop cannot be stopped; they end with the process.
  prom.collectDefaultMetrics({ register: registry });
  const common = (facts: MetricFacts) => ({
    name: `${PREFIX}${facts.name}`,
    help: facts.help,
    labelNames: facts.labels,
    registers: [registry],
  });
  const counters: Partial<Record<MetricName<'counter'>, Counter>> = {};
  const histograms: Partial<Record<MetricName<'histogram'>, Histogram>> = {};
  for (const facts of METRICS) {
    switch (facts.kind) {
      case 'counter':
        counters[facts.name] = new prom.Counter(common(facts));
        break;
      case 'gauge':
        new prom.Gauge({ ...common(facts), collect: filler(facts, gauges[facts.name]) });
        break;
      case 'histogram':
        if (facts.name === 'source_read_duration_seconds') registry.registerMetric(readHistogram(facts, reads));
        else histograms[facts.name] = new prom.Histogram({ ...common(facts), buckets: [...(facts.buckets ?? [])] });
    }
  }
  // The loop has made one of each name: the type of the table says which there are.
  return { registry, counters: counters as Metrics['counters'], histograms: histograms as Metrics['histograms'] };
}

/** Emptied only when all values are there: two scrapes may wait for the same disk. */
function filler({ labels }: MetricFacts, fill: Fill): (this: Gauge) => Promise<void> {
  return async function collect(this: Gauge): Promise<void> {
    const values: [Readonly<Record<string, string>>, number][] = [];
    await fill((of, value) => values.push([of, value]));
    this.reset();
    // One without labels is 0 after that, and not absent.
    if (labels.length === 0) this.remove();
    for (const [of, value] of values) this.set(of, value);
  };
}

/**
 * A histogram whose classes were counted elsewhere: prom-client can observe one value after the other, and there are a
 * hundred thousand a second. What a registry wants of a metric is a name and `get`, which answers the lines of the text
 * form: for each class how many were not longer (so they add up), the sum, the count.
 */
function readHistogram(facts: MetricFacts, reads: Sources['reads']): Histogram {
  const name = `${PREFIX}${facts.name}`;
  const valuesOf = ({ labels, reads: { buckets, seconds } }: { labels: object; reads: ReadCounts }) => {
    let count = 0;
    const classes = [...READ_BUCKETS, '+Inf'].map((le, i) => {
      count += buckets[i] ?? 0;
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
    });
    return [
      ...classes,
      { metricName: `${name}_sum`, labels, value: seconds },
      { metricName: `${name}_count`, labels, value: count },
    ];
  };
  const metric = {
    name,
    help: facts.help,
    type: 'histogram',
    aggregator: 'sum',
    get: async () => ({ ...metric, values: [...reads()].flatMap(valuesOf) }),
    reset: () => undefined,
  };
  return metric as unknown as Histogram;
}
