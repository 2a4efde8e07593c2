/** Partitions that the old program wrote are proved under its own column definition, and by no other. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readBack } from '../../actors/parquet/read-back.ts';
import type { ReadBackTask } from '../../actors/parquet/spec.ts';
import { BronzeError } from '../../machines/errors.ts';
import { CHAIN } from '../support/bronze.ts';
import { objectStore } from '../support/object-store.ts';
import { describeShared, SHARED } from '../support/shared.ts';

const never = new AbortController().signal;

interface OldPartition {
  readonly name: string;
  readonly task: ReadBackTask;
  readonly bytes: Buffer;
  readonly manifest: { tables: { ledgers_lcm_raw: { checksum: string; row_count: number; byte_size: number } } };
}

function partitions(): OldPartition[] {
  return ['aligned', 'unaligned'].flatMap((estate) => {
    const prefix = 'pubnet/pre_p23/v1/ledgers_lcm_raw';
    const root = join(SHARED, 'old-estate', estate, 'data/bronze');
    if (!existsSync(root)) return [];
    return readdirSync(join(root, prefix)).map((folder): OldPartition => {
      const [start, end] = folder.replace('range=', '').split('-').map(Number) as [number, number];
      const key = `${prefix}/${folder}/part-${start}-${end}.parquet`;
      return {
        name: `${estate} ${start}-${end}`,
        bytes: readFileSync(join(root, key)),
        manifest: JSON.parse(readFileSync(join(root, prefix, folder, '_manifest.json'), 'utf8')),
        task: {
          kind: 'readback',
          depth: 'rows',
          chain: CHAIN,
          range: { start, end },
          store: { backend: 'local', root, prefix: '' },
          key,
          columns: 1,
          checks: { results: true, protocolMin: null, protocolMax: null, networkPassphrase: null },
        },
      };
    });
  });
}

describeShared('partitions of the old program', () => {
  const all = partitions();

  it.each(all.map((p) => [p.name, p] as const))('%s is what its manifest says, row by row', async (_name, p) => {
    const answer = await readBack(p.task, never, () => undefined);
    const { checksum, row_count: rowCount, byte_size: byteSize } = p.manifest.tables.ledgers_lcm_raw;
    expect(answer.data).toEqual({ file: p.task.key.split('/').at(-1), checksum, rowCount, byteSize });
    expect(answer.rows?.writer).toEqual({ created_by: 'github.com/parquet-go/parquet-go version 0.24.0(build )' });
    expect(answer.rows?.ledgers.contentRoot).toMatch(/^[0-9a-f]{64}$/);
  });

  it('link to each other', async () => {
    const aligned = all.filter((p) => p.name.startsWith('aligned'));
    const ends = await Promise.all(
      aligned.map(async (p) => (await readBack(p.task, never, () => undefined)).rows?.ledgers),
    );
    expect(ends.length).toBe(3);
    for (let i = 1; i < ends.length; i += 1) expect(ends[i]?.previousHash).toBe(ends[i - 1]?.lastHash);
  });

  it('are not of our definition, another range or another chain', async () => {
    const { task } = all[0] as OldPartition;
    const { start, end } = task.range;
    const others: [ReadBackTask, string][] = [
      [{ ...task, columns: 2 }, 'schema'],
      [{ ...task, range: { start, end: end + 1 } }, 'row_count'],
      [{ ...task, range: { start: start - 1, end: end - 1 } }, 'sequence'],
      [{ ...task, chain: { ...CHAIN, network: 'testnet' } }, 'network'],
      [{ ...task, chain: { ...CHAIN, eraId: 'p23' } }, 'era_id'],
      [{ ...task, chain: { ...CHAIN, versionLabel: 'v2' } }, 'bronze_version'],
    ];
    for (const [other, check] of others) {
      await expect(readBack(other, never, () => undefined)).rejects.toMatchObject({
        code: 'PARTITION_DAMAGED',
        details: { check, object: task.key },
      });
    }
  });

  it('with a byte changed are damaged, or differ where no row is', async () => {
    const { task, bytes } = all[0] as OldPartition;
    const whole = await readBack(task, never, () => undefined);
    let found = 0;
    for (let at = 0; at < bytes.length; at += 97) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ (1 << (at % 8));
      try {
        const answer = await readBack(task, never, () => undefined, objectStore(changed));
        expect(answer.data.checksum).not.toBe(whole.data.checksum);
        expect(answer.rows?.ledgers).toEqual(whole.rows?.ledgers);
      } catch (error) {
        expect((error as BronzeError).code).toBe('PARTITION_DAMAGED');
        expect(error).toBeInstanceOf(BronzeError);
        found += 1;
      }
    }
    expect(found).toBeGreaterThan(bytes.length / 97 / 4);
  });
});
