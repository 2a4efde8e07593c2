/** The audit chain in a store: extended by one event at a time, read whole, copied for the old program's users. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { eventKey } from '../../actors/bronze/names.ts';
import { appendEvent, placeInChain, readChain } from '../../actors/chain/audit-chain.ts';
import { restoreCopies, writeCopies } from '../../actors/chain/copies.ts';
import { HEADS_FILE } from '../../actors/state/heads.ts';
import {
  bronzeFiles,
  CHAIN,
  commitAll,
  estateIn,
  FIRST,
  failureOf,
  filesBelow,
  hex,
  OWNER,
  PREFIX,
  placeOf,
  putFile,
  rangesOf,
  tempFolder,
} from '../support/bronze.ts';
import { dyingAfter, failing } from '../support/faulty-files.ts';

const RANGES = rangesOf(2, 10, 4);
const LAST = RANGES[3] as (typeof RANGES)[0];
const [P0, P1, P2] = RANGES as [(typeof RANGES)[0], (typeof RANGES)[0], (typeof RANGES)[0]];
const sealedEstate = async (fork = '') => {
  const estate = estateIn();
  await commitAll(estate, RANGES, FIRST, { attest: false, fork });
  return estate;
};
const attest = (estate: Awaited<ReturnType<typeof sealedEstate>>, range: typeof P0, chain = FIRST, dir?: string) =>
  appendEvent(
    { ...placeOf(estate), backup: dir ? { dir, chain: CHAIN, files: estate.files } : null },
    { range, chain, storagePrefix: 'bronze/', expected: null },
  );

describe('attesting', () => {
  it('S8: said twice it is the same event, and there is one', async () => {
    const estate = await sealedEstate();
    const first = await attest(estate, P0);
    const before = bronzeFiles(estate);
    expect(await attest(estate, P0)).toEqual(first);
    expect(bronzeFiles(estate)).toEqual(before);
    expect(first).toMatchObject({ attested: true, sequence: 0 });
  });

  it('S7: two copiers make one chain; the event of another partition sends to the next sequence', async () => {
    const estate = await sealedEstate();
    const done = await attest(estate, P0);
    expect(await attest(estate, P1)).toEqual({ attested: false, sequence: 0, eventHash: done.eventHash });
    const both = await Promise.all([
      attest(estate, P1, { nextSequence: 1, prevEventHash: done.eventHash }),
      attest(estateIn(estate.root), P1, { nextSequence: 1, prevEventHash: done.eventHash }),
    ]);
    expect(both[0]).toEqual(both[1]);
    const { events, holes } = await readChain(placeOf(estate));
    expect(events.map(({ range }) => range)).toEqual([P0, P1]);
    expect(holes).toEqual([]);
  });

  it('another content for the same partition is AUDIT_FORK', async () => {
    const [ours, theirs] = [await sealedEstate(), await sealedEstate('fork')];
    await attest(theirs, P0);
    putFile(ours, eventKey(CHAIN, 0), (await theirs.store.get(eventKey(CHAIN, 0))) ?? '');
    expect(await failureOf(attest(ours, P0))).toMatchObject({ code: 'AUDIT_FORK', retryable: false });
    expect(await failureOf(attest(ours, P1, { nextSequence: 0, prevEventHash: `sha256:${hex('x')}` }))).toMatchObject({
      code: 'AUDIT_FORK',
    });
  });

  it('is derived from the stored manifest, whatever is remembered; a lost manifest is damage', async () => {
    const estate = await sealedEstate();
    rmSync(join(estate.root, 'bronze', PREFIX, `ledgers_lcm_raw/range=${P0.start}-${P0.end}/_manifest.json`));
    expect((await failureOf(attest(estate, P0))).code).toBe('PARTITION_DAMAGED');
  });

  it('a refilled event must come out as expected', async () => {
    const estate = await sealedEstate();
    await commitAll(estate, RANGES);
    const { events } = await readChain(placeOf(estate));
    const expected = events[1] as (typeof events)[0];
    rmSync(join(estate.root, 'bronze', eventKey(CHAIN, 1)));
    const input = {
      range: P1,
      storagePrefix: 'elsewhere/',
      chain: { nextSequence: 1, prevEventHash: expected.prevEventHash },
    };
    const wrong = { ...expected, eventHash: `sha256:${hex('x')}` };
    const refill = (event: typeof expected) =>
      appendEvent({ ...placeOf(estate), backup: null }, { ...input, expected: event });
    expect((await failureOf(refill(wrong))).code).toBe('AUDIT_HOLE');
    expect((await readChain(placeOf(estate))).holes).toEqual([1]);
    expect(await refill(expected)).toMatchObject({ attested: true, eventHash: expected.eventHash });
    expect((await readChain(placeOf(estate))).holes).toEqual([]);
  });

  it('S5: killed at any operation, the second try ends with the same chain and copies', async () => {
    const backup = (root: string): string => join(root, 'pas-backup');
    const clean = await sealedEstate();
    await attest(clean, P0, FIRST, backup(clean.root));
    const wanted = [bronzeFiles(clean), filesBelow(backup(clean.root))];
    for (let n = 0; ; n++) {
      const { root } = await sealedEstate();
      const { files, state } = dyingAfter(n);
      await attest(estateIn(root, files), P0, FIRST, backup(root)).catch(() => undefined);
      const again = estateIn(root, undefined, 'owner00000002');
      await attest(again, P0, FIRST, backup(root));
      await again.store.sweep(PREFIX, [OWNER]);
      expect([bronzeFiles(again), filesBelow(backup(root))]).toEqual(wanted);
      if (!state.died) break;
    }
  }, 120_000);
});

describe('reading', () => {
  it('S9: a cut, changed, misplaced or foreign event is AUDIT_INVALID naming it', async () => {
    const estate = await sealedEstate();
    await commitAll(estate, RANGES);
    const key = eventKey(CHAIN, 2);
    const good = Buffer.from((await estate.store.get(key)) ?? '');
    const first = (await estate.store.get(eventKey(CHAIN, 0))) ?? '';
    for (const bad of [
      '',
      good.subarray(0, 300),
      good.toString().replace('"row_count": 10', '"row_count": 11'),
      first,
    ]) {
      putFile(estate, key, bad);
      const failure = await failureOf(readChain(placeOf(estate)));
      expect(failure.code).toBe('AUDIT_INVALID');
      expect(failure.message).toContain(key);
    }
    putFile(estate, key, good);
    putFile(estate, `${PREFIX}_audit/notes.txt`, 'not an event');
    putFile(estate, `${PREFIX}_audit/00000000001.json`, 'eleven digits');
    expect((await readChain(placeOf(estate))).events).toHaveLength(4);
  });

  it('an event that does not follow the one before is AUDIT_INVALID, two for one partition AUDIT_FORK', async () => {
    const estate = await sealedEstate();
    const head = await commitAll(estate, [P0]);
    await attest(estate, P1, { nextSequence: 1, prevEventHash: `sha256:${hex('x')}` });
    expect(await failureOf(readChain(placeOf(estate)))).toMatchObject({
      code: 'AUDIT_INVALID',
      details: { check: 'prev_event_hash' },
    });
    rmSync(join(estate.root, 'bronze', eventKey(CHAIN, 1)));
    await attest(estate, P0, head);
    expect((await failureOf(readChain(placeOf(estate)))).code).toBe('AUDIT_FORK');
  });
});

describe('copies', () => {
  const setUp = async () => {
    const estate = await sealedEstate();
    const dir = join(tempFolder(), 'pas-backup');
    let chain = FIRST;
    for (const range of RANGES) {
      const { sequence, eventHash } = await attest(estate, range, chain, dir);
      chain = { nextSequence: sequence + 1, prevEventHash: eventHash };
    }
    const { events } = await readChain(placeOf(estate));
    const restore = async () => (await restoreCopies({ dir, chain: CHAIN }, estate.store, events)).written;
    const heads = () => JSON.parse(readFileSync(join(dir, 'pas-chain-heads.json'), 'utf8'));
    return { estate, dir, chain, events, restore, heads };
  };

  it('are the stored events under the names of the old program, and the heads', async () => {
    const { estate, dir, chain, heads } = await setUp();
    expect(readdirSync(dir).sort()).toEqual([
      'pas-chain-heads.json',
      ...RANGES.map(({ start, end }) => `pubnet_pre_p23_v1_${start}-${end}.json`).sort(),
    ]);
    expect(readFileSync(join(dir, `pubnet_pre_p23_v1_${P2.start}-${P2.end}.json`), 'utf8')).toBe(
      Buffer.from((await estate.store.get(eventKey(CHAIN, 2))) ?? '').toString(),
    );
    expect(heads()).toEqual({ 'pubnet/pre_p23/v1': chain.prevEventHash });
  });

  it('S12: lost, stale or ahead, they are restored from the chain and never believed', async () => {
    const { dir, chain, events, restore, heads } = await setUp();
    expect(await restore()).toBe(0);
    const wanted = filesBelow(dir);
    rmSync(dir, { recursive: true });
    expect(await restore()).toBe(5);
    expect(filesBelow(dir)).toEqual(wanted);
    const [first] = events;
    for (const content of ['{}', JSON.stringify({ 'pubnet/pre_p23/v1': first?.eventHash })]) {
      writeFileSync(join(dir, HEADS_FILE), content);
      expect(await restore()).toBe(1);
      expect(heads()).toEqual({ 'pubnet/pre_p23/v1': chain.prevEventHash });
    }
  });

  it('S36: the same event in other formatting is the same copy', async () => {
    const { dir, restore } = await setUp();
    const path = join(dir, `pubnet_pre_p23_v1_${P2.start}-${P2.end}.json`);
    writeFileSync(path, JSON.stringify(JSON.parse(readFileSync(path, 'utf8'))));
    const before = filesBelow(dir);
    expect(await restore()).toBe(0);
    expect(filesBelow(dir)).toEqual(before);
  });

  it('S36: other content is never replaced, neither a copy nor a head, nor a heads file that cannot be read', async () => {
    const { estate, dir, restore, events } = await setUp();
    const last = `pubnet_pre_p23_v1_${LAST.start}-${LAST.end}.json`;
    const good = filesBelow(dir);
    const unknown = JSON.stringify({ 'pubnet/pre_p23/v1': `sha256:${hex('ahead')}`, 'a/b/c': 'kept' });
    const cases: [string, string][] = [
      ...['', '[]', '{"pubnet', unknown].map((content): [string, string] => [HEADS_FILE, content]),
      ...['', 'x', '{"version": "1.2"}', good[last]?.replace('"1.2"', '"1.3"') as string].map(
        (content): [string, string] => [last, content],
      ),
    ];
    for (const [name, content] of cases) {
      for (const [path, text] of Object.entries(good)) writeFileSync(join(dir, path), text);
      writeFileSync(join(dir, name), content);
      const before = filesBelow(dir);
      expect(await failureOf(restore()), content).toMatchObject({ code: 'EVIDENCE_CONTRADICTS', retryable: false });
      const event = events.at(-1) as (typeof events)[0];
      const bytes = (await estate.store.get(eventKey(CHAIN, event.sequence))) as Uint8Array;
      expect((await failureOf(writeCopies({ dir, chain: CHAIN }, event, bytes, true))).code).toBe(
        'EVIDENCE_CONTRADICTS',
      );
      expect(filesBelow(dir)).toEqual(before);
    }
  });

  it('S36: the head only moves forward: one that another copier wrote further on stays', async () => {
    const { estate, dir, chain, events, heads } = await setUp();
    const before = await readChain(placeOf(estate));
    await restoreCopies(
      { dir, chain: CHAIN },
      estate.store,
      events.slice(0, 2),
      undefined,
      undefined,
      placeInChain(placeOf(estate), 1),
    );
    expect(before.events).toHaveLength(4);
    expect(heads()).toEqual({ 'pubnet/pre_p23/v1': chain.prevEventHash });
  });

  it('S36: an event that only its copy knows is not written again, nor another one in its place', async () => {
    const { estate, dir, events } = await setUp();
    rmSync(join(estate.root, 'bronze', eventKey(CHAIN, 3)));
    const head = { nextSequence: 3, prevEventHash: events[2]?.eventHash ?? null };
    const before = [bronzeFiles(estate), filesBelow(dir)];
    expect(await failureOf(attest(estate, LAST, head, dir))).toMatchObject({ code: 'EVIDENCE_CONTRADICTS' });
    writeFileSync(
      join(dir, `pubnet_pre_p23_v1_${LAST.start}-${LAST.end}.json`),
      before[1]?.[`pubnet_pre_p23_v1_${LAST.start}-${LAST.end}.json`] as string,
    );
    const [first] = events;
    expect(
      await failureOf(attest(estate, LAST, { ...head, prevEventHash: first?.eventHash ?? null }, dir)),
    ).toMatchObject({
      code: 'EVIDENCE_CONTRADICTS',
    });
    expect([bronzeFiles(estate), filesBelow(dir)]).toEqual(before);
  });

  it('S27: many chains write their heads at once and none is lost', async () => {
    const dir = join(tempFolder(), 'pas-backup');
    mkdirSync(dir);
    writeFileSync(join(dir, 'pas-chain-heads.json.tmp'), 'left by a dead process');
    const event = { range: P0, eventHash: `sha256:${hex('e')}` };
    const eras = Array.from({ length: 6 }, (_, i) => ({ ...CHAIN, eraId: `e${i}` }));
    await Promise.all(eras.map((chain) => writeCopies({ dir, chain }, event, Buffer.from('{}'), true)));
    const heads = JSON.parse(readFileSync(join(dir, 'pas-chain-heads.json'), 'utf8'));
    expect(Object.keys(heads)).toEqual(eras.map(({ eraId }) => `pubnet/${eraId}/v1`));
    expect(readdirSync(dir).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('S21: what cannot be written is STATE_IO; the event stands, and the next try writes the copy', async () => {
    const estate = await sealedEstate();
    const dir = join(tempFolder(), 'pas-backup');
    const faulty = appendEvent(
      { ...placeOf(estate), backup: { dir, chain: CHAIN, files: failing(['rename'], 'ENOSPC') } },
      { range: P0, chain: FIRST, storagePrefix: 'bronze/', expected: null },
    );
    expect(await failureOf(faulty)).toMatchObject({ code: 'STATE_IO', retryable: true });
    expect((await readChain(placeOf(estate))).events).toHaveLength(1);
    expect(await attest(estate, P0, FIRST, dir)).toMatchObject({ attested: true, sequence: 0 });
    expect(readdirSync(dir)).toHaveLength(2);
  });
});
