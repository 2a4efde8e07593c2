/**
 * The time that a manifest gets, which its event and its catalog row repeat. It must never be one that whoever reads the
 * manifest refuses: what is sealed with it could neither be attested nor be changed.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { timestampText } from '../bronze/manifest.ts';

/** The clock's time as RFC 3339 in UTC. Throws CLOCK_INVALID where it has no four-digit year from 1970 on. */
export function sealingTime(range: LedgerRange): string {
  const now = new Date();
  const text = now.toISOString();
  if (now.getTime() >= 0 && timestampText.safeParse(text).success) return text;
  throw new BronzeError(
    'CLOCK_INVALID',
    `ledgers ${range.start} to ${range.end} cannot be sealed at ${text}: the clock of this machine is wrong`,
    {
      details: {
        ...range,
        check: 'clock',
        expected: 'a year from 1970 to 9999',
        found: text,
        hint: 'set the clock and run again; nothing was published',
      },
    },
  );
}
