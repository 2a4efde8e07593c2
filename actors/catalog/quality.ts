/** Which failures say something about a partition's content, and so belong into its quality row. */
import type { ErrorCode } from '../../machines/errors.ts';

const JUDGEMENTS: ReadonlySet<ErrorCode> = new Set([
  'LEDGER_MISSING',
  'OBJECT_EMPTY',
  'OBJECT_CORRUPT',
  'OBJECT_TOO_LARGE',
  'BATCH_INVALID',
  'XDR_INVALID',
  'LEDGER_SEQUENCE',
  'LEDGER_HASH',
  'LINK_BROKEN',
  'TX_SET_HASH',
  'SET_PREVIOUS',
  'SIGNATURE_INVALID',
  'ANCHOR_CONTRADICTED',
  'RESULT_HASH',
  'RESULT_COUNT',
  'PROTOCOL_GUARD',
  'ROW_COUNT',
  'ERA_LINK_BROKEN',
  'PARTITION_CONFLICT',
  'PARTITION_DAMAGED',
  'MANIFEST_CONFLICT',
]);

/** False for what only says that something could not be reached, read or written. */
export const judgesContent = (code: ErrorCode): boolean => JUDGEMENTS.has(code);
