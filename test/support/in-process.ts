/**
 * A run of real machines over real sessions inside this process, without threads where none are given: every file
 * operation and every call of the store can be made to fail. Otherwise as in runtime/run-eras.ts.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createActor, type InspectionEvent } from 'xstate';
import { buildPartition } from '../../actors/build/build-partition.ts';
import { type FileOps, realFiles } from '../../actors/files.ts';
import type { BronzeStore } from '../../actors/ports.ts';
import { openSource } from '../../actors/source/index.ts';
import { openCheckpoint } from '../../actors/state/checkpoint.ts';
import { openStore } from '../../actors/store/index.ts';
import { openStagingWriter } from '../../actors/store/staging-writer.ts';
import type { ThreadAnswer, ThreadTask } from '../../actors/threads/messages.ts';
import type { ThreadPool } from '../../actors/threads/pool.ts';
import { readBack } from '../../actors/verify/read-back.ts';
import { SUPERVISOR_ID } from '../../machines/peers.ts';
import type { RunSummary } from '../../machines/supervisor.ts';
import { assemble } from '../../runtime/assemble.ts';
import { eraSetup, openContext } from '../../runtime/context.ts';
import { eraSpec } from '../../runtime/era-spec.ts';
import { EraSession } from '../../runtime/session.ts';
import type { Scene } from './program.ts';

/** What a thread does, done here. */
export function poolWith(files: FileOps): Pick<ThreadPool, 'run'> {
  const run = async (task: ThreadTask, options: { signal?: AbortSignal } = {}): Promise<ThreadAnswer> => {
    const signal = options.signal ?? new AbortController().signal;
    if (task.kind === 'readback') return readBack(task, signal, () => {});
    const writer = openStagingWriter(task.staging, { name: task.attempt, key: task.key }, files);
    return buildPartition(task, { source: openSource(task.source), writer, signal, onProgress: () => {} });
  };
  return { run: run as ThreadPool['run'] };
}

export interface InProcess {
  readonly files?: FileOps;
  /** File operations outside of the store: copies of events, checkpoints. */
  readonly beside?: FileOps;
  /** Stands between the program and its store. */
  readonly store?: (real: BronzeStore) => BronzeStore;
  /** Milliseconds after which a run that hangs is given up. */
  readonly patience?: number;
  /** Real threads; without them every task is done in this process. */
  readonly pool?: Pick<ThreadPool, 'run'>;
  /** Eras without an end stop at the head that is found first. */
  readonly once?: boolean;
  /** Is told what passes between the actors. */
  readonly inspect?: (event: InspectionEvent) => void;
  /** Gets the sessions of the run, by era. */
  readonly sessions?: Map<string, EraSession>;
}

/** A started run. */
export interface RunInProcess {
  readonly done: Promise<RunSummary>;
  /** Ends it as if the process had died: no drain, no sweep, the lock stays. */
  die(): void;
}

export function startInProcess(scene: Scene, options: InProcess = {}): RunInProcess {
  const { files = realFiles, beside = files, store: around = (real) => real, patience = 60_000 } = options;
  const { pool = poolWith(files), once = false, inspect = () => {}, sessions = new Map() } = options;
  const context = openContext({ args: [], options: { config: scene.config() } }, {});
  context.log.level = 'silent';
  const runId = EraSession.runId();
  const specs = context.eras.map((era) => eraSpec(context.config, era, { eras: null, stopAfter: null, once }, runId));
  const store = around(openStore(context.storeSpec, files));
  for (const era of context.eras) {
    const setup = eraSetup({ ...context, store }, era, pool, once);
    const { backup, chain, copierId, stateDir } = setup;
    sessions.set(
      era.era_id,
      new EraSession({
        ...setup,
        files,
        backup: backup && { ...backup, files: beside },
        checkpoint: openCheckpoint({ dir: stateDir, chain, copierId, files: beside }),
      }),
    );
  }
  const tuning = { pollInterval: 1_000, stallTimeout: 300_000, headPatience: 600_000 };
  const actor = createActor(
    assemble(sessions, tuning, () => {}),
    { id: SUPERVISOR_ID, systemId: SUPERVISOR_ID, input: { eras: specs }, inspect },
  );
  let dead = false;
  const over = new Promise<RunSummary>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`still running after ${patience} ms`)), patience);
    actor.subscribe({
      next: ({ status, output }) => {
        if (status === 'done') resolve(output);
        if (status !== 'active') clearTimeout(late);
      },
      error: reject,
    });
  });
  actor.start();
  const done = over.finally(async () => {
    actor.stop();
    if (dead) return;
    for (const session of sessions.values()) await session.closeChain().catch(() => null);
    await context.catalog?.close();
  });
  return {
    done,
    die() {
      dead = true;
      actor.stop();
      done.catch(() => {});
    },
  };
}

export const runInProcess = (scene: Scene, options: InProcess = {}): Promise<RunSummary> =>
  startInProcess(scene, options).done;

/** Makes the holder of every lock that still stands a process that has ended: this one goes on, its run does not. */
export function endProcess(scene: Scene): void {
  if (!existsSync(scene.state)) return;
  for (const name of readdirSync(scene.state)) {
    if (!/^lock_.*\.json(\.[0-9a-f]{32}\.claim)?$/.test(name)) continue;
    const path = join(scene.state, name);
    const text = readFileSync(path, 'utf8');
    if (text !== '') writeFileSync(path, JSON.stringify({ ...JSON.parse(text), process_start: '1' }));
  }
}
