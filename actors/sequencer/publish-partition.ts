/**
 * Publishing: a staged partition becomes visible under its final name, or what stands there already is read and found
 * to hold the same ledgers. It must never delete, replace or trust a published object by its name, size or existence.
 */

import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent, DataFile, PublishedPartition, StagedPartition } from '../../machines/protocol.ts';
import { type Manifest, manifestData, parseAnyManifest, sameLedgers, toEnds } from '../bronze/manifest.ts';
import { dataKey, manifestKey } from '../bronze/names.ts';
import { openBronze } from '../chain/bronze-json.ts';
import { refuseOverlap } from '../chain/overlaps.ts';
import type { Effect } from '../effects/effect.ts';
import { killPoint } from '../kill-points.ts';
import type { ReadBackAnswer } from '../parquet/spec.ts';
import { commitPlaceOf } from './commit-place.ts';
import { type CommitPlace, condemnsContent, readPartition } from './read-partition.ts';
import { sealingTime } from './sealing-time.ts';

const WAY_OUT =
  'nothing was overwritten; see docs/runbook.md, "A partition conflicts": copy under a new version_label, or find out which of the two is wrong';

const RESTORE_HINT =
  'bring it back from a copy, or build it with the release and compression that wrote it; what the old program wrote only a copy brings back (docs/runbook.md, "A partition cannot be restored")';

const ofData = (data: DataFile): string => `${data.checksum}, ${data.rowCount} rows, ${data.byteSize} bytes`;

function conflict(place: CommitPlace, staged: StagedPartition, found: string, cause?: unknown): BronzeError {
  const key = dataKey(place.chain, place.table, staged.range);
  const ours = `${ofData(staged.data)}, content_root ${staged.ledgers.contentRoot}`;
  return new BronzeError(
    'PARTITION_CONFLICT',
    `another content stands under ${place.store.uri}${key}: stored ${found}; copied now ${ours}; ${WAY_OUT}`,
    { details: { ...staged.range, object: key, expected: ours, found, hint: WAY_OUT }, cause },
  );
}

function orphan(place: CommitPlace, event: AttestedEvent, found: string): BronzeError {
  const object = dataKey(place.chain, place.table, event.range);
  return new BronzeError(
    'AUDIT_ORPHAN',
    `event ${event.sequence} attests partition ${rangeLabel(event.range)} with ${event.data.checksum}, and it cannot be restored: ${found}`,
    {
      details: {
        ...event.range,
        object,
        expected: event.data.checksum,
        found,
        hint: RESTORE_HINT,
      },
    },
  );
}

/** The same bytes are cut the same way, whoever uploaded them: parts have one size. */
function partsOf(place: CommitPlace, staged: StagedPartition): Pick<PublishedPartition, 'parts'> {
  const parts = place.store.partsOf(staged.handle);
  return parts === null ? {} : { parts };
}

/** Whether a read-back found exactly these bytes. */
const sameBytes = (answer: ReadBackAnswer, data: DataFile): boolean =>
  answer.data.checksum === data.checksum && answer.data.byteSize === data.byteSize;

type Told = Pick<PublishedPartition, 'ledgers' | 'writer' | 'checks' | 'source'>;

const factsOfManifest = ({ ledgers, writer, checks, source }: Manifest): Told => ({
  ledgers: toEnds(ledgers),
  writer,
  checks,
  source,
});

function factsOfRows({ rows }: ReadBackAnswer, { source }: StagedPartition): Told {
  if (rows === null) throw new BronzeError('INTERNAL', 'a read-back of rows answered without rows');
  return { ...rows, source };
}

/** What is published under a manifest: the stored facts win, if they are about the same ledgers and the bytes are whole. */
async function sealedThere(
  place: CommitPlace,
  staged: StagedPartition,
  bytes: Uint8Array,
  signal?: AbortSignal,
): Promise<PublishedPartition> {
  const { range } = staged;
  const object = manifestKey(place.chain, place.table, range);
  const { columns, manifest } = parseAnyManifest(bytes, {
    chain: place.chain,
    table: place.table,
    range,
    object,
  });
  const data = manifestData(manifest, place.table);
  // The old program's manifests say nothing about ledgers: its file has to prove them, row by row.
  const rows = columns === 1 ? await readPartition(place, range, 'rows', signal, columns) : null;
  const told = rows === null ? factsOfManifest(manifest as Manifest) : factsOfRows(rows, staged);
  if (!sameLedgers(told.ledgers, staged.ledgers)) {
    throw conflict(place, staged, `${ofData(data)}, content_root ${told.ledgers.contentRoot}, sealed`);
  }
  const answer = rows ?? (await readPartition(place, range, 'bytes', signal));
  if (!sameBytes(answer, data)) {
    throw new BronzeError(
      'PARTITION_DAMAGED',
      `${dataKey(place.chain, place.table, range)} is not what its manifest says: ${answer.data.checksum}, ${answer.data.byteSize} bytes instead of ${data.checksum}, ${data.byteSize} bytes`,
      { details: { ...range, object, expected: data.checksum, found: answer.data.checksum } },
    );
  }
  return { range, data, ...told, found: true };
}

/** What is published without a manifest: the same bytes, or, row by row, the same ledgers by another writer (S30). */
async function unsealedThere(
  place: CommitPlace,
  staged: StagedPartition,
  attested: AttestedEvent | null,
  signal?: AbortSignal,
): Promise<PublishedPartition> {
  const { range, ledgers, writer, checks, source } = staged;
  let found = 'a file that cannot be read';
  let isAttested = false;
  try {
    const whole = await readPartition(place, range, 'bytes', signal);
    if (sameBytes(whole, staged.data)) {
      return { range, data: staged.data, ledgers, writer, checks, source, ...partsOf(place, staged), found: true };
    }
    found = `${whole.data.checksum}, ${whole.data.byteSize} bytes`;
    isAttested = attested !== null && sameBytes(whole, attested.data);
    const answer = await readPartition(place, range, 'rows', signal);
    const told = factsOfRows(answer, staged);
    found = `${ofData(answer.data)}, content_root ${told.ledgers.contentRoot}`;
    if (sameLedgers(told.ledgers, ledgers) && answer.data.rowCount === staged.data.rowCount) {
      return { range, data: answer.data, ...told, found: true };
    }
  } catch (error) {
    if (!condemnsContent(error)) throw error;
    // Whole, and not of this program's columns: its manifest, which nobody can write again, is what is lost.
    if (isAttested && attested !== null) {
      throw orphan(place, attested, `its file is whole, and its manifest is lost (${error.message})`);
    }
    throw conflict(place, staged, `${found} (${error.message})`, error);
  }
  throw conflict(place, staged, found);
}

async function readStored(
  place: CommitPlace,
  staged: StagedPartition,
  attested: AttestedEvent | null,
  signal?: AbortSignal,
): Promise<PublishedPartition> {
  const key = manifestKey(place.chain, place.table, staged.range);
  const manifest = await place.store.get(key, signal);
  return manifest === null
    ? unsealedThere(place, staged, attested, signal)
    : sealedThere(place, staged, manifest, signal);
}

async function isThere(place: CommitPlace, key: string, signal?: AbortSignal): Promise<boolean> {
  const reader = await place.store.open(key, signal);
  await reader?.close();
  return reader !== null;
}

/**
 * A manifest stands there and its data is lost: only what the manifest names may become visible below it. Otherwise a
 * manifest would name a file that is not there, for good.
 */
function refuseOtherThanSealed(place: CommitPlace, staged: StagedPartition, bytes: Uint8Array): void {
  const { chain, table } = place;
  const { range } = staged;
  const object = manifestKey(chain, table, range);
  const { manifest } = parseAnyManifest(bytes, { chain, table, range, object });
  const data = manifestData(manifest, table);
  if (data.checksum === staged.data.checksum) return;
  throw new BronzeError(
    'PARTITION_DAMAGED',
    `the data of partition ${rangeLabel(range)} is lost, and built again it is not what its manifest names`,
    {
      details: {
        ...range,
        object,
        check: 'checksum',
        expected: data.checksum,
        found: staged.data.checksum,
        hint: RESTORE_HINT,
      },
    },
  );
}

/** Whether the staged object is what stands published now. Whatever else happened, the answer is found by looking. */
async function tryToPublish(
  place: CommitPlace,
  staged: StagedPartition,
  attested: AttestedEvent | null,
  signal?: AbortSignal,
): Promise<'published' | 'exists'> {
  const key = dataKey(place.chain, place.table, staged.range);
  if (attested !== null && staged.data.checksum !== attested.data.checksum) {
    // Not what the event promises, so it must not become visible; what stands there may still be.
    if (await isThere(place, key, signal)) return 'exists';
    throw orphan(place, attested, `built again it has ${staged.data.checksum}`);
  }
  const checkBeforeVisible = async (): Promise<void> => {
    if (!(await refuseOverlap(place, staged.range, signal)).isThere) return;
    const sealed = await place.store.get(manifestKey(place.chain, place.table, staged.range), signal);
    if (sealed !== null && !(await isThere(place, key, signal))) refuseOtherThanSealed(place, staged, sealed);
  };
  try {
    killPoint('commit:before-publish');
    const outcome = await place.store.publish(staged.handle, key, signal, checkBeforeVisible);
    killPoint('commit:after-publish');
    return outcome;
  } catch (error) {
    // Gone, because an attempt whose answer was lost has published it? Then a rebuild would be for nothing.
    const isGone = error instanceof BronzeError && error.code === 'STAGED_GONE';
    if (isGone && (await isThere(place, key, signal))) return 'exists';
    throw error;
  }
}

/**
 * Publishes a staged partition. Where something stands under its name: `found` is true, the facts are those of what is
 * stored, and the staged object is discarded. With `attested` (a partition that an event promises and that was lost)
 * the checksum must be the event's.
 * Throws PARTITION_CONFLICT, PARTITION_DAMAGED, MANIFEST_INVALID, AUDIT_ORPHAN, STAGED_GONE, STORE_*, THREAD_CRASHED.
 */
export async function publishStaged(
  place: CommitPlace,
  input: { readonly staged: StagedPartition; readonly attested: AttestedEvent | null },
  signal?: AbortSignal,
): Promise<PublishedPartition> {
  const { staged, attested } = input;
  const outcome = await tryToPublish(place, staged, attested, signal);
  if (outcome === 'published') {
    const { range, data, ledgers, writer, checks, source } = staged;
    return { range, data, ledgers, writer, checks, source, ...partsOf(place, staged), found: false };
  }
  const published = await readStored(place, staged, attested, signal);
  if (attested !== null && published.data.checksum !== attested.data.checksum) {
    throw orphan(place, attested, `what stands there has ${published.data.checksum}`);
  }
  // What cannot be removed now is swept by the next holder of the lock; the partition stands.
  await place.store.discard([staged.handle], signal).catch(() => undefined);
  return published;
}

export const publishPartition: Effect<'publishPartition'> = async (era, input, tools) => {
  era.lock?.assertHeld();
  // What is published has to be sealed, and could not be.
  if (input.attested === null) sealingTime(input.staged.range);
  // Not before something is published: a first try with a wrong configuration must not fix anything.
  if (!era.termsAreFixed) {
    await openBronze(era.place, era.setup.terms, tools.signal);
    era.termsAreFixed = true;
  }
  return publishStaged(commitPlaceOf(era, input.askedBy), input, tools.signal);
};
