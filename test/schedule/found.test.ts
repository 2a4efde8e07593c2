// What random interleavings found, as the shortest story that shows it.
import { expect, it } from 'vitest';
import { eraActorId, workerActorId } from '../../machines/actor-ids.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { EraSummary, LedgerRange } from '../../machines/protocol.ts';
import { eraSpec, type PendingEffect, type PureSystem, startEra } from '../support/pure.ts';
import { attestedEvent, noFacts, sealedPartition, stagedPartition } from '../support/pure-values.ts';

const ERA = eraActorId('a');
const WORKER = workerActorId('a', 1);

const one = (system: PureSystem, name: string): PendingEffect => {
  const [found] = system.pending(name);
  if (!found) throw new Error(`${name} is not asked for`);
  return found;
};

const build = (system: PureSystem): void => {
  const effect = one(system, 'buildPartition');
  system.resolve(effect, stagedPartition(effect.input.job, 0));
  system.resolve(one(system, 'stagePartition'), one(system, 'stagePartition').input.staged);
};

const crashWorker = (system: PureSystem): void =>
  system.send(ERA, { type: `xstate.error.actor.${WORKER}`, actorId: WORKER, error: new Error('boom') } as never);

/** Answers of the sequencer's effects in a healthy world. */
function answer({ name, input }: PendingEffect): unknown {
  switch (name) {
    case 'verifySealed':
      return input.sealed;
    case 'publishPartition':
      return { ...input.staged, found: false };
    case 'sealPartition':
      return sealedPartition(input.published.range);
    case 'attestPartition':
      return { attested: true, sequence: input.chain.nextSequence, eventHash: `h${input.chain.nextSequence}` };
    default:
      return null;
  }
}

/** Lets the sequencer work until it asks for `until`, or for nothing. */
function sequence(system: PureSystem, until?: string): void {
  const next = () => system.effects.find(({ actor, name }) => actor.startsWith('sequencer:') && name !== until);
  for (let effect = next(); effect; effect = next()) system.resolve(effect, answer(effect));
}

function endOf(system: PureSystem): EraSummary {
  system.resolve(one(system, 'closeChain'), null);
  const [summary] = system.outside.flatMap(({ event }) => ('summary' in event ? [event.summary] : [])).slice(-1);
  return summary as EraSummary;
}

function started(facts: unknown = noFacts, queueSize = 1): PureSystem {
  const system = startEra(eraSpec({ workers: 1, queueSize, respawnLimit: 0 }));
  system.resolve(one(system, 'openChain'), { created: true });
  system.resolve(one(system, 'surveyChain'), facts);
  system.resolve(one(system, 'openLake'), { source: 'file:///lake' });
  for (const compares of system.pending('compareLake')) system.resolve(compares, { behind: null });
  return system;
}

it('an era ends when what was staged vanishes and no worker is left to build it again', () => {
  const system = started(noFacts, 2);
  build(system);
  // While it builds the second one.
  crashWorker(system);
  sequence(system, 'publishPartition');
  system.reject(one(system, 'publishPartition'), new BronzeError('STAGED_GONE', 'gone'));
  expect(endOf(system)).toMatchObject({ outcome: 'failed', nextLedger: 10 });
});

it('a summary counts what was committed after the failure that ended the era', () => {
  const system = started();
  build(system);
  // It is idle, because the window is full.
  crashWorker(system);
  sequence(system);
  expect(endOf(system)).toMatchObject({ outcome: 'failed', nextLedger: 20, partitions: 1 });
});

it('a summary does not count what is sealed and was not attested before a drain', () => {
  const ranges = [10, 20, 30].map((start) => ({ start, end: start + 9 }));
  const system = started({
    ...noFacts,
    partitions: ranges.map((range) => ({
      range,
      dataBytes: 1,
      hasManifest: true,
      manifest: sealedPartition(range),
    })),
    events: [attestedEvent(0, ranges[0] as LedgerRange, null)],
  });
  system.send(ERA, { type: 'drain.requested' });
  sequence(system);
  expect(endOf(system)).toMatchObject({ outcome: 'drained', nextLedger: 30 });
});
