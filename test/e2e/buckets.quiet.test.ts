// Node warns where many requests listen to one signal, and where listeners are never taken away: a run of a bucket that
// holds more than ten partitions asks for many things at once, and says nothing of the kind (S26).
import { expect, it } from 'vitest';
import { newCopier, said } from '../support/copier.ts';
import { startGcsDouble } from '../support/gcs-double.ts';
import { type RemoteKind, remoteScene } from '../support/remote-scene.ts';
import { describeServer } from '../support/servers.ts';

async function expectQuiet(kind: RemoteKind): Promise<void> {
  const scene = await remoteScene(kind, await newCopier({ start: 43, end: 85, size: 1 }));
  // Without Bronze, then with all of it.
  for (const command of ['run', 'run', 'validate --online', 'reconcile']) {
    const [name, ...args] = command.split(' ') as [string, ...string[]];
    const end = await scene.start(name, { args, env: { NODE_OPTIONS: '--trace-warnings' } }).done;
    expect(end.code, said(end)).toBe(0);
    expect(end.stderr, command).not.toMatch(/Warning/);
  }
}

describeServer('moto', 'more than ten partitions', (server) => {
  it('need no warning of Node', () => expectQuiet({ protocol: 's3', server }));
});

it('nor do they in GCS', async () => {
  const double = await startGcsDouble();
  try {
    await expectQuiet({ protocol: 'gcs', double });
  } finally {
    await double.close();
  }
});
