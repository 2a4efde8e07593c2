/** Sealing: one manifest, the stored one wins, another content is a conflict. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { oldManifestBytes } from '../../actors/bronze/manifest.ts';
import { dataKey, manifestKey } from '../../actors/bronze/names.ts';
import { appendEvent, readEvent } from '../../actors/chain/audit-chain.ts';
import { publishStaged } from '../../actors/sequencer/publish-partition.ts';
import { resealAttested } from '../../actors/sequencer/reseal-partition.ts';
import { sealPublished } from '../../actors/sequencer/seal-partition.ts';
import type { AttestedEvent, ChecksDone, LedgerRange } from '../../machines/protocol.ts';
import {
  bronzeFiles,
  CHAIN,
  contentOf,
  type Estate,
  estateIn,
  FIRST,
  failureOf,
  NOW,
  OWNER,
  PREFIX,
  PRODUCER,
  putFile,
  rangesOf,
  sha,
  stageIn,
  TABLE,
} from '../support/bronze.ts';
import { dyingAfter, failing } from '../support/faulty-files.ts';

const range = { start: 2, end: 11 };
const KEY = manifestKey(CHAIN, TABLE, range);
const at = (now: string) => ({ producer: PRODUCER, now: () => now });
type StoredEvent = NonNullable<Awaited<ReturnType<typeof readEvent>>>;
const LATER = '2030-01-01T00:00:00Z';

async function publishedEstate(fork = '') {
  const estate = estateIn();
  const staged = await stageIn(estate, range, { fork });
  return { estate, input: { published: await publishStaged(estate, { staged, attested: null }), attested: null } };
}

it('S8: sealed twice, at other times, the first manifest stands and answers', async () => {
  const { estate, input } = await publishedEstate();
  const first = await sealPublished(estate, at(NOW), input);
  const files = bronzeFiles(estate);
  expect(await sealPublished(estate, at(LATER), input)).toEqual(first);
  expect(first.createdAt).toBe(NOW);
  expect(bronzeFiles(estate)).toEqual(files);
});

it('S7: of two that seal at once both answer with the one that is stored', async () => {
  const { estate, input } = await publishedEstate();
  const both = await Promise.all([
    sealPublished(estate, at(NOW), input),
    sealPublished(estateIn(estate.root), at(LATER), input),
  ]);
  expect(both[0]).toEqual(both[1]);
});

it('another content is MANIFEST_CONFLICT, garbage MANIFEST_INVALID, and both stay', async () => {
  const { estate, input } = await publishedEstate();
  const other = await publishedEstate('fork');
  await sealPublished(other.estate, at(NOW), other.input);
  putFile(estate, KEY, (await other.estate.store.get(KEY)) ?? '');
  const failure = await failureOf(sealPublished(estate, at(NOW), input));
  expect(failure).toMatchObject({ code: 'MANIFEST_CONFLICT', retryable: false });
  expect(failure.message).toContain(input.published.data.checksum);
  putFile(estate, KEY, 'garbage');
  expect((await failureOf(sealPublished(estate, at(NOW), input))).code).toBe('MANIFEST_INVALID');
  expect(bronzeFiles(estate)[KEY]).toBe('garbage');
});

it('S21: no space is retryable and leaves no manifest', async () => {
  const { estate, input } = await publishedEstate();
  const full = estateIn(estate.root, failing(['write'], 'ENOSPC'));
  expect(await failureOf(sealPublished(full, at(NOW), input))).toMatchObject({ code: 'STORE_FULL', retryable: true });
  expect(await estate.store.get(KEY)).toBeNull();
});

it('S5: killed at any operation of publishing and sealing, the second run ends the same', async () => {
  const clean = await publishedEstate();
  await sealPublished(clean.estate, at(NOW), clean.input);
  const wanted = bronzeFiles(clean.estate);
  const run = async (estate: ReturnType<typeof estateIn>, owner: string) => {
    const staged = await stageIn(estate, range, { owner });
    const published = await publishStaged(estate, { staged, attested: null });
    await sealPublished(estate, at(NOW), { published, attested: null });
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

describe('a manifest that was lost', () => {
  const [before, lost, after] = rangesOf(2, 10, 3) as [LedgerRange, LedgerRange, LedgerRange];
  const KEY_LOST = manifestKey(CHAIN, TABLE, lost);

  /** An estate of three partitions; the second's manifest was written from `source` with `checks`, and is lost. */
  async function estateWithout(options: { source?: string; checks?: ChecksDone; writer?: string } = {}) {
    const estate = estateIn();
    let chain = FIRST;
    for (const range of [before, lost, after]) {
      const staged = {
        ...(await stageIn(estate, range, options)),
        ...(options.checks ? { checks: options.checks } : {}),
      };
      const published = await publishStaged(estate, { staged, attested: null });
      await sealPublished(estate, at(NOW), { published, attested: null });
      const { sequence, eventHash } = await appendEvent(
        { ...estate, backup: null },
        { range, chain, storagePrefix: 'bronze/', expected: null },
      );
      chain = { nextSequence: sequence + 1, prevEventHash: eventHash };
    }
    const { attested } = (await readEvent(estate, 1)) as StoredEvent;
    const files = bronzeFiles(estate);
    rmSync(join(estate.root, 'bronze', KEY_LOST));
    return { estate, files, attested };
  }
  const reseal = (estate: Estate, event: AttestedEvent) =>
    resealAttested({ ...estate, source: 'file:///lake/' }, event);

  it.each([
    ['as configured', {}],
    ['from another lake, which its neighbours name', { source: 's3://elsewhere/lake/' }],
    ['with other checks', { checks: { links: true, result_hash: false, protocol: true } }],
    ['by another writer', { writer: 'w2' }],
  ])('S12: %s, is written again byte for byte', async (_, options) => {
    const { estate, files, attested } = await estateWithout(options);
    expect((await reseal(estate, attested)).manifestSha256).toBe(attested.manifestSha256);
    expect(bronzeFiles(estate)).toEqual(files);
    // Twice, and beside one that stands there.
    await reseal(estate, attested);
    expect(bronzeFiles(estate)).toEqual(files);
  });

  it('S12: of the old program, is written again as that stored it', async () => {
    const { estate, attested } = await estateWithout();
    const { producer } = ((await readEvent(estate, 1)) as StoredEvent).event;
    const bytes = oldManifestBytes({
      chain: CHAIN,
      table: TABLE,
      range: lost,
      data: attested.data,
      producer,
      createdAt: NOW,
    });
    expect(bytes.toString()).not.toMatch(/\n$/);
    const old = { ...attested, manifestSha256: sha(bytes).slice('sha256:'.length) };
    expect(await reseal(estate, old)).toMatchObject({ isOld: true });
    expect(await estate.store.get(KEY_LOST)).toEqual(bytes);
  });

  it('S12: that cannot come out as it was is AUDIT_ORPHAN, and nothing is written', async () => {
    const { estate, attested } = await estateWithout({ source: 's3://elsewhere/lake/' });
    for (const range of [before, after]) rmSync(join(estate.root, 'bronze', manifestKey(CHAIN, TABLE, range)));
    const files = bronzeFiles(estate);
    expect(await failureOf(reseal(estate, attested))).toMatchObject({ code: 'AUDIT_ORPHAN', retryable: false });
    expect(bronzeFiles(estate)).toEqual(files);
  });

  it('S9: beside data that is not the attested one is PARTITION_DAMAGED, and nothing is written', async () => {
    const { estate, attested } = await estateWithout();
    putFile(estate, dataKey(CHAIN, TABLE, lost), contentOf(lost, 'w3'));
    expect(await failureOf(reseal(estate, attested))).toMatchObject({ code: 'PARTITION_DAMAGED' });
    expect(await estate.store.get(KEY_LOST)).toBeNull();
  });

  it('another one that stands there stays, and is AUDIT_ORPHAN', async () => {
    const { estate, files, attested } = await estateWithout();
    const other = (files[KEY_LOST] as string).replace('/lake/', '/lake2/');
    putFile(estate, KEY_LOST, other);
    expect(await failureOf(reseal(estate, attested))).toMatchObject({ code: 'AUDIT_ORPHAN' });
    expect(bronzeFiles(estate)[KEY_LOST]).toBe(other);
  });
});
