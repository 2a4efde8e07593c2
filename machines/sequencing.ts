/**
 * What the sequencer decides with: which partition comes next, whether it continues the chain of ledgers, what a
 * commit changes. Pure functions over its context; no machine, no effect.
 */
import type { Failure } from './errors.ts';
import { partitionAt, sameRange } from './partitions.ts';
import type {
  AgendaItem,
  AttestedEvent,
  ChainHead,
  EraEvent,
  Grid,
  LedgerEnds,
  LedgerRange,
  Mode,
  Parent,
  PublishedPartition,
  Recovered,
  SealedPartition,
  StagedPartition,
} from './protocol.ts';
import { given } from './typed.ts';

export interface SequencerInput {
  readonly eraId: string;
  readonly parent: Parent<EraEvent>;
  readonly grid: Grid;
  readonly recovered: Recovered;
  readonly attests: boolean;
  readonly catalog: Mode;
  readonly delivery: Mode;
  readonly retryAttempts: number;
  readonly retryBackoffMs: number;
}

/** The partition in hand. `item` is null for one that follows the grid. */
export interface Current {
  readonly range: LedgerRange;
  readonly item: AgendaItem | null;
  readonly staged: StagedPartition | null;
  readonly published: PublishedPartition | null;
  readonly sealed: SealedPartition | null;
  /** Its catalog row is left to the courier. */
  readonly rowPending: boolean;
}

export interface SequencerContext extends Omit<SequencerInput, 'recovered'> {
  /** What recovery left to do, before anything that follows the grid. */
  readonly agenda: readonly AgendaItem[];
  /** First ledger that is not sealed: where the grid goes on. */
  readonly next: number;
  readonly chain: ChainHead;
  /** Hash of the last ledger before the partition that comes next; null where there is none. */
  readonly lastHash: string | null;
  /** Staged partitions whose turn has not come, by start. */
  readonly buffer: readonly StagedPartition[];
  readonly current: Current | null;
  /** Nothing that an earlier run should have recorded or delivered is known to be left. Always true unless strict. */
  readonly caughtUp: boolean;
  readonly failures: number;
  readonly failure: Failure | null;
  readonly draining: boolean;
}

export const initialContext = ({ recovered, ...input }: SequencerInput): SequencerContext => ({
  ...input,
  agenda: recovered.agenda,
  next: recovered.frontier,
  chain: recovered.chain,
  lastHash: recovered.lastHash,
  buffer: [],
  current: null,
  caughtUp: input.catalog !== 'strict' && input.delivery !== 'strict',
  failures: 0,
  failure: null,
  draining: false,
});

/** The partition in hand, in a state that works on one. */
export const inHand = ({ current }: SequencerContext): Current => given(current, 'a partition in hand');

/** What was built of it, up to its publication. */
export const stagedInHand = (context: SequencerContext): StagedPartition =>
  given(inHand(context).staged, 'what was staged');

/** What its manifest says, once it is sealed. */
export const manifestInHand = (context: SequencerContext): SealedPartition =>
  given(inHand(context).sealed, 'the manifest');

type Attested = Extract<AgendaItem, { readonly event: AttestedEvent }>;

/** Something of the past is mended: what it has to come out as is known. */
const isAttested = (item: AgendaItem | null): item is Attested =>
  item?.kind === 'restore' || item?.kind === 'reseal' || item?.kind === 'refill';

/**
 * Whether what earlier runs left has to be recorded and delivered now, before anything new is committed. Not before the
 * chain is whole: events go out in order, so a hole in it would leave the later ones behind.
 */
export const mustCatchUp = (context: SequencerContext): boolean =>
  !context.caughtUp && !context.agenda.some(isAttested);

/** What a failure is reported of: the partition in hand, or what would come next. */
export const rangeInHand = (context: SequencerContext): LedgerRange =>
  context.current?.range ?? expectedRange(context) ?? { start: context.next, end: context.next };

/** The range that has to be committed next. */
function expectedRange(context: SequencerContext): LedgerRange | null {
  return context.agenda[0]?.range ?? partitionAt(context.grid, context.next);
}

function stagedFor(context: SequencerContext, range: LedgerRange): StagedPartition | undefined {
  return context.buffer.find((staged) => sameRange(staged.range, range));
}

/** Kinds of agenda items for which a worker has to build the partition. */
const needsBuild = (item: AgendaItem | null): boolean =>
  item === null || item.kind === 'restore' || item.kind === 'copy';

/** What `waiting` takes in hand next; null where it has to wait. */
export function takeNext(context: SequencerContext): Current | null {
  const range = expectedRange(context);
  if (!range) return null;
  const item = context.agenda[0] ?? null;
  // A drain commits what lies staged; it does not start on what recovery found, which may be long.
  if (context.draining && !needsBuild(item)) return null;
  const staged = needsBuild(item) ? stagedFor(context, range) : undefined;
  if (needsBuild(item) && !staged) return null;
  const sealed = item?.kind === 'sealed' || item?.kind === 'attested' ? item.sealed : null;
  // Mending passes by the step that records: its row, and the next one's link to it, are the courier's.
  const rowPending = context.catalog === 'lenient' && isAttested(item);
  return { range, item, staged: staged ?? null, published: null, sealed, rowPending };
}

/** The event that a mended partition has to agree with; null for everything new. */
export const attestedBefore = (current: Current): AttestedEvent | null =>
  isAttested(current.item) ? current.item.event : null;

/** Whether the partition in hand continues the chain of ledgers (rather than mending its past). */
const extendsChain = (current: Current): boolean => needsBuild(current.item) || current.item?.kind === 'sealed';

export function brokenLink(context: SequencerContext): Failure | null {
  const { current, lastHash } = context;
  if (!current || current.item?.kind === 'restore' || !extendsChain(current) || lastHash === null) return null;
  const ledgers: LedgerEnds | undefined = current.staged?.ledgers ?? current.sealed?.ledgers;
  if (!ledgers || ledgers.previousHash === lastHash) return null;
  const { start } = current.range;
  return {
    code: 'LINK_BROKEN',
    message: `ledger ${start} does not follow the partition before it: its previous ledger hash is not the hash of ledger ${start - 1}`,
    retryable: false,
    ledger: start,
    check: 'previous_ledger_hash',
    expected: lastHash,
    found: ledgers.previousHash,
    ...(current.staged ? { object: current.staged.firstObject ?? current.staged.source } : {}),
  };
}

/** Everything after a partition is committed: the frontier moves, the agenda shrinks. */
export function afterCommit(context: SequencerContext): Partial<SequencerContext> {
  const current = inHand(context);
  const ledgers = current.sealed?.ledgers ?? current.published?.ledgers ?? null;
  const advances = current.range.start === context.next;
  const links = advances || current.item?.kind === 'sealed';
  return {
    current: null,
    agenda: current.item ? context.agenda.slice(1) : context.agenda,
    next: advances ? current.range.end + 1 : context.next,
    lastHash: links && ledgers ? ledgers.lastHash : context.lastHash,
    buffer: context.buffer.filter((staged) => !sameRange(staged.range, current.range)),
    failures: 0,
    failure: null,
  };
}

export function commitFacts(current: Current): EraEvent {
  const { staged, sealed, published } = current;
  const data = sealed?.data ?? published?.data;
  const alreadyThere = !staged || published?.found === true;
  return {
    type: 'partition.committed',
    facts: {
      range: current.range,
      rows: data?.rowCount ?? current.range.end - current.range.start + 1,
      bronzeBytes: data?.byteSize ?? 0,
      sourceBytes: staged?.sourceBytes ?? 0,
      rawBytes: staged?.rawBytes ?? 0,
      retries: staged?.retries ?? 0,
      alreadyThere,
      rowPending: current.rowPending,
      correlationId: staged?.correlationId ?? '',
    },
  };
}
