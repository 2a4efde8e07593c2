/** A manifest that an event names by its hash: who made it, and what is said where it cannot be had again. */
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent, ChecksDone } from '../../machines/protocol.ts';
import type { Producer } from '../bronze/manifest.ts';
import { eventKey } from '../bronze/names.ts';
import { readEvent } from '../chain/audit-chain.ts';
import type { ChainPlace } from '../chain/chain-place.ts';

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

/** The same checks with what the event's manifest may have said of signatures: it says nothing where it is of before. */
export function signedLike(checks: ChecksDone, { ledgers }: AttestedEvent): ChecksDone[] {
  const { signatures: _, ...others } = checks;
  if (ledgers.signers !== undefined) return [{ ...others, signatures: true }];
  return [{ ...others, signatures: false }, others];
}
