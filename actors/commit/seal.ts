/**
 * Sealing: the manifest is created, if there is none, and read back; the stored one is what counts from then on.
 * It must never replace a manifest, nor answer with facts that are not in the stored one.
 */
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent, PublishedPartition, SealedPartition } from '../../machines/protocol.ts';
import { type ChainPlace, readEvent } from '../audit/chain.ts';
import { killPoint } from '../kill-points.ts';
import { eventKey, manifestKey } from '../paths.ts';
import { buildManifest, manifestBytes, type Producer, sameData, sameManifest, sha256Hex } from './manifest.ts';
import { storedPartition } from './stored-partition.ts';

/** Who seals, and the clock, which only a manifest that is new gets its time from (RFC 3339, UTC). */
export interface Sealer {
  readonly producer: Producer;
  readonly now: () => string;
}

/** The producer that the stored event names: the manifest has to come out as it was, byte for byte. */
export async function producerOf(place: ChainPlace, attested: AttestedEvent, signal?: AbortSignal): Promise<Producer> {
  const stored = await readEvent(place, attested.sequence, signal);
  if (stored !== null && stored.attested.eventHash === attested.eventHash) return stored.event.producer;
  const object = eventKey(place.chain, attested.sequence);
  throw new BronzeError('AUDIT_ORPHAN', `the event ${object} changed while its partition was restored`, {
    details: { ...attested.range, object },
  });
}

export function orphan(attested: AttestedEvent, object: string, found: string): BronzeError {
  return new BronzeError(
    'AUDIT_ORPHAN',
    `event ${attested.sequence} attests partition ${rangeLabel(attested.range)} by a manifest with SHA-256 ${attested.manifestSha256}; it cannot be restored: the manifest has ${found}`,
    {
      details: {
        ...attested.range,
        object,
        expected: attested.manifestSha256,
        found,
        hint: 'a manifest also holds the source URI, the checks and the writer: run with the lake, settings and release that it was written with, or bring it back from a copy; one of the old program only a copy brings back (docs/runbook.md, "A partition cannot be restored")',
      },
    },
  );
}

/**
 * Seals a published partition. A manifest that stands there wins if partition, tables and ledgers are the same. With
 * `attested` the stored manifest must have the hash that the event names, and nothing is written that has another.
 * Throws MANIFEST_CONFLICT, MANIFEST_INVALID, AUDIT_ORPHAN, STORE_*.
 */
export async function sealPartition(
  place: ChainPlace,
  sealer: Sealer,
  input: { readonly published: PublishedPartition; readonly attested: AttestedEvent | null },
  signal?: AbortSignal,
): Promise<SealedPartition> {
  const { chain, table, store } = place;
  const { published, attested } = input;
  const { range } = published;
  const object = manifestKey(chain, table, range);
  const ours = buildManifest({
    ...published,
    chain,
    table,
    producer: attested === null ? sealer.producer : await producerOf(place, attested, signal),
    createdAt: attested === null ? sealer.now() : attested.timestamp,
  });
  const bytes = manifestBytes(ours);
  const fits = attested === null || sha256Hex(bytes) === attested.manifestSha256;
  if (fits) {
    killPoint('commit:before-seal');
    await store.create(object, bytes, signal);
    killPoint('commit:after-seal');
  }
  const stored = await store.get(object, signal);
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
  return facts;
}
