/**
 * Sealing again: the manifest of an attested partition is lost, and its data object is there. It is made from the
 * object, the event and what other manifests of the chain say beside their rows. Only bytes with the hash that the
 * event names are ever written. The lake is not read: what is there needs no other proof than its event.
 */
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { AttestedEvent, ChecksDone, LedgerRange, SealedPartition } from '../../machines/protocol.ts';
import {
  buildManifest,
  manifestBytes,
  oldManifestBytes,
  parseAnyManifest,
  sameData,
  sameLedgers,
  sha256Hex,
} from '../bronze/manifest.ts';
import { dataKey, manifestKey } from '../bronze/names.ts';
import { listPartitions } from '../chain/list-partitions.ts';
import { storedPartition } from '../chain/stored-partition.ts';
import { killPoint } from '../kill-points.ts';
import type { ReadBackAnswer } from '../parquet/spec.ts';
import { PART_BYTES } from '../store/part-size.ts';
import { orphan, producerOf, signedLike } from './attested-manifest.ts';
import { type CommitPlace, condemnsContent, readPartition } from './read-partition.ts';

/** Manifests on either side that are asked what they say of source and checks, nearest first. */
const ASKED = 100;

export interface ResealPlace extends CommitPlace {
  /** URI of the configured lake. */
  readonly source: string;
}

/** What a manifest says beside its rows. */
interface Said {
  readonly source: string;
  readonly checks: ChecksDone;
}

/** The checks that a configuration may switch, every way round, as they were made now first. */
function checksLike(made: ChecksDone, event: AttestedEvent): ChecksDone[] {
  const { protocol = false, result_hash = true } = made;
  return [
    made,
    { ...made, protocol: !protocol },
    { ...made, result_hash: !result_hash },
    { ...made, protocol: !protocol, result_hash: !result_hash },
  ].flatMap((checks) => signedLike(checks, event));
}

/** What may have stood in the manifest: the configured lake, then what others of the chain say, nearest first. */
async function* candidates(
  place: ResealPlace,
  event: AttestedEvent,
  made: ChecksDone,
  signal?: AbortSignal,
): AsyncGenerator<Said> {
  const { range } = event;
  for (const checks of checksLike(made, event)) yield { source: place.source, checks };
  const { store, chain, table } = place;
  const distance = (other: LedgerRange): number => Math.abs(other.start - range.start);
  const others = (await listPartitions(place, signal))
    .filter((other) => other.hasManifest && !sameRange(other.range, range))
    .sort((a, b) => distance(a.range) - distance(b.range))
    .slice(0, 2 * ASKED);
  const known = new Set<string>();
  for (const other of others) {
    const object = manifestKey(chain, table, other.range);
    const bytes = await store.get(object, signal);
    if (bytes === null) continue;
    let said: Said;
    try {
      const { columns, manifest } = parseAnyManifest(bytes, { chain, table, range: other.range, object });
      if (columns === 1) continue;
      said = manifest;
    } catch (error) {
      // Somebody else's damage.
      if (error instanceof BronzeError && error.code === 'MANIFEST_INVALID') continue;
      throw error;
    }
    const label = JSON.stringify([said.source, said.checks]);
    if (known.has(label)) continue;
    known.add(label);
    for (const checks of signedLike(said.checks, event)) yield { source: said.source, checks };
    for (const checks of checksLike(made, event)) yield { source: said.source, checks };
  }
}

/** `rows` is null where the file is not of this program's columns. */
async function readRows(
  place: ResealPlace,
  range: LedgerRange,
  signal?: AbortSignal,
): Promise<Partial<ReadBackAnswer> & Pick<ReadBackAnswer, 'rows'>> {
  try {
    return await readPartition(place, range, 'rows', signal, 2, PART_BYTES);
  } catch (error) {
    if (!condemnsContent(error)) throw error;
    return { rows: null };
  }
}

/** Bytes of a manifest with the attested hash; null where none of those that can be thought of has it. */
async function findBytes(place: ResealPlace, event: AttestedEvent, signal?: AbortSignal): Promise<Uint8Array | null> {
  const { chain, table } = place;
  const { range } = event;
  const object = dataKey(chain, table, range);
  const fits = (bytes: Uint8Array): boolean => sha256Hex(bytes) === event.manifestSha256;
  const damaged = (found: string): BronzeError =>
    new BronzeError('PARTITION_DAMAGED', `${object} is not what event ${event.sequence} attests`, {
      details: {
        ...range,
        object,
        expected: event.data.checksum,
        found,
        hint: 'its manifest is lost as well: bring both back from a copy (docs/runbook.md, "A partition is damaged")',
      },
    });
  const producer = await producerOf(place, event, signal);
  const fixed = { chain, table, range, data: event.data, producer, createdAt: event.timestamp };
  const whole = await readPartition(place, range, 'bytes', signal);
  if (whole.data.checksum !== event.data.checksum || whole.data.byteSize !== event.data.byteSize) {
    throw damaged(whole.data.checksum);
  }
  const old = oldManifestBytes(fixed);
  if (fits(old)) return old;
  const { rows, parts } = await readRows(place, range, signal);
  // Its bytes are the attested ones, in columns of the old program: its manifest was another one than can be made.
  if (rows === null) return null;
  if (!sameLedgers(rows.ledgers, event.ledgers)) throw damaged(`content_root ${rows.ledgers.contentRoot}`);
  const { writer } = rows;
  for await (const { source, checks } of candidates(place, event, rows.checks, signal)) {
    const one = { ...fixed, ledgers: event.ledgers, writer, checks, source };
    // The estate may have been moved from a store that keeps objects in one piece, or to one.
    for (const cut of parts === undefined ? [one] : [{ ...one, parts }, one]) {
      const bytes = manifestBytes(buildManifest(cut));
      if (fits(bytes)) return bytes;
    }
  }
  return null;
}

/**
 * Writes the manifest of a partition that `event` attests and whose data object is there. One that stands there already
 * counts if it is the attested one. Throws PARTITION_DAMAGED where the data is not what was attested, AUDIT_ORPHAN where
 * no manifest comes out as it was, MANIFEST_INVALID, STORE_*.
 */
export async function resealAttested(
  place: ResealPlace,
  event: AttestedEvent,
  signal?: AbortSignal,
): Promise<SealedPartition> {
  const { chain, table, store } = place;
  const { range } = event;
  const object = manifestKey(chain, table, range);
  const bytes = (await store.get(object, signal)) ?? (await findBytes(place, event, signal));
  if (bytes === null) {
    throw orphan(event, object, 'another hash, whatever source and checks of the other manifests are put into it');
  }
  if (sha256Hex(bytes) !== event.manifestSha256) throw orphan(event, object, sha256Hex(bytes));
  killPoint('commit:before-seal');
  await store.create(object, bytes, signal);
  killPoint('commit:after-seal');
  const stored = await store.get(object, signal);
  if (stored === null) {
    throw new BronzeError('STORE_IO', `the manifest ${object} was written and cannot be read back`, {
      details: { ...range, object },
    });
  }
  const { sealed } = await storedPartition(place, range, stored, event.ledgers, signal);
  if (sealed.manifestSha256 !== event.manifestSha256) throw orphan(event, object, sealed.manifestSha256);
  if (!sameData(sealed.data, event.data)) {
    throw new BronzeError('INTERNAL', `the manifest of ${rangeLabel(range)} has the attested hash and another content`);
  }
  return sealed;
}
