/**
 * Proves one chain from what is stored: manifests, audit chain, and every chosen partition from its bytes up. It needs
 * no catalog and no state, writes nothing, and counts what it has not read apart from what it has.
 */
import { BronzeError, type Failure, toFailure } from '../../machines/errors.ts';
import { overlapsOrGap, rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { DataFile, LedgerEnds, LedgerRange } from '../../machines/protocol.ts';
import { type ChainEvent, parseEvent } from '../audit/event.ts';
import { verifyChain as verifyEvents } from '../audit/verify-chain.ts';
import { mapBounded } from '../bounded.ts';
import type { ReadBackAnswer, ReadBackTask } from '../build/spec.ts';
import { readBronze } from '../commit/bronze-json.ts';
import {
  type Manifest,
  manifestData,
  parseAnyManifest,
  sameData,
  sameLedgers,
  sha256Hex,
  toEnds,
} from '../commit/manifest.ts';
import {
  auditPrefix,
  bronzeJsonKey,
  type ChainName,
  chainKey,
  dataFileName,
  manifestKey,
  parsePartitionKey,
  tablePrefix,
} from '../paths.ts';
import type { BronzeStore, LineageRow, StoreSpec } from '../ports.ts';

/** Events read at a time. */
const EVENTS_AT_ONCE = 16;
/** The only table that the old program wrote. */
const OLD_TABLE = 'ledgers_lcm_raw';

/** Something that is not as it should be. */
export interface Finding extends Failure {
  /** `pubnet/pre_p23/v1` */
  readonly chain: string;
}

export interface VerifyOptions {
  /** Of every `of` partitions, read `take`. */
  readonly sample: { readonly take: number; readonly of: number; readonly offset: number };
  readonly from: number | null;
  readonly to: number | null;
  /** Copies of events to compare with, by range label. */
  readonly copies: ReadonlyMap<string, ChainEvent> | null;
  /** Rows of the catalog, by range label; null where no catalog was asked. */
  readonly rows: ReadonlyMap<string, LineageRow> | null;
  readonly parallel: number;
  readonly signal: AbortSignal;
  readonly readBack: (task: ReadBackTask) => Promise<ReadBackAnswer>;
  /** After each partition. */
  readonly onPartition: (done: number, of: number) => void;
}

export interface ChainReport {
  readonly chain: string;
  /** Column definitions of the partitions that were looked at, in order: 2 is this program's, 1 the old one's. */
  readonly columns: readonly (1 | 2)[];
  readonly partitions: number;
  readonly ledgers: number;
  readonly first: number | null;
  readonly last: number | null;
  /** Partitions whose every row was read and checked. */
  readonly read: number;
  /** Partitions of which only manifest, event and size were looked at. */
  readonly not_read: number;
  /** Partitions outside of what was asked for. */
  readonly not_looked_at: number;
  readonly bytes_read: number;
  /** Partitions that have an event in the audit chain. */
  readonly attested: number;
  /** Partitions that the catalog has a row of; null where no catalog was asked. */
  readonly recorded: number | null;
  readonly findings: readonly Finding[];
  /** For the links between eras; null where there is nothing. */
  readonly ends: {
    readonly first: LedgerRange;
    readonly last: LedgerRange;
    readonly previousHash: string;
    readonly lastHash: string;
  } | null;
}

interface Listed {
  readonly range: LedgerRange;
  dataBytes: number | null;
  hasManifest: boolean;
}

interface Known extends Listed {
  /** Null where no manifest says it. */
  readonly columns: 1 | 2 | null;
  readonly ledgers: LedgerEnds | null;
}

class ChainVerification {
  readonly #store: BronzeStore;
  readonly #spec: StoreSpec;
  readonly #chain: ChainName;
  readonly #options: VerifyOptions;
  readonly #findings: Finding[] = [];
  #table = '';
  #bytesRead = 0;
  #read = 0;

  constructor(store: BronzeStore, spec: StoreSpec, chain: ChainName, options: VerifyOptions) {
    this.#store = store;
    this.#spec = spec;
    this.#chain = chain;
    this.#options = options;
  }

  async run(): Promise<ChainReport> {
    const fixed = await readBronze(this.#store, this.#chain, this.#options.signal);
    if (fixed && fixed.columns !== 2) {
      throw new BronzeError('BRONZE_INVALID', `column definition ${fixed.columns} is unknown to this release`);
    }
    this.#table = fixed?.table ?? OLD_TABLE;
    const all = await this.#list();
    this.#beginning(fixed?.ledgerStart ?? null, all[0]?.range ?? null);
    this.#adoptedEnd(fixed?.adopted?.ledger_end ?? null, all.at(-1)?.range.end ?? null);
    const events = await this.#events();
    this.#gaps(all);
    const { from, to, sample, parallel, signal } = this.#options;
    const chosen = all.filter(
      ({ range }) => (from === null || range.end >= from) && (to === null || range.start <= to),
    );
    let done = 0;
    const known = await mapBounded(
      chosen,
      parallel,
      async (listed, i) => {
        const result = await this.#partition(
          listed,
          events,
          ((i + sample.offset) * sample.take) % sample.of < sample.take,
        );
        this.#options.onPartition(++done, chosen.length);
        return result;
      },
      signal,
    );
    this.#links(known);
    // Events are written after it, also where all partitions are the old program's.
    if (
      !fixed &&
      ([...events.values()].some(({ version }) => version === '1.2') || known.some(({ columns }) => columns === 2))
    ) {
      this.#wrong('BRONZE_INVALID', `${bronzeJsonKey(this.#chain)} is missing`, {
        object: bronzeJsonKey(this.#chain),
        hint: 'run writes it again where the partitions fit the configuration',
      });
    }
    this.#unknownEvents(events, all);
    this.#unknownRows(all);
    const { rows } = this.#options;
    const first = all[0]?.range ?? null;
    const last = all.at(-1)?.range ?? null;
    const firstKnown = known.find((entry) => first && sameRange(entry.range, first))?.ledgers;
    const lastKnown = known.find((entry) => last && sameRange(entry.range, last))?.ledgers;
    return {
      chain: chainKey(this.#chain),
      columns: ([1, 2] as const).filter((definition) => known.some(({ columns }) => columns === definition)),
      partitions: all.length,
      ledgers: all.reduce((sum, { range }) => sum + range.end - range.start + 1, 0),
      first: first?.start ?? null,
      last: last?.end ?? null,
      read: this.#read,
      not_read: chosen.length - this.#read,
      not_looked_at: all.length - chosen.length,
      bytes_read: this.#bytesRead,
      attested: all.filter(({ range }) => events.has(rangeLabel(range))).length,
      recorded: rows && all.filter(({ range }) => rows.has(rangeLabel(range))).length,
      findings: this.#findings,
      ends:
        first && last && firstKnown && lastKnown
          ? { first, last, previousHash: firstKnown.previousHash, lastHash: lastKnown.lastHash }
          : null,
    };
  }

  #find(failure: Failure): void {
    this.#findings.push({ ...failure, chain: chainKey(this.#chain) });
  }

  #wrong(code: Failure['code'], message: string, details: Omit<Failure, 'code' | 'message' | 'retryable'>): void {
    this.#find({ code, message, retryable: false, ...details });
  }

  /** What is listed below the table, by range. */
  async #list(): Promise<Listed[]> {
    const prefix = tablePrefix(this.#chain, this.#table);
    const byRange = new Map<string, Listed>();
    for (const object of await this.#store.list(prefix, this.#options.signal)) {
      const parsed = parsePartitionKey(object.key.slice(prefix.length));
      const isData = parsed?.name === (parsed && dataFileName(parsed.range));
      if (!parsed || (!isData && parsed.name !== '_manifest.json')) {
        this.#wrong('PARTITION_OVERLAP', `${object.key} does not belong there`, { object: object.key });
        continue;
      }
      const label = rangeLabel(parsed.range);
      const listed = byRange.get(label) ?? { range: parsed.range, dataBytes: null, hasManifest: false };
      if (isData) listed.dataBytes = object.size;
      else listed.hasManifest = true;
      byRange.set(label, listed);
    }
    return [...byRange.values()].sort((a, b) => a.range.start - b.range.start || a.range.end - b.range.end);
  }

  /** The audit chain by range; its own defects become findings. */
  async #events(): Promise<Map<string, ChainEvent>> {
    const objects = await this.#store.list(auditPrefix(this.#chain), this.#options.signal);
    const read = async (key: string): Promise<ChainEvent | Failure> => {
      try {
        const bytes = await this.#store.get(key, this.#options.signal);
        if (bytes === null) throw new BronzeError('AUDIT_INVALID', `the event ${key} was listed and is gone`);
        const event = parseEvent(bytes, key);
        if (chainKey(event.chain) !== chainKey(this.#chain)) {
          throw new BronzeError('AUDIT_INVALID', `the event ${key} belongs to ${chainKey(event.chain)}`, {
            details: { object: key },
          });
        }
        return event;
      } catch (error) {
        const failure = toFailure(error);
        if (failure.code === 'CANCELLED') throw error;
        return failure;
      }
    };
    const events: ChainEvent[] = [];
    for (const one of await mapBounded(objects, EVENTS_AT_ONCE, ({ key }) => read(key), this.#options.signal)) {
      if ('code' in one) this.#find(one);
      else events.push(one);
    }
    const verdict = verifyEvents(events);
    if (!verdict.ok) {
      this.#wrong('AUDIT_INVALID', `the audit chain breaks at ${verdict.object}: ${verdict.reason}`, {
        object: verdict.object,
        start: verdict.start,
        end: verdict.end,
      });
    }
    return new Map(events.map((event) => [rangeLabel(event.range), event]));
  }

  #beginning(ledgerStart: number | null, first: LedgerRange | null): void {
    if (ledgerStart === null || first === null || first.start === ledgerStart) return;
    this.#wrong('LEDGER_MISSING', `the era begins at ledger ${ledgerStart}, its first partition at ${first.start}`, {
      ledger: ledgerStart,
      expected: String(ledgerStart),
      found: String(first.start),
    });
  }

  /** What was adopted has to be there to its end; only `_bronze.json` says where that was. */
  #adoptedEnd(adopted: number | null, last: number | null): void {
    if (adopted === null || (last !== null && last >= adopted)) return;
    const found = last === null ? 'no partition' : `the last partition ends at ${last}`;
    this.#wrong('LEDGER_MISSING', `partitions of the old program were adopted up to ledger ${adopted}, and ${found}`, {
      ...(last === null ? {} : { ledger: last + 1 }),
      object: bronzeJsonKey(this.#chain),
      expected: String(adopted),
      found: last === null ? 'none' : String(last),
      hint: 'bring them back from a copy: only the old program wrote them so',
    });
  }

  #gaps(all: readonly Listed[]): void {
    for (const [i, { range }] of all.entries()) {
      const next = all[i + 1]?.range;
      const problem = next ? overlapsOrGap(range, next) : null;
      if (next && problem === 'overlap') {
        this.#wrong('PARTITION_OVERLAP', `partitions ${rangeLabel(range)} and ${rangeLabel(next)} overlap`, {
          ledger: next.start,
          start: next.start,
          end: next.end,
        });
      } else if (next && problem === 'gap') {
        this.#wrong('LEDGER_MISSING', `no partition holds ledgers ${range.end + 1} to ${next.start - 1}`, {
          ledger: range.end + 1,
        });
      }
    }
  }

  async #partition(listed: Listed, events: ReadonlyMap<string, ChainEvent>, read: boolean): Promise<Known> {
    const { range } = listed;
    const unknown: Known = { ...listed, columns: null, ledgers: null };
    const key = `${tablePrefix(this.#chain, this.#table)}range=${rangeLabel(range)}/${dataFileName(range)}`;
    const event = events.get(rangeLabel(range));
    try {
      if (!listed.hasManifest) {
        this.#wrong('MANIFEST_INVALID', `partition ${rangeLabel(range)} has no manifest: it is not trusted`, {
          ...range,
          object: manifestKey(this.#chain, this.#table, range),
          hint: event
            ? 'the next run writes it again, from the file and the event (or reconcile --repair)'
            : 'an interrupted run leaves this behind: run it again; if that ends in PARTITION_CONFLICT, see docs/runbook.md, "A partition conflicts"',
        });
        return unknown;
      }
      const object = manifestKey(this.#chain, this.#table, range);
      const bytes = await this.#store.get(object, this.#options.signal);
      if (bytes === null) throw new BronzeError('MANIFEST_INVALID', `the manifest ${object} was listed and is gone`);
      const place = { chain: this.#chain, table: this.#table, range, object };
      const { columns, manifest } = parseAnyManifest(bytes, place);
      const data = manifestData(manifest, this.#table);
      // Manifests of the old program say nothing about ledgers; since it was adopted, its events do.
      const ledgers = columns === 2 ? toEnds((manifest as Manifest).ledgers) : (event?.ledgers ?? null);
      this.#compareEvent(range, event, events.size > 0, {
        sha256: sha256Hex(bytes),
        object,
        sameData: event !== undefined && sameData(event.data, data),
        sameLedgers: event?.ledgers == null || (ledgers !== null && sameLedgers(event.ledgers, ledgers)),
      });
      this.#compareRow(range, data);
      if (listed.dataBytes !== data.byteSize) {
        throw new BronzeError('PARTITION_DAMAGED', `${key} has another size than its manifest says`, {
          details: {
            ...range,
            object: key,
            check: 'byte_size',
            expected: String(data.byteSize),
            found: String(listed.dataBytes ?? 'no object'),
          },
        });
      }
      if (!read) return { ...listed, columns, ledgers };
      this.#read += 1;
      const answer = await this.#options.readBack({
        kind: 'readback',
        depth: 'rows',
        chain: this.#chain,
        range,
        store: this.#spec,
        key,
        columns,
        checks: { results: true, protocolMin: null, protocolMax: null },
      });
      this.#bytesRead += answer.data.byteSize;
      if (!sameData(answer.data, data)) {
        throw new BronzeError('PARTITION_DAMAGED', `${key} is not the file that its manifest names`, {
          details: { ...range, object: key, check: 'checksum', expected: data.checksum, found: answer.data.checksum },
        });
      }
      if (answer.rows && ledgers && !sameLedgers(answer.rows.ledgers, ledgers)) {
        throw new BronzeError(
          'PARTITION_DAMAGED',
          `the rows of ${key} are not those that its ${columns === 2 ? 'manifest' : 'event'} names`,
          {
            details: {
              ...range,
              object: key,
              check: 'content_root',
              expected: ledgers.contentRoot,
              found: answer.rows.ledgers.contentRoot,
            },
          },
        );
      }
      return { ...listed, columns, ledgers: answer.rows?.ledgers ?? ledgers };
    } catch (error) {
      const failure = toFailure(error);
      if (failure.code === 'CANCELLED') throw error;
      this.#find(failure);
      return unknown;
    }
  }

  /** A row that is missing may be pending; one that says something else is wrong. */
  #compareRow(range: LedgerRange, data: DataFile): void {
    const row = this.#options.rows?.get(rangeLabel(range));
    if (row === undefined) return;
    const is = `${data.checksum}, ${data.rowCount} rows, ${data.byteSize} bytes`;
    const says = `${row.checksum}, ${row.rowCount} rows, ${row.byteSize} bytes`;
    if (says === is) return;
    this.#wrong('CATALOG_CONFLICT', `the catalog's row of partition ${rangeLabel(range)} is about another content`, {
      ...range,
      check: 'lineage',
      expected: is,
      found: says,
      hint: 'Bronze decides: `reconcile --repair` corrects the row',
    });
  }

  /** Rows of what is not in Bronze. */
  #unknownRows(all: readonly Listed[]): void {
    const there = new Set(all.map(({ range }) => rangeLabel(range)));
    for (const [label, { range }] of this.#options.rows ?? []) {
      if (there.has(label)) continue;
      this.#wrong('CATALOG_CONFLICT', `the catalog has a row of partition ${label}, which is not in Bronze`, {
        ...range,
        check: 'lineage',
        hint: '`reconcile` tells what became of it',
      });
    }
  }

  #compareEvent(
    range: LedgerRange,
    event: ChainEvent | undefined,
    hasChain: boolean,
    manifest: { sha256: string; object: string; sameData: boolean; sameLedgers: boolean },
  ): void {
    const label = rangeLabel(range);
    if (!event) {
      if (!hasChain) return;
      this.#wrong('AUDIT_HOLE', `partition ${label} has no event in the audit chain`, {
        ...range,
        object: manifest.object,
        hint: 'an interrupted run leaves this behind; run it again',
      });
      return;
    }
    if (!manifest.sameData || !manifest.sameLedgers) {
      this.#wrong('AUDIT_ORPHAN', `the event of partition ${label} attests another content than its manifest names`, {
        ...range,
        object: event.object,
      });
    } else if (event.manifestSha256 !== null && event.manifestSha256 !== manifest.sha256) {
      this.#wrong('AUDIT_ORPHAN', `the event of partition ${label} attests another manifest`, {
        ...range,
        object: event.object,
        check: 'manifest_sha256',
        expected: event.manifestSha256,
        found: manifest.sha256,
      });
    }
    const copy = this.#options.copies?.get(label);
    if (this.#options.copies && copy?.eventHash !== event.eventHash) {
      this.#wrong('AUDIT_FORK', `the copy of the event of partition ${label} is ${copy ? 'another' : 'missing'}`, {
        ...range,
        object: event.object,
        expected: event.eventHash,
        found: copy?.eventHash ?? 'none',
      });
    }
  }

  #links(known: readonly Known[]): void {
    for (const [i, { range, ledgers }] of known.entries()) {
      const next = known[i + 1];
      if (!next || !ledgers || !next.ledgers || overlapsOrGap(range, next.range) !== null) continue;
      if (ledgers.lastHash !== next.ledgers.previousHash) {
        this.#wrong('LINK_BROKEN', `ledger ${next.range.start} does not follow ledger ${range.end}`, {
          ledger: next.range.start,
          check: 'previous_ledger_hash',
          expected: ledgers.lastHash,
          found: next.ledgers.previousHash,
        });
      }
    }
  }

  /** Events for partitions that are not there at all. */
  #unknownEvents(events: ReadonlyMap<string, ChainEvent>, all: readonly Listed[]): void {
    const there = new Set(all.map(({ range }) => rangeLabel(range)));
    for (const [label, event] of events) {
      if (there.has(label)) continue;
      this.#wrong('AUDIT_ORPHAN', `partition ${label} was attested and is not there`, {
        ...event.range,
        object: event.object,
        hint: 'run builds it again from the lake; it has to come out the same',
      });
    }
  }
}

/** Verifies one chain. Throws only where the chain as a whole cannot be read, or on cancellation. */
export const verifyChain = (
  store: BronzeStore,
  spec: StoreSpec,
  chain: ChainName,
  options: VerifyOptions,
): Promise<ChainReport> => new ChainVerification(store, spec, chain, options).run();

/** Links between eras of one network that adjoin each other. */
export function verifyEraLinks(reports: readonly { report: ChainReport; chain: ChainName }[]): Finding[] {
  const findings: Finding[] = [];
  for (const { report, chain } of reports) {
    for (const other of reports) {
      if (!report.ends || !other.report.ends || other.chain.network !== chain.network) continue;
      if (report.ends.last.end + 1 !== other.report.ends.first.start) continue;
      if (report.ends.lastHash === other.report.ends.previousHash) continue;
      findings.push({
        chain: other.report.chain,
        code: 'ERA_LINK_BROKEN',
        message: `${other.report.chain} does not follow ${report.chain}: ledger ${other.report.ends.first.start} names another hash for the ledger before it`,
        retryable: false,
        ledger: other.report.ends.first.start,
        expected: report.ends.lastHash,
        found: other.report.ends.previousHash,
      });
    }
  }
  return findings;
}
