// The metrics of a whole run: three eras of the sample lake with real machines, sessions, threads, store, catalog and
// endpoint, and a failure of each kind. Everything that can move in it does, and nothing has a label without an end.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnyStateNode, InspectionEvent } from 'xstate';
import type { RunningEra } from '../../actors/effects/running-era.ts';
import type { BronzeStore } from '../../actors/ports/store.ts';
import { ThreadPool } from '../../actors/threads/pool.ts';
import { BronzeError, CODES } from '../../machines/errors.ts';
import type { EraSummary } from '../../machines/protocol.ts';
import type { RunSummary } from '../../machines/supervisor.ts';
import { MACHINES } from '../../runtime/charts.ts';
import { openContext } from '../../runtime/context.ts';
import { eraSpec } from '../../runtime/era-spec.ts';
import { EFFECTS } from '../../runtime/metrics/blame.ts';
import { METRICS } from '../../runtime/metrics/definitions.ts';
import { openMetrics } from '../../runtime/metrics/metrics.ts';
import { PRODUCER } from '../../runtime/version.ts';
import { type AuditServer, startAuditServer } from '../support/audit-endpoint.ts';
import { runInProcess } from '../support/in-process.ts';
import { copyOf, objectOf, SAMPLE_SOURCE, sampleEra, sampleLake } from '../support/lakes.ts';
import { Scene } from '../support/program.ts';
import { Scrape } from '../support/read-metrics.ts';

const ERAS = [
  sampleEra({ era_id: 'first', ledger_end: 41 }),
  sampleEra({ era_id: 'broken', ledger_start: 42, ledger_end: 79 }),
  sampleEra({ era_id: 'tail', ledger_start: 80, ledger_end: 0 }),
];

/** Its object is no frame. */
const BROKEN_LEDGER = 65;

/** The store, where a manifest cannot be written once, and the staged file of one partition cannot be made durable once. */
function faulty(real: BronzeStore): BronzeStore {
  let [manifests, files] = [1, 1];
  const refuse = (): never => {
    throw new BronzeError('STORE_IO', 'made up for a test');
  };
  return new Proxy(real, {
    get(target, name: keyof BronzeStore) {
      const method = target[name];
      if (typeof method !== 'function') return method;
      return (...args: unknown[]) => {
        const text = String(args[0]);
        if (name === 'create' && text.endsWith('_manifest.json') && manifests-- > 0) refuse();
        if (name === 'stage' && text.includes('90-99') && files-- > 0) refuse();
        return (method as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}

interface Watched {
  readonly summary: RunSummary;
  /** At every step of an era, and at the end. */
  readonly scrapes: readonly Scrape[];
  readonly last: Scrape;
}

async function watch(scene: Scene): Promise<Watched> {
  const { config, eras, sourceSpec, storeSpec } = openContext({ args: [], options: { config: scene.config() } }, {});
  const running = new Map<string, RunningEra>();
  const problems: unknown[] = [];
  const metrics = await openMetrics({
    specs: eras.map((era) => eraSpec(config, era, { eras: null, stopAfter: null, once: true }, 'run')),
    running,
    sourceSpec,
    storeSpec,
    stateDir: scene.state,
    isHealthy: (eraId) => eraId !== 'broken',
    onProblem: (error) => problems.push(error),
  });
  const pool = new ThreadPool(1, { onReads: metrics.addReads });
  const texts: Promise<string>[] = [];
  const inspect = (event: InspectionEvent): void => {
    metrics.inspect(event);
    const { id } = event.actorRef as { id?: string };
    // Gauges are found out before the first wait of a scrape: these show every state that an era passes through.
    if (event.type === '@xstate.snapshot' && id?.startsWith('era:')) texts.push(metrics.text());
  };
  try {
    const summary = await runInProcess(scene, { pool, running, inspect, store: faulty, once: true, patience: 60_000 });
    texts.push(metrics.text());
    const scrapes = (await Promise.all(texts)).map((text) => new Scrape(text));
    expect(problems).toEqual([]);
    return { summary, scrapes, last: scrapes.at(-1) as Scrape };
  } finally {
    await pool.close();
    await metrics.close();
  }
}

let server: AuditServer;
let run: Watched;
beforeAll(async () => {
  const lake = copyOf((await sampleLake({ last: 127 })).path);
  writeFileSync(join(lake, objectOf(lake, BROKEN_LEDGER)), 'not a frame');
  server = await startAuditServer();
  const scene = new Scene(lake, ERAS, {
    source: SAMPLE_SOURCE,
    pas: { endpoint: server.url },
  });
  scene.change({ catalog: { backend: 'embedded', dir: join(scene.root, 'catalog') }, active_eras: ['first'] });
  expect((await runInProcess(scene)).outcome).toBe('done');
  scene.change({ active_eras: [] });
  let posts = 0;
  server.behave = () => (++posts % 3 === 1 ? { kind: 'answer', status: 503 } : null);
  run = await watch(scene);
});
afterAll(() => server.stop());

const eraOf = (eraId: string): EraSummary => {
  const era = run.summary.eras.find((summary) => summary.eraId === eraId);
  if (!era) throw new Error(`there is no era ${eraId}`);
  return era;
};

describe('the metrics of a run', () => {
  it('all move, but for those of what does not happen in it', () => {
    expect(run.summary.eras.map(({ outcome }) => outcome)).toEqual(['done', 'failed', 'done']);
    const moved = (name: string): boolean =>
      run.scrapes.some((scrape) =>
        [...scrape.all(name), ...scrape.all(`${name}_count`)].some(([, value]) => value > 0),
      );
    const still = METRICS.map(({ name }) => name).filter((name) => !moved(name));
    // No era stands still here, an embedded catalog is always there, no lake gets shorter: the events of real machines show
    // these. Here logs are written to nowhere, which always takes them, and no remote workers build.
    expect(still).toEqual([
      'metadata_errors_total',
      'circuit_breaker_trips_total',
      'log_lines_lost_total',
      'lake_behind_ledgers',
      'lake_hole_ledger',
      'queue_up',
      'queue_waiting',
      'queue_active',
      'queue_workers',
      'queue_stalled_total',
    ]);
  });

  it('say what the summary says', () => {
    for (const eraId of ['first', 'broken', 'tail']) {
      const { ledgers, partitions, partitionsFound, bronzeBytes, sourceBytes } = eraOf(eraId);
      const value = (name: string): number | null => run.last.value(name, { era_id: eraId });
      expect(value('ledgers_processed_total'), eraId).toBe(ledgers);
      expect(value('partitions_processed_total'), eraId).toBe(partitions);
      expect(value('bronze_bytes_total'), eraId).toBe(bronzeBytes);
      expect(value('partition_bytes_sum'), eraId).toBe(bronzeBytes);
      expect(value('partition_rows_sum'), eraId).toBe(ledgers);
      expect(value('partition_commit_duration_seconds_count'), eraId).toBe(partitions);
      expect(value('pas_events_emitted_total'), eraId).toBe(partitions);
      expect(value('partitions_skipped_total'), eraId).toBe(eraId === 'first' ? 5 : partitionsFound);
      expect(value('source_bytes_total'), eraId).toBeGreaterThanOrEqual(sourceBytes);
    }
    expect(run.last.value('source_bytes_total', { era_id: 'first' })).toBe(0);
    expect(run.last.value('source_read_duration_seconds_count', { era_id: 'first' })).toBe(0);
    // Ten ledgers of the tail were read twice; an object holds one.
    expect(run.last.value('source_read_duration_seconds_count', { era_id: 'tail' })).toBe(eraOf('tail').ledgers + 10);
    expect(run.last.value('partition_build_duration_seconds_count', { era_id: 'tail' })).toBe(5);
    expect(run.last.value('partition_upload_duration_seconds_count', { era_id: 'tail' })).toBe(4);
  });

  it('say where each era stands', () => {
    const standing = (eraId: string) =>
      ['last_ledger_sequence', 'ledgers_behind', 'era_last_ledger', 'lake_head_ledger', 'era_healthy'].map((name) =>
        run.last.value(name, { era_id: eraId }),
      );
    expect(standing('first')).toEqual([41, 0, 41, null, 1]);
    expect(standing('broken')).toEqual([59, 20, 79, null, 0]);
    // What it may copy to the present head ends with the last whole partition.
    expect(standing('tail')).toEqual([119, 0, 119, 127, 1]);
    for (const eraId of ['first', 'broken', 'tail']) {
      const value = (name: string): number | null => run.last.value(name, { era_id: eraId });
      for (const name of ['active_workers', 'in_flight_partitions', 'sequencer_pending', 'worker_queue_depth']) {
        expect(value(name), `${name} of ${eraId}`).toBe(0);
      }
      // What the last try could not deliver is the next run's; the summary has counted it in the store.
      const { pending } = eraOf(eraId);
      expect([value('catalog_pending_rows'), value('pas_undelivered_events')]).toEqual([
        pending?.rows,
        pending?.events,
      ]);
    }
    expect(run.last.states('worker')).toEqual({});
    expect(run.last.states('era', 'broken')).toEqual({ failed: 1 });
  });

  it('count each failure once, by who is to blame', () => {
    expect(run.last.value('source_errors_total', { network: 'sample', source_type: 'local' })).toBe(1);
    expect(run.last.value('storage_errors_total', { network: 'sample', backend: 'local' })).toBe(2);
    expect(run.last.value('partitions_failed_total', { era_id: 'broken', error_type: 'OBJECT_CORRUPT' })).toBe(1);
    const refused = server.seen.filter(({ acknowledged }) => !acknowledged).length;
    expect(refused).toBeGreaterThan(0);
    expect(run.last.value('pas_errors_total', { network: 'sample' })).toBe(refused);
    expect(run.last.value('retry_attempts_total', { operation: 'sealPartition' })).toBe(1);
    expect(run.last.value('retry_attempts_total', { operation: 'stagePartition' })).toBe(1);
  });

  it('have labels from lists that are known beforehand', () => {
    const leaves = (node: AnyStateNode): string[] => {
      const inner = Object.values(node.states);
      return inner.length === 0 ? [node.path.join('.')] : inner.flatMap(leaves);
    };
    const known: Readonly<Record<string, readonly string[]>> = {
      network: ['sample'],
      era_id: ['first', 'broken', 'tail'],
      version: ['v1'],
      source_type: ['local'],
      backend: ['local'],
      disk: ['bronze', 'state'],
      app_version: [PRODUCER.version],
      commit: [PRODUCER.git_sha],
      node: [process.versions.node],
      error_type: Object.keys(CODES),
      operation: [...EFFECTS, 'source_request'],
      actor: Object.keys(MACHINES),
      state: [...new Set(Object.values(MACHINES).flatMap((machine) => leaves(machine.root)))],
    };
    const definitions = new Map(METRICS.map((facts) => [facts.name as string, facts.labels as readonly string[]]));
    const unknown: string[] = [];
    for (const key of new Set(run.scrapes.flatMap((scrape) => [...scrape.series.keys()]))) {
      const [, name = '', rest = ''] = /^(\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})?$/.exec(key) ?? [];
      const labels = [...rest.matchAll(/(\w+)="([^"]*)"/g)].filter(([, label]) => label !== 'le');
      const allowed = definitions.get(name);
      if (allowed === undefined) {
        unknown.push(key);
        continue;
      }
      const isKnown = ([, label = '', value = '']: readonly string[]): boolean =>
        allowed.includes(label) && known[label]?.includes(value) === true;
      // Who supervises belongs to no era.
      const isWhole = labels.length === allowed.length || key.includes('actor="supervisor"');
      if (!isWhole || !labels.every(isKnown)) unknown.push(key);
    }
    expect(unknown).toEqual([]);
  });
});
