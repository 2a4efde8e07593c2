// The recorder over the embedded catalog and a real small estate: what is noted is recorded, in order, and what is left is
// counted, never too little.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { eventId } from '../../actors/bronze/event.ts';
import { openEmbedded } from '../../actors/catalog/embedded.ts';
import { CatalogRecorder, committedIn } from '../../actors/catalog/recorder.ts';
import { surveyChain } from '../../actors/chain/survey.ts';
import type { Grid } from '../../machines/protocol.ts';
import { assess } from '../../machines/recovery.ts';
import { CHAIN, commitAll, estateIn, FIRST, placeOf, rangesOf, tempFolder } from '../support/bronze.ts';
import { DATASET, holdCatalog } from '../support/catalog.ts';

const RANGES = rangesOf(2, 10, 4);
const GRID: Grid = { size: 10, origin: 2, ledgerStart: 2, ledgerEnd: null };

async function newEstate(attest: boolean) {
  const estate = estateIn();
  await commitAll(estate, RANGES, FIRST, { attest });
  const facts = await surveyChain({ ...placeOf(estate), checkpoint: null, memories: null });
  const dir = join(tempFolder(), 'catalog');
  const catalog = openEmbedded({ backend: 'embedded', dir });
  const recorder = new CatalogRecorder({ ...placeOf(estate), catalog, dataset: DATASET });
  const judged = assess(facts, GRID, attest);
  if ('failure' in judged) throw new Error(judged.failure.message);
  return { facts, recovered: judged.recovered, dir, catalog, recorder };
}

it('what recovery takes as it is was committed; what is on its agenda was not', async () => {
  const attested = await newEstate(true);
  expect(committedIn(CHAIN, attested.facts, attested.recovered).map(({ eventId: id }) => id)).toEqual(
    RANGES.map((_, sequence) => eventId(CHAIN, sequence)),
  );
  // Without a checkpoint the last one is verified first.
  const plain = await newEstate(false);
  expect(committedIn(CHAIN, plain.facts, plain.recovered).map(({ range }) => range)).toEqual(RANGES.slice(0, 3));
  const [lost] = attested.facts.events;
  const facts = { ...attested.facts, partitions: attested.facts.partitions.slice(1) };
  const judged = assess(facts, GRID, true);
  if ('failure' in judged || !lost) throw new Error('recovery refuses');
  expect(committedIn(CHAIN, facts, judged.recovered).map(({ range }) => range)).toEqual(RANGES.slice(1));
});

it('a partition that is mended late gets its row, and the next one its link', async () => {
  const { facts, recovered, recorder, catalog } = await newEstate(true);
  const committed = committedIn(CHAIN, facts, recovered);
  const [first, second, ...rest] = committed as [(typeof committed)[0], ...typeof committed];
  for (const partition of [first, ...rest]) recorder.note(partition);
  expect(await recorder.recordMissing()).toEqual({ left: 0 });
  expect((await catalog.rows(DATASET))?.map(({ prevHash }) => prevHash === null)).toEqual([true, true, false]);
  recorder.note(second as (typeof committed)[0]);
  expect(await recorder.pending()).toBe(2);
  expect(await recorder.recordMissing()).toEqual({ left: 0 });
  const rows = await catalog.rows(DATASET);
  expect(rows?.map(({ range }) => range)).toEqual(RANGES);
  expect(rows?.map(({ prevHash }) => prevHash)).toEqual([
    null,
    ...committed.slice(0, 3).map(({ checksum }) => checksum),
  ]);
  expect(await recorder.pending()).toBe(0);
});

it('without an answer all counts as pending that nobody saw recorded', async () => {
  const { facts, recovered, recorder, dir, catalog } = await newEstate(true);
  for (const partition of committedIn(CHAIN, facts, recovered)) recorder.note(partition);
  expect(await recorder.record(RANGES[0] as (typeof RANGES)[0])).toEqual({ pending: false });
  const letGo = await holdCatalog(dir, 'READ_WRITE');
  expect(await recorder.record(RANGES[1] as (typeof RANGES)[0])).toEqual({ pending: true });
  expect(await recorder.recordMissing()).toEqual({ left: 3 });
  expect(await recorder.pending()).toBe(3);
  await letGo();
  expect(await recorder.recordMissing()).toEqual({ left: 0 });
  await catalog.close();
  rmSync(dir, { recursive: true });
  // Asked again at the end: thrown away meanwhile, all are missing.
  expect(await recorder.pending()).toBe(4);
});
