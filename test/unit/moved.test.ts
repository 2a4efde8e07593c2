// S39: what an estate is does not depend on where it lies. Events keep the prefix that the chain began with; chains that
// release 2.0.0 wrote, and that were moved then, have more than one, and are mended all the same.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bronzeJsonKey, manifestKey } from '../../actors/bronze/names.ts';
import { appendEvent, readChain } from '../../actors/chain/audit-chain.ts';
import { recordedPrefix } from '../../actors/chain/bronze-file.ts';
import { compareBronze, restoreBronze } from '../../actors/chain/bronze-json.ts';
import { Derivations } from '../../actors/chain/rederive.ts';
import { surveyChain } from '../../actors/chain/survey.ts';
import { compare } from '../../actors/reconcile/compare.ts';
import { sealPublished } from '../../actors/sequencer/seal-partition.ts';
import { openStore } from '../../actors/store/index.ts';
import { PART_BYTES } from '../../actors/store/part-size.ts';
import type { PublishedPartition } from '../../machines/protocol.ts';
import { CHAIN, contentOf, type Estate, failureOf, hex, NOW, PRODUCER, placeOf, TABLE } from '../support/bronze.ts';
import {
  at,
  copyOf,
  copyPath,
  gathered,
  key,
  lose,
  type Moves,
  pathOf,
  RANGES,
  wholeScene,
} from '../support/compared.ts';

const TERMS = { grid: { size: 10, origin: 2, ledgerStart: 2 }, networkPassphrase: null };
const survey = (estate: Estate) => surveyChain({ ...placeOf(estate), checkpoint: null, memories: null });
const eventsOf = async (estate: Estate) => (await readChain(placeOf(estate))).events;

/** How release 2.0.0 may have written a chain that lies at `bronze/` now. */
const CHAINS: readonly { readonly name: string; readonly moves: Moves }[] = [
  { name: 'moved once, after its last event', moves: [{ prefix: 'old/', events: 6 }] },
  {
    name: 'moved in the middle',
    moves: [
      { prefix: 'old/', events: 3 },
      { prefix: 'bronze/', events: 3 },
    ],
  },
  {
    name: 'moved twice',
    moves: [
      { prefix: '', events: 2 },
      { prefix: 'old/', events: 2 },
      { prefix: 'bronze/', events: 2 },
    ],
  },
  {
    name: 'moved to and fro',
    moves: [
      { prefix: 'bronze/', events: 2 },
      { prefix: 'a/b/', events: 2 },
      { prefix: 'bronze/', events: 2 },
    ],
  },
];
const HOLES = [[0], [1], [2], [3], [4], [2, 3], [1, 2, 3, 4]].map((lost) => ({ lost }));

describe.each(CHAINS)('a chain of release 2.0.0 that was $name', ({ moves }) => {
  const made = wholeScene(moves);

  it('differs in nothing', async () => {
    expect(compare(await gathered(copyOf(await made)))).toEqual([]);
  });

  it.each(HOLES)('comes out the same where events are lost: $lost', async ({ lost }) => {
    const scene = copyOf(await made);
    const whole = await eventsOf(scene.estate);
    for (const n of lost) lose(scene, key(n));
    // Without the copies: from manifests alone.
    rmSync(scene.backup, { recursive: true });
    const wanted = lost.map((n) => whole[n]);
    const known = new Set([
      ...whole.filter((_, n) => !lost.includes(n)).map(({ storagePrefix }) => storagePrefix),
      'bronze/',
    ]);
    const changes = wanted.filter((event, n) => n > 0 && event?.storagePrefix !== wanted[n - 1]?.storagePrefix).length;
    if (changes > 1 || wanted.some((event) => !known.has(event?.storagePrefix as string))) {
      // To a place that nobody names any more, or to it and away from it: the copies have them.
      expect(await failureOf(survey(scene.estate))).toMatchObject({ code: 'AUDIT_HOLE' });
      return;
    }
    expect((await survey(scene.estate)).rederived).toEqual(wanted);
    const { fills } = await gathered(scene);
    expect(lost.map((n) => fills.get(n))).toEqual(wanted.map((event) => ({ event, from: 'manifest' })));
  });

  it('goes on with the prefix of its last event', async () => {
    const scene = copyOf(await made);
    const facts = await survey(scene.estate);
    expect(facts.events.at(-1)?.storagePrefix).toBe(moves.at(-1)?.prefix);
  });

  it('gets its last event back as its copy has it', async () => {
    const scene = copyOf(await made);
    const [last] = (await eventsOf(scene.estate)).slice(-1);
    lose(scene, key(5));
    const facts = await gathered(scene);
    expect(facts.tail).toEqual([last]);
    expect(compare(facts)).toMatchObject([{ kind: 'event.missing', sequence: 5, repairable: 'reconcile' }]);
  });
});

it('the last event of its place is known by its copy alone', async () => {
  const scene = await wholeScene([
    { prefix: 'old/', events: 5 },
    { prefix: 'bronze/', events: 1 },
  ]);
  const [last] = (await eventsOf(scene.estate)).slice(-1);
  lose(scene, key(5));
  expect((await gathered(scene)).tail).toEqual([last]);
  rmSync(copyPath(scene, 5));
  // The head tells it as well.
  expect((await gathered(scene)).tail).toEqual([last]);
  rmSync(scene.backup, { recursive: true });
  expect((await gathered(scene)).tail).toMatchObject([{ storagePrefix: 'old/' }]);
});

describe('the place that a chain began at', () => {
  const elsewhere = (estate: Estate) => ({
    ...placeOf(estate),
    store: openStore({ backend: 'local', root: join(estate.root, 'bronze'), prefix: '' }),
  });

  it('is in _bronze.json, and no configuration is compared with it', async () => {
    const { estate } = await wholeScene();
    expect(await recordedPrefix(placeOf(estate))).toBe('bronze/');
    expect(await recordedPrefix(elsewhere(estate))).toBe('bronze/');
    expect(await compareBronze(elsewhere(estate), TERMS)).toEqual([]);
  });

  it('is found again from the first event, where _bronze.json is lost after a move', async () => {
    const { estate } = await wholeScene();
    const place = elsewhere(estate);
    rmSync(join(estate.root, 'bronze', bronzeJsonKey(CHAIN)));
    const facts = await surveyChain({ ...place, checkpoint: null, memories: null });
    expect(await restoreBronze(place, TERMS, facts)).toBe(true);
    expect(await recordedPrefix(place)).toBe('bronze/');
  });

  it('is that of an event which is attested again, wherever it lies', async () => {
    const scene = await wholeScene();
    const place = elsewhere(scene.estate);
    const expected = (await eventsOf(scene.estate))[2]!;
    rmSync(pathOf(scene, key(2)));
    const { prevEventHash } = expected;
    const input = { range: at(2), chain: { nextSequence: 2, prevEventHash }, storagePrefix: '', expected };
    expect(await appendEvent({ ...place, backup: null }, input)).toMatchObject({ attested: true });
    expect(await eventsOf(scene.estate)).toContainEqual(expected);
  });
});

it('a long hole without a change is derived in time that grows with its length', async () => {
  const { estate } = await wholeScene();
  const found = await Derivations.of(
    placeOf(estate),
    Array.from({ length: 1_000 }, (_, n) => RANGES[n % 6]!),
    { sequence: 0, prevEventHash: null, prefixes: ['bronze/', 'old/', 'new/'] },
  );
  expect(found.count).toBe(1_000);
  const last = found.likeliest as string;
  expect(found.upTo(999, last)).toHaveLength(1_000);
});

describe('a manifest that is lost after a move between a disk and a bucket', () => {
  const published = async (estate: Estate): Promise<PublishedPartition> => {
    const [event] = await eventsOf(estate);
    const { range, data, ledgers } = event!;
    const checks = { links: true };
    return { range, data, ledgers, writer: { parquet: 'w1' }, checks, source: 'file:///lake/', found: true };
  };
  const sealer = { producer: PRODUCER, now: () => NOW };
  const parts = [{ size: contentOf(at(0)).length, md5: 'of the only part' }];

  it('comes out as it was sealed on a disk, by a store that uploads in parts', async () => {
    const scene = await wholeScene();
    const [attested] = await eventsOf(scene.estate);
    lose(scene, manifestKey(CHAIN, TABLE, at(0)));
    const again = { ...(await published(scene.estate)), parts };
    const sealed = await sealPublished(scene.estate, sealer, { published: again, attested: attested! });
    expect(sealed.manifestSha256).toBe(attested?.manifestSha256);
  });

  it('is not made up where nothing gives it', async () => {
    const scene = await wholeScene();
    const [event] = await eventsOf(scene.estate);
    lose(scene, manifestKey(CHAIN, TABLE, at(0)));
    const attested = { ...event!, manifestSha256: hex('another') };
    const again = { ...(await published(scene.estate)), parts };
    const failure = await failureOf(sealPublished(scene.estate, sealer, { published: again, attested }));
    expect(failure.code).toBe('AUDIT_ORPHAN');
    expect(PART_BYTES).toBe(8 * 1024 * 1024);
  });
});
