/**
 * Which metric a failure counts in: one table of all codes, so that a new one cannot be forgotten, and one of all
 * effects, for the few codes that say how a bucket failed and not which one. Data only.
 */
import type { EffectName } from '../../machines/effects.ts';
import type { ErrorCode } from '../../machines/errors.ts';

/** `none`: about this process or machine, which has no metric of its own. */
export type Blame = 'source' | 'storage' | 'metadata' | 'pas' | 'none';

/** `bucket`: whichever the effect was at work on. */
const BLAME: Readonly<Record<ErrorCode, Blame | 'bucket'>> = {
  USAGE: 'none',
  CONFIG_INVALID: 'none',
  CONFIG_UNREADABLE: 'none',
  ANCHORS_INVALID: 'none',
  KEY_INVALID: 'none',
  LISTEN_FAILED: 'none',
  OUTPUT_FAILED: 'none',
  PROOF_INVALID: 'none',
  NOT_VOUCHED: 'none',
  BUCKET_MISSING: 'bucket',
  BUCKET_REGION: 'bucket',
  CREDENTIALS_INVALID: 'bucket',
  ENDPOINT_INVALID: 'bucket',
  LISTING_INVALID: 'bucket',
  LAKE_NOT_FOUND: 'source',
  LAKE_CONFIG_INVALID: 'source',
  LAKE_WRONG_NETWORK: 'source',
  LAKE_CONTRADICTS: 'source',
  LAKE_BEHIND: 'source',
  LEDGER_MISSING: 'source',
  SOURCE_DENIED: 'source',
  SOURCE_READ: 'source',
  OBJECT_EMPTY: 'source',
  OBJECT_CORRUPT: 'source',
  OBJECT_TOO_LARGE: 'source',
  BATCH_INVALID: 'source',
  XDR_INVALID: 'source',
  LEDGER_SEQUENCE: 'source',
  LEDGER_HASH: 'source',
  LINK_BROKEN: 'source',
  TX_SET_HASH: 'source',
  SET_PREVIOUS: 'source',
  SIGNATURE_INVALID: 'source',
  ANCHOR_CONTRADICTED: 'source',
  RESULT_HASH: 'source',
  RESULT_COUNT: 'source',
  PROTOCOL_GUARD: 'source',
  ROW_COUNT: 'source',
  ERA_LINK_BROKEN: 'source',
  STORE_DENIED: 'storage',
  STORE_FULL: 'storage',
  STORE_IO: 'storage',
  ANSWER_UNTRUE: 'storage',
  STAGED_GONE: 'storage',
  PARTITION_CONFLICT: 'storage',
  PARTITION_DAMAGED: 'storage',
  PARTITION_OVERLAP: 'storage',
  MANIFEST_INVALID: 'storage',
  MANIFEST_CONFLICT: 'storage',
  BRONZE_MISMATCH: 'storage',
  BRONZE_INVALID: 'storage',
  BRONZE_NAME: 'storage',
  OBJECT_FOREIGN: 'storage',
  ESTATE_FOREIGN: 'storage',
  AUDIT_INVALID: 'pas',
  AUDIT_HOLE: 'pas',
  AUDIT_FORK: 'pas',
  EVIDENCE_CONTRADICTS: 'pas',
  AUDIT_ORPHAN: 'pas',
  HEAD_INVALID: 'pas',
  HEAD_CONTRADICTS: 'pas',
  CATALOG_UNAVAILABLE: 'metadata',
  CATALOG_DENIED: 'metadata',
  CATALOG_SCHEMA: 'metadata',
  CATALOG_CONFLICT: 'metadata',
  DELIVERY_FAILED: 'pas',
  DELIVERY_REFUSED: 'pas',
  LOCK_HELD: 'none',
  LOCK_LOST: 'none',
  STATE_IO: 'none',
  CLOCK_INVALID: 'none',
  QUEUE_UNAVAILABLE: 'none',
  QUEUE_DENIED: 'none',
  QUEUE_UNFIT: 'none',
  TASK_INVALID: 'none',
  ANSWER_INVALID: 'none',
  WORKER_MISMATCH: 'none',
  WORKER_LOST: 'none',
  THREAD_CRASHED: 'none',
  RESPAWN_LIMIT: 'none',
  ACTOR_CRASHED: 'none',
  STALLED: 'none',
  CANCELLED: 'none',
  INTERNAL: 'none',
};

const BUCKET_OF: Readonly<Record<EffectName, 'source' | 'storage'>> = {
  openChain: 'storage',
  surveyChain: 'storage',
  openLake: 'source',
  compareLake: 'source',
  findHead: 'source',
  closeChain: 'storage',
  // It stages as well, but not before the store was opened with the same bucket and credentials.
  buildPartition: 'source',
  stagePartition: 'storage',
  verifySealed: 'storage',
  publishPartition: 'storage',
  checkNeighbours: 'storage',
  sealPartition: 'storage',
  attestPartition: 'storage',
  recordPartition: 'storage',
  writeCheckpoint: 'storage',
  discardStaged: 'storage',
  recordPending: 'storage',
  deliverPending: 'storage',
};

/** The `operation` of a request to the lake that a thread sends again by itself; every other one is an effect. */
export const SOURCE_REQUEST = 'source_request';

/** Names of all effects. */
export const EFFECTS = Object.keys(BUCKET_OF) as EffectName[];

export const isEffect = (name: unknown): name is EffectName =>
  typeof name === 'string' && Object.hasOwn(BUCKET_OF, name);

/** Who is to blame for a failure; `effect` is what failed. */
export function blameFor(code: ErrorCode, effect: EffectName): Blame {
  const blame = BLAME[code];
  return blame === 'bucket' ? BUCKET_OF[effect] : blame;
}
