// A whole era by pure transitions, without I/O: the production machines, stepped by hand and at random.
import { describe, expect, it } from 'vitest';
import { eraActorId, sequencerActorId, workerActorId } from '../../machines/actor-ids.ts';
import { BronzeError, type ErrorCode } from '../../machines/errors.ts';
import type { EraSpec, EraSummary, LedgerRange, StagedPartition } from '../../machines/protocol.ts';
import { eraSpec, type PendingEffect, type PureSystem, startEra } from '../support/pure.ts';
import { attestedEvent, lastHashOf, noFacts, sealedPartition, stagedPartition } from '../support/pure-values.ts';

const ERA = eraActorId('a');
const SEQ = sequencerActorId('a');

const bronze = (code: ErrorCode): Error => new BronzeError(code, code);

/** Ends an effect as a healthy world would. */
function succeed(system: PureSystem, effect: PendingEffect, commits: LedgerRange[] = []): void {
  const { input } = effect;
  switch (effect.name) {
    case 'openChain':
      system.resolve(effect, { created: true });
      return;
    case 'surveyChain':
      system.resolve(effect, noFacts);
      return;
    case 'openLake':
      system.resolve(effect, { source: 'file:///lake' });
      return;
    case 'compareLake':
      system.resolve(effect, { behind: null });
      return;
    case 'buildPartition':
      system.resolve(effect, stagedPartition(input.job, input.retries));
      return;
    case 'stagePartition':
      system.resolve(effect, input.staged);
      return;
    case 'verifySealed':
      system.resolve(effect, input.sealed);
      return;
    case 'publishPartition': {
      const staged = input.staged as StagedPartition;
      system.resolve(effect, { ...staged, found: false });
      return;
    }
    case 'sealPartition':
      system.resolve(effect, sealedPartition((input.published as StagedPartition).range));
      return;
    case 'attestPartition': {
      const chain = input.chain as { nextSequence: number };
      system.resolve(effect, {
        attested: true,
        sequence: chain.nextSequence,
        eventHash: `h${chain.nextSequence}`,
      });
      return;
    }
    case 'writeCheckpoint':
      commits.push(input.range);
      system.resolve(effect, null);
      return;
    default:
      system.resolve(effect, null);
      return;
  }
}

const summaryOf = (system: PureSystem): EraSummary => {
  const finished = system.outside.find((message) => message.event.type === 'era.finished');
  if (!finished) throw new Error('the era has not finished');
  return (finished.event as unknown as { summary: EraSummary }).summary;
};

const finished = (system: PureSystem): boolean =>
  system.outside.some((message) => message.event.type === 'era.finished' || message.event.type === 'era.crashed');

/** Lets the world go on, always ending the oldest effect, until `stop` says so or nothing is left. */
function goOn(
  system: PureSystem,
  commits: LedgerRange[],
  stop: (effect: PendingEffect) => boolean = () => false,
): void {
  for (let effect = system.effects.find((e) => !stop(e)); effect; effect = system.effects.find((e) => !stop(e))) {
    succeed(system, effect, commits);
    if (finished(system)) return;
  }
}

const ranges = (commits: LedgerRange[]): string[] => commits.map((range) => `${range.start}-${range.end}`);
const ALL = ['10-19', '20-29', '30-39', '40-49'];

describe('an era by pure transitions', () => {
  it('copies four partitions and is done', () => {
    const system = startEra(eraSpec());
    const commits: LedgerRange[] = [];
    goOn(system, commits);
    expect(ranges(commits)).toEqual(ALL);
    expect(summaryOf(system)).toMatchObject({ outcome: 'done', nextLedger: 50, partitions: 4, ledgers: 40 });
    expect(system.value(ERA)).toBe('done');
    expect(system.effects).toEqual([]);
  });

  it('commits in ledger order whatever order partitions are staged in', () => {
    const system = startEra(eraSpec({ workers: 4 }));
    const commits: LedgerRange[] = [];
    goOn(system, commits, (effect) => effect.name === 'buildPartition');
    for (const effect of system.pending('buildPartition').reverse()) {
      succeed(system, effect);
      goOn(system, commits, (other) => other.name === 'buildPartition');
    }
    expect(ranges(commits)).toEqual(ALL);
  });

  it('never holds more than queue_size partitions, the buffer of the sequencer included', () => {
    const system = startEra(eraSpec({ workers: 4, queueSize: 2 }));
    goOn(system, [], (effect) => effect.name === 'buildPartition');
    expect(system.pending('buildPartition')).toHaveLength(2);
    succeed(system, system.pending('buildPartition')[1]!);
    goOn(system, [], (effect) => effect.name === 'buildPartition');
    expect(system.pending('buildPartition')).toHaveLength(1);
    expect(system.context(SEQ).buffer).toHaveLength(1);
  });

  it('retries a build after a back-off, and gives up after retry_attempts', () => {
    const system = startEra(eraSpec({ workers: 1 }));
    goOn(system, [], (effect) => effect.name === 'buildPartition');
    for (const attempt of [1, 2]) {
      system.reject(system.pending('buildPartition')[0]!, bronze('SOURCE_READ'));
      expect(system.context(workerActorId('a', 1)).failures).toBe(attempt);
      system.fire(system.timers.find((timer) => timer.actor === workerActorId('a', 1))!);
    }
    system.reject(system.pending('buildPartition')[0]!, bronze('SOURCE_READ'));
    goOn(system, []);
    expect(summaryOf(system)).toMatchObject({ outcome: 'failed', nextLedger: 10, retries: 2 });
    expect(summaryOf(system).failure?.code).toBe('SOURCE_READ');
  });

  it('commits everything before a partition that fails, and nothing after it', () => {
    const system = startEra(eraSpec({ workers: 4 }));
    const commits: LedgerRange[] = [];
    goOn(system, commits, (effect) => effect.name === 'buildPartition');
    const [first, second, third, fourth] = system.pending('buildPartition');
    succeed(system, fourth!);
    system.reject(third!, bronze('LEDGER_MISSING'));
    succeed(system, second!);
    succeed(system, first!);
    goOn(system, commits);
    expect(ranges(commits)).toEqual(['10-19', '20-29']);
    expect(summaryOf(system)).toMatchObject({ outcome: 'failed', nextLedger: 30 });
  });

  // Each attempt takes the whole phase again, whose other steps succeed.
  it.each([
    'openChain',
    'surveyChain',
    'openLake',
    'compareLake',
    'findHead',
    'buildPartition',
    'stagePartition',
    'publishPartition',
    'sealPartition',
    'attestPartition',
    'writeCheckpoint',
  ])('ends after retry_attempts where %s fails every time', (name) => {
    const grid = { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: name === 'findHead' ? null : 49 };
    const system = startEra(eraSpec({ grid, workers: 1 }));
    const facts = {
      ...noFacts,
      events: [attestedEvent(0, { start: 10, end: 19 }, null)],
      partitions: [{ range: { start: 10, end: 19 }, dataBytes: 1, hasManifest: true, manifest: null }],
    };
    let attempts = 0;
    while (!finished(system) && attempts < 10) {
      const [effect] = system.effects;
      if (effect?.name === name) {
        attempts += 1;
        system.reject(effect, bronze('STORE_IO'));
      } else if (effect?.name === 'surveyChain') system.resolve(effect, facts);
      else if (effect) succeed(system, effect);
      else system.fire(system.timers.find(({ id }) => /backingOff|backOff/i.test(id))!);
    }
    expect(attempts).toBe(3);
    expect(summaryOf(system)).toMatchObject({ outcome: 'failed', failure: { code: 'STORE_IO' } });
  });

  it('names the earliest of several failures', () => {
    const system = startEra(eraSpec({ workers: 4 }));
    goOn(system, [], (effect) => effect.name === 'buildPartition');
    const [first, second, third] = system.pending('buildPartition');
    system.reject(third!, bronze('OBJECT_CORRUPT'));
    system.reject(second!, bronze('LEDGER_MISSING'));
    succeed(system, first!);
    goOn(system, []);
    expect(summaryOf(system)).toMatchObject({ nextLedger: 20 });
    expect(summaryOf(system).failure?.code).toBe('LEDGER_MISSING');
  });

  it('S32: stages again what vanished, also with a full window', () => {
    const system = startEra(eraSpec({ workers: 2, queueSize: 2 }));
    const commits: LedgerRange[] = [];
    goOn(system, commits, (effect) => effect.name === 'publishPartition');
    system.reject(system.pending('publishPartition')[0]!, bronze('STAGED_GONE'));
    goOn(system, commits);
    expect(ranges(commits)).toEqual(ALL);
    expect(summaryOf(system)).toMatchObject({ outcome: 'done', restages: 1 });
  });

  it('S19: on a drain commits what is staged without a gap, cancels builds, discards the rest', () => {
    const system = startEra(eraSpec({ workers: 3 }));
    const commits: LedgerRange[] = [];
    goOn(system, commits, (effect) => effect.name === 'buildPartition' || effect.name === 'publishPartition');
    const [first, , third] = system.pending('buildPartition');
    succeed(system, first!);
    succeed(system, third!);
    goOn(system, commits, (effect) => effect.name === 'buildPartition' || effect.name === 'publishPartition');
    system.send(ERA, { type: 'drain.requested' });
    expect(system.pending('buildPartition')).toHaveLength(0);
    const discarded: unknown[] = [];
    goOn(system, commits, (effect) => {
      if (effect.name === 'discardStaged') discarded.push(effect.input);
      return false;
    });
    expect(ranges(commits)).toEqual(['10-19']);
    expect(discarded).toHaveLength(1);
    expect(summaryOf(system)).toMatchObject({ outcome: 'drained', nextLedger: 20, failure: null });
  });

  it('a signal hides no failure', () => {
    const system = startEra(eraSpec({ workers: 2 }));
    goOn(system, [], (effect) => effect.name === 'buildPartition');
    system.reject(system.pending('buildPartition')[0]!, bronze('XDR_INVALID'));
    system.send(ERA, { type: 'drain.requested' });
    goOn(system, []);
    expect(summaryOf(system).outcome).toBe('failed');
  });

  it('respawns a crashed worker under its id and builds its partition again', () => {
    const system = startEra(eraSpec());
    const commits: LedgerRange[] = [];
    goOn(system, commits, (effect) => effect.name === 'buildPartition');
    const worker = workerActorId('a', 1);
    system.send(ERA, { type: `xstate.error.actor.${worker}`, actorId: worker, error: new Error('boom') } as never);
    expect(system.context(ERA).workers[worker].range).toEqual({ start: 10, end: 19 });
    goOn(system, commits);
    expect(ranges(commits)).toEqual(ALL);
    expect(summaryOf(system)).toMatchObject({ outcome: 'done', crashes: 1 });
  });

  it('fails when workers crash more often than respawn_limit', () => {
    const system = startEra(eraSpec({ respawnLimit: 1 }));
    goOn(system, [], (effect) => effect.name === 'buildPartition');
    for (const worker of [workerActorId('a', 1), workerActorId('a', 1)]) {
      system.send(ERA, { type: `xstate.error.actor.${worker}`, actorId: worker, error: new Error('boom') } as never);
    }
    goOn(system, []);
    expect(summaryOf(system).failure?.code).toBe('RESPAWN_LIMIT');
  });

  it('refuses a partition whose first ledger does not follow the one committed before', () => {
    const system = startEra(eraSpec({ workers: 1 }));
    const commits: LedgerRange[] = [];
    goOn(system, commits, (effect) => effect.name === 'buildPartition' && effect.input.job.range.start === 20);
    const effect = system.pending('buildPartition')[0]!;
    const job = effect.input.job;
    const staged = stagedPartition(job, 0);
    system.resolve(effect, { ...staged, ledgers: { ...staged.ledgers, previousHash: 'another chain' } });
    goOn(system, commits);
    expect(ranges(commits)).toEqual(['10-19']);
    expect(summaryOf(system).failure).toMatchObject({ code: 'LINK_BROKEN', ledger: 20, expected: lastHashOf(19) });
  });

  it('attests what recovery found sealed, once verified, before anything new', () => {
    const system = startEra(eraSpec());
    const commits: LedgerRange[] = [];
    succeed(system, system.pending('openChain')[0]!);
    const sealed = sealedPartition({ start: 20, end: 29 });
    system.resolve(system.pending('surveyChain')[0]!, {
      ...noFacts,
      events: [attestedEvent(0, { start: 10, end: 19 }, null)],
      partitions: [
        { range: { start: 10, end: 19 }, dataBytes: 1, hasManifest: true, manifest: null },
        { range: { start: 20, end: 29 }, dataBytes: 1, hasManifest: true, manifest: sealed },
      ],
    });
    const order: string[] = [];
    goOn(system, commits, (effect) => {
      order.push(effect.name);
      return false;
    });
    expect(ranges(commits)).toEqual(['20-29', '30-39', '40-49']);
    expect(order.indexOf('verifySealed')).toBeLessThan(order.indexOf('attestPartition'));
    expect(summaryOf(system)).toMatchObject({ partitions: 2, partitionsFound: 1 });
  });

  it('S26: a finished era opens no lake and commits nothing', () => {
    const system = startEra(eraSpec({ grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: 19 } }));
    succeed(system, system.pending('openChain')[0]!);
    const event = attestedEvent(0, { start: 10, end: 19 }, null);
    system.resolve(system.pending('surveyChain')[0]!, {
      ...noFacts,
      events: [event],
      partitions: [{ range: { start: 10, end: 19 }, dataBytes: 1, hasManifest: true, manifest: null }],
      checkpoint: { range: { start: 10, end: 19 }, checksum: event.data.checksum },
    });
    const names: string[] = [];
    goOn(system, [], (effect) => {
      names.push(effect.name);
      return false;
    });
    expect(names).toEqual(['closeChain']);
    expect(summaryOf(system)).toMatchObject({ outcome: 'done', partitions: 0, nextLedger: 20 });
  });

  it('S20: an unbounded era copies whole partitions, waits, and goes on', () => {
    const system = startEra(eraSpec({ grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null } }));
    const commits: LedgerRange[] = [];
    goOn(system, commits, (effect) => effect.name === 'findHead');
    system.resolve(system.pending('findHead')[0]!, { head: 25, contiguousTo: 25, holeAt: null });
    goOn(system, commits);
    expect(ranges(commits)).toEqual(['10-19']);
    expect(system.value(ERA)).toEqual({ awaitingLedgers: 'sleeping' });
    const poll = () =>
      system.fire(system.timers.find((timer) => timer.actor === ERA && timer.id.includes('sleeping'))!);
    poll();
    system.resolve(system.pending('findHead')[0]!, { head: 33, contiguousTo: 27, holeAt: 28 });
    expect(system.timers.some((timer) => timer.id === 'hole')).toBe(true);
    poll();
    system.resolve(system.pending('findHead')[0]!, { head: 33, contiguousTo: 33, holeAt: null });
    expect(system.timers.some((timer) => timer.id === 'hole')).toBe(false);
    goOn(system, commits);
    expect(ranges(commits)).toEqual(['10-19', '20-29']);
    system.send(ERA, { type: 'drain.requested' });
    goOn(system, commits);
    expect(summaryOf(system)).toMatchObject({ outcome: 'drained', nextLedger: 30 });
  });

  it('S20: a file at the head that cannot be read is tried again until patience ends', () => {
    const system = startEra(eraSpec({ workers: 1, grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null } }));
    const commits: LedgerRange[] = [];
    goOn(system, commits, (effect) => effect.name === 'findHead');
    system.resolve(system.pending('findHead')[0]!, { head: 19, contiguousTo: 19, holeAt: null });
    const worker = workerActorId('a', 1);
    for (let i = 0; i < 8; i++) {
      system.reject(system.pending('buildPartition')[0]!, bronze('OBJECT_CORRUPT'));
      expect(system.value(worker)).toBe('backingOff');
      system.fire(system.timers.find((timer) => timer.actor === worker && timer.id !== 'patience')!);
    }
    system.fire(system.timers.find((timer) => timer.id === 'patience')!);
    system.reject(system.pending('buildPartition')[0]!, bronze('OBJECT_CORRUPT'));
    goOn(system, commits);
    expect(summaryOf(system).failure?.code).toBe('OBJECT_CORRUPT');
  });
});

describe('S40: a lake that ends before what is committed, or is another one', () => {
  const FIRST = { start: 10, end: 19 };
  const openEra = (changes: Partial<EraSpec> = {}) => {
    const system = startEra(eraSpec({ grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null }, ...changes }));
    succeed(system, system.pending('openChain')[0]!);
    system.resolve(system.pending('surveyChain')[0]!, {
      ...noFacts,
      events: [attestedEvent(0, FIRST, null)],
      partitions: [{ range: FIRST, dataBytes: 1, hasManifest: true, manifest: null }],
      checkpoint: { range: FIRST, checksum: attestedEvent(0, FIRST, null).data.checksum },
    });
    succeed(system, system.pending('openLake')[0]!);
    return system;
  };
  const seen = (system: PureSystem, name: 'compareLake' | 'findHead', output: unknown): void =>
    system.resolve(system.pending(name)[0]!, output);
  const lake = (head: number | null) => ({ head, contiguousTo: head ?? 19, holeAt: null });
  const poll = (system: PureSystem, state: string): void =>
    system.fire(system.timers.find((timer) => timer.actor === ERA && timer.id.includes(state))!);
  /** Of an era that follows its lake, at the end of it. */
  const following = () => {
    const system = openEra();
    seen(system, 'compareLake', { behind: null });
    seen(system, 'findHead', lake(19));
    expect(system.value(ERA)).toEqual({ awaitingLedgers: 'sleeping' });
    return system;
  };

  it('is compared before anything is built, and contradicting ends the era', () => {
    const system = openEra();
    expect(system.value(ERA)).toEqual({ planning: 'comparingLake' });
    system.reject(system.pending('compareLake')[0]!, bronze('LAKE_CONTRADICTS'));
    const names: string[] = [];
    goOn(system, [], (effect) => {
      names.push(effect.name);
      return false;
    });
    expect(names).toEqual(['closeChain']);
    expect(summaryOf(system)).toMatchObject({
      outcome: 'failed',
      failure: { code: 'LAKE_CONTRADICTS' },
      nextLedger: 20,
    });
  });

  it('is tried again after an error that may pass', () => {
    const system = openEra();
    system.reject(system.pending('compareLake')[0]!, bronze('SOURCE_READ'));
    expect(system.value(ERA)).toEqual({ planning: 'backingOff' });
  });

  it('is waited for by an era that follows it, compared once, and again when it has grown', () => {
    const system = openEra();
    seen(system, 'compareLake', { behind: { head: 15 } });
    seen(system, 'findHead', lake(15));
    seen(system, 'compareLake', { behind: { head: 15 } });
    expect(system.value(ERA)).toEqual({ awaitingLedgers: 'lakeBehind' });
    poll(system, 'lakeBehind');
    seen(system, 'findHead', lake(15));
    expect(system.value(ERA)).toEqual({ awaitingLedgers: 'lakeBehind' });
    poll(system, 'lakeBehind');
    seen(system, 'findHead', lake(29));
    expect(system.pending('buildPartition')).toEqual([]);
    expect(system.value(ERA)).toEqual({ awaitingLedgers: 'comparing' });
    seen(system, 'compareLake', { behind: null });
    expect(system.value(ERA)).toBe('copying');
    const commits: LedgerRange[] = [];
    goOn(system, commits);
    expect(ranges(commits)).toEqual(['20-29']);
  });

  it.each([
    { name: 'shorter', head: 12 },
    { name: 'empty', head: null },
  ])('that becomes $name while it is followed is compared, and nothing is built', ({ head }) => {
    const system = following();
    poll(system, 'sleeping');
    seen(system, 'findHead', lake(head));
    expect(system.value(ERA)).toEqual({ awaitingLedgers: 'comparing' });
    system.reject(system.pending('compareLake')[0]!, bronze('SOURCE_READ'));
    // It was not compared, and is at the next look.
    poll(system, 'sleeping');
    seen(system, 'findHead', lake(head));
    expect(system.value(ERA)).toEqual({ awaitingLedgers: 'comparing' });
    system.reject(system.pending('compareLake')[0]!, bronze('LAKE_CONTRADICTS'));
    goOn(system, []);
    expect(summaryOf(system)).toMatchObject({
      outcome: 'failed',
      failure: { code: 'LAKE_CONTRADICTS' },
      partitions: 0,
    });
  });

  it('that was cut anew and grew beyond what is committed between two looks at it is compared before more is built', () => {
    const system = following();
    poll(system, 'sleeping');
    seen(system, 'findHead', lake(12));
    seen(system, 'compareLake', { behind: { head: 12 } });
    poll(system, 'lakeBehind');
    seen(system, 'findHead', lake(39));
    expect(system.pending('buildPartition')).toEqual([]);
    system.reject(system.pending('compareLake')[0]!, bronze('LAKE_CONTRADICTS'));
    goOn(system, []);
    expect(summaryOf(system).failure?.code).toBe('LAKE_CONTRADICTS');
  });

  it('ends a run that goes only to the present head, and an era with an end, with LAKE_BEHIND', () => {
    const once = openEra({ once: true });
    seen(once, 'compareLake', { behind: { head: 15 } });
    seen(once, 'findHead', lake(15));
    goOn(once, []);
    expect(summaryOf(once)).toMatchObject({ outcome: 'failed', failure: { code: 'LAKE_BEHIND' }, nextLedger: 20 });
    const bounded = openEra({ grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: 39 } });
    seen(bounded, 'compareLake', { behind: { head: null } });
    goOn(bounded, []);
    expect(summaryOf(bounded)).toMatchObject({ outcome: 'failed', failure: { code: 'LAKE_BEHIND' }, partitions: 0 });
  });

  it('is no matter where all that is committed ends with the lake', () => {
    const once = openEra({ once: true });
    seen(once, 'compareLake', { behind: null });
    seen(once, 'findHead', lake(19));
    goOn(once, []);
    expect(summaryOf(once)).toMatchObject({ outcome: 'done', failure: null });
  });
});

describe('random walks', () => {
  const seeds = Array.from({ length: 300 }, (_, i) => i + 1);
  it.each(seeds)('seed %i: no deadlock, in order, nothing lost, whatever fails', (seed) => {
    walk(seed);
  });
});

/** A seeded walk: at each step one pending effect or timer ends, well or badly. */
function walk(seed: number): void {
  let state = seed * 2654435761;
  const random = (n: number): number => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 3266489917) >>> 0;
    return state % n;
  };
  const workers = 1 + random(3);
  const system = startEra(eraSpec({ workers, queueSize: 1 + random(4), retryAttempts: 2 + random(3) }));
  const commits: LedgerRange[] = [];
  let faults = random(6);
  let drain = random(4) === 0 ? random(40) : -1;
  for (let step = 0; step < 2_000 && !finished(system); step++) {
    if (drain-- === 0) system.send(ERA, { type: 'drain.requested' });
    const timers = system.timers.filter((timer) => timer.id !== 'crash.forgiven');
    const choices = system.effects.length + timers.length;
    expect(
      choices,
      `deadlock in ${JSON.stringify(system.value(ERA))} ${JSON.stringify(system.value(SEQ))}`,
    ).toBeGreaterThan(0);
    const pick = random(choices);
    const effect = system.effects[pick];
    if (!effect) {
      system.fire(timers[pick - system.effects.length]!);
    } else if (faults > 0 && random(4) === 0 && effect.name !== 'closeChain') {
      faults--;
      const kind = random(4);
      if (kind === 0 && effect.name === 'publishPartition') system.reject(effect, bronze('STAGED_GONE'));
      else if (kind === 1 && effect.name === 'buildPartition') system.reject(effect, bronze('LEDGER_MISSING'));
      else if (kind === 2 && effect.actor.startsWith('worker:')) {
        system.send(ERA, {
          type: `xstate.error.actor.${effect.actor}`,
          actorId: effect.actor,
          error: new Error('crash'),
        } as never);
      } else system.reject(effect, bronze('STORE_IO'));
    } else {
      succeed(system, effect, commits);
    }
    const context = system.context(SEQ);
    if (context) expect(context.buffer.length).toBeLessThanOrEqual(system.context(ERA).spec.queueSize);
  }
  expect(finished(system)).toBe(true);
  expect(ranges(commits)).toEqual(ALL.slice(0, commits.length));
  const summary = summaryOf(system);
  expect(summary.nextLedger).toBe(10 + 10 * commits.length);
  if (summary.outcome === 'done') expect(commits).toHaveLength(4);
  if (summary.outcome === 'failed') expect(summary.failure).not.toBeNull();
  expect(system.effects).toEqual([]);
}
