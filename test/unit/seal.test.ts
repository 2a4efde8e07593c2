/** Sealing: one manifest, the stored one wins, another content is a conflict. */
import { expect, it } from 'vitest';
import { publishPartition } from '../../actors/commit/publish.ts';
import { sealPartition } from '../../actors/commit/seal.ts';
import { manifestKey } from '../../actors/paths.ts';
import {
  bronzeFiles,
  CHAIN,
  estateIn,
  failureOf,
  NOW,
  OWNER,
  PREFIX,
  PRODUCER,
  putFile,
  stageIn,
  TABLE,
} from '../support/bronze.ts';
import { dyingAfter, failing } from '../support/faulty-files.ts';

const range = { start: 2, end: 11 };
const KEY = manifestKey(CHAIN, TABLE, range);
const at = (now: string) => ({ producer: PRODUCER, now: () => now });
const LATER = '2030-01-01T00:00:00Z';

async function publishedEstate(fork = '') {
  const estate = estateIn();
  const staged = await stageIn(estate, range, { fork });
  return { estate, input: { published: await publishPartition(estate, { staged, attested: null }), attested: null } };
}

it('S8: sealed twice, at other times, the first manifest stands and answers', async () => {
  const { estate, input } = await publishedEstate();
  const first = await sealPartition(estate, at(NOW), input);
  const files = bronzeFiles(estate);
  expect(await sealPartition(estate, at(LATER), input)).toEqual(first);
  expect(first.createdAt).toBe(NOW);
  expect(bronzeFiles(estate)).toEqual(files);
});

it('S7: of two that seal at once both answer with the one that is stored', async () => {
  const { estate, input } = await publishedEstate();
  const both = await Promise.all([
    sealPartition(estate, at(NOW), input),
    sealPartition(estateIn(estate.root), at(LATER), input),
  ]);
  expect(both[0]).toEqual(both[1]);
});

it('another content is MANIFEST_CONFLICT, garbage MANIFEST_INVALID, and both stay', async () => {
  const { estate, input } = await publishedEstate();
  const other = await publishedEstate('fork');
  await sealPartition(other.estate, at(NOW), other.input);
  putFile(estate, KEY, (await other.estate.store.get(KEY)) ?? '');
  const failure = await failureOf(sealPartition(estate, at(NOW), input));
  expect(failure).toMatchObject({ code: 'MANIFEST_CONFLICT', retryable: false });
  expect(failure.message).toContain(input.published.data.checksum);
  putFile(estate, KEY, 'garbage');
  expect((await failureOf(sealPartition(estate, at(NOW), input))).code).toBe('MANIFEST_INVALID');
  expect(bronzeFiles(estate)[KEY]).toBe('garbage');
});

it('S21: no space is retryable and leaves no manifest', async () => {
  const { estate, input } = await publishedEstate();
  const full = estateIn(estate.root, failing(['write'], 'ENOSPC'));
  expect(await failureOf(sealPartition(full, at(NOW), input))).toMatchObject({ code: 'STORE_FULL', retryable: true });
  expect(await estate.store.get(KEY)).toBeNull();
});

it('S5: killed at any operation of publishing and sealing, the second run ends the same', async () => {
  const clean = await publishedEstate();
  await sealPartition(clean.estate, at(NOW), clean.input);
  const wanted = bronzeFiles(clean.estate);
  const run = async (estate: ReturnType<typeof estateIn>, owner: string) => {
    const staged = await stageIn(estate, range, { owner });
    const published = await publishPartition(estate, { staged, attested: null });
    await sealPartition(estate, at(NOW), { published, attested: null });
  };
  for (let n = 0; ; n++) {
    const { files, state } = dyingAfter(n);
    const first = estateIn(undefined, files);
    await run(first, OWNER).catch(() => undefined);
    const second = estateIn(first.root, undefined, 'owner00000002');
    await second.store.sweep(PREFIX, [OWNER]);
    await run(second, 'owner00000002');
    await second.store.sweep(PREFIX, [OWNER]);
    expect(bronzeFiles(second)).toEqual(wanted);
    if (!state.died) break;
  }
}, 120_000);
