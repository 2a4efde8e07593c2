// The main job in a minute, for `npm test`: copied, killed at the steps that matter, gone on, proved; and a flipped bit
// found. Every other point, place and backend: kill-points*.test.ts and random-kills*.test.ts.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { KillPoint } from '../../actors/kill-points.ts';
import { type Cut, copyOfCopier, expectDone, newCopier, said, undisturbed } from '../support/copier.ts';
import { filesIn } from '../support/estate.ts';
import { expectNothingHalfVisible, expectWhole, type Reference } from '../support/outcome.ts';
import type { Scene } from '../support/program.ts';
import { expectNoWarnings, expectSettled } from '../support/settled.ts';

const CUT: Cut = { start: 40, end: 79, size: 8 };

expectNoWarnings();

let whole: Scene;
let reference: Reference;

beforeAll(async () => {
  whole = await newCopier(CUT, { perf: { threads: 1 } });
  reference = await undisturbed(whole);
});

/** A death before and after each of the names that a partition gets, of the second partition. */
const POINTS: readonly KillPoint[] = [
  'staging:finished',
  'publish:after-link',
  'commit:after-publish',
  'commit:after-seal',
  'commit:after-attest',
  'checkpoint:before-rename',
];

describe('killed in the middle of a commit', () => {
  it.each(POINTS)('%s: the next run leaves what an undisturbed one does', async (point) => {
    const scene = await newCopier(CUT, { perf: { threads: 1 } });
    const run = await scene.run({ env: { BRONZE_KILL_AT: `${point}#2` } });
    expect(run.signal, said(run)).toBe('SIGKILL');
    expectNothingHalfVisible(scene, reference);
    const bereft = copyOfCopier(scene);
    bereft.lose('state', 'pas-backup');
    await expectDone(bereft);
    expectWhole(bereft, reference, { kept: false });
    await expectDone(scene);
    await expectSettled(scene, reference, { kept: true });
  });
});

it('one flipped bit of a published file is found', async () => {
  const scene = copyOfCopier(whole);
  const name = Object.keys(filesIn(scene.bronze)).find((file) => file.endsWith('.parquet'));
  const path = join(scene.bronze, name as string);
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  writeFileSync(path, bytes);
  const verdict = await scene.verify('--json');
  expect(verdict.code, said(verdict)).toBe(3);
  expect(JSON.parse(verdict.stdout).findings[0]).toMatchObject({ code: 'PARTITION_DAMAGED' });
});
