/** The one error that reading back a partition ends with where the file, and not the store, is at fault. */
import { BronzeError, type Details } from '../../machines/errors.ts';

/** PARTITION_DAMAGED. `check` names what failed, `found` says what is there. */
export function damaged(
  object: string,
  check: string,
  found: string,
  more: Details = {},
  cause?: unknown,
): BronzeError {
  const where = more.ledger === undefined ? object : `ledger ${more.ledger} of ${object}`;
  const expected = more.expected === undefined ? '' : ` instead of ${shorten(more.expected)}`;
  return new BronzeError('PARTITION_DAMAGED', `${where}: ${check}: ${shorten(found)}${expected}`, {
    details: { object, check, found: shorten(found), ...more },
    cause,
  });
}

const shorten = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}...` : text);
