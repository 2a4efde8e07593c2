/** The worlds that are explored, each small enough to be exhausted, together covering every move and every rule. */
import type { AnyStateMachine } from 'xstate';
import type { EffectName } from '../../machines/effects.ts';
import type { EraSpec, LakeHead } from '../../machines/protocol.ts';
import type { Chain, Host } from './durable.ts';
import type { EffectModels } from './effects.ts';
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
  | 'announce'
  | 'vanish'
  | 'loseCheckpoint'
  | 'loseLock'
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
  /** Faults may be more than the retries allow. */
  readonly mayFail?: boolean;
  /** A failed run is the end: nobody starts it again. */
  readonly staysFailed?: boolean;
  readonly estate?: () => { readonly chains: readonly Chain[]; readonly hosts: readonly Host[] };
  readonly goal?: (world: World) => boolean;
  readonly doneAt?: (world: World) => number;
  /** A rule of this configuration alone. */
  readonly rule?: (world: World) => string | null;
  /** Machines and effects with seeded bugs. */
  readonly logic?: Partial<Record<MachineName, AnyStateMachine>>;
  readonly models?: Partial<EffectModels>;
}

/** Partitions of ten ledgers from ledger 10 on. */
export function spec(partitions: number, changes: Partial<EraSpec> = {}): EraSpec {
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
    delivers: false,
    runId: 'run',
    ...changes,
  };
}

const oneEra = { copiers: 1, writers: ['w1'], conditional: true } as const;

/** Nothing in these configurations can make their answer another one, or be changed by it. */
const CALM: readonly EffectName[] = ['openLake', 'checkNeighbours', 'recordPartition'];

const COMMIT: readonly EffectName[] = ['publishPartition', 'sealPartition', 'attestPartition', 'writeCheckpoint'];
const WORK: readonly EffectName[] = ['buildPartition', 'stagePartition'];

export const configurations: readonly Configuration[] = [
  {
    name: 'plain',
    about: 'two workers, four partitions, two failures, a crash, a restart',
    ...oneEra,
    eras: [{ spec: spec(4), lake: 'L' }],
    budget: { fail: 2, crash: 1, restart: 1 },
    faultsAt: [...WORK, ...COMMIT],
    instant: CALM,
  },
];
