/** Remote workers of a scene, which end with their test. */
import { afterEach } from 'vitest';
import type { Running, Scene } from './program.ts';

/** A hold of a dead worker lasts 15 s, and the machine may be busy. */
export const PATIENCE = { patienceMs: 120_000 };
/** What a worker logs of a task that it has done. */
export const STAGED = 'partition built and staged';

const workers: Running[] = [];

afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.kill('SIGKILL');
    await worker.done;
  }
});

export function startWorker(scene: Scene, env: Record<string, string> = {}): Running {
  const worker = scene.start('worker', { args: ['--concurrency', '1'], env, ...PATIENCE });
  workers.push(worker);
  return worker;
}
