/** Manifests: built the same every time, read strictly, compared by what they promise. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  buildManifest,
  manifestBytes,
  parseAnyManifest,
  parseManifest,
  sameManifest,
  sealedFacts,
} from '../../actors/bronze/manifest.ts';
import { CHAIN, endsOf, hex, NOW, PRODUCER, TABLE } from '../support/bronze.ts';
import { itShared, SHARED } from '../support/shared.ts';

const range = { start: 10000, end: 19999 };
const place = { chain: CHAIN, table: TABLE, range, object: 'x/_manifest.json' };
const data = { file: 'part-10000-19999.parquet', checksum: `sha256:${hex('d')}`, rowCount: 10000, byteSize: 524288000 };
const base = {
  chain: CHAIN,
  table: TABLE,
  range,
  data,
  ledgers: endsOf(range),
  writer: { zstd: '1.5.7', hyparquet: '0.17' },
  checks: { tx_set_hash: true, links: true },
  source: 's3://lake/x',
  producer: PRODUCER,
  createdAt: NOW,
};

it('has the form of the contract, whatever order its parts come in', () => {
  const bytes = manifestBytes(buildManifest(base));
  const text = Buffer.from(bytes).toString();
  expect(text.startsWith('{\n  "partition": {\n    "start": 10000,')).toBe(true);
  expect(text.endsWith('}\n')).toBe(true);
  expect(Object.keys(JSON.parse(text))).toEqual([
    'partition',
    'tables',
    'producer',
    'created_at',
    'ledgers',
    'checks',
    'source',
    'columns',
    'writer',
  ]);
  const turned = { ...base, writer: { hyparquet: '0.17', zstd: '1.5.7' }, checks: { links: true, tx_set_hash: true } };
  expect(Buffer.from(manifestBytes(buildManifest(turned))).toString()).toBe(text);
  const facts = sealedFacts(parseManifest(bytes, place), bytes, TABLE);
  expect(facts).toEqual({ range, data, ledgers: endsOf(range), manifestSha256: hex(text), createdAt: NOW });
});

it('is the same if partition, tables and ledgers are', () => {
  const a = buildManifest(base);
  expect(sameManifest(a, buildManifest({ ...base, createdAt: '2030-01-01T00:00:00Z', source: 'elsewhere' }))).toBe(
    true,
  );
  const others = [
    { ...base, data: { ...data, checksum: `sha256:${hex('o')}` } },
    { ...base, data: { ...data, byteSize: 1 } },
    { ...base, ledgers: endsOf(range, 'fork') },
    { ...base, table: 'other' },
    { ...base, chain: { ...CHAIN, versionLabel: 'v2' } },
  ];
  for (const other of others) expect(sameManifest(a, buildManifest(other))).toBe(false);
});

describe('S9: is refused as MANIFEST_INVALID, naming it', () => {
  const good = JSON.parse(Buffer.from(manifestBytes(buildManifest(base))).toString());
  it.each<[string, unknown]>([
    ['it is empty', ''],
    ['not JSON', '{"partition"'],
    ['not UTF-8', Buffer.from([0xc3, 0x28])],
    ['it is for 1-19999', { ...good, partition: { ...good.partition, start: 1 } }],
    ['it is for pubnet/p23/v1', { ...good, partition: { ...good.partition, era_id: 'p23' } }],
    ['it says nothing about the table', { ...good, tables: {} }],
    ['about other tables as well: more', { ...good, tables: { ...good.tables, more: good.tables[TABLE] } }],
    ['the key "created_at" twice', JSON.stringify(good).replace('{', '{"created_at":"2020-01-01T00:00:00Z",')],
    ['Unrecognized key: "unit"', { ...good, partition: { ...good.partition, unit: 'k' } }],
    ['Unrecognized key: "at"', { ...good, tables: { [TABLE]: { ...good.tables[TABLE], at: 1 } } }],
    ['Unrecognized key: "rows"', { ...good, ledgers: { ...good.ledgers, rows: 1 } }],
    ['it names the file x', { ...good, tables: { [TABLE]: { ...good.tables[TABLE], file: 'x' } } }],
    ['9 rows for 10000', { ...good, tables: { [TABLE]: { ...good.tables[TABLE], row_count: 9 } } }],
    ['ledgers', { ...good, ledgers: undefined }],
    ['columns', { ...good, columns: 3 }],
    ['lower-case hex', { ...good, ledgers: { ...good.ledgers, last_hash: 'ABC' } }],
    ['RFC 3339', { ...good, created_at: 'yesterday' }],
  ])('%s', (reason, content) => {
    const isRaw = typeof content === 'string' || Buffer.isBuffer(content);
    const bytes = Buffer.from(isRaw ? (content as string) : JSON.stringify(content));
    const failing = () => parseManifest(bytes, place);
    expect(failing).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }));
    expect(failing).toThrow(reason);
    expect(failing).toThrow('x/_manifest.json');
  });
});

itShared("S28: the old program's are read as what they are", () => {
  const old = { start: 64000, end: 64009 };
  const file = join(
    SHARED,
    'old-estate/aligned/data/bronze',
    'pubnet/pre_p23/v1',
    TABLE,
    'range=64000-64009/_manifest.json',
  );
  const bytes = readFileSync(file);
  const parsed = parseAnyManifest(bytes, { ...place, range: old });
  expect(parsed).toMatchObject({ columns: 1, manifest: { partition: old } });
  expect(() => parseManifest(bytes, { ...place, range: old })).toThrow('ledgers');
  expect(parseAnyManifest(manifestBytes(buildManifest(base)), place).columns).toBe(2);
});
