/**
 * What users and other programs rely on, on the sample lake: paths, manifests, events, rows, summary, logs, exit codes.
 * Everything is looked at from outside and computed once more.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  dataFile,
  eventFile,
  eventHashOf,
  filesIn,
  grid,
  manifestFile,
  merkleRoot,
  namesIn,
  partitionsOf,
  readJson,
  rowsIn,
  sha256Hex,
  TABLE,
} from '../support/estate.ts';
import { sampleEra, sampleLake, sampleLedgers, sampleScene } from '../support/lakes.ts';
import { type Outcome, program, type Scene, SIDE_BY_SIDE } from '../support/program.ts';

const LABELS = grid(2, 127, 10);
const HEX = /^[0-9a-f]{64}$/;

describe('a run over the sample lake', () => {
  let scene: Scene;
  let outcome: Outcome;
  let chain: string;

  beforeAll(async () => {
    scene = await sampleScene(sampleEra(), SIDE_BY_SIDE);
    chain = scene.chain('sample', 'whole');
    outcome = await scene.run();
  });

  it('exits 0 and says so in the summary', async () => {
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.summary).toMatchObject({ status: 'done', breaker_trips: 0 });
    expect(outcome.summary?.eras).toHaveLength(1);
    const { path } = await sampleLake();
    const raw = sampleLedgers().reduce((sum, ledger) => sum + ledger.length, 0);
    const parquet = Object.entries(filesIn(chain)).filter(([name]) => name.endsWith('.parquet'));
    const objects = Object.entries(filesIn(path)).filter(([name]) => name.endsWith('.zst'));
    const bytes = (files: typeof parquet) => files.reduce((sum, [, { size }]) => sum + size, 0);
    expect(outcome.summary?.eras[0]).toMatchObject({
      era_id: 'whole',
      status: 'done',
      next_ledger: 128,
      partitions: LABELS.length,
      partitions_found: 0,
      ledgers: 126,
      raw_bytes: raw,
      bronze_bytes: bytes(parquet),
      source_bytes: bytes(objects),
      retries: 0,
      restages: 0,
      crashes: 0,
      error: null,
    });
  });

  it('writes exactly the files of the contract, and leaves neither staging nor lock', () => {
    const below = (name: string) => join('sample', 'whole', 'v1', name);
    const expected = [
      below('_bronze.json'),
      ...LABELS.map((_, i) => below(join('_audit', `${String(i).padStart(10, '0')}.json`))),
      ...LABELS.flatMap((label) => [
        below(join(TABLE, `range=${label}`, '_manifest.json')),
        below(join(TABLE, `range=${label}`, `part-${label}.parquet`)),
      ]),
    ];
    expect(namesIn(scene.bronze)).toEqual(expected.sort());
    expect(namesIn(scene.backup)).toEqual(
      [...LABELS.map((label) => `sample_whole_v1_${label}.json`), 'pas-chain-heads.json'].sort(),
    );
    expect(namesIn(scene.state).filter((name) => name.startsWith('lock_'))).toEqual([]);
  });

  it('fixes in _bronze.json what may not change', () => {
    expect(readJson(chain, '_bronze.json')).toEqual({
      chain_key: 'sample/whole/v1',
      primary_table: TABLE,
      network_passphrase: 'Bronze Copier Sample Network ; 2026',
      ledger_start: 2,
      partition_size: 10,
      partition_origin: 0,
      columns: 2,
      storage_prefix: 'bronze/',
    });
  });

  it('writes the checkpoint of the old program, with a mark of its own', () => {
    const { updated_at, ...rest } = readJson(scene.state, 'checkpoint_sample_whole_v1.json');
    expect(new Date(updated_at).toISOString()).toBe(updated_at);
    const checksum = `sha256:${sha256Hex(readFileSync(dataFile(chain, '120-127')))}`;
    expect(rest).toEqual({
      copier_id: 'copier-under-test',
      network: 'sample',
      era_id: 'whole',
      version_label: 'v1',
      last_committed_ledger: 127,
      last_committed_partition: { start: 120, end: 127, checksum },
      format: 2,
    });
  });

  it('has every row of the lake, column by column', async () => {
    const ledgers = sampleLedgers();
    const rows = await rowsIn(chain);
    expect(rows.map((row) => row.ledger_sequence)).toEqual(ledgers.map((_, i) => i + 2));
    for (const [i, row] of rows.entries()) {
      const ledger = ledgers[i] as Buffer;
      expect(row).toMatchObject({
        xdr_sha256: sha256Hex(ledger),
        recomputed_sha256: sha256Hex(ledger),
        xdr_byte_length: ledger.length,
        recomputed_length: ledger.length,
        protocol_version: i + 2 < 64 ? 22 : 23,
        bronze_version: 'v1',
        era_id: 'whole',
        network: 'sample',
        ingested_at_ms: row.close_time_ms,
      });
      if (i > 0) expect(row.previous_ledger_hash).toBe(rows[i - 1]?.ledger_hash);
      for (const hash of [row.ledger_hash, row.previous_ledger_hash, row.tx_set_hash]) expect(hash).toMatch(HEX);
    }
  });

  it('seals every partition with a manifest that says what lies there', async () => {
    const rows = await rowsIn(chain);
    const { path } = await sampleLake();
    for (const label of LABELS) {
      const [start, end] = label.split('-').map(Number) as [number, number];
      const its = rows.filter((row) => row.ledger_sequence >= start && row.ledger_sequence <= end);
      const bytes = readFileSync(dataFile(chain, label));
      const manifest = readJson(manifestFile(chain, label));
      expect(manifest).toMatchObject({
        partition: { start, end, era_id: 'whole', version: 'v1', network: 'sample' },
        tables: {
          [TABLE]: {
            file: `part-${label}.parquet`,
            checksum: `sha256:${sha256Hex(bytes)}`,
            row_count: end - start + 1,
            byte_size: bytes.length,
          },
        },
        producer: { name: 'bronze-copier' },
        ledgers: {
          first_hash: its[0]?.ledger_hash,
          last_hash: its.at(-1)?.ledger_hash,
          previous_hash: its[0]?.previous_ledger_hash,
          content_root: merkleRoot(its.map((row) => row.xdr_sha256)),
        },
        columns: 2,
      });
      expect(manifest.source).toMatch(/^file:\/\//);
      expect(decodeURI(manifest.source)).toContain(path);
      expect(Object.keys(manifest.tables)).toEqual([TABLE]);
      expect(Object.keys(manifest.producer).sort()).toEqual(['git_sha', 'name', 'version']);
      expect(new Date(manifest.created_at).toISOString()).toBe(manifest.created_at);
      expect(Object.values(manifest.checks).every((done) => typeof done === 'boolean')).toBe(true);
      expect(Object.keys(manifest.writer).length).toBeGreaterThan(0);
      expect(Object.keys(manifest).sort()).toEqual(
        ['checks', 'columns', 'created_at', 'ledgers', 'partition', 'producer', 'source', 'tables', 'writer'].sort(),
      );
    }
  });

  it('attests every partition with an event that follows from manifest, sequence and event before', () => {
    let before: string | null = null;
    for (const [sequence, label] of LABELS.entries()) {
      const [ledger_start, ledger_end] = label.split('-').map(Number) as [number, number];
      const manifestBytes = readFileSync(manifestFile(chain, label));
      const manifest = JSON.parse(manifestBytes.toString());
      const event = readJson(eventFile(chain, sequence));
      const { checksum, row_count, byte_size } = manifest.tables[TABLE];
      expect(event).toEqual({
        version: '1.2',
        event_type: 'bronze_partition',
        event_id: `pas_evt_${sha256Hex(`sample/whole/v1/${sequence}`).slice(0, 16)}`,
        timestamp: manifest.created_at,
        partition: { network: 'sample', era_id: 'whole', version_label: 'v1', ledger_start, ledger_end },
        tables: {
          [TABLE]: {
            checksum,
            row_count,
            byte_size,
            storage_path: `bronze/sample/whole/v1/${TABLE}/range=${label}/part-${label}.parquet`,
          },
        },
        ledgers: manifest.ledgers,
        manifest_sha256: sha256Hex(manifestBytes),
        producer: manifest.producer,
        chain: { sequence, prev_event_hash: before, event_hash: eventHashOf(event) },
      });
      before = event.chain.event_hash;
      const copy = readFileSync(join(scene.backup, `sample_whole_v1_${label}.json`));
      expect(copy.equals(readFileSync(eventFile(chain, sequence)))).toBe(true);
    }
    expect(readJson(scene.backup, 'pas-chain-heads.json')).toEqual({ 'sample/whole/v1': before });
  });

  it('is proved by verify, also against the copies of the events, and by pas verify', async () => {
    const verified = await program('verify', scene.data, '--json', '--events', scene.backup);
    expect(verified.code, verified.stdout).toBe(0);
    const report = JSON.parse(verified.stdout);
    expect(report).toMatchObject({ ok: true, findings: [] });
    expect(report.chains[0]).toMatchObject({ partitions: 13, read: 13, not_read: 0, attested: 13, ledgers: 126 });
    const sample = await scene.verify('--json', '--sample', '1/5');
    const { read, not_read } = JSON.parse(sample.stdout).chains[0];
    // One of five, beginning anywhere: two or three of thirteen.
    expect([2, 3]).toContain(read);
    expect(read + not_read).toBe(13);
    const text = await scene.verify('--sample', '1/5');
    expect(text.stdout).toMatch(/OK for the [23] partitions that were read; 1[01] were not read/);
    expect((await program('pas', 'verify', scene.backup)).code).toBe(0);
  });

  it('logs with a correlation_id per partition, at most three lines each at info', () => {
    expect(outcome.logs.map((line) => line.msg).at(0)).toBe('run started');
    expect(outcome.logs.map((line) => line.msg).at(-1)).toBe('run ended');
    const perPartition = new Map<string, number>();
    for (const line of outcome.logs) {
      expect(line).toMatchObject({ level: 'info', copier_id: 'copier-under-test', component: expect.any(String) });
      expect(new Date(String(line.time)).toISOString()).toBe(line.time);
      if (line.ledger_start === undefined) continue;
      expect(line).toMatchObject({
        era_id: 'whole',
        correlation_id: expect.any(String),
        ledger_end: expect.any(Number),
      });
      perPartition.set(line.correlation_id as string, (perPartition.get(line.correlation_id as string) ?? 0) + 1);
    }
    expect(perPartition.size).toBe(LABELS.length);
    expect(Math.max(...perPartition.values())).toBeLessThanOrEqual(3);
    const committed = outcome.logs.filter((line) => line.msg === 'partition committed');
    expect(committed.map((line) => `${line.ledger_start}-${line.ledger_end}`)).toEqual(LABELS);
    expect(outcome.stdout.split('\n').filter(Boolean)).toHaveLength(outcome.logs.length);
  });
});

describe('flags and outputs of run', () => {
  it('--json leaves stdout to the summary and logs to stderr', async () => {
    const scene = await sampleScene(sampleEra({ ledger_end: 19 }));
    const outcome = await scene.run({ args: ['--json'], settings: { logging: { level: 'debug' } } });
    expect(outcome.code).toBe(0);
    expect(JSON.parse(outcome.stdout)).toEqual(outcome.summary);
    expect(outcome.logs.length).toBeGreaterThan(2);
  });

  it('one correlation_id from dispatch to commit at debug', async () => {
    const scene = await sampleScene(sampleEra({ ledger_end: 19 }));
    const { logs } = await scene.run({ settings: { logging: { level: 'debug' } } });
    const its = logs.filter((line) => line.ledger_start === 10);
    expect(its.length).toBeGreaterThan(4);
    expect(new Set(its.map((line) => line.correlation_id)).size).toBe(1);
    expect(its.map((line) => line.msg)).toEqual(
      expect.arrayContaining(['partition dispatched', 'partition committed']),
    );
  });

  it('--to stops after the partition that holds the ledger; the next run goes on', async () => {
    const scene = await sampleScene();
    const chain = scene.chain('sample', 'whole');
    const first = await scene.run({ args: ['--to', '43'] });
    expect(first).toMatchObject({ code: 0, summary: { status: 'done' } });
    expect(first.summary?.eras[0]).toMatchObject({ next_ledger: 50, partitions: 5 });
    expect(partitionsOf(chain).map(({ label }) => label)).toEqual(grid(2, 49, 10));
    const second = await scene.run();
    expect(second.summary?.eras[0]).toMatchObject({ next_ledger: 128, partitions: 8 });
    expect((await scene.verify()).code).toBe(0);
  });

  it('--eras and active_eras choose; the others are not touched', async () => {
    const eras = [
      sampleEra({ era_id: 'pre_p23', ledger_end: 63 }),
      sampleEra({ era_id: 'p23_plus', ledger_start: 64 }),
    ];
    const scene = await sampleScene(eras, { active_eras: ['pre_p23'] });
    expect((await scene.run({ args: ['--eras', 'p23_plus'] })).summary?.eras.map((era) => era.era_id)).toEqual([
      'p23_plus',
    ]);
    expect(namesIn(scene.chain('sample', 'pre_p23'))).toEqual([]);
    expect((await scene.run()).summary?.eras.map((era) => era.era_id)).toEqual(['pre_p23']);
    expect((await scene.verify()).code).toBe(0);
    const unknown = await scene.run({ args: ['--eras', 'p24'] });
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('p24');
  });

  it('--dry-run and plan touch nothing', async () => {
    const scene = await sampleScene();
    for (const [command, args] of [
      ['plan', ['--json']],
      ['run', ['--dry-run', '--json']],
    ] as const) {
      const outcome = await scene.start(command, { args }).done;
      expect(outcome.code, outcome.stderr).toBe(0);
      expect(() => JSON.parse(outcome.stdout)).not.toThrow();
    }
    expect(namesIn(scene.root)).toEqual(['config.yaml']);
  });

  it('status --json tells what is committed', async () => {
    const scene = await sampleScene();
    await scene.run({ args: ['--to', '29'] });
    const before = filesIn(scene.data);
    const outcome = await scene.start('status', { args: ['--json'] }).done;
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.stdout).toContain('29');
    expect(() => JSON.parse(outcome.stdout)).not.toThrow();
    expect(filesIn(scene.data)).toEqual(before);
  });

  it('without the audit stream everything but events is the same', async () => {
    const scene = await sampleScene(sampleEra({ ledger_end: 29 }), { pas: { enabled: false } });
    const chain = scene.chain('sample', 'whole');
    expect((await scene.run()).code).toBe(0);
    expect(partitionsOf(chain).map(({ state }) => state)).toEqual(['sealed', 'sealed', 'sealed']);
    expect([...namesIn(join(chain, '_audit')), ...namesIn(scene.backup)]).toEqual([]);
    expect((await scene.run()).summary?.eras[0]).toMatchObject({ partitions: 0, next_ledger: 30 });
    // Switched on late, it attests what is sealed, first to last, before going on.
    scene.change({ eras: [sampleEra({ ledger_end: 49 })], pas: { enabled: true } });
    expect((await scene.run()).code).toBe(0);
    const events = namesIn(join(chain, '_audit')).map((name) => readJson(chain, '_audit', name));
    expect(events.map((event) => event.partition.ledger_start)).toEqual([2, 10, 20, 30, 40]);
    expect((await scene.verify()).code).toBe(0);
  });

  it.each(['zstd', 'snappy', 'none'])(
    'compression %s can be read by others and holds the same content',
    async (codec) => {
      const scene = await sampleScene(sampleEra({ ledger_end: 9 }), { bronze: { compression: codec } });
      expect((await scene.run()).code).toBe(0);
      const rows = await rowsIn(scene.bronze);
      expect(rows.map((row) => row.recomputed_sha256)).toEqual(sampleLedgers().slice(0, 8).map(sha256Hex));
      const { ledgers } = readJson(manifestFile(scene.chain('sample', 'whole'), '2-9'));
      expect(ledgers.content_root).toBe(merkleRoot(rows.map((row) => row.xdr_sha256)));
    },
  );

  it('answers wrong usage with 2', async () => {
    for (const args of [
      [],
      ['runn'],
      ['run', '--too', '3'],
      ['run', '--to', '1e3'],
      ['run', '--config', 'none.yaml'],
    ]) {
      expect((await program(...args)).code, args.join(' ')).toBe(2);
    }
    for (const args of [['--version'], ['--help'], ['run', '--help'], ['-version']]) {
      expect((await program(...args)).code, args.join(' ')).toBe(0);
    }
  });
});
