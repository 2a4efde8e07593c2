/**
 * What can differ between the parts of an estate: a closed list of kinds, each with one meaning. docs/runbook.md has
 * the same list as a table, and a test keeps the two equal.
 */
import type { ErrorCode } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';

interface KindFacts {
  /** One sentence, for people. */
  readonly meaning: string;
  /** `wrong`: exit 3. `pending`: work that the next run does anyway. `unseen`: that part could not be looked at, exit 1. */
  readonly weight: 'wrong' | 'pending' | 'unseen';
}

const wrong = (meaning: string): KindFacts => ({ meaning, weight: 'wrong' });

export const KINDS = {
  'bronze_json.missing': wrong('`_bronze.json` is not there although partitions are'),
  'bronze_json.invalid': wrong('`_bronze.json` cannot be read'),
  'bronze_json.mismatch': wrong('`_bronze.json` fixes something else than what is configured'),
  'partition.unsealed': wrong('a data object without a manifest and without an event: an interrupted run'),
  'partition.unattested': wrong('a sealed partition that no event names, and none ever did: an interrupted run'),
  'partition.missing': wrong('an event attests a partition of which nothing is there'),
  'partition.gap': wrong('no partition and no event hold these ledgers, although later ones are there'),
  'partition.overlap': wrong('a partition shares ledgers with another one, or lies before the era'),
  'partition.unlinked': wrong('two sealed partitions side by side whose ledgers do not link'),
  'manifest.missing': wrong('the manifest of an attested partition is not there'),
  'manifest.invalid': wrong('a manifest cannot be read or is for another partition'),
  'manifest.other': wrong('a manifest is not the one that the event attests'),
  'data.missing': wrong('a manifest or an event names a data object that is not there'),
  'data.size': wrong('a data object has another size than attested'),
  'data.checksum': wrong('a data object has other bytes than attested'),
  'event.missing': wrong('an event is not there, and its neighbours, a copy or the checkpoint say that it was'),
  'event.altered': wrong('what stands under the name of an event is not the event that belongs there'),
  'event.fork': wrong('an event does not continue the chain before it, or attests a partition a second time'),
  'copy.missing': wrong('copies of events are not in the backup folder'),
  'copy.differs': wrong('a copy is not the event that it is named after'),
  'copy.stray': wrong('a copy of an event that is not in the chain'),
  'old_event.differs': wrong(
    'an event of the old program is of a partition that Bronze does not hold, or not like that',
  ),
  'heads.invalid': wrong('`pas-chain-heads.json` cannot be read'),
  'heads.missing': wrong('`pas-chain-heads.json` does not know the chain'),
  'heads.behind': wrong('`pas-chain-heads.json` names an earlier event than the last one'),
  'heads.ahead': wrong('`pas-chain-heads.json` names an event that is not in the chain'),
  'checkpoint.missing': wrong('there is no checkpoint although partitions are committed'),
  'checkpoint.corrupt': wrong('the checkpoint cannot be read'),
  'checkpoint.foreign': wrong('the checkpoint belongs to another chain'),
  'checkpoint.behind': wrong('the checkpoint is of an earlier partition than the last committed one'),
  'checkpoint.ahead': wrong('the checkpoint is of a partition that is not committed'),
  'checkpoint.differs': wrong('the checkpoint has another checksum for the last partition'),
  'catalog.empty': wrong('the catalog has no row of the chain: dropped, new, or without its tables'),
  'row.missing': wrong('partitions are committed and the catalog has no row of them'),
  'row.differs': wrong('a row of the catalog says something else than manifest and event'),
  'row.moved': wrong('rows of the catalog name a place where Bronze lay before'),
  'row.prev_hash': wrong('a row of the catalog names another checksum for the partition before'),
  'row.event_id': wrong('a row of the catalog names another event'),
  'row.stray': wrong('a row of the catalog is for a partition that is not there'),
  'delivery.ahead': wrong('the delivery is noted further than the chain goes, or with another event'),
  'object.stray': wrong('an object that no copier writes lies in the table or among the events'),
  'log_head.contradicts': wrong('a signed head is of other events, or of more, than the chain has (HEAD_CONTRADICTS)'),
  'log_head.invalid': wrong('a signed head cannot be read, or no known key has signed it (HEAD_INVALID)'),
  'log_head.missing': wrong('a signed head of which there is a copy does not lie beside the chain'),
  'log_head.pending': { meaning: 'events that no signed head is of yet', weight: 'pending' },
  'delivery.pending': { meaning: 'events that the endpoint has not acknowledged yet', weight: 'pending' },
  'catalog.held': { meaning: 'a reader holds the catalog open: it was not compared', weight: 'unseen' },
  'catalog.unreachable': { meaning: 'the catalog does not answer or refuses: it was not compared', weight: 'unseen' },
  'data.unread': { meaning: 'a data object could not be read: nothing is known of its bytes', weight: 'unseen' },
} as const satisfies Record<string, KindFacts>;

export type Kind = keyof typeof KINDS;

/**
 * Who can mend it. `reconcile`: `--repair`. `run`: the next run. `copy`: somebody who puts an object back from a copy, or
 * moves one aside so that it can be derived again. `no`: nobody under this version_label, or nobody knows which is right.
 */
export type Repairable = 'reconcile' | 'run' | 'copy' | 'no';

/** One difference. Consequences of another one are never among them. */
export interface Difference {
  readonly kind: Kind;
  /** Where other commands know it by a code. */
  readonly code?: ErrorCode;
  /** `pubnet/pre_p23/v1` */
  readonly chain: string;
  /** The partition, or all partitions side by side that it is about. */
  readonly range?: LedgerRange;
  /** Of an event. */
  readonly sequence?: number;
  /** Key, path, URI. */
  readonly object: string;
  readonly what: string;
  readonly cause: string;
  readonly cure: string;
  readonly repairable: Repairable;
}

export const weightOf = (difference: Pick<Difference, 'kind'>): KindFacts['weight'] => KINDS[difference.kind].weight;
