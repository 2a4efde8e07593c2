/**
 * Every way in which this program can fail, as data: the codes, whether a retry can help, and the one error class.
 * It is the only place where a code is born; docs/errors.md carries a heading per code, and a test keeps the two equal.
 * It must never import anything: machines decide by these codes, actors throw them, the CLI prints them.
 */

/** `retry`: the same call may succeed later. `exit`: the process exit code when this is what ended a command. */
interface CodeFacts {
  readonly retry: boolean;
  readonly exit: 1 | 2 | 3 | 4;
  readonly summary: string;
}

const data = (summary: string): CodeFacts => ({ retry: false, exit: 1, summary });
const passing = (summary: string): CodeFacts => ({ retry: true, exit: 1, summary });
const usage = (summary: string): CodeFacts => ({ retry: false, exit: 2, summary });

export const CODES = {
  // usage and configuration
  USAGE: usage('the command line cannot be understood'),
  CONFIG_INVALID: usage('the configuration has errors'),
  CONFIG_UNREADABLE: usage('the configuration file cannot be read'),
  ANCHORS_INVALID: usage('the anchors that were named cannot be used'),
  KEY_INVALID: usage('a key cannot be used'),
  LISTEN_FAILED: usage('an address for metrics or the inspector cannot be listened on'),
  OUTPUT_FAILED: data('what was asked for could not be written'),
  // buckets
  BUCKET_MISSING: data('a bucket does not exist'),
  BUCKET_REGION: data('a bucket lies in another region than the one configured'),
  CREDENTIALS_INVALID: data('there are no credentials, or none that the store accepts'),
  ENDPOINT_INVALID: data('what answers at an endpoint is no object store of its kind'),
  LISTING_INVALID: data('a listing makes no progress, contradicts itself or does not end'),
  // the lake
  LAKE_NOT_FOUND: data('the lake does not exist or is not a Galexie lake'),
  LAKE_CONFIG_INVALID: data("the lake's .config.json cannot be used"),
  LAKE_WRONG_NETWORK: data("the lake's network passphrase is not the era's"),
  LAKE_CONTRADICTS: data('the lake has another ledger than Bronze under the same sequence'),
  LAKE_BEHIND: data('the lake ends before what is committed'),
  LEDGER_MISSING: data('the lake has no object for a ledger that was asked for'),
  SOURCE_DENIED: data('the source refused access'),
  SOURCE_READ: passing('an object of the lake could not be read'),
  OBJECT_EMPTY: data('an object of the lake is empty'),
  OBJECT_CORRUPT: data('an object of the lake is not exactly one whole zstd frame'),
  OBJECT_TOO_LARGE: data('an object of the lake unpacks to more than the limit'),
  BATCH_INVALID: data('an object of the lake is not a LedgerCloseMetaBatch for its name'),
  // ledgers
  XDR_INVALID: data('a ledger is not valid XDR, or bytes follow it'),
  LEDGER_SEQUENCE: data('a ledger carries another sequence than its place'),
  LEDGER_HASH: data('the SHA-256 of a ledger header is not the ledger hash'),
  LINK_BROKEN: data("a ledger's previous hash is not the hash of the ledger before"),
  TX_SET_HASH: data("the transaction set does not have the header's hash"),
  SET_PREVIOUS: data('the transaction set names another previous ledger than the header'),
  SIGNATURE_INVALID: data("a ledger's value carries a signature that is not its signer's"),
  ANCHOR_CONTRADICTED: data('a trusted hash or a history archive has another ledger under the same sequence'),
  RESULT_HASH: data("the transaction results do not have the header's hash"),
  RESULT_COUNT: data('a ledger does not have one result per transaction'),
  PROTOCOL_GUARD: data("a ledger's protocol is outside the era's guard"),
  ROW_COUNT: data('a partition does not have one row per ledger'),
  ERA_LINK_BROKEN: data('two neighbouring eras do not link'),
  // the store
  STORE_DENIED: data('the store refused access'),
  STORE_FULL: passing('the store has no space left'),
  STORE_IO: passing('the store could not be read or written'),
  ANSWER_UNTRUE: passing('a store said that it wrote something, and it is not there'),
  STAGED_GONE: passing('what was staged has vanished before it was published'),
  PARTITION_CONFLICT: data('another content stands under the name of a partition'),
  PARTITION_DAMAGED: data('a published partition is missing bytes or has others than its manifest says'),
  PARTITION_OVERLAP: data('published partitions overlap or do not fit the era'),
  MANIFEST_INVALID: data('a manifest cannot be read or is for another partition'),
  MANIFEST_CONFLICT: data('another manifest stands under the name of a partition'),
  BRONZE_MISMATCH: data('the configuration differs from what _bronze.json has fixed'),
  BRONZE_INVALID: data('_bronze.json cannot be read'),
  BRONZE_NAME: data('a chain has a name that the layout of Bronze uses for itself'),
  OBJECT_FOREIGN: data('something that no copier writes lies in a chain'),
  ESTATE_FOREIGN: data('the old program wrote partitions of this chain into another table'),
  // the audit chain
  AUDIT_INVALID: data('an event of the audit chain cannot be read or has another hash than it says'),
  AUDIT_HOLE: data('an event of the audit chain is missing and cannot be re-derived'),
  AUDIT_FORK: data('another event stands in the audit chain for the same partition'),
  EVIDENCE_CONTRADICTS: data('copies, heads, checkpoint, delivery or catalog remember what Bronze does not hold'),
  AUDIT_ORPHAN: data('an event attests a partition that cannot be restored'),
  HEAD_INVALID: data('a signed head of the audit log is missing, cannot be read or is not signed by the key'),
  HEAD_CONTRADICTS: data('a signed head of the audit log is of other events, or of more, than the chain has'),
  PROOF_INVALID: { retry: false, exit: 3, summary: 'a proof of a ledger does not show what it says, or is none' },
  NOT_VOUCHED: { retry: false, exit: 4, summary: 'no quorum of organisations has signed the ledgers after one' },
  // catalog and delivery
  CATALOG_UNAVAILABLE: passing('the catalog cannot be reached or does not answer'),
  CATALOG_DENIED: data('the catalog refuses access, or lacks a right that is needed'),
  CATALOG_SCHEMA: data('what is at the address of the catalog is no catalog of this release'),
  CATALOG_CONFLICT: data('the catalog refuses a row: its range overlaps another one, or other content stands there'),
  DELIVERY_FAILED: passing('the endpoint cannot be reached or does not take an event now'),
  DELIVERY_REFUSED: data('the endpoint refuses an event for good'),
  // state
  LOCK_HELD: data('another copier works on this chain'),
  LOCK_LOST: data('another copier has taken the lock of this one over'),
  STATE_IO: passing('the state folder could not be read or written'),
  CLOCK_INVALID: data('the clock of this machine shows no year from 1970 to 9999'),
  // the queue of remote workers
  QUEUE_UNAVAILABLE: passing('the queue of remote workers cannot be reached'),
  QUEUE_DENIED: data('the queue of remote workers refused user or password'),
  QUEUE_UNFIT: data('what answers as the queue cannot be used as one'),
  TASK_INVALID: data('a task in the queue is not one of this release, or not for this Bronze'),
  ANSWER_INVALID: data('the answer of a remote worker does not fit its task'),
  WORKER_MISMATCH: passing('a remote worker would write other bytes than its coordinator'),
  WORKER_LOST: passing('remote workers died again and again over one task'),
  // the machinery
  THREAD_CRASHED: passing('a worker thread ended without an answer'),
  RESPAWN_LIMIT: data('workers crashed more often than respawn_limit allows'),
  ACTOR_CRASHED: data('an actor failed in a way that its machine does not know'),
  STALLED: data('an era made no progress for longer than stall_timeout_ms'),
  CANCELLED: data('the work was cancelled'),
  INTERNAL: data('a bug in this program'),
} as const satisfies Record<string, CodeFacts>;

export type ErrorCode = keyof typeof CODES;

/** Where and about what; every field optional, all of them plain data so that they cross threads and fit in a log line. */
export interface Details {
  readonly ledger?: number;
  readonly start?: number;
  readonly end?: number;
  /** Object key, path or URI. */
  readonly object?: string;
  /** The check that failed, e.g. `tx_set_hash`. */
  readonly check?: string;
  readonly expected?: string;
  readonly found?: string;
  /** What the reader can do about it. */
  readonly hint?: string;
}

/** An error as data: what machines keep in their context and messages carry. */
export interface Failure extends Details {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  /** Milliseconds that the other side asked to wait (Retry-After). */
  readonly retryAfterMs?: number;
}

/** Thrown by actors, the configuration loader and the CLI. Its `code` says which heading of docs/errors.md applies. */
export class BronzeError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: Details;
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: Details; cause?: unknown; retryable?: boolean; retryAfterMs?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'BronzeError';
    this.code = code;
    this.details = options.details ?? {};
    this.retryable = options.retryable ?? CODES[code].retry;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The data of any thrown value. What is not a BronzeError is a bug: INTERNAL, never retried. */
export function toFailure(error: unknown): Failure {
  if (error instanceof BronzeError) {
    return {
      ...error.details,
      code: error.code,
      message: error.message,
      retryable: error.retryable,
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'INTERNAL', message: `unexpected: ${message}`, retryable: false };
}

/** The error of a failure that came over a message channel. */
export function fromFailure(failure: Failure): BronzeError {
  const { code, message, retryable, retryAfterMs, ...details } = failure;
  return new BronzeError(code, message, {
    details,
    retryable,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
