/**
 * Events of the audit stream (contract, section 5): derived from a stored manifest, read, checked, and chains of them
 * verified, by this program's rule (version 1.2) and by the old program's (1.1). Pure; no I/O, no clock.
 * An event must never hold anything that does not follow from the manifest, the sequence and the event before.
 */
import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import * as z from 'zod';
import { BronzeError } from '../../machines/errors.ts';
import type { AttestedEvent, DataFile, LedgerEnds, LedgerRange, SealedPartition } from '../../machines/protocol.ts';
import { decodeUtf8, parseJson, prettyJson } from '../json.ts';
import {
  checksumText,
  endsSchema,
  fromEnds,
  hashHex,
  ledgerNumber,
  type Producer,
  producerSchema,
  timestampText,
  toEnds,
} from './manifest.ts';
import { type ChainName, chainKey, dataFileName, dataKey } from './names.ts';

/** Closed, as in manifests. */
const partitionSchema = z.strictObject({
  network: z.string().min(1),
  era_id: z.string().min(1),
  version_label: z.string().min(1),
  ledger_start: ledgerNumber,
  ledger_end: ledgerNumber,
});

const tablesSchema = z.record(
  z.string(),
  z.strictObject({
    checksum: checksumText,
    row_count: z.int().positive(),
    storage_path: z.string().min(1),
    byte_size: z.int().positive(),
  }),
);

const eventSchema = z.looseObject({
  version: z.literal('1.2'),
  event_type: z.literal('bronze_partition'),
  event_id: z.string(),
  timestamp: timestampText,
  partition: partitionSchema,
  tables: tablesSchema,
  ledgers: endsSchema,
  manifest_sha256: hashHex,
  producer: producerSchema,
  chain: z.strictObject({
    sequence: z.int().min(0).max(9_999_999_999),
    prev_event_hash: checksumText.nullable(),
    event_hash: checksumText,
  }),
});

const oldEventSchema = z.looseObject({
  version: z.literal('1.1'),
  event_type: z.literal('bronze_partition'),
  event_id: z.string(),
  timestamp: timestampText,
  partition: partitionSchema,
  tables: tablesSchema,
  producer: producerSchema,
  chain: z.strictObject({ prev_event_hash: z.union([checksumText, z.literal('')]), event_hash: checksumText }),
});

/** An event of this program, as JSON. */
export type AuditEvent = Readonly<z.infer<typeof eventSchema>>;

/** What events of both programs have in common, checked against their own hash. */
export interface ChainEvent {
  readonly version: '1.2' | '1.1';
  /** Key or path it was read from. */
  readonly object: string;
  readonly chain: ChainName;
  readonly table: string;
  readonly eventId: string;
  readonly timestamp: string;
  readonly range: LedgerRange;
  readonly data: DataFile;
  readonly storagePath: string;
  readonly producer: Producer;
  readonly eventHash: string;
  readonly prevEventHash: string | null;
  /** Null in events of the old program, as are the next two. */
  readonly sequence: number | null;
  readonly ledgers: LedgerEnds | null;
  readonly manifestSha256: string | null;
}

const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

/** `pas_evt_` + the first 16 hex digits of SHA-256(`{chain key}/{sequence}`). */
export const eventId = (chain: ChainName, sequence: number): string =>
  `pas_evt_${sha256(`${chainKey(chain)}/${sequence}`).slice(0, 16)}`;

/**
 * SHA-256 over the RFC 8785 canonical JSON of an event without `chain.event_hash`. Throws a plain Error for what has
 * no canonical form (a lone surrogate), which only an event read from outside can hold.
 */
export function eventHash(event: { readonly chain: Readonly<Record<string, unknown>> }): string {
  const { event_hash: _, ...chain } = event.chain;
  const text = canonicalize({ ...event, chain });
  if (text === undefined) throw new Error('it has no canonical JSON');
  return `sha256:${sha256(text)}`;
}

/** The event of a sealed partition at its place in the chain; `sealed` and `producer` as the stored manifest has them. */
export function buildEvent(of: {
  readonly chain: ChainName;
  readonly table: string;
  /** What `storage_path` starts with: that of the event before; `''` or ending in `/`. */
  readonly storagePrefix: string;
  readonly sealed: SealedPartition;
  readonly producer: Producer;
  readonly sequence: number;
  readonly prevEventHash: string | null;
}): AuditEvent {
  const { chain, table } = of;
  const { range, data, ledgers, manifestSha256, createdAt } = of.sealed;
  const { name, version, git_sha } = of.producer;
  const event = {
    version: '1.2' as const,
    event_type: 'bronze_partition' as const,
    event_id: eventId(chain, of.sequence),
    timestamp: createdAt,
    partition: {
      network: chain.network,
      era_id: chain.eraId,
      version_label: chain.versionLabel,
      ledger_start: range.start,
      ledger_end: range.end,
    },
    tables: {
      [table]: {
        checksum: data.checksum,
        row_count: data.rowCount,
        storage_path: `${of.storagePrefix}${dataKey(chain, table, range)}`,
        byte_size: data.byteSize,
      },
    },
    ledgers: fromEnds(ledgers),
    manifest_sha256: manifestSha256,
    producer: { name, version, git_sha },
    chain: { sequence: of.sequence, prev_event_hash: of.prevEventHash },
  };
  return { ...event, chain: { ...event.chain, event_hash: eventHash(event) } };
}

/** As stored. */
export const eventBytes = (event: AuditEvent): Uint8Array => prettyJson(event);

/** JSON text without the blanks between its tokens; keys, numbers and escapes stay as they were written. */
function compact(text: string): string {
  // Token by token: a pattern for a whole string would need a stack as long as the string.
  let isInString = false;
  return text.replace(/\\[\s\S]|"|[ \t\r\n]+/g, (token) => {
    if (token === '"') isInString = !isInString;
    return isInString || token === '"' ? token : '';
  });
}

/** The old program's rule: SHA-256 of the compact JSON in the file's own key order with `event_hash` set to "". */
function oldEventHash(text: string, hash: string): string {
  const dense = compact(text);
  const field = `"event_hash":"${hash}"`;
  const at = dense.lastIndexOf(field);
  return `sha256:${sha256(`${dense.slice(0, at)}"event_hash":""${dense.slice(at + field.length)}`)}`;
}

const refuse = (object: string, why: string, more: { check?: string; expected?: string; found?: string } = {}) =>
  new BronzeError('AUDIT_INVALID', `the event ${object} cannot be used: ${why}`, {
    details: { object, ...more, hint: 'find out what changed it; events are never overwritten' },
  });

function checked<T>(schema: z.ZodType<T>, json: unknown, object: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw refuse(object, z.prettifyError(parsed.error).replaceAll('\n', ' '));
}

/** The part that both versions share. */
function common(event: z.infer<typeof oldEventSchema> | AuditEvent, object: string) {
  const { partition, tables } = event;
  const range = { start: partition.ledger_start, end: partition.ledger_end };
  const names = Object.keys(tables);
  const table = names[0];
  const entry = table === undefined ? undefined : tables[table];
  if (table === undefined || entry === undefined || names.length !== 1) {
    throw refuse(object, `it is about ${names.length} tables and not one`);
  }
  const rows = range.end - range.start + 1;
  if (rows < 1) throw refuse(object, `its partition ${range.start}-${range.end} ends before it starts`);
  if (entry.row_count !== rows) throw refuse(object, `it says ${entry.row_count} rows for ${rows} ledgers`);
  return {
    object,
    chain: { network: partition.network, eraId: partition.era_id, versionLabel: partition.version_label },
    table,
    eventId: event.event_id,
    timestamp: event.timestamp,
    range,
    data: {
      file: dataFileName(range),
      checksum: entry.checksum,
      rowCount: entry.row_count,
      byteSize: entry.byte_size,
    },
    storagePath: entry.storage_path,
    producer: event.producer,
    eventHash: event.chain.event_hash,
  };
}

function expectHash(object: string, says: string, has: string): void {
  if (says === has) return;
  throw refuse(object, `its hash is ${has} and not ${says}, as it says`, {
    check: 'event_hash',
    expected: says,
    found: has,
  });
}

/**
 * Reads an event of this or of the old program and checks it against its own hash. `object` is its key or path, for
 * messages. Throws AUDIT_INVALID naming it and what is wrong with it.
 */
export function parseEvent(bytes: Uint8Array, object: string): ChainEvent {
  let json: unknown;
  try {
    json = parseJson(bytes);
  } catch (error) {
    throw refuse(object, error instanceof Error ? error.message : String(error));
  }
  if (typeof json === 'object' && json !== null && 'version' in json && json.version === '1.1') {
    const event = checked(oldEventSchema, json, object);
    expectHash(object, event.chain.event_hash, oldEventHash(decodeUtf8(bytes), event.chain.event_hash));
    const prevEventHash = event.chain.prev_event_hash === '' ? null : event.chain.prev_event_hash;
    return {
      ...common(event, object),
      version: '1.1',
      prevEventHash,
      sequence: null,
      ledgers: null,
      manifestSha256: null,
    };
  }
  const event = checked(eventSchema, json, object);
  // Over what was read and not over what the schema kept: the hash covers fields of later releases as well.
  let hash: string;
  try {
    hash = eventHash(json as AuditEvent);
  } catch (error) {
    throw refuse(object, error instanceof Error ? error.message : String(error));
  }
  expectHash(object, event.chain.event_hash, hash);
  const facts = common(event, object);
  const { sequence, prev_event_hash: prevEventHash } = event.chain;
  const id = eventId(facts.chain, sequence);
  if (event.event_id !== id) throw refuse(object, `its event_id is ${event.event_id} and not ${id}`);
  if ((sequence === 0) !== (prevEventHash === null)) {
    throw refuse(object, 'exactly the first event of a chain has no event before it', { check: 'prev_event_hash' });
  }
  const key = dataKey(facts.chain, facts.table, facts.range);
  if (!facts.storagePath.endsWith(key)) throw refuse(object, `its storage_path does not end in ${key}`);
  return {
    ...facts,
    version: '1.2',
    prevEventHash,
    sequence,
    ledgers: toEnds(event.ledgers),
    manifestSha256: event.manifest_sha256,
  };
}

/** What decisions need of an event of this program. Throws AUDIT_INVALID for one of the old program. */
export function attestedEvent(event: ChainEvent): AttestedEvent {
  const { sequence, ledgers, manifestSha256, range, eventHash: hash, prevEventHash, data, timestamp } = event;
  const storagePrefix = event.storagePath.slice(0, -dataKey(event.chain, event.table, range).length);
  if (sequence === null || ledgers === null || manifestSha256 === null) {
    throw refuse(event.object, `it is of version ${event.version}, which has no place in this chain`);
  }
  return { sequence, range, eventHash: hash, prevEventHash, data, ledgers, manifestSha256, timestamp, storagePrefix };
}
