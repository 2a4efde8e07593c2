/**
 * What of the old program can be adopted: its partitions as their small columns claim them, and its audit chain, which
 * has to be whole and to agree with the manifests.
 */
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { dataKey, manifestKey, partitionPrefix } from '../../actors/bronze/names.ts';
import { appendEvent } from '../../actors/chain/audit-chain.ts';
import { restoreCopies, writeCopies } from '../../actors/chain/copies.ts';
import { findAdoption } from '../../actors/chain/find-adoption.ts';
import { storedPartition } from '../../actors/chain/stored-partition.ts';
import { surveyChain } from '../../actors/chain/survey.ts';
import { readBack } from '../../actors/parquet/read-back.ts';
import { compareNeighbours } from '../../actors/sequencer/check-neighbours.ts';
import { verifyStored } from '../../actors/sequencer/verify-sealed.ts';
import type { Adoption } from '../../actors/version-1/adoption.ts';
import { type BackupFolder, readOldChain } from '../../actors/version-1/old-chain.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import {
  CHAIN,
  type Estate,
  endsOf,
  estateIn,
  FIRST,
  failureOf,
  filesBelow,
  placeOf,
  TABLE,
  tempFolder,
} from '../support/bronze.ts';
import { describeShared, SHARED } from '../support/shared.ts';

const RANGES: readonly LedgerRange[] = [
  { start: 64000, end: 64009 },
  { start: 64010, end: 64019 },
  { start: 64020, end: 64024 },
];
const LAST = RANGES[2] as LedgerRange;
const nameOf = ({ start, end }: LedgerRange): string => `pubnet_pre_p23_v1_${start}-${end}.json`;

interface OldEstate extends Estate {
  readonly backup: BackupFolder;
}

/** The aligned estate as the old program left it, with a read-back that is real. */
function oldEstate(): OldEstate {
  const root = tempFolder();
  cpSync(join(SHARED, 'old-estate/aligned/data'), root, { recursive: true });
  const dir = tempFolder();
  cpSync(join(SHARED, 'old-estate/aligned/pas-backup'), dir, { recursive: true });
  return {
    ...estateIn(root),
    backup: { dir, chain: CHAIN },
    readBack: (task, signal = new AbortController().signal) =>
      readBack(
        { ...task, kind: 'readback', store: { backend: 'local', root, prefix: 'bronze/' } },
        signal,
        () => undefined,
      ),
  };
}

const adopt = (estate: OldEstate): Promise<Adoption | null> => findAdoption(placeOf(estate), estate.backup);
const eventPath = (estate: OldEstate, range: LedgerRange): string => join(estate.backup.dir, nameOf(range));

/** Changes an old event and gives it the hash that the old program would have given it. */
function rewriteEvent(estate: OldEstate, range: LedgerRange, change: (text: string) => string): void {
  const path = eventPath(estate, range);
  const event = JSON.parse(change(readFileSync(path, 'utf8')));
  event.chain.event_hash = '';
  event.chain.event_hash = `sha256:${createHash('sha256').update(JSON.stringify(event)).digest('hex')}`;
  writeFileSync(path, JSON.stringify(event, null, 2));
}

describeShared('S28: partitions of the old program', () => {
  it('are claimed by their small columns to hold what all their rows prove', async () => {
    const estate = oldEstate();
    for (const range of RANGES) {
      const bytes = (await estate.store.get(manifestKey(CHAIN, TABLE, range))) as Uint8Array;
      const { columns, sealed } = await storedPartition(estate, range, bytes, null);
      const key = dataKey(CHAIN, TABLE, range);
      const task = { depth: 'rows', chain: CHAIN, range, key, columns: 1, checks: estate.checks } as const;
      const { data, rows } = await estate.readBack(task);
      expect([columns, sealed.data, sealed.ledgers]).toEqual([1, data, rows?.ledgers]);
      // What an event tells is taken for it, and nothing is read.
      const store = { get: () => Promise.resolve(null), open: () => Promise.reject(new Error('not asked for')) };
      const known = await storedPartition({ ...placeOf(estate), store }, range, bytes, endsOf(range));
      expect(known.sealed.ledgers).toEqual(endsOf(range));
    }
  });

  it('are proved by their rows before they are attested; a claim that the rows do not keep is damage', async () => {
    const estate = oldEstate();
    const { partitions } = await surveyChain({ ...placeOf(estate), checkpoint: null, memories: null });
    const sealed = partitions[1]?.manifest;
    if (!sealed) throw new Error('the survey has no facts of an old partition');
    expect(await verifyStored(estate, sealed)).toEqual(sealed);
    const claimed = { ...sealed, ledgers: { ...sealed.ledgers, contentRoot: endsOf(sealed.range).contentRoot } };
    expect(await failureOf(verifyStored(estate, claimed))).toMatchObject({
      code: 'PARTITION_DAMAGED',
      details: { check: 'content_root' },
    });
    const other = { ...sealed, manifestSha256: sealed.data.checksum };
    expect((await failureOf(verifyStored(estate, other))).code).toBe('PARTITION_DAMAGED');
  });

  it('without their file, or with a shorter one, are damage and no facts', async () => {
    const estate = oldEstate();
    const path = join(estate.root, 'bronze', dataKey(CHAIN, TABLE, LAST));
    writeFileSync(path, readFileSync(path).subarray(0, 40_000));
    const survey = () => surveyChain({ ...placeOf(estate), checkpoint: null, memories: null });
    expect(await failureOf(survey())).toMatchObject({ code: 'PARTITION_DAMAGED', details: { check: 'byte_size' } });
    rmSync(path);
    expect((await survey()).partitions.at(-1)).toMatchObject({ hasManifest: true, dataBytes: null, manifest: null });
    const input = { range: LAST, chain: FIRST, storagePrefix: '', expected: null };
    const attest = appendEvent({ ...placeOf(estate), backup: null }, input);
    expect((await failureOf(attest)).code).toBe('PARTITION_DAMAGED');
  });

  it('link to an era after them, or do not', async () => {
    const estate = oldEstate();
    const { store } = estate;
    const bytes = (await store.get(manifestKey(CHAIN, TABLE, LAST))) as Uint8Array;
    const { sealed } = await storedPartition(estate, LAST, bytes, null);
    const range = { start: 64025, end: 64029 };
    const next = { ...CHAIN, eraId: 'p23_plus' };
    const others = [{ chain: CHAIN, table: TABLE, ledgerStart: 64000, ledgerEnd: 64024 }];
    const check = (previousHash: string) =>
      compareNeighbours({ store, chain: next, others }, { range, ledgers: { ...endsOf(range), previousHash } });
    expect(await check(sealed.ledgers.lastHash)).toBeNull();
    expect((await failureOf(check(endsOf(range).previousHash))).code).toBe('ERA_LINK_BROKEN');
  });
});

describeShared("S28: the old program's audit chain", () => {
  it('whole, is what is recorded, also from where it was kept', async () => {
    const estate = oldEstate();
    const adoption = await adopt(estate);
    expect(adoption?.ranges).toEqual(RANGES);
    expect(adoption?.warnings).toEqual([]);
    expect(adoption?.record).toMatchObject({ partitions: 3, events: 3, ledger_start: 64000, ledger_end: 64024 });
    expect((await restoreCopies(estate.backup, estate.store, [])).old).toBe(3);
    for (const range of RANGES) rmSync(eventPath(estate, range));
    expect(await adopt(estate)).toEqual(adoption);
  });

  it('is of no account where nothing is to be adopted, and its absence is only said', async () => {
    const estate = oldEstate();
    expect(
      await findAdoption({ ...placeOf(estate), chain: { ...CHAIN, versionLabel: 'v2' } }, estate.backup),
    ).toBeNull();
    const nowhere = { ...estate.backup, dir: join(estate.backup.dir, 'nowhere') };
    const adoption = await findAdoption(placeOf(estate), nowhere);
    expect(adoption?.record).toMatchObject({ chain_head: null, events: 0 });
    expect(adoption?.warnings.join()).toContain('no events of the old program');
  });

  it('that lost its last event, or all of them, is refused by its heads file, until that chain is taken out', async () => {
    const estate = oldEstate();
    for (const range of [LAST, ...RANGES.slice(0, 2)]) {
      rmSync(eventPath(estate, range));
      if (range === RANGES[0]) continue;
      const failure = await failureOf(adopt(estate));
      expect(failure).toMatchObject({ code: 'AUDIT_INVALID', retryable: false });
      expect(failure.details.hint).toContain("this chain's line out of pas-chain-heads.json");
    }
    writeFileSync(join(estate.backup.dir, 'pas-chain-heads.json'), '{}');
    expect((await adopt(estate))?.record).toMatchObject({ chain_head: null, events: 0 });
  });

  it('with the head of our own events in the heads file is not missed', async () => {
    const estate = oldEstate();
    const range = RANGES[0] as LedgerRange;
    await appendEvent(estate, { range, chain: FIRST, storagePrefix: '', expected: null });
    for (const each of RANGES) rmSync(eventPath(estate, each), { force: true });
    rmSync(join(estate.backup.dir, 'v1.1'), { recursive: true });
    expect((await adopt(estate))?.record).toMatchObject({ chain_head: null, events: 0 });
  });

  it('tells that it is alive while it is read, and stops when it is told to', async () => {
    const { backup, ...estate } = oldEstate();
    let told = 0;
    await findAdoption(placeOf(estate as OldEstate), backup, undefined, () => told++);
    expect(told).toBe(6);
    await restoreCopies(backup, estate.store, [], undefined, () => told++);
    expect(told).toBe(9);
    const stopped = AbortSignal.abort();
    for (const call of [readOldChain(backup, stopped), restoreCopies(backup, estate.store, [], stopped)]) {
      expect((await failureOf(call)).code).toBe('CANCELLED');
    }
  });

  it('with an earlier event as its head, or fewer events than partitions, is adopted with a warning', async () => {
    const estate = oldEstate();
    rmSync(eventPath(estate, LAST));
    const [first] = (await readOldChain(estate.backup)).events;
    const heads = { 'pubnet/pre_p23/v1': first?.eventHash };
    writeFileSync(join(estate.backup.dir, 'pas-chain-heads.json'), JSON.stringify(heads));
    const adoption = await adopt(estate);
    expect(adoption?.record.events).toBe(2);
    expect(adoption?.warnings).toEqual([
      expect.stringContaining('by its heads file'),
      expect.stringContaining('1 partitions of the old program have no event of it, the first of them 64020-64024'),
    ]);
  });

  it.each<[string, string, (estate: OldEstate) => void]>([
    ['without an event in the middle', nameOf(LAST), (estate) => rmSync(eventPath(estate, RANGES[1] as LedgerRange))],
    ['with an event cut', nameOf(LAST), (estate) => writeFileSync(eventPath(estate, LAST), '{"version": "1.1"')],
    [
      'that attests other content',
      nameOf(LAST),
      (estate) => rewriteEvent(estate, LAST, (text) => text.replace('"byte_size": 42666', '"byte_size": 42667')),
    ],
    [
      'that attests what is not there',
      nameOf(LAST),
      (estate) => rmSync(join(estate.root, 'bronze', partitionPrefix(CHAIN, TABLE, LAST)), { recursive: true }),
    ],
  ])('%s is refused, naming the event and the way out', async (_, named, change) => {
    const estate = oldEstate();
    change(estate);
    const failure = await failureOf(adopt(estate));
    expect(failure).toMatchObject({ code: 'AUDIT_INVALID', retryable: false });
    expect(failure.message).toContain(join(estate.backup.dir, named));
    expect(failure.details.hint).toContain('move the events of this chain out of');
  });
});

describeShared("S28: events of the old program in the place of this program's copies", () => {
  const event = { range: RANGES[0] as LedgerRange, eventHash: `sha256:${'1'.repeat(64)}` };
  const ours = Buffer.from('{"version": "1.2"}');

  it('are kept before a copy takes their place, once', async () => {
    const { backup } = oldEstate();
    const old = filesBelow(backup.dir);
    await writeCopies(backup, event, ours, true);
    await writeCopies(backup, event, ours, true);
    const now = filesBelow(backup.dir);
    expect(now[nameOf(event.range)]).toBe(ours.toString());
    expect(now[`v1.1/${nameOf(event.range)}`]).toBe(old[nameOf(event.range)]);
    expect(Object.keys(now).filter((name) => name.startsWith('v1.1/'))).toHaveLength(1);
  });

  it('of two that differ neither is replaced', async () => {
    const estate = oldEstate();
    const { backup, store } = estate;
    await restoreCopies(backup, store, []);
    rewriteEvent(estate, event.range, (text) => text.replace('"git_sha": "unknown"', '"git_sha": "other"'));
    const before = filesBelow(backup.dir);
    expect((await failureOf(writeCopies(backup, event, ours, true))).code).toBe('AUDIT_INVALID');
    expect((await failureOf(restoreCopies(backup, store, []))).code).toBe('AUDIT_INVALID');
    expect((await failureOf(readOldChain(backup))).code).toBe('AUDIT_INVALID');
    expect(filesBelow(backup.dir)).toEqual(before);
  });

  it('of other chains are left alone, and their heads stay', async () => {
    const { backup, store } = oldEstate();
    const other = { ...backup, chain: { ...CHAIN, eraId: 'p23_plus' } };
    await writeCopies(other, event, ours, true);
    expect((await restoreCopies(other, store, [])).old).toBe(0);
    expect((await restoreCopies(backup, store, [])).old).toBe(3);
    const heads = (folder: string) =>
      Object.keys(JSON.parse(readFileSync(join(folder, 'pas-chain-heads.json'), 'utf8')));
    expect(heads(backup.dir)).toEqual(['pubnet/p23_plus/v1', 'pubnet/pre_p23/v1']);
    expect(heads(join(backup.dir, 'v1.1'))).toEqual(['pubnet/pre_p23/v1']);
  });
});
