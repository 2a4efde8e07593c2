/** The worlds that are explored, each small enough to be exhausted, together covering every move and every rule. */
import type { AnyStateMachine } from 'xstate';
import type { EffectName } from '../../machines/effects.ts';
import type { EraSpec, LakeHead } from '../../machines/protocol.ts';
import { type Chain, deriveEvent, emptyChain, emptyHost, type Host, lakeOf, rangeOf, without } from './durable.ts';
import { type EffectModels, remoteBuild } from './effects.ts';
import { ROLLED_BACK } from './evidence.ts';
import { isOver, outcomeOf } from './moves.ts';
import type { MachineName } from './stepper.ts';
import type { World } from './world.ts';

/** What may go wrong, or be wished, so often in a configuration. */
export type Fault =
  | 'fail'
  | 'fatal'
  | 'lost'
  | 'twice'
  | 'crash'
  | 'crashOther'
  | 'restart'
  | 'drain'
  | 'held'
  | 'lie'
  | 'vanish'
  | 'loseCheckpoint'
  | 'loseLock'
  | 'loseCopies'
  | 'rollback'
  | 'reset'
  | 'timer';

export interface EraSetup {
  readonly spec: EraSpec;
  /** Lakes of the same name link. */
  readonly lake: string;
  /** Last ledger that the lake has; everything where it is left out. */
  readonly lakeEnd?: number;
  /** What the head of the lake is, one after the other. */
  readonly heads?: readonly LakeHead[];
}

export interface Configuration {
  readonly name: string;
  /** What it is for. */
  readonly about: string;
  readonly eras: readonly EraSetup[];
  readonly copiers: number;
  /** Releases that a restarted process may be of; the first one starts. */
  readonly writers: readonly string[];
  /** The store creates only if absent. */
  readonly conditional: boolean;
  /** Copies of events are written. */
  readonly copies?: boolean;
  readonly budget: Partial<Record<Fault, number>>;
  /** Effects that fail; all where it is left out. */
  readonly faultsAt?: readonly EffectName[];
  /** Effects whose requests outlive those who asked. */
  readonly late?: readonly EffectName[];
  readonly instant?: readonly EffectName[];
  /** Timers that may fire, besides back-offs, polls and the courier's patience. */
  readonly timers?: readonly string[];
  /** No reductions. */
  readonly exact?: boolean;
  /** A finished run is run again and must write nothing. */
  readonly again?: boolean;
  /** Starts from an estate that something is missing in: rules about how it came to be do not apply. */
  readonly mending?: boolean;
  /** Last ledger of the era by copier, where they are configured differently. */
  readonly ends?: readonly number[];
  /** Faults may be more than the retries allow. */
  readonly mayFail?: boolean;
  /** The endpoint has an event that is not the chain's. */
  readonly forked?: boolean;
  /** A failed run is the end: nobody starts it again. */
  readonly staysFailed?: boolean;
  readonly estate?: () => { readonly chains: readonly Chain[]; readonly hosts: readonly Host[] };
  readonly goal?: (world: World) => boolean;
  /** Last ledger that a run has copied when it is done, where the era has no end. */
  readonly doneAt?: number;
  /** A rule of this configuration alone. */
  readonly rule?: (world: World) => string | null;
  /** Machines and effects with seeded bugs. */
  readonly logic?: Partial<Record<MachineName, AnyStateMachine>>;
  readonly models?: Partial<EffectModels>;
}

/** Partitions of ten ledgers from ledger 10 on. */
function spec(partitions: number, changes: Partial<EraSpec> = {}): EraSpec {
  return {
    eraId: 'a',
    network: 'test',
    versionLabel: 'v1',
    grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: 9 + partitions * 10 },
    stopAfter: null,
    once: false,
    workers: 2,
    queueSize: 3,
    retryAttempts: 4,
    retryBackoffMs: 1000,
    respawnLimit: 5,
    attests: true,
    catalog: 'none',
    delivery: 'none',
    runId: 'run',
    ...changes,
  };
}

const one = { copiers: 1, writers: ['w1'], conditional: true } as const;

const era = (partitions: number, changes: Partial<EraSpec> = {}): readonly EraSetup[] => [
  { spec: spec(partitions, changes), lake: 'L' },
];

/** Nothing in the configurations that name them can change what these answer, or be changed by it. */
const CALM: readonly EffectName[] = ['openLake', 'compareLake', 'checkNeighbours'];
const COMMIT: readonly EffectName[] = ['publishPartition', 'sealPartition', 'attestPartition', 'writeCheckpoint'];
const WORK: readonly EffectName[] = ['buildPartition', 'stagePartition'];
const OUTLIVING: readonly EffectName[] = [...WORK, ...COMMIT];
const ROWS: readonly EffectName[] = ['recordPartition', 'recordPending'];
/** Where it is the catalog and the endpoint that matter: what comes before the event is explored elsewhere. */
const EARLIER: readonly EffectName[] = [...CALM, ...WORK, 'publishPartition', 'sealPartition'];

// ── estates that something is missing in ─────────────────────────────────────────────────────────────────────────

/** The first `sealed` partitions published and sealed, the first `attested` of them attested; then `change`. */
function estate(
  sealed: number,
  attested: number,
  change: (chain: Chain) => Chain = (chain) => chain,
  labels: readonly string[] = ['10-19', '20-29', '30-39'],
) {
  return () => {
    let chain: Chain = { ...emptyChain, bronze: true };
    let prev: string | null = null;
    let host: Host = emptyHost;
    for (const [sequence, label] of labels.slice(0, sealed).entries()) {
      const root = `L:${label}`;
      const data = { checksum: `${root}/w1`, root, writer: 'w1' };
      const manifest = { ...data, time: 't0' };
      chain = {
        ...chain,
        data: { ...chain.data, [label]: data },
        manifests: { ...chain.manifests, [label]: manifest },
      };
      if (sequence >= attested) continue;
      const event = deriveEvent(label, manifest, sequence, prev);
      prev = event.eventHash;
      const copy = { sequence, eventHash: event.eventHash };
      host = { ...host, copies: { ...host.copies, [label]: copy }, head: event.eventHash };
      chain = { ...chain, events: { ...chain.events, [sequence]: event } };
    }
    const last = labels[attested - 1];
    const checkpoint = last ? { range: rangeOf(last), checksum: `L:${last}/w1` } : null;
    return { chains: [change(chain)], hosts: [{ ...host, checkpoint }] };
  };
}

const mended = (name: string, about: string, start: Configuration['estate']): Configuration => ({
  name: `mending: ${name}`,
  about,
  ...one,
  eras: era(3, { workers: 1, queueSize: 2 }),
  budget: { fail: 1, lost: 1, restart: 1 },
  faultsAt: [...WORK, ...COMMIT, 'verifySealed', 'surveyChain'],
  instant: CALM,
  mending: true,
  again: true,
  ...(start ? { estate: start } : {}),
});

// ── unbounded ────────────────────────────────────────────────────────────────────────────────────────────────────

const head = (last: number, holeAt: number | null = null): LakeHead => ({ head: last, contiguousTo: last, holeAt });

/** An unbounded era has copied every whole partition of the lake as it is last, and waits for more. */
const caughtUp =
  (partitions: number) =>
  (world: World): boolean => {
    const copied = Object.keys(world.chain(0).events).length;
    const waits = world.snapshot(0, 1)?.matches({ awaitingLedgers: 'sleeping' }) ?? false;
    return waits && copied === partitions;
  };

// ── two eras ─────────────────────────────────────────────────────────────────────────────────────────────────────

const twoEras = (lakes: readonly [string, string], changes: Partial<EraSpec> = {}): readonly EraSetup[] => {
  const small = { workers: 1, queueSize: 1, ...changes };
  return [
    { spec: spec(1, { ...small, eraId: 'a' }), lake: lakes[0] },
    {
      spec: spec(1, { ...small, eraId: 'b', grid: { size: 10, origin: 0, ledgerStart: 20, ledgerEnd: 29 } }),
      lake: lakes[1],
    },
  ];
};

/** Eras that do not link are never attested on both sides. */
const neverBoth = (world: World): string | null =>
  Object.keys(world.chain(0).events).length > 0 && Object.keys(world.chain(1).events).length > 0
    ? 'both sides of a link that is broken are attested'
    : null;

/** What a process builds that started after the reset, beside what is committed of the lake as it was. */
const neverFromAnother = (world: World): string | null => {
  const { reset, manifests, events } = world.chain(0);
  if (reset === null || reset === world.session(0).nonce) return null;
  const { lake } = world.config.eras[0] as EraSetup;
  const roots = [
    ...Object.values(manifests).map(({ root }) => root),
    ...Object.values(events).map(({ ledgers }) => ledgers.contentRoot),
  ];
  const builds = world.pending(0).some((id) => world.effects.value(id).name === 'buildPartition');
  return builds && roots.some((root) => lakeOf(root) === lake)
    ? 'builds from a lake that contradicts what is committed'
    : null;
};

/** What remote workers do late finds no upload: nothing is left when a run is over. */
const nothingLeftStaged = (world: World): string | null => {
  const left = Object.keys(world.chain(0).staged)[0];
  return left !== undefined && isOver(world, 0) && outcomeOf(world, 0) === 'done'
    ? `the run is done and ${left} is still staged`
    : null;
};

export const configurations: readonly Configuration[] = [
  {
    name: 'pool',
    about: 'two workers, three partitions, a window of two; a failure, a crash, a restart',
    ...one,
    eras: era(3, { queueSize: 2 }),
    budget: { fail: 1, crash: 1, restart: 1 },
    faultsAt: [...WORK, 'publishPartition', 'sealPartition'],
    instant: CALM,
  },
  {
    name: 'pool of three',
    about: 'three workers, four partitions, a window of three; a crash',
    ...one,
    eras: era(4, { workers: 3, queueSize: 3 }),
    budget: { crash: 1 },
    instant: CALM,
  },
  {
    name: 'every step',
    about: 'one worker; every effect fails, is repeated, or loses its answer, with a restart',
    ...one,
    eras: era(2, { workers: 1, queueSize: 2 }),
    budget: { fail: 1, lost: 1, twice: 1, restart: 1 },
    again: true,
  },
  {
    name: 'another release',
    about: 'restarted twice, by the same or another writer, with a lost answer',
    ...one,
    writers: ['w1', 'w2'],
    eras: era(2, { workers: 1, queueSize: 2 }),
    budget: { lost: 1, restart: 2 },
    instant: CALM,
    again: true,
  },
  {
    name: 'late requests',
    about: 'restarted twice, by the same or another writer; what the dead had asked for lands at any time',
    ...one,
    writers: ['w1', 'w2'],
    eras: era(2, { workers: 1, queueSize: 1 }),
    budget: { restart: 2 },
    late: OUTLIVING,
    instant: ['openLake', 'compareLake', 'checkNeighbours'],
    again: true,
  },
  {
    name: 'many machines',
    about: 'remote workers: a task is done twice, lost, goes on after its worker or its coordinator was given up',
    ...one,
    eras: era(2, { workers: 2, queueSize: 2 }),
    budget: { fail: 1, lost: 1, twice: 1, restart: 1 },
    faultsAt: WORK,
    late: ['buildPartition'],
    instant: [...CALM, ...COMMIT],
    models: { buildPartition: remoteBuild },
    rule: nothingLeftStaged,
    again: true,
  },
  {
    name: 'many machines: a worker is given up',
    about:
      'the actor of a remote worker throws, or a signal comes: its task goes on, and finds its upload or finds it gone',
    ...one,
    eras: era(2, { workers: 2, queueSize: 2 }),
    budget: { crash: 1, drain: 1, vanish: 1 },
    late: ['buildPartition'],
    instant: [...CALM, ...COMMIT],
    models: { buildPartition: remoteBuild },
    rule: nothingLeftStaged,
    again: true,
  },
  {
    name: 'a store without conditions',
    about: 'creates over what stands there; late completions find their upload aborted, also where the journal is lost',
    ...one,
    writers: ['w1', 'w2'],
    conditional: false,
    eras: era(2, { workers: 1, queueSize: 1 }),
    budget: { restart: 2, loseLock: 1, lost: 1 },
    faultsAt: COMMIT,
    late: COMMIT,
    instant: CALM,
    again: true,
  },
  {
    name: 'state lost',
    about: 'checkpoint, lock and journal are lost at any time, with restarts',
    ...one,
    eras: era(2, { workers: 1, queueSize: 2 }),
    budget: { loseCheckpoint: 1, loseLock: 1, restart: 2 },
    late: ['publishPartition'],
    instant: CALM,
    again: true,
  },
  {
    name: 'copies of events',
    about: 'written after each event; restarted twice, the backup folder is lost, answers are lost',
    ...one,
    copies: true,
    writers: ['w1', 'w2'],
    eras: era(2, { workers: 1, queueSize: 1 }),
    budget: { restart: 2, loseCopies: 1, lost: 1 },
    faultsAt: COMMIT,
    instant: EARLIER,
    again: true,
  },
  {
    name: 'evidence: rolled back',
    about: 'Bronze is rolled back while the copier is down; nothing is written until it is given up',
    ...one,
    copies: true,
    eras: era(2, { workers: 1, queueSize: 1 }),
    budget: { rollback: 1, restart: 1 },
    instant: EARLIER,
    mending: true,
    again: true,
  },
  {
    name: 'evidence: some of it is lost',
    about: 'the same where the backup folder, checkpoint and lock are lost as well',
    ...one,
    copies: true,
    eras: era(2, { workers: 1, queueSize: 1 }),
    budget: { rollback: 1, loseCopies: 1, loseCheckpoint: 1, loseLock: 1, restart: 1 },
    instant: EARLIER,
    mending: true,
    again: true,
  },
  {
    name: 'evidence: the catalog remembers',
    about: 'rows are all that is left of what Bronze held; they are forgotten when it is given up',
    ...one,
    eras: era(2, { workers: 1, queueSize: 1, catalog: 'strict' }),
    budget: { rollback: 1, loseCheckpoint: 1, restart: 1 },
    instant: EARLIER,
    mending: true,
    again: true,
  },
  {
    name: 'evidence: without the audit stream',
    about: 'copies of an audit stream that was switched off, and the checkpoint',
    ...one,
    eras: era(2, { workers: 1, queueSize: 1, attests: false }),
    budget: { rollback: 1, loseCheckpoint: 1, restart: 1 },
    instant: EARLIER,
    mending: true,
    again: true,
    estate: estate(1, 1),
  },
  {
    name: 'staging vanishes',
    about: 'two workers, a full window, staged data vanishes twice',
    ...one,
    eras: era(3, { queueSize: 2, retryAttempts: 6 }),
    budget: { vanish: 2, lost: 1 },
    faultsAt: ['publishPartition', 'stagePartition'],
    instant: CALM,
  },
  {
    name: 'two copiers',
    about: 'two processes with state folders of their own on one chain, of different releases',
    ...one,
    copiers: 2,
    writers: ['w1', 'w2'],
    eras: era(2, { workers: 1, queueSize: 1 }),
    budget: { lost: 1 },
    faultsAt: COMMIT,
    instant: CALM,
  },
  {
    name: 'two copiers, one killed',
    about: 'the same with one partition, and one of the two is restarted',
    ...one,
    copiers: 2,
    writers: ['w1', 'w2'],
    eras: era(1, { workers: 1, queueSize: 1 }),
    budget: { restart: 1 },
    late: ['publishPartition', 'sealPartition', 'attestPartition'],
    instant: CALM,
  },
  {
    name: 'the answer was a lie',
    about: 'publish, seal or attest is answered with success, and nothing was done; with a restart and a lost answer',
    ...one,
    eras: era(2, { workers: 1, queueSize: 1 }),
    budget: { lie: 2, restart: 1, lost: 1 },
    faultsAt: COMMIT,
    late: COMMIT,
    instant: CALM,
    again: true,
  },
  {
    name: 'lies of a store without conditions',
    about: 'the same where uploads are fenced',
    ...one,
    conditional: false,
    eras: era(1, { workers: 1, queueSize: 1 }),
    budget: { lie: 2, restart: 1 },
    faultsAt: COMMIT,
    late: COMMIT,
    instant: CALM,
  },
  {
    name: 'lies to two copiers',
    about: 'what one believes to have written is written by the other',
    ...one,
    copiers: 2,
    writers: ['w1', 'w2'],
    eras: era(1, { workers: 1, queueSize: 1 }),
    budget: { lie: 2 },
    faultsAt: COMMIT,
    instant: CALM,
  },
  {
    name: 'two copiers of different ends',
    about: 'they cut the last cell differently: never two partitions of one ledger in the chain',
    ...one,
    copiers: 2,
    ends: [19, 15],
    eras: era(1, { workers: 1, queueSize: 1 }),
    budget: {},
    instant: ['openLake', 'compareLake'],
    mending: true,
    mayFail: true,
    staysFailed: true,
  },
  {
    name: 'two eras',
    about: 'two eras that link, one failing attempt, a crash',
    ...one,
    eras: twoEras(['L', 'L']),
    budget: { fail: 1, crash: 1 },
    instant: ['openLake', 'compareLake'],
    faultsAt: ['checkNeighbours', 'sealPartition', 'buildPartition'],
  },
  {
    name: 'two eras that do not link',
    about: 'whichever is later sees the other and is not attested',
    ...one,
    eras: twoEras(['L', 'M']),
    budget: { restart: 1 },
    instant: ['openLake', 'compareLake'],
    mayFail: true,
    staysFailed: true,
    rule: neverBoth,
  },
  {
    name: 'the lake is reset',
    about: 'another network under the same name: nothing is built from it by a process that starts afterwards',
    ...one,
    eras: era(3, { workers: 1, queueSize: 1 }),
    budget: { reset: 1, restart: 1 },
    instant: ['checkNeighbours'],
    mayFail: true,
    staysFailed: true,
    rule: neverFromAnother,
  },
  {
    name: 'drain',
    about: 'a signal at any time, a failure, a crash',
    ...one,
    eras: era(3, { queueSize: 3 }),
    budget: { drain: 1, crash: 1 },
    instant: CALM,
  },
  {
    name: 'drain in trouble',
    about: 'a signal at any time, failing attempts, vanished staging',
    ...one,
    eras: era(2, { queueSize: 2 }),
    budget: { drain: 1, fail: 1, vanish: 1 },
    instant: CALM,
  },
  {
    name: 'lasting failures',
    about: 'something fails for good; everything before it is committed, and the next run goes on',
    ...one,
    eras: era(3, { queueSize: 3 }),
    budget: { fatal: 1 },
  },
  {
    name: 'retries used up',
    about: 'two attempts, two failures',
    ...one,
    eras: era(2, { queueSize: 2, retryAttempts: 2 }),
    budget: { fail: 2 },
    instant: CALM,
    mayFail: true,
  },
  {
    name: 'crashes beyond the limit',
    about: 'one crash is forgiven, or not',
    ...one,
    eras: era(2, { queueSize: 2, respawnLimit: 1 }),
    budget: { crash: 2, timer: 1 },
    timers: ['crash.forgiven'],
    instant: CALM,
    mayFail: true,
  },
  {
    name: 'sequencer and courier crash',
    about: 'the era starts afresh in the same process; what it had asked for lands late',
    ...one,
    eras: era(2, { queueSize: 2 }),
    budget: { crashOther: 1, crash: 1 },
    late: [...WORK, ...COMMIT],
    instant: CALM,
  },
  {
    name: 'sequencer crashes in a drain',
    about: 'nobody starts an era afresh that was to end',
    ...one,
    eras: era(2, { workers: 1, queueSize: 2 }),
    budget: { crashOther: 1, drain: 1 },
    late: COMMIT,
    instant: CALM,
    mayFail: true,
  },
  {
    name: 'without the audit stream',
    about: 'the checkpoint is all that says verified; it is lost, the process restarted',
    ...one,
    writers: ['w1', 'w2'],
    eras: era(2, { workers: 1, queueSize: 2, attests: false }),
    budget: { loseCheckpoint: 1, restart: 2, lost: 1 },
    faultsAt: COMMIT,
    instant: CALM,
    again: true,
  },
  {
    name: 'catalog, lenient',
    about: 'a row that cannot be written is pending: counted, and written by this or the next run',
    ...one,
    eras: era(2, { workers: 1, queueSize: 1, catalog: 'lenient' }),
    budget: { fail: 1, lost: 1, held: 1, restart: 1 },
    faultsAt: ROWS,
    late: ROWS,
    instant: EARLIER,
    again: true,
  },
  {
    name: 'catalog, strict',
    about: 'the commit waits for its row, however often it fails; a row that a reader holds up is pending here, too',
    ...one,
    eras: era(2, { workers: 1, queueSize: 1, retryAttempts: 1, catalog: 'strict' }),
    budget: { fail: 2, lost: 1, twice: 1, held: 1, restart: 1 },
    faultsAt: ROWS,
    late: ROWS,
    instant: EARLIER,
    again: true,
  },
  {
    name: 'delivery, lenient',
    about: 'in order, at least once, by this or the next run; the place reached is lost',
    ...one,
    eras: era(2, { workers: 1, queueSize: 1, delivery: 'lenient' }),
    budget: { fail: 1, restart: 1, loseCheckpoint: 1 },
    faultsAt: ['deliverPending'],
    late: ['deliverPending'],
    instant: EARLIER,
    again: true,
  },
  {
    name: 'delivery, strict',
    about: 'the commit waits for the endpoint, however often it fails; the place reached is lost',
    ...one,
    eras: era(2, { workers: 1, queueSize: 1, retryAttempts: 1, delivery: 'strict' }),
    budget: { fail: 2, lost: 1, twice: 1, restart: 1, loseCheckpoint: 1 },
    faultsAt: ['deliverPending'],
    late: ['deliverPending'],
    instant: EARLIER,
    again: true,
  },
  {
    name: 'strict waits and a signal',
    about: 'a drain ends a strict wait with its reason, and the next run goes on',
    ...one,
    eras: era(2, { workers: 1, queueSize: 2, catalog: 'strict', delivery: 'strict' }),
    budget: { drain: 1, fail: 2 },
    faultsAt: [...ROWS, 'deliverPending'],
    instant: EARLIER,
  },
  {
    name: 'lenient, with crashes and a signal',
    about: 'sequencer or courier crash with something to deliver; the rest is counted, and told by the next run',
    ...one,
    eras: era(2, { workers: 1, queueSize: 1, catalog: 'lenient', delivery: 'lenient' }),
    budget: { crashOther: 1, drain: 1 },
    late: [...ROWS, 'deliverPending'],
    instant: EARLIER,
    mayFail: true,
  },
  {
    name: 'refused for good',
    about: 'a lenient catalog or endpoint that refuses fails the era, as a strict one does',
    ...one,
    eras: era(2, { workers: 1, queueSize: 1, catalog: 'lenient', delivery: 'lenient' }),
    budget: { fatal: 1, fail: 1 },
    faultsAt: [...ROWS, 'deliverPending'],
    instant: EARLIER,
  },
  {
    name: 'strict at last',
    about:
      'earlier runs left rows and events, and one event inside the chain is lost: all that comes before anything new',
    ...one,
    eras: era(3, { workers: 1, queueSize: 1, catalog: 'strict', delivery: 'strict' }),
    budget: { fail: 1, lost: 1, restart: 1 },
    faultsAt: [...ROWS, 'deliverPending'],
    instant: EARLIER,
    mending: true,
    again: true,
    estate: estate(2, 2, (chain) => ({ ...chain, events: without(chain.events, '0') })),
  },
  ...(['lenient', 'strict'] as const).map(
    (delivery): Configuration => ({
      name: `a fork at the endpoint, ${delivery}`,
      about: 'the endpoint has another event under a sequence: the era fails',
      ...one,
      eras: era(2, { workers: 1, queueSize: 1, delivery }),
      budget: {},
      instant: EARLIER,
      forked: true,
      mayFail: true,
      estate: () => ({ chains: [{ ...emptyChain, endpoint: ['another'] }], hosts: [emptyHost] }),
      // A lenient run may be done before it has heard of it; the next one does.
      goal: (world) => outcomeOf(world, 0) === 'failed',
    }),
  ),
  {
    name: 'circuit breaker',
    about: 'the stall timer fires at any time, right or wrong: once is survived in sequential mode',
    ...one,
    eras: era(2, { queueSize: 2 }),
    budget: { timer: 2 },
    timers: ['stall.suspected', 'stall.detected'],
    late: COMMIT,
    instant: CALM,
  },
  {
    name: 'circuit breaker twice',
    about: 'stalls twice, with a signal: given up, never hung',
    ...one,
    eras: era(1, { workers: 1, queueSize: 1 }),
    budget: { timer: 4, drain: 1 },
    timers: ['stall.suspected', 'stall.detected'],
    instant: CALM,
    mayFail: true,
  },
  {
    name: 'unbounded',
    about: 'the head grows, with a hole that fills; a restart, a signal',
    ...one,
    eras: [
      {
        spec: spec(0, { workers: 1, queueSize: 2, grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null } }),
        lake: 'L',
        heads: [head(15), head(33, 22), head(33)],
      },
    ],
    budget: { fail: 1, restart: 1, drain: 1, timer: 1 },
    faultsAt: ['findHead', 'buildPartition'],
    timers: ['hole.overdue'],
    instant: CALM,
    goal: caughtUp(2),
    doneAt: 29,
  },
  {
    name: 'to the present head',
    about: 'an unbounded era that runs once ends at the head that it found first',
    ...one,
    eras: [
      {
        spec: spec(0, {
          once: true,
          queueSize: 2,
          grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null },
        }),
        lake: 'L',
        heads: [head(33), head(49)],
      },
    ],
    budget: { restart: 1, crash: 1 },
    instant: CALM,
    doneAt: 29,
  },
  {
    name: 'half-written at the head',
    about: 'files at the head cannot be read for a while; patience ends or not',
    ...one,
    eras: [
      {
        spec: spec(0, { workers: 1, queueSize: 2, grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null } }),
        lake: 'L',
        heads: [head(19), head(29)],
      },
    ],
    budget: { fatal: 2, timer: 1, drain: 1 },
    faultsAt: ['buildPartition'],
    timers: ['patience.exhausted'],
    instant: CALM,
    goal: caughtUp(2),
    doneAt: 29,
  },
  mended(
    'data is gone',
    'the data of an attested partition is lost',
    estate(2, 2, (chain) => ({ ...chain, data: without(chain.data, '10-19') })),
  ),
  {
    ...mended(
      'a manifest is gone',
      'the manifest of an attested partition is lost: it is written again from what is there, without a build',
      estate(2, 2, (chain) => ({ ...chain, manifests: without(chain.manifests, '20-29') })),
    ),
    late: ['sealPartition'],
    rule: (world) =>
      Object.values(world.chain(0).staged).some(({ label }) => label === '20-29')
        ? 'what is there is built again'
        : null,
  },
  {
    ...mended(
      'a manifest is gone, its data is other',
      'it does not come out as it was attested: nothing is written',
      estate(2, 2, (chain) => ({
        ...chain,
        data: { ...chain.data, '20-29': { checksum: 'L:20-29/w2', root: 'L:20-29', writer: 'w2' } },
        manifests: without(chain.manifests, '20-29'),
      })),
    ),
    again: false,
    mayFail: true,
    staysFailed: true,
    goal: (world) => outcomeOf(world, 0) === 'failed',
    rule: (world) => (world.chain(0).manifests['20-29'] ? 'a manifest is written that no event names' : null),
  },
  mended(
    'an event is gone',
    'an event inside the chain is lost',
    estate(3, 3, (chain) => ({ ...chain, events: without(chain.events, '1') })),
  ),
  mended('sealed, not attested', 'the audit stream is switched on late', estate(2, 0)),
  mended(
    'published, not sealed',
    'a data object stands alone',
    estate(2, 1, (chain) => ({ ...chain, manifests: without(chain.manifests, '20-29') })),
  ),
  mended(
    'the end was raised',
    'the last partition was clipped: the rest of its cell is one of its own',
    estate(2, 2, undefined, ['10-19', '20-24']),
  ),
  mended(
    'the end was raised over an orphan',
    'a clipped partition is published and not sealed: it is taken as it is',
    estate(2, 1, (chain) => ({ ...chain, manifests: without(chain.manifests, '20-24') }), ['10-19', '20-24']),
  ),
  mended(
    '_bronze.json is gone',
    'and nothing else',
    estate(2, 2, (chain) => ({ ...chain, bronze: false })),
  ),
];

/** Larger products of the same parts: at least a million states in all. */
export const deepConfigurations: readonly Configuration[] = [
  {
    name: 'deep: pool',
    about: 'two workers, four partitions; a failure, a crash, a restart',
    ...one,
    eras: era(4),
    budget: { fail: 1, crash: 1, restart: 1 },
    faultsAt: [...WORK, ...COMMIT],
    instant: CALM,
  },
  {
    name: 'deep: three workers',
    about: 'three workers, four partitions, a window of three; a crash, a restart',
    ...one,
    eras: era(4, { workers: 3, queueSize: 3 }),
    budget: { crash: 1, restart: 1 },
    instant: CALM,
  },
  {
    name: 'deep: late requests',
    about:
      'two workers; restarted twice by any writer; what the dead had asked for lands at any time; answers are lost',
    ...one,
    writers: ['w1', 'w2'],
    eras: era(2, { queueSize: 2 }),
    budget: { restart: 2, lost: 1 },
    faultsAt: COMMIT,
    late: COMMIT,
    instant: CALM,
    again: true,
  },
  {
    name: 'deep: two copiers',
    about: 'two processes of different releases, a lost answer, a restart, late requests',
    ...one,
    copiers: 2,
    writers: ['w1', 'w2'],
    eras: era(2, { workers: 1, queueSize: 1 }),
    budget: { restart: 1 },
    late: ['publishPartition', 'sealPartition', 'attestPartition'],
    instant: CALM,
  },
  {
    name: 'deep: drain',
    about: 'a signal, a failure, a crash, vanished staging',
    ...one,
    eras: era(3, { queueSize: 3 }),
    budget: { drain: 1, fail: 1, crash: 1, vanish: 1 },
    faultsAt: [...WORK, 'publishPartition'],
    instant: CALM,
  },
];

/** A configuration by its name. */
export function configuration(name: string): Configuration {
  const found = configurations.find((config) => config.name === name);
  if (!found) throw new Error(`there is no configuration ${name}`);
  return found;
}

/** Moves that a configuration must make at least once: what it allows has to happen. */
export function expectedMoves(config: Configuration): string[] {
  const { budget } = config;
  const kinds = ['deliver', 'durable', 'answer', 'complete'];
  const when = (condition: unknown, ...names: string[]): void => {
    if (condition) kinds.push(...names);
  };
  when(budget.fail, 'fail', 'timer retryBackoff');
  when(budget.fatal, 'fail for good');
  when(budget.lost, 'lose the answer', 'timer retryBackoff');
  when(budget.twice, 'perform twice');
  when(budget.crash, 'crash worker');
  when(budget.crashOther, 'crash sequencer', 'crash courier');
  when(budget.restart, 'restart');
  when(budget.drain, 'signal', 'start again');
  when(budget.held, 'a reader holds the catalog');
  when(budget.lie, 'the answer was a lie');
  when(budget.vanish, 'staged data vanishes');
  when(budget.loseCheckpoint, 'lose the checkpoint');
  when(budget.loseLock, 'lose lock and journal');
  when(budget.loseCopies, 'lose the copies');
  when(budget.rollback, 'give up', ...ROLLED_BACK.map((what) => `rolled back: ${what}`));
  when(budget.reset, 'the lake is reset');
  when(config.again, 'run again');
  when(
    config.eras.some(({ heads }) => heads),
    'the lake grows',
  );
  when(
    config.eras.some(({ heads, spec: { once } }) => heads && !once),
    'timer pollInterval',
  );
  when(
    config.eras.some(({ spec }) => spec.catalog !== 'none' || spec.delivery === 'lenient'),
    'timer courierPatience',
  );
  for (const timer of config.timers ?? []) kinds.push(`timer ${timer}`);
  for (const name of config.late ?? []) kinds.push(`late ${name}`);
  return [...new Set(kinds)];
}
