/**
 * Proves one chain from what is stored: everything below its prefix, `_bronze.json`, the audit chain, manifests, and every
 * chosen partition from its bytes up. It needs no catalog and no state, writes nothing, and counts what it has not read
 * apart from what it has. One damage is one finding: what follows from it is not told beside it.
 */
import { KNOWN_PASSPHRASES } from '../../config/networks.ts';
import { type Failure, toFailure } from '../../machines/errors.ts';
import { overlapsOrGap, rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { DataFile, LedgerEnds, LedgerRange, Signers } from '../../machines/protocol.ts';
import type { Jury, Piece } from '../anchor/judge.ts';
import { mapBounded } from '../bounded.ts';
import type { ChainEvent } from '../bronze/event.ts';
import {
  type Manifest,
  manifestData,
  type OldManifest,
  parseAnyManifest,
  sameData,
  sameLedgers,
  sha256Hex,
  toEnds,
} from '../bronze/manifest.ts';
import { bronzeJsonKey, type ChainName, chainKey, chainPrefix, dataKey, manifestKey } from '../bronze/names.ts';
import type { ReadBackAnswer, ReadBackTask, Witnessed } from '../parquet/spec.ts';
import type { LineageRow } from '../ports/catalog.ts';
import type { BronzeStore, StoreSpec } from '../ports/store.ts';
import { fixedTerms, termsMisfit } from './bronze-facts.ts';
import { type ChainEvents, readEvents } from './chain-events.ts';
import { type CopiedEvents, compareCopies } from './copied-events.ts';
import { type Finding, joined, summedUp, together, without } from './findings.ts';
import { type Listed, takeInventory } from './inventory.ts';

/** What is asked of the rows beside whether they are right. */
export interface AnchorOptions extends Jury {
  /** Ledgers of a partition whose hashes somebody else knows as well, in order. */
  readonly known: (range: LedgerRange) => readonly number[];
  /** Compares their hashes, in the same order, with those of the others; what contradicts. */
  readonly compare: (range: LedgerRange, hashes: readonly string[], signal: AbortSignal) => Promise<readonly Failure[]>;
}

export interface VerifyOptions {
  /** Of every `of` partitions, read `take`. */
  readonly sample: { readonly take: number; readonly of: number; readonly offset: number };
  readonly from: number | null;
  readonly to: number | null;
  /** Whether signatures of validators are verified, where the passphrase of the network is known. */
  readonly signatures: boolean;
  /** What a configuration says has to be there; `end` null: it has none. Absent where no configuration was asked. */
  readonly era?: { readonly start: number; readonly end: number | null };
  /** Copies of events to compare with. */
  readonly copies: CopiedEvents | null;
  /** Rows of the catalog, by range label; null where no catalog was asked. */
  readonly rows: ReadonlyMap<string, LineageRow> | null;
  readonly parallel: number;
  readonly signal: AbortSignal;
  readonly readBack: (task: ReadBackTask) => Promise<ReadBackAnswer>;
  /** Absent where nobody asks who vouches for it. */
  readonly anchor?: AnchorOptions;
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
  /** Partitions of what was asked for of which not every row was read: left out by a sample, or they cannot be read. */
  readonly not_read: number;
  /** Their ledgers. */
  readonly not_read_ledgers: readonly LedgerRange[];
  /** Partitions outside of what was asked for. */
  readonly not_looked_at: number;
  readonly bytes_read: number;
  /** Of the ledgers that were read: how many each key signed, all verified. Null where no signature was looked at. */
  readonly signers: Signers | null;
  /** Partitions that have an event in the audit chain. */
  readonly attested: number;
  /** Objects in `_staging/`. */
  readonly staged: number;
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
  /** Ledgers that are there, or of which it is told that they are not. */
  readonly accounted: readonly LedgerRange[];
  /** For anchors: partitions in which nothing is wrong. */
  readonly pieces: readonly Piece[];
}

interface Known extends Listed {
  /** Null where no manifest says it. */
  readonly columns: 1 | 2 | null;
  readonly ledgers: LedgerEnds | null;
  readonly wasRead: boolean;
  readonly signed?: Witnessed['signed'];
}

/** Partitions at the end that are read for anchors, also where a sample leaves them out. */
const END_PARTITIONS = 4;

type Read = { readonly columns: 1 | 2; readonly manifest: OldManifest | Manifest; readonly sha256: string };

class ChainVerification {
  readonly #store: BronzeStore;
  readonly #spec: StoreSpec;
  readonly #chain: ChainName;
  readonly #options: VerifyOptions;
  readonly #findings: Finding[] = [];
  /** Labels of partitions of which something was found: what follows from it is not told. */
  readonly #faulty = new Set<string>();
  #table = '';
  #bytesRead = 0;
  /** Null where it is not known. */
  #passphrase: string | null = null;
  readonly #signers = new Map<string, number>();
  #events: ChainEvents = { byRange: new Map(), inOrder: [], lost: [], findings: [], breaks: new Map() };

  constructor(store: BronzeStore, spec: StoreSpec, chain: ChainName, options: VerifyOptions) {
    this.#store = store;
    this.#spec = spec;
    this.#chain = chain;
    this.#options = options;
  }

  async run(): Promise<ChainReport> {
    const { from, to, sample, parallel, signal, rows, copies, era } = this.#options;
    const inventory = await takeInventory(this.#store, this.#chain, signal);
    const fixed = await fixedTerms(this.#store, this.#chain, inventory.tables, signal);
    this.#table = fixed.table;
    this.#passphrase = KNOWN_PASSPHRASES.get(this.#chain.network) ?? fixed.terms?.networkPassphrase ?? null;
    if (fixed.failure !== null) this.#find(fixed.failure);
    this.#foreign(inventory.foreign, inventory.tables);
    const all = inventory.tables.get(this.#table) ?? [];
    this.#events = await readEvents(this.#store, this.#chain, inventory.events, signal);
    for (const failure of this.#events.findings) this.#find(failure);
    this.#overlaps(all);
    if (fixed.terms !== null && fixed.failure === null) {
      this.#terms(
        fixed.terms,
        all.filter(({ range }) => !this.#faulty.has(rangeLabel(range))),
      );
    }
    const accounted = this.#missing(all, fixed.terms?.adopted?.ledger_end ?? null, era ?? null);
    const chosen = all.filter(
      ({ range }) => (from === null || range.end >= from) && (to === null || range.start <= to),
    );
    const isSampled = (i: number): boolean => ((i + sample.offset) * sample.take) % sample.of < sample.take;
    // Of few partitions a small sample may hold none: then one of them is read.
    const least = chosen.some((_, i) => isSampled(i)) ? -1 : sample.offset % Math.max(chosen.length, 1);
    let done = 0;
    const known = await mapBounded(
      chosen,
      parallel,
      async (listed, i) => {
        const result = await this.#partition(listed, isSampled(i) || i === least);
        this.#options.onPartition(++done, chosen.length);
        return result;
      },
      signal,
    );
    await this.#hearTheEnd(chosen, known);
    this.#breaks();
    this.#unattested(known);
    this.#links(known);
    // Events are written after it, also where all partitions are the old program's.
    const isOurs = this.#events.inOrder.length > 0 || known.some(({ columns }) => columns === 2);
    if (!fixed.isThere && isOurs) {
      this.#wrong('BRONZE_INVALID', `${bronzeJsonKey(this.#chain)} is missing`, {
        object: bronzeJsonKey(this.#chain),
        hint: 'run writes it again where the partitions fit the configuration',
      });
    }
    if (copies !== null) this.#findings.push(...compareCopies(this.#chain, copies, this.#events, chosen));
    this.#unknownRows(all, accounted);
    const first = all[0]?.range ?? null;
    const last = all.at(-1)?.range ?? null;
    const endsOf = (range: LedgerRange | null) =>
      known.find((entry) => range && sameRange(entry.range, range) && !this.#faulty.has(rangeLabel(range)))?.ledgers;
    const [firstKnown, lastKnown] = [endsOf(first), endsOf(last)];
    const unread = known.filter(({ wasRead }) => !wasRead);
    return {
      chain: chainKey(this.#chain),
      columns: ([1, 2] as const).filter((definition) => known.some(({ columns }) => columns === definition)),
      partitions: all.length,
      ledgers: all.reduce((sum, { range }) => sum + range.end - range.start + 1, 0),
      first: first?.start ?? null,
      last: last?.end ?? null,
      read: known.length - unread.length,
      not_read: unread.length,
      not_read_ledgers: joined(unread.map(({ range }) => range)),
      not_looked_at: all.length - chosen.length,
      bytes_read: this.#bytesRead,
      signers:
        this.#passphrase === null || !this.#options.signatures ? null : Object.fromEntries([...this.#signers].sort()),
      attested: all.filter(({ range }) => this.#events.byRange.has(rangeLabel(range))).length,
      staged: inventory.staged,
      recorded: rows && all.filter(({ range }) => rows.has(rangeLabel(range))).length,
      findings: summedUp(this.#findings),
      ends:
        first && last && firstKnown && lastKnown
          ? { first, last, previousHash: firstKnown.previousHash, lastHash: lastKnown.lastHash }
          : null,
      accounted,
      pieces: known.flatMap(({ range, ledgers, signed }) =>
        ledgers === null || this.#faulty.has(rangeLabel(range))
          ? []
          : [
              {
                chain: chainKey(this.#chain),
                range,
                previousHash: ledgers.previousHash,
                lastHash: ledgers.lastHash,
                signed: signed ?? null,
              },
            ],
      ),
    };
  }

  /** Who vouches stands at the end: where a sample has left that out, its last partitions are read all the same. */
  async #hearTheEnd(chosen: readonly Listed[], known: Known[]): Promise<void> {
    const { anchor } = this.#options;
    if (anchor === undefined) return;
    const heard = new Set<string>();
    for (let i = known.length - 1; i >= Math.max(0, known.length - END_PARTITIONS); i -= 1) {
      const entry = known[i] as Known;
      const isSound = !this.#faulty.has(rangeLabel(entry.range));
      if (!entry.wasRead && isSound) known[i] = await this.#partition(chosen[i] as Listed, true);
      for (const key of Object.keys((known[i] as Known).signed ?? {})) {
        const organisation = anchor.organisations.get(key);
        if (organisation !== undefined) heard.add(organisation);
      }
      if (heard.size >= anchor.quorum) return;
    }
  }

  async #compareAnchors(range: LedgerRange, { rows }: ReadBackAnswer): Promise<void> {
    const { anchor } = this.#options;
    if (anchor === undefined || !rows?.witnessed || this.#faulty.has(rangeLabel(range))) return;
    const wrong = await anchor.compare(range, rows.witnessed.hashes, this.#options.signal);
    for (const failure of wrong) this.#find(failure);
  }

  #find(failure: Failure): void {
    this.#findings.push({ ...failure, chain: chainKey(this.#chain) });
  }

  #wrong(code: Failure['code'], message: string, details: Omit<Failure, 'code' | 'message' | 'retryable'>): void {
    this.#find({ code, message, retryable: false, ...details });
  }

  /** About a partition: the first thing that is wrong with it is told. */
  #condemn(range: LedgerRange, failure: Failure): void {
    if (this.#faulty.has(rangeLabel(range))) return;
    this.#faulty.add(rangeLabel(range));
    this.#find(failure);
  }

  #foreign(foreign: ReadonlyMap<string, readonly string[]>, tables: ReadonlyMap<string, readonly Listed[]>): void {
    const hint = 'find out who put it there, and move it out of the chain';
    for (const [folder, keys] of foreign) {
      if (tables.has(folder) && folder !== this.#table) continue;
      const isWhole = folder !== '' && folder !== this.#table && keys.length > 1;
      for (const key of isWhole ? [`${chainPrefix(this.#chain)}${folder}/`] : keys) {
        const more = isWhole ? `, with ${keys.length} objects` : '';
        this.#wrong('OBJECT_FOREIGN', `${key} is nothing that a copier writes${more}`, {
          object: key,
          check: folder,
          hint,
        });
      }
    }
    for (const [table, all] of tables) {
      if (table === this.#table) continue;
      const key = `${chainPrefix(this.#chain)}${table}/`;
      const said = `${key} is a second table, with ${all.length} partitions: a chain has one, ${this.#table}`;
      this.#wrong('OBJECT_FOREIGN', said, { object: key, check: table, hint });
    }
  }

  #terms(terms: NonNullable<Awaited<ReturnType<typeof fixedTerms>>['terms']>, all: readonly Listed[]): void {
    const [firstEvent, first] = [this.#events.inOrder[0], all[0]];
    const isWhole = firstEvent?.sequence === 0 && first !== undefined && sameRange(firstEvent.range, first.range);
    const misfit = termsMisfit(this.#chain, terms, all, isWhole);
    if (misfit !== null) this.#find(misfit);
    if (first === undefined || isWhole || first.range.start <= terms.ledgerStart) return;
    // What events attest is told with them.
    const missing = this.#notAttested({ start: terms.ledgerStart, end: first.range.start - 1 });
    const about = { object: chainPrefix(this.#chain), check: 'ledger_start', expected: String(terms.ledgerStart) };
    const found = { ...about, found: String(first.range.start) };
    const said = (_: number, ledgers: string): string =>
      `the era begins at ledger ${terms.ledgerStart}, and no partition holds ledgers ${ledgers}`;
    const finding = together(chainKey(this.#chain), missing, { code: 'LEDGER_MISSING', ...found }, said);
    if (finding !== null) this.#findings.push({ ...finding, ledger: (missing[0] as LedgerRange).start });
  }

  /** What of a stretch no event attests. */
  #notAttested(range: LedgerRange): LedgerRange[] {
    return without(
      range,
      this.#events.inOrder.map((event) => event.range),
    );
  }

  #overlaps(all: readonly Listed[]): void {
    const isAttested = ({ range }: Listed): boolean => this.#events.byRange.has(rangeLabel(range));
    let widest: Listed | null = null;
    for (const listed of all) {
      if (widest !== null && overlapsOrGap(widest.range, listed.range) === 'overlap') {
        // The one that no event knows does not belong there.
        const odd = isAttested(listed) && !isAttested(widest) ? widest : listed;
        const [a, b] = [rangeLabel(widest.range), rangeLabel(listed.range)];
        this.#condemn(odd.range, {
          code: 'PARTITION_OVERLAP',
          message: `partitions ${a} and ${b} overlap`,
          retryable: false,
          ledger: listed.range.start,
          ...odd.range,
          object: dataKey(this.#chain, this.#table, odd.range),
        });
      }
      if (widest === null || listed.range.end > widest.range.end) widest = listed;
    }
  }

  /** Ledgers that are not there and should be. Answers which are, or of which it is told that they are not. */
  #missing(all: readonly Listed[], adopted: number | null, era: VerifyOptions['era'] | null): LedgerRange[] {
    const { from, to } = this.#options;
    const there = all.map(({ range }) => range);
    const chain = chainKey(this.#chain);
    const labels = new Set(there.map(rangeLabel));
    const lost = this.#events.inOrder.filter((event) => !labels.has(rangeLabel(event.range)));
    const attested = together(
      chain,
      lost.map(({ range }) => range),
      {
        code: 'AUDIT_ORPHAN',
        object: lost.length === 1 ? (lost[0] as ChainEvent).object : chainPrefix(this.#chain),
        hint: 'run builds it again from the lake; it has to come out the same',
      },
      (count, ledgers) =>
        count === 1
          ? `partition ${rangeLabel((lost[0] as ChainEvent).range)} was attested and is not there`
          : `${count} partitions were attested and are not there: ledgers ${ledgers}`,
    );
    if (attested !== null) this.#findings.push(attested);
    const told = [...there, ...lost.map(({ range }) => range)];
    const first = there[0]?.start;
    const last = there.length === 0 ? undefined : Math.max(...there.map(({ end }) => end));
    const wanted: { readonly range: LedgerRange; readonly what: string; readonly hint?: string }[] = [];
    if (first !== undefined && last !== undefined) {
      wanted.push({ range: { start: first, end: last }, what: 'no partition holds' });
    }
    if (adopted !== null) {
      const start = last === undefined ? adopted : last + 1;
      const what = `partitions of the old program were adopted up to ledger ${adopted}, and there are none of`;
      const hint = 'bring them back from a copy: only the old program wrote them so';
      if (start <= adopted) wanted.push({ range: { start, end: adopted }, what, hint });
    }
    if (era) {
      const start = Math.max(era.start, from ?? 0);
      const end = Math.min(era.end ?? Math.max(last ?? era.start, era.start), to ?? Number.POSITIVE_INFINITY);
      const ends = era.end === null ? 'has no end' : `ends at ${era.end}`;
      const what = `the era begins at ledger ${era.start} and ${ends} by the configuration, and no partition holds`;
      if (start <= end) wanted.push({ range: { start, end }, what, hint: 'run copies them' });
    } else if (first === undefined && lost.length === 0) {
      this.#wrong('LEDGER_MISSING', `there are no partitions below ${chainPrefix(this.#chain)}`, {
        object: chainPrefix(this.#chain),
        check: 'range',
        hint: 'an era that was never copied looks like this, and so does one whose objects are all gone',
      });
    }
    for (const { range, what, hint } of wanted) {
      const gaps = without(range, told);
      const ofEra = { code: 'LEDGER_MISSING', check: 'range', object: chainPrefix(this.#chain) } as const;
      const finding = together(
        chain,
        gaps,
        { ...ofEra, ...(hint === undefined ? {} : { hint }) },
        (_, ledgers) => `${what} ledgers ${ledgers}`,
      );
      if (finding !== null) this.#findings.push({ ...finding, ledger: (gaps[0] as LedgerRange).start });
      told.push(...gaps);
    }
    return joined(told);
  }

  /** The manifest of a partition; what is wrong with it is told. */
  async #manifest(range: LedgerRange, listed: Listed, event: ChainEvent | undefined): Promise<Read | null> {
    const object = manifestKey(this.#chain, this.#table, range);
    const bytes = listed.hasManifest ? await this.#store.get(object, this.#options.signal) : null;
    if (bytes === null) {
      this.#condemn(range, {
        code: 'MANIFEST_INVALID',
        message: `partition ${rangeLabel(range)} has no manifest: it is not trusted`,
        retryable: false,
        ...range,
        object,
        hint: event
          ? 'run restores it'
          : 'an interrupted run leaves this behind: run it again; if that ends in PARTITION_CONFLICT, see docs/runbook.md, "A partition conflicts"',
      });
      return null;
    }
    const place = { chain: this.#chain, table: this.#table, range, object };
    return { ...parseAnyManifest(bytes, place), sha256: sha256Hex(bytes) };
  }

  async #partition(listed: Listed, isWanted: boolean): Promise<Known> {
    const { range } = listed;
    const event = this.#events.byRange.get(rangeLabel(range));
    const unknown: Known = { ...listed, columns: null, ledgers: event?.ledgers ?? null, wasRead: false };
    try {
      const read = await this.#manifest(range, listed, event);
      if (read === null) return unknown;
      const { columns, manifest } = read;
      const data = manifestData(manifest, this.#table);
      // Manifests of the old program say nothing about ledgers; since it was adopted, its events do.
      const ledgers = columns === 2 ? toEnds((manifest as Manifest).ledgers) : (event?.ledgers ?? null);
      const known: Known = { ...listed, columns, ledgers, wasRead: false };
      const other = event === undefined ? null : this.#otherThanAttested(read, data, ledgers, event);
      if (other === null) this.#compareRow(range, data);
      const isWhole = listed.dataBytes !== null && (other !== null || listed.dataBytes === data.byteSize);
      const answer = isWanted && isWhole ? await this.#read(range, columns, other) : null;
      // Which of the two is right is what the bytes say.
      const isAttested = answer !== null && event !== undefined && sameData(answer.data, event.data);
      if (other !== null) {
        const which =
          answer === null ? '' : isAttested ? '; the data is what was attested' : '; the data is not what was attested';
        this.#condemn(range, { ...other, message: `${other.message}${which}` });
      } else if (listed.dataBytes !== data.byteSize) {
        this.#damaged(
          range,
          'byte_size',
          'has another size than its manifest says',
          String(data.byteSize),
          String(listed.dataBytes ?? 'no object'),
        );
      } else if (answer !== null) {
        this.#compareData(range, answer, read, data, ledgers);
      }
      if (answer === null) return known;
      await this.#compareAnchors(range, answer);
      const signed = answer.rows?.witnessed?.signed;
      return { ...known, ledgers: answer.rows?.ledgers ?? ledgers, wasRead: true, ...(signed ? { signed } : {}) };
    } catch (error) {
      const failure = toFailure(error);
      if (failure.code === 'CANCELLED') throw error;
      this.#condemn(range, failure);
      return unknown;
    }
  }

  /** Reads every row. By a manifest that is `other` than the attested one it may not be possible: that follows from it. */
  async #read(range: LedgerRange, columns: 1 | 2, other: Failure | null): Promise<ReadBackAnswer> {
    const { anchor } = this.#options;
    const reading = this.#options.readBack({
      kind: 'readback',
      depth: 'rows',
      chain: this.#chain,
      range,
      store: this.#spec,
      key: dataKey(this.#chain, this.#table, range),
      columns,
      checks: {
        results: true,
        protocolMin: null,
        protocolMax: null,
        networkPassphrase: this.#options.signatures ? this.#passphrase : null,
      },
      ...(anchor === undefined
        ? {}
        : { witness: { networkPassphrase: this.#passphrase, hashesOf: anchor.known(range) } }),
    });
    const answer = await reading.catch((error: unknown) => {
      if (other !== null && toFailure(error).code === 'PARTITION_DAMAGED') this.#condemn(range, other);
      throw error;
    });
    this.#bytesRead += answer.data.byteSize;
    for (const [key, count] of Object.entries(answer.rows?.ledgers.signers ?? {})) {
      this.#signers.set(key, (this.#signers.get(key) ?? 0) + count);
    }
    return answer;
  }

  #damaged(range: LedgerRange, check: string, what: string, expected: string, found: string): void {
    const object = dataKey(this.#chain, this.#table, range);
    this.#condemn(range, {
      code: 'PARTITION_DAMAGED',
      message: `${object} ${what}`,
      retryable: false,
      ...range,
      object,
      check,
      expected,
      found,
    });
  }

  #compareData(
    range: LedgerRange,
    { data: is, rows }: ReadBackAnswer,
    read: Read,
    data: DataFile,
    ledgers: LedgerEnds | null,
  ): void {
    if (!sameData(is, data)) {
      this.#damaged(range, 'checksum', 'is not the file that its manifest names', data.checksum, is.checksum);
    } else if (rows && ledgers && !sameLedgers(rows.ledgers, ledgers)) {
      const by = read.columns === 2 ? 'manifest' : 'event';
      const what = `does not hold the ledgers that its ${by} names`;
      if (rows.ledgers.contentRoot !== ledgers.contentRoot) {
        this.#damaged(range, 'content_root', what, ledgers.contentRoot, rows.ledgers.contentRoot);
      } else {
        this.#damaged(range, 'ledgers', what, JSON.stringify(ledgers), JSON.stringify(rows.ledgers));
      }
    } else if (rows && read.columns === 2) {
      const said = (read.manifest as Manifest).writer;
      const text = (of: Readonly<Record<string, string>>): string => JSON.stringify(Object.entries(of).sort());
      if (text(said) !== text(rows.writer)) {
        this.#damaged(range, 'writer', 'was not written by what its manifest names', text(said), text(rows.writer));
      }
    }
  }

  /** Why a manifest is not the one that was attested; null where it is. */
  #otherThanAttested(read: Read, data: DataFile, ledgers: LedgerEnds | null, event: ChainEvent): Failure | null {
    const { range } = event;
    const isSame =
      sameData(event.data, data) &&
      (event.ledgers === null || (ledgers !== null && sameLedgers(event.ledgers, ledgers)));
    if (isSame && (event.manifestSha256 === null || event.manifestSha256 === read.sha256)) return null;
    const label = rangeLabel(range);
    return {
      code: 'AUDIT_ORPHAN',
      message: isSame
        ? `the event of partition ${label} attests another manifest`
        : `the event of partition ${label} attests another content than its manifest names`,
      retryable: false,
      ...range,
      object: manifestKey(this.#chain, this.#table, range),
      check: 'manifest_sha256',
      ...(event.manifestSha256 === null ? {} : { expected: event.manifestSha256, found: read.sha256 }),
      hint: 'one of the two was replaced: bring back the other one from a copy',
    };
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

  /** Rows of what is not in Bronze, and of which it is not told that it should be. */
  #unknownRows(all: readonly Listed[], accounted: readonly LedgerRange[]): void {
    const there = new Set(all.map(({ range }) => rangeLabel(range)));
    const held = all.map(({ range }) => range);
    const isMissing = (range: LedgerRange): boolean =>
      without(range, accounted).length === 0 && without(range, held).some((left) => sameRange(left, range));
    const stray = [...(this.#options.rows ?? [])].flatMap(([label, { range }]) =>
      there.has(label) || isMissing(range) ? [] : [range],
    );
    const finding = together(
      chainKey(this.#chain),
      stray,
      { code: 'CATALOG_CONFLICT', check: 'lineage', hint: '`reconcile` tells what became of it' },
      (count, ledgers) =>
        count === 1
          ? `the catalog has a row of partition ${rangeLabel(stray[0] as LedgerRange)}, which is not in Bronze`
          : `the catalog has rows of ${count} partitions that are not in Bronze: ledgers ${ledgers}`,
    );
    if (finding !== null) this.#findings.push(finding);
  }

  /** A break at an event that was found to be another one is told with that. */
  #breaks(): void {
    const { inOrder, breaks } = this.#events;
    for (const [i, event] of inOrder.entries()) {
      const failure = breaks.get(rangeLabel(event.range));
      const before = inOrder[i - 1];
      const isExplained = [event, before].some((each) => each && this.#faulty.has(rangeLabel(each.range)));
      if (failure && !isExplained) this.#find(failure);
    }
  }

  /** Partitions without an event, where the chain has events and none of them is known to be lost there. */
  #unattested(known: readonly Known[]): void {
    if (this.#events.inOrder.length === 0 && this.#events.lost.length === 0) return;
    const bare = known.filter(
      ({ range }) =>
        !this.#events.byRange.has(rangeLabel(range)) &&
        !this.#faulty.has(rangeLabel(range)) &&
        !this.#events.lost.some((lost) => lost.start <= range.start && range.end <= lost.end),
    );
    const finding = together(
      chainKey(this.#chain),
      bare.map(({ range }) => range),
      {
        code: 'AUDIT_HOLE',
        object:
          bare.length === 1
            ? manifestKey(this.#chain, this.#table, (bare[0] as Known).range)
            : chainPrefix(this.#chain),
        hint: 'an interrupted run leaves this behind; run it again',
      },
      (count, ledgers) =>
        count === 1
          ? `partition ${rangeLabel((bare[0] as Known).range)} has no event in the audit chain`
          : `${count} partitions have no event in the audit chain: ledgers ${ledgers}`,
    );
    if (finding !== null) this.#findings.push(finding);
  }

  #links(known: readonly Known[]): void {
    for (const [i, { range, ledgers }] of known.entries()) {
      const next = known[i + 1];
      if (!next || !ledgers || !next.ledgers || overlapsOrGap(range, next.range) !== null) continue;
      if (ledgers.lastHash === next.ledgers.previousHash) continue;
      if ([range, next.range].some((each) => this.#faulty.has(rangeLabel(each)))) continue;
      this.#wrong('LINK_BROKEN', `ledger ${next.range.start} does not follow ledger ${range.end}`, {
        ledger: next.range.start,
        check: 'previous_ledger_hash',
        expected: ledgers.lastHash,
        found: next.ledgers.previousHash,
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

/** What was asked for of a network and is in none of its chains, nor told to be missing by one. */
export function missingOf(
  network: string,
  asked: { readonly from: number | null; readonly to: number | null },
  reports: readonly ChainReport[],
): Finding | null {
  const { from, to } = asked;
  if (from === null && to === null) return null;
  const accounted = joined(reports.flatMap((report) => report.accounted));
  // No lake holds ledgers 0 and 1.
  const start = Math.max(from ?? Math.min(to as number, accounted[0]?.start ?? Number.POSITIVE_INFINITY), 2);
  const end = to ?? Math.max(start, accounted.at(-1)?.end ?? 0);
  const gaps = start > end ? [{ start: end, end }] : without({ start, end }, accounted);
  const finding = together(
    network,
    gaps,
    { code: 'LEDGER_MISSING', check: 'range', hint: 'ask for what is there, or find out what became of it' },
    (_, ledgers) => `ledgers ${ledgers} were asked for, and no partition holds them`,
  );
  return finding === null ? null : { ...finding, ledger: (gaps[0] as LedgerRange).start };
}
