// Every kind of difference, each from one damage to one small estate: said once, of the right object, and nothing beside it.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  backupFile,
  bronzeJsonKey,
  chainKey,
  dataKey,
  headKey,
  manifestKey,
  partitionPrefix,
} from '../../actors/bronze/names.ts';
import type { LineageRow } from '../../actors/ports/catalog.ts';
import type { Delivered } from '../../actors/ports/delivery.ts';
import { compare } from '../../actors/reconcile/compare.ts';
import type { ChainFacts, SignedFound } from '../../actors/reconcile/facts.ts';
import { type Difference, KINDS, type Kind } from '../../actors/reconcile/kinds.ts';
import { HEADS_FILE } from '../../actors/state/heads.ts';
import { OLD_EVENTS } from '../../actors/version-1/old-chain.ts';
import { CHAIN, commitAll, contentOf, putFile, TABLE } from '../support/bronze.ts';
import {
  at,
  CHECKPOINT,
  change,
  checkpointIn,
  copyOf,
  copyPath,
  forge,
  gathered,
  HEX,
  key,
  lose,
  pathOf,
  type Scene,
  wholeScene,
} from '../support/compared.ts';

let whole: Scene;

beforeAll(async () => {
  whole = await wholeScene();
});

const copy = (): Scene => copyOf(whole);

const rowsWith = (change: (rows: LineageRow[]) => readonly LineageRow[]) => (scene: Scene) => {
  scene.rows = change([...(scene.rows ?? [])]);
};
const row = (n: number, over: Partial<LineageRow>) =>
  rowsWith((rows) => rows.map((is, i) => (i === n ? { ...is, ...over } : is)));

const delivered = (found: Delivered | null) => ({
  uri: 'u',
  file: 'pointer',
  delivered: found,
  remembered: found,
  problem: null,
});

/** Of six events, all signed. */
const SIGNED: SignedFound = { failures: [], missing: [], newest: 6 };

type Damage = (scene: Scene) => unknown;

interface Case {
  readonly name: string;
  readonly damage: Damage;
  readonly expected: Partial<Difference> & { readonly kind: Kind };
}

const one = (kind: Kind, name: string, damage: Damage, expected: Partial<Difference> = {}): Case => ({
  name,
  damage,
  expected: { kind, ...expected },
});

const CASES: Case[] = [
  one('bronze_json.missing', 'lost', (s) => lose(s, bronzeJsonKey(CHAIN)), { repairable: 'reconcile' }),
  one('bronze_json.invalid', 'cut', (s) => putFile(s, bronzeJsonKey(CHAIN), '{'), { repairable: 'copy' }),
  one(
    'bronze_json.mismatch',
    'another grid',
    (s) => change(pathOf(s, bronzeJsonKey(CHAIN)), '"partition_size": 10', '"partition_size": 20'),
    {
      repairable: 'no',
    },
  ),
  one('object.stray', 'in the table', (s) => putFile(s, `${partitionPrefix(CHAIN, TABLE, at(1))}notes.txt`, 'x'), {
    object: `${partitionPrefix(CHAIN, TABLE, at(1))}notes.txt`,
  }),
  one('object.stray', 'among the events', (s) => putFile(s, `${chainKey(CHAIN)}/_audit/1.json`, 'x')),
  one('partition.missing', 'a folder is gone', (s) => lose(s, partitionPrefix(CHAIN, TABLE, at(2))), {
    range: at(2),
    repairable: 'run',
  }),
  one('data.missing', 'a data object is gone', (s) => lose(s, dataKey(CHAIN, TABLE, at(2))), {
    object: dataKey(CHAIN, TABLE, at(2)),
    repairable: 'run',
  }),
  one('data.size', 'cut', (s) => putFile(s, dataKey(CHAIN, TABLE, at(5)), 'cut'), { range: at(5), repairable: 'copy' }),
  one(
    'data.checksum',
    'one bit',
    (s) => {
      const bytes = Buffer.from(contentOf(at(3)));
      bytes[9] = (bytes[9] as number) ^ 1;
      putFile(s, dataKey(CHAIN, TABLE, at(3)), bytes);
    },
    { object: dataKey(CHAIN, TABLE, at(3)), repairable: 'copy' },
  ),
  one('manifest.missing', 'gone', (s) => lose(s, manifestKey(CHAIN, TABLE, at(1))), {
    object: manifestKey(CHAIN, TABLE, at(1)),
    repairable: 'reconcile',
  }),
  one('manifest.missing', 'of the last partition', (s) => lose(s, manifestKey(CHAIN, TABLE, at(5)))),
  one('manifest.invalid', 'cut', (s) => putFile(s, manifestKey(CHAIN, TABLE, at(1)), '{"partition"'), { range: at(1) }),
  ...[0, 3, 5].map((n) =>
    one(
      'manifest.other',
      `another source in number ${n}`,
      (s) => change(pathOf(s, manifestKey(CHAIN, TABLE, at(n))), 'file:///lake/', 'file:///kale/'),
      {
        range: at(n),
      },
    ),
  ),
  ...[0, 2, 4].map((n) =>
    one('event.missing', `number ${n}`, (s) => lose(s, key(n)), {
      object: key(n),
      range: at(n),
      repairable: 'reconcile',
    }),
  ),
  one('event.missing', 'the last one', (s) => lose(s, key(5)), {
    object: key(5),
    range: at(5),
    repairable: 'reconcile',
  }),
  ...[0, 3, 5].map((n) =>
    one(
      'event.altered',
      `number ${n}, with a hash that does not fit`,
      (s) => change(pathOf(s, key(n)), '"row_count": 10', '"row_count":  10 , "row_count": 10, "x": 1'),
      {
        object: key(n),
        repairable: 'copy',
      },
    ),
  ),
  ...[0, 3, 5].map((n) =>
    one(
      'event.altered',
      `number ${n}, with a hash that fits`,
      (s) => {
        forge(s, n, (event) => {
          event.timestamp = '2026-01-02T03:04:06Z';
        });
      },
      { object: key(n) },
    ),
  ),
  ...[1, 3, 5].map((n) =>
    one(
      'event.altered',
      `number ${n} names another one before it, with a hash that fits`,
      (s) => {
        forge(s, n, (event) => {
          event.chain.prev_event_hash = `sha256:${HEX}`;
        });
      },
      { object: key(n) },
    ),
  ),
  one('event.missing', 'all of them', (s) => lose(s, `${chainKey(CHAIN)}/_audit`), {
    range: { start: 2, end: 61 },
    repairable: 'reconcile',
  }),
  one('event.altered', 'no JSON', (s) => putFile(s, key(2), 'x'), { object: key(2), range: at(2) }),
  one('event.altered', 'the event of another place', (s) => cpSync(pathOf(s, key(4)), pathOf(s, key(2))), {
    object: key(2),
  }),
  one(
    'event.fork',
    'from there on another chain',
    (s) => {
      let prev = `sha256:${HEX}`;
      for (const n of [4, 5]) {
        const before = prev;
        prev = forge(s, n, (event) => {
          event.chain.prev_event_hash = before;
        });
      }
      // Nothing beside the chain tells the two apart, and nothing is compared with a chain that forks.
      rmSync(s.backup, { recursive: true });
      rmSync(s.state, { recursive: true });
      s.rows = null;
      return { copies: null, checkpoint: null, catalog: null };
    },
    { object: key(4) },
  ),
  one('event.fork', 'far beyond', (s) => putFile(s, key(1_000_000_000), 'x'), { object: key(1_000_000_000) }),
  one('copy.missing', 'the folder', (s) => rmSync(s.backup, { recursive: true }), { repairable: 'reconcile' }),
  one('copy.missing', 'one', (s) => rmSync(copyPath(s, 2)), { range: at(2) }),
  one(
    'copy.missing',
    'two side by side',
    (s) => [2, 3].map((n) => copyPath(s, n)).forEach((path) => void rmSync(path)),
    {
      range: { start: at(2).start, end: at(3).end },
    },
  ),
  one(
    'copy.missing',
    'the last one and the heads, as an interrupted run leaves it',
    (s) => {
      rmSync(copyPath(s, 5));
      const events = JSON.parse(readFileSync(pathOf(s, key(4)), 'utf8'));
      writeFileSync(join(s.backup, HEADS_FILE), JSON.stringify({ [chainKey(CHAIN)]: events.chain.event_hash }));
    },
    { range: at(5) },
  ),
  one('copy.differs', 'an older one', (s) => change(copyPath(s, 1), 'pre_p23', 'pre_p22'), { range: at(1) }),
  one(
    'copy.stray',
    'of a partition that is not there',
    (s) => cpSync(copyPath(s, 1), join(s.backup, backupFile(CHAIN, { start: 62, end: 71 }))),
    {
      range: { start: 62, end: 71 },
      repairable: 'copy',
    },
  ),
  one('heads.missing', 'gone', (s) => rmSync(join(s.backup, HEADS_FILE)), { repairable: 'reconcile' }),
  one('heads.invalid', 'no JSON', (s) => writeFileSync(join(s.backup, HEADS_FILE), 'x'), { repairable: 'copy' }),
  one(
    'old_event.differs',
    'cut',
    (s) => {
      mkdirSync(join(s.backup, OLD_EVENTS));
      writeFileSync(join(s.backup, OLD_EVENTS, backupFile(CHAIN, at(1))), '{"version": "1.1"}');
    },
    { range: at(1), repairable: 'copy' },
  ),
  one('heads.behind', 'the one before', (s) => {
    const { chain } = JSON.parse(readFileSync(pathOf(s, key(4)), 'utf8'));
    writeFileSync(join(s.backup, HEADS_FILE), JSON.stringify({ [chainKey(CHAIN)]: chain.event_hash }));
  }),
  one('heads.ahead', 'an unknown one', (s) =>
    writeFileSync(join(s.backup, HEADS_FILE), JSON.stringify({ [chainKey(CHAIN)]: `sha256:${HEX}` })),
  ),
  one('checkpoint.missing', 'gone', (s) => rmSync(join(s.state, CHECKPOINT)), { repairable: 'reconcile' }),
  one('checkpoint.corrupt', 'cut', (s) => writeFileSync(join(s.state, CHECKPOINT), '{"copier'), {}),
  one('checkpoint.foreign', 'of another era', (s) => change(join(s.state, CHECKPOINT), 'pre_p23', 'p23_plus')),
  one('checkpoint.behind', 'older', (s) => checkpointIn(s.state).write(at(3), s.rows?.[3]?.checksum ?? '')),
  one('checkpoint.ahead', 'further', (s) => checkpointIn(s.state).write({ start: 62, end: 71 }, `sha256:${HEX}`)),
  one('checkpoint.differs', 'another checksum', (s) => checkpointIn(s.state).write(at(5), `sha256:${HEX}`)),
  one(
    'catalog.empty',
    'dropped',
    rowsWith(() => []),
    { repairable: 'reconcile' },
  ),
  one(
    'row.missing',
    'one',
    rowsWith((rows) => rows.filter((_, i) => i !== 2)),
    { range: at(2), repairable: 'reconcile' },
  ),
  one(
    'row.missing',
    'the last two',
    rowsWith((rows) => rows.slice(0, 4)),
    { range: { start: at(4).start, end: at(5).end } },
  ),
  one('row.differs', 'another checksum', row(1, { checksum: `sha256:${HEX}` }), { range: at(1) }),
  one('row.differs', 'another place', row(1, { storageUri: 'x', pasEventId: 'y' }), { range: at(1) }),
  one(
    'row.moved',
    'from another prefix',
    rowsWith((rows) =>
      rows.map((each) => ({
        ...each,
        storagePath: each.storagePath.replace('bronze/', 'old/'),
        storageUri: `s3://old/${each.storagePath}`,
      })),
    ),
    { range: { start: at(0).start, end: at(5).end }, repairable: 'reconcile' },
  ),
  one('row.prev_hash', 'another one', row(2, { prevHash: null }), { range: at(2) }),
  one('row.event_id', 'another one', row(3, { pasEventId: 'pas_evt_0' }), { range: at(3) }),
  one(
    'row.stray',
    'too many',
    rowsWith((rows) => [...rows, { ...(rows[5] as LineageRow), range: { start: 62, end: 71 } }]),
    {
      range: { start: 62, end: 71 },
    },
  ),
  one(
    'catalog.held',
    'by a reader',
    rowsWith(() => []),
    { kind: 'catalog.held', repairable: 'no' },
  ),
  one('catalog.unreachable', 'down', () => ({
    catalog: { uri: 'c', rows: null, failure: { code: 'CATALOG_UNAVAILABLE', message: 'down', retryable: true } },
  })),
  one(
    'log_head.contradicts',
    'other events',
    () => ({
      signed: {
        ...SIGNED,
        failures: [{ code: 'HEAD_CONTRADICTS', message: 'other events', retryable: false, object: 'o' }],
      },
    }),
    { object: 'o', code: 'HEAD_CONTRADICTS', repairable: 'copy' },
  ),
  one(
    'log_head.invalid',
    'a strange key',
    () => ({
      signed: {
        ...SIGNED,
        failures: [{ code: 'HEAD_INVALID', message: 'other events', retryable: false, object: 'o' }],
      },
    }),
    { object: 'o', code: 'HEAD_INVALID' },
  ),
  one('log_head.missing', 'removed', () => ({ signed: { ...SIGNED, missing: [4] } }), {
    object: headKey(CHAIN, 4),
    repairable: 'copy',
  }),
  one('log_head.pending', 'an interrupted run', () => ({ signed: { ...SIGNED, newest: 5 } }), {
    sequence: 5,
    repairable: 'run',
  }),
  one('delivery.pending', 'never', () => ({ delivery: delivered(null) }), { sequence: 0 }),
  one('delivery.ahead', 'another event', () => ({ delivery: delivered({ sequence: 3, eventHash: `sha256:${HEX}` }) }), {
    object: 'pointer',
  }),
  one('delivery.ahead', 'beyond the end', () => ({
    delivery: delivered({ sequence: 6, eventHash: `sha256:${HEX}` }),
  })),
];

const NEXT = { start: 62, end: 71 };
const LATER = { start: 72, end: 81 };

/** The head of the whole chain. */
const headOf = (scene: Scene) => ({
  nextSequence: 6,
  prevEventHash: JSON.parse(readFileSync(pathOf(scene, key(5)), 'utf8')).chain.event_hash as string,
});

CASES.push(
  one('partition.unsealed', 'an interrupted run', (s) => putFile(s, dataKey(CHAIN, TABLE, NEXT), 'x'), {
    range: NEXT,
    repairable: 'run',
  }),
  one(
    'partition.unattested',
    'an interrupted run',
    async (s) => {
      await commitAll(s.estate, [NEXT], headOf(s), { attest: false });
    },
    { range: NEXT, repairable: 'reconcile' },
  ),
  one(
    'partition.gap',
    'ledgers left out',
    async (s) => {
      await commitAll(s.estate, [LATER], headOf(s), { attest: false });
    },
    { range: NEXT, repairable: 'run' },
  ),
  one('partition.overlap', 'inside another one', (s) => putFile(s, dataKey(CHAIN, TABLE, { start: 5, end: 8 }), 'x'), {
    range: { start: 5, end: 8 },
    repairable: 'copy',
  }),
  one(
    'partition.overlap',
    'a twin of what is not attested',
    async (s) => {
      await commitAll(s.estate, [NEXT], headOf(s));
      putFile(s, dataKey(CHAIN, TABLE, { start: 60, end: 63 }), 'x');
      return { copies: null, checkpoint: null, catalog: null };
    },
    { range: { start: 60, end: 63 } },
  ),
  one(
    'partition.unlinked',
    'another network from there on',
    async (s) => {
      await commitAll(s.estate, [NEXT], headOf(s), { fork: ' of another network' });
      return { copies: null, checkpoint: null, catalog: null };
    },
    { range: NEXT, repairable: 'no' },
  ),
  one(
    'event.missing',
    'nothing gives it',
    (s) => {
      lose(s, key(2));
      rmSync(copyPath(s, 2));
      change(pathOf(s, manifestKey(CHAIN, TABLE, at(2))), 'file:///lake/', 'file:///kale/');
    },
    { object: key(2), repairable: 'no' },
  ),
);

async function differencesOf({ damage, expected }: Case): Promise<Difference[]> {
  const scene = copy();
  const over = ((await damage(scene)) ?? {}) as Partial<ChainFacts>;
  if (expected.kind === 'catalog.held') scene.rows = null;
  return compare(await gathered(scene, over));
}

const told = new Set<Kind>();

describe('one damage is one difference', () => {
  it('a whole estate has none', async () => {
    expect(compare(await gathered(copy()))).toEqual([]);
  });

  it.each(CASES.map((entry) => [entry.expected.kind, entry.name, entry] as const))('%s: %s', async (kind, _, entry) => {
    const differences = await differencesOf(entry);
    expect(differences).toEqual([expect.objectContaining(entry.expected)]);
    const [difference] = differences as [Difference];
    for (const text of [difference.what, difference.cause, difference.cure]) expect(text).toMatch(/\S{2}/);
    expect(difference.chain).toBe('pubnet/pre_p23/v1');
    told.add(kind);
  });

  it('tells every kind there is, but for what a run has to be at work for', async () => {
    const facts = await gathered(copy());
    const failure = { code: 'STORE_IO', message: 'no', retryable: true } as const;
    const partitions = facts.partitions.map((found, n) => (n === 2 ? { ...found, read: { failure } } : found));
    expect(compare({ ...facts, partitions })).toMatchObject([{ kind: 'data.unread', range: at(2) }]);
    expect(Object.keys(KINDS).filter((kind) => !told.has(kind as Kind))).toEqual(['data.unread']);
  });
});
