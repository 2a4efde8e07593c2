/**
 * What a coordinator and remote workers say to each other through the queue: plain data, versioned, without secrets.
 * Both sides judge it as foreign input. It holds no credential, and nothing in it widens what a worker was configured
 * to touch: where the lake and Bronze are, each side takes from its own configuration and compares.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { BronzeError, CODES, type Failure, fromFailure, toFailure } from '../../machines/errors.ts';
import { rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { WriterVersions } from '../../machines/protocol.ts';
import { endsSchema, fromEnds, toEnds } from '../bronze/manifest.ts';
import { chainKey, dataFileName, dataKey } from '../bronze/names.ts';
import type { BuildAnswer, BuildTask } from '../parquet/spec.ts';
import type { SourceSpec } from '../ports/source.ts';
import type { StagingSpec, StoreSpec } from '../ports/store.ts';

/** Raised whenever a task or an answer of before would be misunderstood. */
export const TASK_FORMAT = 2;

/** Bytes of a task's JSON: a few kilobytes are usual. A trusted hash is 90: there may be one in 64 ledgers. */
const TASK_LIMIT = 1024 * 1024;
/** Bytes of an answer's JSON: 10,000 parts of an upload at about 120 bytes each. */
const ANSWER_LIMIT = 4 * 1024 * 1024;

const ledger = z.int().min(0).max(0xffff_ffff);
const shortText = z.string().min(1).max(1_024);
const label = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/);
const nonce = z.string().regex(/^[A-Za-z0-9-]{1,64}$/);
const versions = z.record(z.string().max(64), z.string().max(64));

const taskSchema = z.strictObject({
  format: z.literal(TASK_FORMAT),
  /** `placeOf` of the coordinator's Bronze and lake. */
  bronze: shortText,
  lake: shortText,
  chain: z.strictObject({ network: label, eraId: label, versionLabel: label }),
  table: label,
  range: z.strictObject({ start: ledger, end: ledger }),
  layout: z.strictObject({
    ledgersPerFile: z.int().positive(),
    filesPerPartition: z.int().positive(),
    networkPassphrase: z.string().max(1_024).nullable(),
    origin: z.enum(['lake', 'listing', 'configuration']),
    suffix: z.enum(['zst', 'zstd']),
  }),
  attempt: shortText,
  compression: z.strictObject({ codec: z.enum(['zstd', 'snappy', 'none']), level: z.int() }),
  checks: z.strictObject({
    results: z.boolean(),
    protocolMin: z.int().nullable(),
    protocolMax: z.int().nullable(),
    networkPassphrase: z.string().max(1_024).nullable(),
    trusted: z.array(z.strictObject({ ledger, hash: z.string().regex(/^[0-9a-f]{64}$/) })).optional(),
  }),
  /** What fixes the bytes, as the coordinator has it: a worker with other versions refuses. */
  writer: versions,
  /** Nonce of the holder of the chain's lock; its staging objects carry it. */
  owner: nonce,
  /** S3: the upload that the coordinator has begun for this attempt, and has in its journal; null elsewhere. */
  upload: z.string().min(1).max(2_048).nullable(),
  correlationId: shortText,
  /** Set by the coordinator when nobody waits for it any more. */
  cancelled: z.boolean().optional(),
});

export type QueueTask = z.infer<typeof taskSchema>;

const answerSchema = z.strictObject({
  handle: z.string().min(1).max(ANSWER_LIMIT),
  data: z.strictObject({
    file: shortText,
    checksum: z.string().regex(/^sha256:[0-9a-f]{64}$/),
    rowCount: z.int().positive(),
    byteSize: z.int().positive(),
  }),
  ledgers: endsSchema,
  writer: versions,
  checks: z.record(z.string().max(64), z.boolean()),
  firstObject: z.string().max(1_024),
  sourceBytes: z.int().nonnegative(),
  rawBytes: z.int().nonnegative(),
});

const failureSchema = z.looseObject({
  code: z.string().max(64),
  message: z.string().max(65_536),
  retryable: z.boolean(),
});

const resultSchema = z.strictObject({
  format: z.literal(TASK_FORMAT),
  /** Who worked on it, for messages. */
  worker: shortText,
  range: z.strictObject({ start: ledger, end: ledger }),
  answer: answerSchema.optional(),
  failure: failureSchema.optional(),
});

export type QueueResult = z.infer<typeof resultSchema>;

/** Where a lake or Bronze is, as text that two configurations can be compared by; no credentials in it. */
export function placeOf(spec: SourceSpec | StoreSpec): string {
  if ('path' in spec) return `file ${spec.path}`;
  if ('root' in spec) return `file ${spec.root} ${spec.prefix}`;
  const { address, prefix } = spec;
  const host = address.protocol === 's3' ? (address.endpoint ?? 'aws') : 'google';
  return `${address.protocol} ${host} ${address.bucket} ${prefix}`;
}

/** Every Bronze and lake has a queue of its own: workers of another one never see its tasks. */
export function queueName(bronze: string, lake: string): string {
  const digest = createHash('sha256').update(`${bronze}\n${lake}`).digest('hex');
  return `bronze-copier-${digest.slice(0, 16)}`;
}

const invalid = (code: 'TASK_INVALID' | 'ANSWER_INVALID', message: string, hint: string): BronzeError =>
  new BronzeError(code, message, { details: { hint } });

const TASK_HINT = 'something else writes to this queue, or a coordinator of another release does';
const ANSWER_HINT = 'something else answers on this queue; nothing was published. Find out which worker it was';

/** The task of a job. Throws TASK_INVALID. */
export function parseTask(json: unknown): QueueTask {
  if (JSON.stringify(json)?.length > TASK_LIMIT) {
    throw invalid('TASK_INVALID', `a task is larger than ${TASK_LIMIT} bytes`, TASK_HINT);
  }
  const parsed = taskSchema.safeParse(json);
  if (!parsed.success) {
    const why = z.prettifyError(parsed.error).replaceAll('\n', ' ').slice(0, 500);
    throw invalid('TASK_INVALID', `what is in the queue is no task of this release: ${why}`, TASK_HINT);
  }
  const { range } = parsed.data;
  if (range.end < range.start) throw invalid('TASK_INVALID', `a task is for ledgers ${rangeLabel(range)}`, TASK_HINT);
  return parsed.data;
}

export const answerOf = (task: QueueTask, worker: string, answer: BuildAnswer): QueueResult => ({
  format: TASK_FORMAT,
  worker,
  range: task.range,
  answer: { ...answer, ledgers: fromEnds(answer.ledgers), writer: { ...answer.writer }, checks: { ...answer.checks } },
});

export const failureOf = (task: Pick<QueueTask, 'range'>, worker: string, error: unknown): QueueResult => ({
  format: TASK_FORMAT,
  worker,
  range: task.range,
  failure: { ...toFailure(error) },
});

/** Says why what a worker writes would not be what the coordinator writes; null where it would. */
export function writerDifference(wanted: WriterVersions, has: WriterVersions): string | null {
  const keys = [...new Set([...Object.keys(wanted), ...Object.keys(has)])].sort();
  const differs = keys.filter((key) => wanted[key] !== has[key]);
  if (differs.length === 0) return null;
  return differs.map((key) => `${key}: wanted ${wanted[key] ?? 'nothing'}, has ${has[key] ?? 'nothing'}`).join('; ');
}

/**
 * What a worker gave back for a task, judged: it names this partition, this writer and what was staged for this attempt.
 * Throws the worker's own failure; ANSWER_INVALID.
 */
export function parseResult(json: unknown, task: QueueTask, owns: (handle: string) => boolean): BuildAnswer {
  const where = rangeLabel(task.range);
  const wrong = (why: string): BronzeError =>
    invalid('ANSWER_INVALID', `the answer for partition ${where} cannot be used: ${why}`, ANSWER_HINT);
  if (JSON.stringify(json)?.length > ANSWER_LIMIT) throw wrong(`it is larger than ${ANSWER_LIMIT} bytes`);
  const parsed = resultSchema.safeParse(json);
  if (!parsed.success) throw wrong(z.prettifyError(parsed.error).replaceAll('\n', ' ').slice(0, 500));
  const { worker, range, answer, failure } = parsed.data;
  if (!sameRange(range, task.range)) throw wrong(`${worker} answers for ${rangeLabel(range)}`);
  if (failure !== undefined) throw workersFailure(worker, failure as unknown as Failure);
  if (answer === undefined) throw wrong(`${worker} gives neither a file nor a failure`);
  const rows = range.end - range.start + 1;
  if (answer.data.rowCount !== rows) throw wrong(`${worker} says ${answer.data.rowCount} rows for ${rows} ledgers`);
  if (answer.data.file !== dataFileName(range)) throw wrong(`${worker} names the file ${answer.data.file}`);
  const other = writerDifference(task.writer, answer.writer);
  if (other !== null) throw wrong(`${worker} wrote with other versions (${other})`);
  if (!owns(answer.handle)) throw wrong(`${worker} names something that was not staged for this attempt`);
  return { ...answer, ledgers: toEnds(answer.ledgers), checks: answer.checks as unknown as BuildAnswer['checks'] };
}

/** A worker's failure with its name; a code that this release does not know is ANSWER_INVALID. */
function workersFailure(worker: string, failure: Failure): BronzeError {
  if (!Object.hasOwn(CODES, failure.code)) {
    return invalid(
      'ANSWER_INVALID',
      `${worker} failed with a code that is not known here: ${failure.code}`,
      ANSWER_HINT,
    );
  }
  return fromFailure({ ...failure, message: `${failure.message} (worker ${worker})` });
}

/** The build that a task asks for, with the worker's own way to the lake and to staging. */
export function buildTaskOf(task: QueueTask, source: SourceSpec, staging: StagingSpec): BuildTask {
  const { chain, table, range, layout, attempt, compression } = task;
  const { trusted, ...checks } = task.checks;
  return {
    kind: 'build',
    chain,
    range,
    source,
    layout,
    staging,
    key: dataKey(chain, table, range),
    attempt,
    compression,
    checks: trusted === undefined ? checks : { ...checks, trusted },
  };
}

/** Job ids hold no `:` and are never all digits; another run of the same chain has other ones. */
export const jobId = (task: QueueTask): string =>
  createHash('sha256')
    .update(`${chainKey(task.chain)} ${task.owner} ${task.attempt}`)
    .digest('hex')
    .slice(0, 32)
    .padStart(33, 'b');
