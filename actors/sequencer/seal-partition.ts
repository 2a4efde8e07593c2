/**
 * Sealing: the manifest is created, if there is none; the stored one is what counts from then on. A store says `created`
 * only where exactly these bytes stand there; anything else is read back.
 * It must never replace a manifest, nor answer with facts that are not in the stored one.
 */

import { createHash } from 'node:crypto';
import type { EffectInput } from '../../machines/effects.ts';
import { BronzeError } from '../../machines/errors.ts';
import type {
  AttestedEvent,
  LedgerRange,
  PublishedPartition,
  SealedPartition,
  StoredPart,
} from '../../machines/protocol.ts';
import { bothDone, throwIfCancelled } from '../bounded.ts';
import {
  buildManifest,
  type Manifest,
  manifestBytes,
  type Producer,
  sameData,
  sameLedgers,
  sameManifest,
  sha256Hex,
} from '../bronze/manifest.ts';
import { dataKey, manifestKey } from '../bronze/names.ts';
import type { ChainPlace } from '../chain/chain-place.ts';
import { refuseOverlap } from '../chain/overlaps.ts';
import { storedPartition } from '../chain/stored-partition.ts';
import type { Effect, Tools } from '../effects/effect.ts';
import type { RunningEra } from '../effects/running-era.ts';
import { killPoint } from '../kill-points.ts';
import { PART_BYTES } from '../store/part-size.ts';
import { orphan, producerOf, signedLike } from './attested-manifest.ts';
import { commitPlaceOf } from './commit-place.ts';
import { resealAttested } from './reseal-partition.ts';
import { sealingTime } from './sealing-time.ts';

/** Who seals, and the clock, which only a manifest that is new gets its time from (RFC 3339, UTC). */
export interface Sealer {
  readonly producer: Producer;
  readonly now: () => string;
  /** Told the bytes of the manifest that stands there. */
  readonly keep?: (bytes: Uint8Array) => void;
}

/**
 * The manifest that an event names, of a partition that was sealed where Bronze lay then: uploaded in parts, or in one
 * piece. Null where neither has the hash that the event names.
 */
async function asAttested(
  place: ChainPlace,
  of: PublishedPartition & { readonly producer: Producer; readonly createdAt: string },
  attested: AttestedEvent,
  signal?: AbortSignal,
): Promise<Manifest | null> {
  const { chain, table } = place;
  const { parts, ...inOnePiece } = of;
  const fits = (manifest: Manifest): boolean => sha256Hex(manifestBytes(manifest)) === attested.manifestSha256;
  // Signatures may have been looked at then and not now, or now and not then.
  const ledgers = sameLedgers(of.ledgers, attested.ledgers) ? attested.ledgers : of.ledgers;
  const made = (cut: readonly StoredPart[] | undefined): Manifest | undefined =>
    signedLike(of.checks, attested)
      .map((checks) =>
        buildManifest({ ...inOnePiece, ...(cut === undefined ? {} : { parts: cut }), ledgers, checks, chain, table }),
      )
      .find(fits);
  const found = made(parts) ?? made(undefined);
  if (found !== undefined) return found;
  const cut = await partsOf(place, of.range, signal);
  return (cut && made(cut)) ?? null;
}

/** The parts that a store cuts the data object into; null where it is not there. */
async function partsOf(place: ChainPlace, range: LedgerRange, signal?: AbortSignal): Promise<StoredPart[] | null> {
  const reader = await place.store.open(dataKey(place.chain, place.table, range), signal);
  if (reader === null) return null;
  try {
    const parts: StoredPart[] = [];
    for (let at = 0; at < reader.size; at += PART_BYTES) {
      throwIfCancelled(signal);
      const bytes = await reader.read(at, Math.min(PART_BYTES, reader.size - at));
      parts.push({ size: bytes.length, md5: createHash('md5').update(bytes).digest('hex') });
    }
    return parts;
  } finally {
    await reader.close();
  }
}

/**
 * Seals a published partition. A manifest that stands there wins if partition, tables and ledgers are the same. With
 * `attested` the stored manifest must have the hash that the event names, and nothing is written that has another.
 * Throws MANIFEST_CONFLICT, MANIFEST_INVALID, AUDIT_ORPHAN, STORE_*.
 */
export async function sealPublished(
  place: ChainPlace,
  sealer: Sealer,
  input: { readonly published: PublishedPartition; readonly attested: AttestedEvent | null },
  signal?: AbortSignal,
): Promise<SealedPartition> {
  const { chain, table, store } = place;
  const { published, attested } = input;
  const { range } = published;
  const object = manifestKey(chain, table, range);
  const producer = attested === null ? sealer.producer : await producerOf(place, attested, signal);
  const createdAt = attested === null ? sealer.now() : attested.timestamp;
  const asNow = buildManifest({ ...published, chain, table, producer, createdAt });
  const ours =
    (attested && (await asAttested(place, { ...published, producer, createdAt }, attested, signal))) ?? asNow;
  const bytes = manifestBytes(ours);
  const fits = attested === null || sha256Hex(bytes) === attested.manifestSha256;
  let isOurs = false;
  if (fits) {
    killPoint('commit:before-seal');
    isOurs = (await store.create(object, bytes, signal)) === 'created';
    killPoint('commit:after-seal');
  }
  const stored = isOurs ? bytes : await store.get(object, signal);
  if (stored === null) {
    if (attested !== null && !fits) throw orphan(attested, object, sha256Hex(bytes));
    throw new BronzeError('STORE_IO', `the manifest ${object} was written and cannot be read back`, {
      details: { ...range, object },
    });
  }
  const theirs = await storedPartition(place, range, stored, published.ledgers, signal);
  const facts = theirs.sealed;
  // One of the old program says nothing about ledgers; its file was proved when it was found published.
  const isSame =
    theirs.columns === 2
      ? sameManifest(ours, theirs.manifest)
      : published.found && sameData(facts.data, published.data);
  if (!isSame) {
    throw new BronzeError(
      'MANIFEST_CONFLICT',
      `another manifest stands under ${store.uri}${object}: stored ${facts.data.checksum}, content_root ${facts.ledgers.contentRoot}; ours ${published.data.checksum}, content_root ${published.ledgers.contentRoot}`,
      {
        details: {
          ...range,
          object,
          expected: published.data.checksum,
          found: facts.data.checksum,
          hint: 'nothing was overwritten; see docs/runbook.md, "A partition conflicts"',
        },
      },
    );
  }
  if (attested !== null && facts.manifestSha256 !== attested.manifestSha256) {
    throw orphan(attested, object, facts.manifestSha256);
  }
  sealer.keep?.(stored);
  return facts;
}

type Input = EffectInput<'sealPartition'>;

export const sealPartition: Effect<'sealPartition'> = async (era, input, tools) => {
  // Two copiers of different ends that published at the same moment: whoever looks later sees the other. Both have made
  // visible what they have before they look, and neither attests before it has looked.
  const about = input.published?.range ?? input.attested?.range;
  if (about === undefined) throw new BronzeError('INTERNAL', 'a partition without facts is to be sealed');
  const [sealed] = await bothDone(sealOne(era, input, tools), refuseOverlap(era.place, about, tools.signal));
  era.noteSealed(sealed);
  // Restored: it has its event already.
  if (input.attested) era.noteAttested(sealed.range, sealed.data.checksum, input.attested.sequence);
  return sealed;
};

async function sealOne(
  era: RunningEra,
  { published, attested, askedBy }: Input,
  tools: Tools,
): Promise<SealedPartition> {
  const { producer, source } = era.setup;
  if (published !== null) {
    const keep = (bytes: Uint8Array): void => {
      era.manifest = { start: published.range.start, bytes };
    };
    const sealer = { producer, now: () => sealingTime(published.range), keep };
    return sealPublished(era.place, sealer, { published, attested }, tools.signal);
  }
  if (attested === null) throw new BronzeError('INTERNAL', 'a partition without facts is to be sealed');
  const place = { ...commitPlaceOf(era, askedBy), source: source.uri };
  const sealed = await resealAttested(place, attested, tools.signal);
  era.log.warn({ component: 'store', ...sealed.range }, 'a manifest was missing and is written again as attested');
  return sealed;
}
