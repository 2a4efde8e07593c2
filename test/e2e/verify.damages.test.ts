// One damage is one finding, and the one that fits: a real estate, damaged in one place at a time, by hand.
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readBack } from '../../actors/parquet/read-back.ts';
import { openStore } from '../../actors/store/index.ts';
import { findChains } from '../../actors/verify/chains.ts';
import { gatherFolder } from '../../actors/verify/gather.ts';
import { type ChainReport, verifyChain } from '../../actors/verify/verify-chain.ts';
import { eventHashOf, readJson, TABLE } from '../support/estate.ts';
import { LABELS, Reconciled } from '../support/reconciled.ts';
import { refooted } from '../support/rewritten.ts';

let estate: Reconciled;
beforeAll(async () => {
  estate = await Reconciled.make();
});
afterEach(() => estate.putBack());

/** As `verify --events` does, without its process. */
async function verified(events = false): Promise<ChainReport> {
  const { signal } = new AbortController();
  const [found, ...others] = await findChains(estate.scene.data);
  if (found === undefined || others.length > 0) throw new Error('not one chain');
  return verifyChain(openStore(found.store), found.store, found.chain, {
    sample: { take: 1, of: 1, offset: 0 },
    from: null,
    to: null,
    signatures: true,
    copies: events ? await gatherFolder(estate.scene.backup) : null,
    rows: null,
    parallel: 1,
    signal,
    readBack: (task) => readBack(task, signal, () => {}),
    onPartition: () => {},
  });
}

const at = (...parts: readonly string[]): string => join(estate.chain, ...parts);
const put = (path: string, content: string | Uint8Array = 'x'): void => {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, content);
};
const json = (path: string, change: (value: ReturnType<typeof readJson>) => void): void => {
  const value = readJson(path);
  change(value);
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
};
const flip = (path: string, place: (length: number) => number): void => {
  const bytes = readFileSync(path);
  const where = place(bytes.length);
  bytes[where] = (bytes[where] as number) ^ 1;
  writeFileSync(path, bytes);
};
const swap = (a: string, b: string): void => {
  renameSync(a, `${a}.x`);
  renameSync(b, a);
  renameSync(`${a}.x`, b);
};
const twice = (path: string, key: string): void => {
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replace('{', `{ ${JSON.stringify(key)}: ${JSON.stringify(readJson(path)[key])},`));
};
/** An event that is whole, and not the one that was written. */
const reEvent = (n: number, change: (event: ReturnType<typeof readJson>) => void): void =>
  json(estate.event(n), (event) => {
    change(event);
    event.chain.event_hash = eventHashOf(event);
  });
const bronzeJson = (): string => at('_bronze.json');
const partition = (n: number): string => at(TABLE, `range=${LABELS[n]}`);

type Damage = [name: string, damage: () => void, code: string, more?: object];

const DATA: Damage[] = [
  ['a byte in the first page', () => flip(estate.data(1), () => 40), 'PARTITION_DAMAGED'],
  ['a byte in the middle', () => flip(estate.data(1), (length) => length >> 1), 'PARTITION_DAMAGED'],
  ['a byte in the footer', () => flip(estate.data(1), (length) => length - 30), 'PARTITION_DAMAGED'],
  ['the last byte', () => flip(estate.data(1), (length) => length - 1), 'PARTITION_DAMAGED'],
  [
    'a byte less',
    () => truncateSync(estate.data(1), readFileSync(estate.data(1)).length - 1),
    'PARTITION_DAMAGED',
    { check: 'byte_size' },
  ],
  ['a byte more', () => writeFileSync(estate.data(1), 'x', { flag: 'a' }), 'PARTITION_DAMAGED', { check: 'byte_size' }],
  ['an empty file', () => truncateSync(estate.data(1)), 'PARTITION_DAMAGED', { check: 'byte_size' }],
  ['no file', () => rmSync(estate.data(1)), 'PARTITION_DAMAGED', { found: 'no object' }],
  ['the file of the next partition', () => cpSync(estate.data(2), estate.data(1)), 'PARTITION_DAMAGED'],
  [
    'other keys in the footer, of one length',
    () => {
      const changed = refooted(readFileSync(estate.data(1)), (metadata) => {
        for (const pair of metadata.key_value_metadata ?? [])
          if (pair.key === 'bronze_copier.network') pair.value = 'Sample';
      });
      writeFileSync(estate.data(1), changed);
    },
    'PARTITION_DAMAGED',
    { check: 'footer_key' },
  ],
];

const PARTITIONS: Damage[] = [
  ['a partition gone', () => rmSync(partition(2), { recursive: true }), 'AUDIT_ORPHAN', { start: 20, end: 29 }],
  ['the first one gone', () => rmSync(partition(0), { recursive: true }), 'AUDIT_ORPHAN', { start: 2, end: 9 }],
  ['the last one gone', () => rmSync(partition(5), { recursive: true }), 'AUDIT_ORPHAN', { start: 50, end: 59 }],
  ['the table gone', () => rmSync(at(TABLE), { recursive: true }), 'AUDIT_ORPHAN', { start: 2, end: 59, count: 6 }],
  ['a partition renamed', () => renameSync(partition(2), at(TABLE, 'range=20-28')), 'OBJECT_FOREIGN|AUDIT_ORPHAN'],
];

const MANIFESTS: Damage[] = [
  ['no manifest', () => rmSync(estate.manifest(1)), 'MANIFEST_INVALID'],
  ['an empty one', () => truncateSync(estate.manifest(1)), 'MANIFEST_INVALID'],
  ['one cut', () => truncateSync(estate.manifest(1), 100), 'MANIFEST_INVALID'],
  ['the one of another partition', () => cpSync(estate.manifest(2), estate.manifest(1)), 'MANIFEST_INVALID'],
  ['a key twice', () => twice(estate.manifest(1), 'created_at'), 'MANIFEST_INVALID'],
  [
    'a second table',
    () =>
      json(estate.manifest(1), (m) => {
        m.tables.other = m.tables[TABLE];
      }),
    'MANIFEST_INVALID',
  ],
  [
    'a member in its partition',
    () =>
      json(estate.manifest(1), (m) => {
        m.partition.unit = 'k';
      }),
    'MANIFEST_INVALID',
  ],
  [
    'another time',
    () =>
      json(estate.manifest(1), (m) => {
        m.created_at = '2020-01-01T00:00:00Z';
      }),
    'AUDIT_ORPHAN',
  ],
  [
    'another producer',
    () =>
      json(estate.manifest(1), (m) => {
        m.producer.version = '9';
      }),
    'AUDIT_ORPHAN',
  ],
  [
    'another checksum',
    () =>
      json(estate.manifest(1), (m) => {
        m.tables[TABLE].checksum = `sha256:${'0'.repeat(64)}`;
      }),
    'AUDIT_ORPHAN',
  ],
  [
    'another size',
    () =>
      json(estate.manifest(1), (m) => {
        m.tables[TABLE].byte_size += 1;
      }),
    'AUDIT_ORPHAN',
  ],
  [
    'another content root',
    () =>
      json(estate.manifest(1), (m) => {
        m.ledgers.content_root = '0'.repeat(64);
      }),
    'AUDIT_ORPHAN',
  ],
  [
    'another first hash',
    () =>
      json(estate.manifest(1), (m) => {
        m.ledgers.first_hash = '0'.repeat(64);
      }),
    'AUDIT_ORPHAN',
  ],
  [
    'another last hash',
    () =>
      json(estate.manifest(1), (m) => {
        m.ledgers.last_hash = '0'.repeat(64);
      }),
    'AUDIT_ORPHAN',
  ],
  [
    'another writer',
    () =>
      json(estate.manifest(1), (m) => {
        m.writer.writer = '3';
      }),
    'AUDIT_ORPHAN',
  ],
  [
    'made one of the old program',
    () =>
      json(estate.manifest(1), (m) => {
        delete m.columns;
        delete m.ledgers;
      }),
    'AUDIT_ORPHAN',
  ],
  ['a blank more', () => writeFileSync(estate.manifest(1), ' ', { flag: 'a' }), 'AUDIT_ORPHAN'],
  ['two of them swapped', () => swap(estate.manifest(1), estate.manifest(2)), 'MANIFEST_INVALID|MANIFEST_INVALID'],
];

const EVENTS: Damage[] = [
  ['an event gone', () => rmSync(estate.event(2)), 'AUDIT_HOLE', { start: 20, end: 29 }],
  ['the first one gone', () => rmSync(estate.event(0)), 'AUDIT_HOLE'],
  ['the last one gone', () => rmSync(estate.event(5)), 'AUDIT_HOLE', { start: 50, end: 59 }],
  [
    'three of them gone',
    () => estate.lose(...[1, 2, 3].map((n) => estate.event(n))),
    'AUDIT_HOLE',
    { start: 10, end: 39 },
  ],
  ['one cut', () => truncateSync(estate.event(2), 50), 'AUDIT_INVALID'],
  ['the last one cut', () => truncateSync(estate.event(5), 50), 'AUDIT_INVALID'],
  ['one empty', () => truncateSync(estate.event(2)), 'AUDIT_INVALID'],
  ['a key twice', () => twice(estate.event(2), 'timestamp'), 'AUDIT_INVALID'],
  [
    'another time, its hash as it was',
    () =>
      json(estate.event(2), (e) => {
        e.timestamp = '2020-01-01T00:00:00Z';
      }),
    'AUDIT_INVALID',
  ],
  ['two of them swapped', () => swap(estate.event(3), estate.event(4)), 'AUDIT_INVALID', { check: 'sequence' }],
  [
    'one under a short name',
    () => renameSync(estate.event(3), at('_audit', '3.json')),
    'AUDIT_INVALID',
    { check: 'sequence' },
  ],
  [
    'one with its suffix in capitals',
    () => renameSync(estate.event(3), at('_audit', '0000000003.JSON')),
    'AUDIT_INVALID',
    { check: 'sequence' },
  ],
  [
    'the last one under another number',
    () => renameSync(estate.event(5), at('_audit', '0000000009.json')),
    'AUDIT_INVALID',
    { check: 'sequence' },
  ],
  [
    'one in a folder',
    () => {
      mkdirSync(at('_audit', 'x'));
      renameSync(estate.event(3), at('_audit', 'x', '0000000003.json'));
    },
    'AUDIT_INVALID',
  ],
  ['a copy of one beside it', () => cpSync(estate.event(3), at('_audit', '3.json')), 'OBJECT_FOREIGN'],
  ['a file of notes among them', () => put(at('_audit', 'x')), 'OBJECT_FOREIGN'],
  [
    'one of another content, with its own hash',
    () =>
      reEvent(2, (e) => {
        e.tables[TABLE].checksum = `sha256:${'0'.repeat(64)}`;
      }),
    'AUDIT_ORPHAN',
  ],
  [
    'one of another manifest, with its own hash',
    () =>
      reEvent(2, (e) => {
        e.manifest_sha256 = '0'.repeat(64);
      }),
    'AUDIT_ORPHAN',
  ],
  [
    'one with a member more, with its own hash',
    () =>
      reEvent(2, (e) => {
        e.note = 'x';
      }),
    'AUDIT_INVALID',
    { check: 'prev_event_hash' },
  ],
  [
    'one with a second table, with its own hash',
    () =>
      reEvent(2, (e) => {
        e.tables.other = e.tables[TABLE];
      }),
    'AUDIT_INVALID',
  ],
  [
    'one with a link to nothing, with its own hash',
    () =>
      reEvent(5, (e) => {
        e.chain.prev_event_hash = `sha256:${'0'.repeat(64)}`;
      }),
    'AUDIT_INVALID',
    { check: 'prev_event_hash' },
  ],
];

const BRONZE_JSON: Damage[] = [
  ['it is gone', () => rmSync(bronzeJson()), 'BRONZE_INVALID'],
  ['it is empty', () => truncateSync(bronzeJson()), 'BRONZE_INVALID'],
  ['a key twice', () => twice(bronzeJson(), 'partition_size'), 'BRONZE_INVALID'],
  ...(
    [
      ['chain_key', 'sample/whole/v2'],
      ['primary_table', 'other'],
      ['ledger_start', 3],
      ['ledger_start', 1],
      ['partition_size', 5],
      ['partition_size', 20],
      ['partition_origin', 3],
      ['columns', 1],
      ['columns', 3],
    ] as const
  ).map(
    ([key, value]): Damage => [
      `another ${key}: ${value}`,
      () =>
        json(bronzeJson(), (fixed) => {
          fixed[key] = value;
        }),
      'BRONZE_INVALID',
    ],
  ),
];

const FOREIGN: Damage[] = [
  ['a file beside the table', () => put(at('notes.txt')), 'OBJECT_FOREIGN'],
  ['a file beside the partitions', () => put(at(TABLE, 'README')), 'OBJECT_FOREIGN'],
  ['a file beside a manifest', () => put(join(partition(1), '_SUCCESS')), 'OBJECT_FOREIGN'],
  ['Parquet beside the data', () => cpSync(estate.data(1), join(partition(1), 'part-1.parquet')), 'OBJECT_FOREIGN'],
  ['a folder in a partition', () => put(join(partition(1), 'old', 'a')), 'OBJECT_FOREIGN'],
  ['a folder of many files', () => cpSync(estate.scene.backup, at('backup'), { recursive: true }), 'OBJECT_FOREIGN'],
  ['an empty folder beside the table', () => mkdirSync(at('tmp')), 'OBJECT_FOREIGN'],
  ['an empty folder among the partitions', () => mkdirSync(at(TABLE, 'range=old')), 'OBJECT_FOREIGN'],
  ['a second table', () => cpSync(at(TABLE), at('table2'), { recursive: true }), 'OBJECT_FOREIGN'],
  [
    'a copy of a partition under another name',
    () => cpSync(partition(1), at(TABLE, 'range=010-019'), { recursive: true }),
    'OBJECT_FOREIGN|OBJECT_FOREIGN',
  ],
  [
    'Parquet without a manifest across two partitions',
    () => put(at(TABLE, 'range=15-24', 'part-15-24.parquet')),
    'PARTITION_OVERLAP',
    { start: 15, end: 24 },
  ],
  [
    'Parquet without a manifest within one',
    () => put(at(TABLE, 'range=10-14', 'part-10-14.parquet')),
    'PARTITION_OVERLAP',
    { start: 10, end: 14 },
  ],
  [
    'Parquet without a manifest around one',
    () => put(at(TABLE, 'range=10-29', 'part-10-29.parquet')),
    'PARTITION_OVERLAP',
    { start: 10, end: 29 },
  ],
  [
    'Parquet without a manifest behind the last one',
    () => put(at(TABLE, 'range=60-69', 'part-60-69.parquet')),
    'MANIFEST_INVALID',
  ],
];

const COPIES: Damage[] = [
  ['a copy gone', () => rmSync(estate.copy(2)), 'AUDIT_FORK', { start: 20, end: 29 }],
  ['all copies gone', () => estate.lose(...[0, 1, 2, 3, 4, 5].map((n) => estate.copy(n))), 'AUDIT_FORK', { count: 6 }],
  ['two copies swapped', () => swap(estate.copy(2), estate.copy(3)), 'AUDIT_INVALID|AUDIT_INVALID'],
  ['the last event restored away', () => rmSync(estate.event(5)), 'AUDIT_FORK|AUDIT_HOLE'],
  ['the chain removed', () => rmSync(at('_audit'), { recursive: true }), 'AUDIT_FORK', { count: 6, start: 2, end: 59 }],
  [
    'another head',
    () =>
      json(estate.heads, (heads) => {
        heads['sample/whole/v1'] = `sha256:${'0'.repeat(64)}`;
      }),
    'AUDIT_FORK',
    { check: 'heads' },
  ],
  ['a head twice', () => twice(estate.heads, 'sample/whole/v1'), 'AUDIT_INVALID'],
  [
    'a copy of another content',
    () => {
      json(estate.copy(2), (event) => {
        event.timestamp = '2020-01-01T00:00:00Z';
        event.chain.event_hash = eventHashOf(event);
      });
    },
    'AUDIT_FORK',
    { check: 'event_hash' },
  ],
];

async function expectOne(code: string, more: object, events = false): Promise<void> {
  const copied = events ? await gatherFolder(estate.scene.backup) : null;
  const { findings } = await verified(events);
  const all = [...findings, ...(copied?.failures ?? [])];
  expect(
    all
      .map((finding) => finding.code)
      .sort()
      .join('|'),
    JSON.stringify(all, null, 1),
  ).toBe(code.split('|').sort().join('|'));
  expect(all).toEqual(expect.arrayContaining([expect.objectContaining(more)]));
}

it('a whole estate gives none', async () => {
  expect(await verified(true)).toMatchObject({ findings: [], read: 6 });
});

describe.each([
  ['data', DATA],
  ['partitions', PARTITIONS],
  ['manifests', MANIFESTS],
  ['events', EVENTS],
  ['_bronze.json', BRONZE_JSON],
  ['what no copier writes', FOREIGN],
])('%s', (_, damages) => {
  it.each(damages)('%s', async (_name, damage, code, more = {}) => {
    damage();
    await expectOne(code, more);
  });
});

describe('copies of events', () => {
  it.each(COPIES)('%s', async (_name, damage, code, more = {}) => {
    damage();
    await expectOne(code, more, true);
  });
});

it('what a copier is writing is counted, and nothing is wrong with it', async () => {
  put(at('_staging', 'owner00000001.50-59.1.tmp'));
  mkdirSync(at(TABLE, 'range=60-69'));
  expect(await verified()).toMatchObject({ findings: [], read: 6, staged: 1 });
});

it('a partition that cannot be opened is not one that was read', async () => {
  rmSync(estate.data(1));
  expect(await verified()).toMatchObject({ read: 5, not_read: 1, not_read_ledgers: [{ start: 10, end: 19 }] });
});
