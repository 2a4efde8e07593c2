/** Publishing: what stands under a partition's name is read and compared, never skipped, never replaced. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dataKey, manifestKey } from '../../actors/bronze/names.ts';
import { readChain } from '../../actors/chain/audit-chain.ts';
import type { BronzeStore } from '../../actors/ports/store.ts';
import { publishStaged } from '../../actors/sequencer/publish-partition.ts';
import { condemnsContent } from '../../actors/sequencer/read-partition.ts';
import { sealPublished } from '../../actors/sequencer/seal-partition.ts';
import { verifyStored } from '../../actors/sequencer/verify-sealed.ts';
import { BronzeError } from '../../machines/errors.ts';
import {
  bronzeFiles,
  CHAIN,
  commitAll,
  contentOf,
  type Estate,
  endsOf,
  estateIn,
  failureOf,
  NOW,
  PRODUCER,
  placeOf,
  putFile,
  sha,
  stageIn,
  TABLE,
} from '../support/bronze.ts';

const range = { start: 2, end: 11 };
const KEY = dataKey(CHAIN, TABLE, range);
const MANIFEST = manifestKey(CHAIN, TABLE, range);
const sealer = { producer: PRODUCER, now: () => NOW };

/** A store whose answer to `method` is lost after it did its work, once. */
function losing(estate: Estate, method: 'publish' | 'create'): Estate {
  let lost = false;
  const store = new Proxy(estate.store, {
    get(target, name: keyof BronzeStore) {
      const real = target[name];
      if (typeof real !== 'function') return real;
      const bound = real.bind(target) as (...args: unknown[]) => Promise<unknown>;
      if (name !== method) return bound;
      return async (...args: unknown[]) => {
        const answer = await bound(...args);
        if (lost) return answer;
        lost = true;
        throw new BronzeError('STORE_IO', 'the answer was lost');
      };
    },
  });
  return { ...estate, store };
}

describe('publishing', () => {
  it('a new partition: the facts are those of what was staged', async () => {
    const estate = estateIn();
    const staged = await stageIn(estate, range);
    const published = await publishStaged(estate, { staged, attested: null });
    expect(published).toMatchObject({ range, data: staged.data, found: false });
    expect(Object.keys(bronzeFiles(estate))).toEqual([KEY]);
  });

  it('S8: an answer lost after publish is found out by reading back', async () => {
    const estate = losing(estateIn(), 'publish');
    const staged = await stageIn(estate, range);
    expect((await failureOf(publishStaged(estate, { staged, attested: null }))).retryable).toBe(true);
    expect(await publishStaged(estate, { staged, attested: null })).toMatchObject({
      found: true,
      data: staged.data,
    });
  });

  it('S32: what was staged is gone and nothing is published: STAGED_GONE', async () => {
    const estate = estateIn();
    const staged = await stageIn(estate, range);
    rmSync(staged.handle);
    expect((await failureOf(publishStaged(estate, { staged, attested: null }))).code).toBe('STAGED_GONE');
  });

  it('S10, S26: sealed with the same content is a no-op, and the stored facts win', async () => {
    const estate = estateIn();
    await commitAll(estate, [range], undefined, { writer: 'old' });
    const before = bronzeFiles(estate);
    const staged = await stageIn(estate, range, { writer: 'new' });
    const published = await publishStaged(estate, { staged, attested: null });
    expect(published).toMatchObject({
      found: true,
      writer: { parquet: 'old' },
      data: { checksum: sha(contentOf(range, 'old')) },
    });
    expect(bronzeFiles(estate)).toEqual(before);
  });

  it('S30: an orphan of another release is found by its rows and sealed under its own checksum and writer', async () => {
    const estate = estateIn();
    putFile(estate, KEY, contentOf(range, 'old'));
    const staged = await stageIn(estate, range, { writer: 'new' });
    const published = await publishStaged(estate, { staged, attested: null });
    expect(published).toMatchObject({ found: true, writer: { parquet: 'old' } });
    const sealed = await sealPublished(estate, sealer, { published, attested: null });
    expect(sealed.data.checksum).toBe(sha(contentOf(range, 'old')));
    expect(existsSync(staged.handle)).toBe(false);
    expect(await verifyStored(estate, sealed)).toEqual(sealed);
  });

  it.each<[string, Uint8Array]>([
    ['empty', Buffer.alloc(0)],
    ['cut', contentOf(range).subarray(0, 50)],
    ['of other ledgers', contentOf(range, 'w1', 'fork')],
    ['of fewer ledgers', contentOf({ start: 2, end: 5 })],
  ])('S9: an existing object that is %s is a conflict naming both, and stays', async (_, bytes) => {
    const estate = estateIn();
    putFile(estate, KEY, bytes);
    const staged = await stageIn(estate, range);
    const failure = await failureOf(publishStaged(estate, { staged, attested: null }));
    expect(failure).toMatchObject({ code: 'PARTITION_CONFLICT', retryable: false });
    for (const part of [KEY, staged.data.checksum, sha(bytes), 'A partition conflicts', 'version_label']) {
      expect(failure.message).toContain(part);
    }
    expect(Buffer.compare(Buffer.from((await estate.store.get(KEY)) ?? ''), bytes)).toBe(0);
  });

  it('S9: sealed and then changed is damage; sealed for other ledgers is a conflict', async () => {
    const estate = estateIn();
    await commitAll(estate, [range]);
    const forked = await stageIn(estate, range, { fork: 'fork' });
    expect((await failureOf(publishStaged(estate, { staged: forked, attested: null }))).code).toBe(
      'PARTITION_CONFLICT',
    );
    putFile(estate, KEY, Buffer.concat([contentOf(range).subarray(1), Buffer.from('x')]));
    const staged = await stageIn(estate, range);
    expect((await failureOf(publishStaged(estate, { staged, attested: null }))).code).toBe('PARTITION_DAMAGED');
    putFile(estate, MANIFEST, '{"partition": {"start": 1, "end": 2}}');
    expect((await failureOf(publishStaged(estate, { staged, attested: null }))).code).toBe('MANIFEST_INVALID');
  });

  it('S6: what stands there cannot be read now: the error is passed on and nothing is decided', async () => {
    const estate = estateIn();
    putFile(estate, KEY, 'x');
    const staged = await stageIn(estate, range);
    for (const code of ['STORE_IO', 'STORE_DENIED', 'THREAD_CRASHED', 'CANCELLED', 'INTERNAL'] as const) {
      const readBack = () => Promise.reject(new BronzeError(code, 'not now'));
      const failure = await failureOf(publishStaged({ ...estate, readBack }, { staged, attested: null }));
      expect(failure.code).toBe(code);
    }
    expect(condemnsContent(new Error('bug'))).toBe(false);
    expect(existsSync(staged.handle)).toBe(true);
  });
});

describe('restoring what an event promises', () => {
  const committed = async () => {
    const estate = estateIn();
    await commitAll(estate, [range], undefined, { now: '2020-01-01T00:00:00Z' });
    const attested = (await readChain(placeOf(estate))).events[0] ?? null;
    const before = bronzeFiles(estate);
    const lose = (key: string) => rmSync(join(estate.root, 'bronze', key));
    return { estate, attested, before, lose };
  };

  it('lost data, lost manifest, or both come back byte for byte', async () => {
    for (const keys of [[KEY], [MANIFEST], [KEY, MANIFEST]]) {
      const { estate, attested, before, lose } = await committed();
      for (const key of keys) lose(key);
      const staged = await stageIn(estate, range);
      const published = await publishStaged(estate, { staged, attested });
      const later = { producer: { ...PRODUCER, version: '9' }, now: () => NOW };
      const sealed = await sealPublished(estate, later, { published, attested });
      expect(sealed.manifestSha256).toBe(attested?.manifestSha256);
      expect(bronzeFiles(estate)).toEqual(before);
    }
  });

  it('by another writer, only the manifest can be restored: the stored object is the one that was attested', async () => {
    const { estate, attested, before, lose } = await committed();
    lose(MANIFEST);
    const staged = await stageIn(estate, range, { writer: 'new' });
    const published = await publishStaged(estate, { staged, attested });
    await sealPublished(estate, sealer, { published, attested });
    expect(bronzeFiles(estate)).toEqual(before);
  });

  it('other bytes are AUDIT_ORPHAN and are never published', async () => {
    const { estate, attested, lose } = await committed();
    lose(KEY);
    const staged = await stageIn(estate, range, { writer: 'new' });
    const failure = await failureOf(publishStaged(estate, { staged, attested }));
    expect(failure).toMatchObject({ code: 'AUDIT_ORPHAN', retryable: false });
    expect(await estate.store.get(KEY)).toBeNull();
    putFile(estate, KEY, contentOf(range, 'new'));
    lose(MANIFEST);
    expect((await failureOf(publishStaged(estate, { staged, attested }))).code).toBe('AUDIT_ORPHAN');
  });

  it('a manifest that would come out otherwise is AUDIT_ORPHAN and is not written', async () => {
    const { estate, attested, lose } = await committed();
    lose(MANIFEST);
    const staged = await stageIn(estate, range, { source: 's3://moved/' });
    const published = await publishStaged(estate, { staged, attested });
    expect((await failureOf(sealPublished(estate, sealer, { published, attested }))).code).toBe('AUDIT_ORPHAN');
    expect(await estate.store.get(MANIFEST)).toBeNull();
  });
});

it('S9: verifying a sealed partition finds a flipped bit, a cut and a missing object', async () => {
  const estate = estateIn();
  const staged = await stageIn(estate, range);
  const published = await publishStaged(estate, { staged, attested: null });
  const sealed = await sealPublished(estate, sealer, { published, attested: null });
  expect(sealed.ledgers).toEqual(endsOf(range));
  const flipped = Buffer.from(contentOf(range));
  flipped[7] = (flipped[7] as number) ^ 4;
  for (const bytes of [flipped, flipped.subarray(0, 9), Buffer.alloc(0)]) {
    putFile(estate, KEY, bytes);
    expect(await failureOf(verifyStored(estate, sealed))).toMatchObject({
      code: 'PARTITION_DAMAGED',
      retryable: false,
    });
  }
  rmSync(join(estate.root, 'bronze', KEY));
  expect((await failureOf(verifyStored(estate, sealed))).code).toBe('PARTITION_DAMAGED');
  const readBack = () => Promise.reject(new BronzeError('STORE_IO', 'not now'));
  expect((await failureOf(verifyStored({ ...estate, readBack }, sealed))).code).toBe('STORE_IO');
});
