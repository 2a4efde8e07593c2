/**
 * A worker thread that behaves as the `attempt` of its task says, in place of the program's own: for what the pool must
 * survive. Speaks the protocol of actors/threads/messages.ts.
 */
import { parentPort, threadId } from 'node:worker_threads';

const later = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const cancelled = { code: 'CANCELLED', message: 'stopped', retryable: false };

parentPort.on('message', async ({ type, id, task, cancel }) => {
  if (type !== 'run') return;
  const flag = new Int32Array(cancel);
  const done = () => parentPort.postMessage({ type: 'done', id, answer: { handle: task.attempt, threadId } });
  switch (task.attempt.split(':')[0]) {
    case 'exit':
      process.exit(7);
      break;
    case 'throw':
      throw new Error('thrown outside of the task');
    case 'reject':
      Promise.reject(new Error('rejected outside of the task'));
      break;
    case 'memory': {
      const kept = [];
      for (;;) kept.push(new Array(100_000).fill(Math.random()));
    }
    case 'deaf':
      for (;;);
    case 'busy':
      // Never lets its event loop turn: only the flag can tell it.
      while (Atomics.load(flag, 0) === 0);
      parentPort.postMessage({ type: 'failed', id, failure: cancelled, trace: 'busy' });
      break;
    case 'finishing':
      while (Atomics.load(flag, 0) === 0) await later(1);
      done();
      break;
    case 'fail':
      parentPort.postMessage({
        type: 'failed',
        id,
        failure: { code: 'INTERNAL', message: 'unexpected: no such thing', retryable: false, ledger: 5 },
        trace: 'TypeError: no such thing\n    at deep.ts:1:2',
      });
      break;
    case 'progress':
      for (let ledgers = 1; ledgers <= 3; ledgers++) {
        parentPort.postMessage({ type: 'progress', id, progress: { ledgers, rawBytes: 10 * ledgers } });
      }
      done();
      break;
    default:
      await later(Number(task.attempt.split(':')[1] ?? 0));
      done();
  }
});
