/**
 * Mends the differences of one chain that `reconcile --repair` can mend, from what survives: Bronze first, then what is
 * beside it. Every step is idempotent and conditional, so that it may be killed anywhere and begun again. It must never
 * touch a data object, nor replace or remove anything in Bronze.
 */
import { BronzeError, type Failure, toFailure } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent, LedgerRange } from '../../machines/protocol.ts';
import { sameData, sameLedgers } from '../bronze/manifest.ts';
import { dataKey, eventKey } from '../bronze/names.ts';
import { appendEvent, placeInChain, readEvent } from '../chain/audit-chain.ts';
import { restoreBronze } from '../chain/bronze-json.ts';
import { readCopyOf, restoreCopies, writeCopies } from '../chain/copies.ts';
import { findAdoption } from '../chain/find-adoption.ts';
import { refuseOverlap } from '../chain/overlaps.ts';
import type { Neighbour } from '../effects/setup.ts';
import { parseJson, prettyJson } from '../json.ts';
import { killPoint } from '../kill-points.ts';
import { compareNeighbours } from '../sequencer/check-neighbours.ts';
import { readPartition } from '../sequencer/read-partition.ts';
import { type ResealPlace, resealAttested } from '../sequencer/reseal-partition.ts';
import { verifyStored } from '../sequencer/verify-sealed.ts';
import type { BackupFolder } from '../version-1/old-chain.ts';
import { committedEnd } from './compare-beside.ts';
import type { ChainFacts, Fill } from './facts.ts';
import type { ReconcilePlace } from './gather-facts.ts';
import type { Difference, Kind } from './kinds.ts';
import { repairCatalog } from './repair-catalog.ts';
import { type View, viewOf } from './view.ts';

export interface RepairPlace extends ReconcilePlace, ResealPlace {
  readonly neighbours: readonly Neighbour[];
  /** Where the old program's events are, if it wrote any. */
  readonly oldEvents: BackupFolder;
}

/** What became of one difference. */
export interface Repair {
  readonly difference: Difference;
  /** Null: it was mended. */
  readonly failure: Failure | null;
}

/** In the order of a commit. */
const ORDER: readonly Kind[] = [
  'bronze_json.missing',
  'manifest.missing',
  'event.missing',
  'partition.unattested',
  'copy.missing',
  'heads.missing',
  'heads.behind',
];

const isCatalog = ({ kind }: Difference): boolean => kind.startsWith('row.') || kind === 'catalog.empty';
const isCheckpoint = ({ kind }: Difference): boolean => kind.startsWith('checkpoint.');

class Repairs {
  readonly #place: RepairPlace;
  readonly #facts: ChainFacts;
  readonly #view: View;
  readonly #signal: AbortSignal | undefined;

  constructor(place: RepairPlace, facts: ChainFacts, signal?: AbortSignal) {
    this.#place = place;
    this.#facts = facts;
    this.#view = viewOf(facts);
    this.#signal = signal;
  }

  async mend(difference: Difference): Promise<void> {
    switch (difference.kind) {
      case 'bronze_json.missing':
        return this.#bronzeJson();
      case 'manifest.missing':
        return this.#manifest(difference.range as LedgerRange);
      case 'event.missing':
        return this.#events(difference.range as LedgerRange);
      case 'partition.unattested':
        return this.#attestAll(this.#view.unattested);
      case 'copy.missing':
        return this.#copies(difference.range as LedgerRange);
      case 'heads.missing':
      case 'heads.behind':
        return this.#heads();
      default:
        return this.#checkpoint();
    }
  }

  async #bronzeJson(): Promise<void> {
    const { partitions, events } = this.#facts;
    const found = {
      partitions: partitions.map(({ range, dataBytes, hasManifest }) => ({
        range,
        dataBytes,
        hasManifest,
        manifest: null,
      })),
      events: events.flatMap(({ event }) => (event === null ? [] : [event])),
    };
    const adoption = await findAdoption(this.#place, this.#place.oldEvents, this.#signal);
    await restoreBronze(this.#place, this.#place.terms, found, adoption, this.#signal);
  }

  async #manifest(range: LedgerRange): Promise<void> {
    await resealAttested(this.#place, this.#truth(range), this.#signal);
  }

  #truth(range: LedgerRange): AttestedEvent {
    const event = this.#view.truthOf.get(rangeLabel(range));
    if (event === undefined) throw new BronzeError('INTERNAL', `partition ${rangeLabel(range)} has no event`);
    return event;
  }

  /** Those of a stretch, in order: the first that cannot be brought back keeps the later ones from it. */
  async #events({ start, end }: LedgerRange): Promise<void> {
    const isWanted = ({ range }: AttestedEvent): boolean => range.start >= start && range.end <= end;
    for (const { state, truth, sequence } of this.#view.slots) {
      const fill = this.#facts.fills.get(sequence);
      if (state !== 'missing' || truth === null || fill === undefined || !isWanted(truth)) continue;
      if (fill.from === 'copy') await this.#fromCopy(fill);
      else await this.#fromManifest(fill);
    }
    // Beyond the last event nobody names one: these are attested as a run does it, and have to come out as derived.
    for (const event of this.#view.lost.filter(isWanted)) await this.#attest(event, event);
  }

  async #fromManifest({ event }: Fill): Promise<void> {
    const { range, sequence, prevEventHash } = event;
    const chain = { nextSequence: sequence, prevEventHash };
    await appendEvent(this.#place, { range, chain, storagePrefix: event.storagePrefix, expected: event }, this.#signal);
  }

  /** The hash is believed, which the event after it names; not the copy. */
  async #fromCopy({ event }: Fill): Promise<void> {
    const { chain, backup, store } = this.#place;
    const copy = await readCopyOf(backup as BackupFolder, event.range);
    const key = eventKey(chain, event.sequence);
    if (copy === null || copy.event?.eventHash !== event.eventHash) {
      throw new BronzeError('AUDIT_HOLE', `the copy of event ${event.sequence} has changed`, {
        details: { object: key, ...event.range },
      });
    }
    killPoint('commit:before-attest');
    await store.create(key, prettyJson(parseJson(copy.bytes)), this.#signal);
    killPoint('commit:after-attest');
    const stored = await readEvent(this.#place, event.sequence, this.#signal);
    if (stored?.attested.eventHash === event.eventHash) return;
    throw new BronzeError('AUDIT_FORK', `another event stands under ${key}`, { details: { object: key } });
  }

  async #attestAll(events: readonly AttestedEvent[]): Promise<void> {
    for (const event of events) await this.#attest(event, null);
  }

  /** As a run does it: the rows, the neighbours, then the event; only right behind the one before it. */
  async #attest(event: AttestedEvent, expected: AttestedEvent | null): Promise<void> {
    const place = this.#place;
    const { range, sequence } = event;
    const previous = sequence === 0 ? null : ((await readEvent(place, sequence - 1, this.#signal))?.attested ?? null);
    if ((previous?.eventHash ?? null) !== event.prevEventHash) {
      throw new BronzeError('AUDIT_HOLE', `event ${sequence} cannot be written: the one before it is not there`, {
        details: { ...range, object: eventKey(place.chain, sequence) },
      });
    }
    const label = rangeLabel(range);
    const columns = this.#facts.partitions.find((found) => rangeLabel(found.range) === label)?.manifest?.columns ?? 2;
    const { data, rows } = await readPartition(place, range, 'rows', this.#signal, columns);
    if (!sameData(data, event.data) || rows === null || !sameLedgers(rows.ledgers, event.ledgers)) {
      const object = dataKey(place.chain, place.table, range);
      throw new BronzeError('PARTITION_DAMAGED', `${object} is not what its manifest says`, {
        details: { ...range, object, expected: event.data.checksum, found: data.checksum },
      });
    }
    if (previous !== null && previous.ledgers.lastHash !== event.ledgers.previousHash) {
      throw new BronzeError('LINK_BROKEN', `ledger ${range.start} does not follow ledger ${previous.range.end}`, {
        details: { ledger: range.start, expected: previous.ledgers.lastHash, found: event.ledgers.previousHash },
      });
    }
    await refuseOverlap(place, range, this.#signal);
    const others = { store: place.store, chain: place.chain, others: place.neighbours };
    await compareNeighbours(others, { range, ledgers: event.ledgers }, this.#signal);
    const chain = { nextSequence: event.sequence, prevEventHash: event.prevEventHash };
    const { storagePrefix } = event;
    const done = await appendEvent(place, { range, chain, storagePrefix, expected }, this.#signal);
    if (done.attested) return;
    const object = eventKey(place.chain, event.sequence);
    throw new BronzeError('AUDIT_FORK', `another event came first under ${object}`, { details: { ...range, object } });
  }

  /** Copies of the events of a stretch; of the last one also the heads. */
  async #copies({ start, end }: LedgerRange): Promise<void> {
    const { backup } = this.#place;
    const last = this.#view.slots.at(-1)?.truth;
    for (const { state, truth, sequence } of this.#view.slots) {
      if (state !== 'good' || truth === null || truth.range.start < start || truth.range.end > end) continue;
      const stored = await readEvent(this.#place, sequence, this.#signal);
      if (stored === null)
        throw new BronzeError('AUDIT_HOLE', `the event ${eventKey(this.#place.chain, sequence)} vanished`);
      killPoint('commit:before-copies');
      const placeOf = placeInChain(this.#place, sequence, this.#signal);
      await writeCopies(backup as BackupFolder, stored.attested, stored.bytes, truth === last, placeOf);
    }
  }

  async #heads(): Promise<void> {
    const events = this.#view.slots.flatMap(({ state, truth }) => (state === 'good' && truth ? [truth] : []));
    const { backup, store } = this.#place;
    const placeOf = placeInChain(this.#place, events.at(-1)?.sequence ?? -1, this.#signal);
    await restoreCopies(backup as BackupFolder, store, events, this.#signal, undefined, placeOf);
  }

  async #checkpoint(): Promise<void> {
    const end = committedEnd(this.#view);
    const { checkpoint, table, chain } = this.#place;
    if (end === null || checkpoint === null) return;
    const last = this.#facts.partitions.find(({ range }) => rangeLabel(range) === rangeLabel(end.range));
    if (last?.manifest?.ledgers == null || last.manifest.data.checksum !== end.checksum) {
      throw new BronzeError('PARTITION_DAMAGED', `the last partition, ${rangeLabel(end.range)}, is not whole`, {
        details: { ...end.range, object: dataKey(chain, table, end.range) },
      });
    }
    const { data, ledgers, sha256 } = last.manifest;
    const sealed = { range: end.range, data, ledgers, manifestSha256: sha256, createdAt: '' };
    await verifyStored(this.#place, sealed, this.#signal);
    await checkpoint.store.write(end.range, end.checksum);
  }
}

/**
 * Does what can be done about `differences`, which `compare` found in `facts`; one that fails does not keep the others from
 * being mended. The chain's lock is held by the caller, who looks again afterwards: what depends on something that was
 * mended now is mended in the next round. Throws CANCELLED.
 */
export async function repair(
  place: RepairPlace,
  facts: ChainFacts,
  differences: readonly Difference[],
  signal?: AbortSignal,
): Promise<Repair[]> {
  const wanted = differences.filter(({ repairable }) => repairable === 'reconcile');
  const repairs = new Repairs(place, facts, signal);
  const done: Repair[] = [];
  const attempt = async (about: readonly Difference[], step: () => Promise<void>): Promise<void> => {
    let failure: Failure | null = null;
    try {
      await step();
    } catch (error) {
      failure = toFailure(error);
      if (failure.code === 'CANCELLED' || failure.code === 'INTERNAL') throw error;
    }
    done.push(...about.map((difference) => ({ difference, failure })));
  };
  const inBronze = ORDER.flatMap((kind) => wanted.filter((difference) => difference.kind === kind));
  for (const difference of inBronze) await attempt([difference], () => repairs.mend(difference));
  if (inBronze.length > 0) return done;
  const rows = wanted.filter(isCatalog);
  if (rows.length > 0) await attempt(rows, () => repairCatalog(place, facts, rows, signal));
  const [checkpoint] = wanted.filter(isCheckpoint);
  if (checkpoint !== undefined) await attempt([checkpoint], () => repairs.mend(checkpoint));
  return done;
}
