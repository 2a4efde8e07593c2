// The real program killed at every kill point, with its Bronze on the double of Google Cloud Storage, which lives on in
// this process. It proves nothing about Google's servers.
import { afterAll, beforeAll, describe } from 'vitest';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import { killedEverywhere } from './kill-points.remote.ts';

describe('GCS, a double: killed at every kill point', () => {
  let double: GcsDouble;
  beforeAll(async () => {
    double = await startGcsDouble();
  });
  afterAll(() => double.close());
  killedEverywhere(() => ({ protocol: 'gcs', double }), { sweepAfter: 'staging:finished' });
});
