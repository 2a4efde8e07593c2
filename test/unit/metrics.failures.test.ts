// What the metrics count of attempts that fail, retries, stalls and crashes, on real machines joined as the program joins
// them, over effects that fail as they are told, and a clock that the test turns.
import { describe, expect, it } from 'vitest';
import { BronzeError } from '../../machines/errors.ts';
import { MINUTE, never, type Override, SECOND, STALL_TIMEOUT, specOf } from '../support/fake-eras.ts';
import { attestedEvent, noFacts } from '../support/pure-values.ts';
import { failing, Watched } from '../support/watched-world.ts';

const ERA = { era_id: 'era' };

describe('what fails', () => {
  it('is counted with every attempt, by who is to blame, and what is tried again by what it was', async () => {
    const fail = {
      build: failing(2, 'SOURCE_READ'),
      stage: failing(1, 'STORE_FULL'),
      seal: failing(1, 'STORE_IO'),
      survey: failing(1, 'STORE_IO'),
      lake: failing(1, 'SOURCE_READ'),
      attest: failing(1, 'STORE_IO'),
      state: failing(2, 'STATE_IO'),
    };
    const { world, scrape } = await Watched.start([specOf('era')], {
      era: (_, usual) => ({
        surveyChain: async (input, tools) => {
          fail.survey();
          return usual.surveyChain(input, tools);
        },
        openLake: async (input, tools) => {
          fail.lake();
          return usual.openLake(input, tools);
        },
        buildPartition: async (input, tools) => {
          if (input.job.range.start === 20) fail.build();
          return usual.buildPartition(input, tools);
        },
        stagePartition: async (input, tools) => {
          fail.stage();
          return usual.stagePartition(input, tools);
        },
        sealPartition: async (input, tools) => {
          fail.seal();
          return usual.sealPartition(input, tools);
        },
        attestPartition: async (input, tools) => {
          fail.attest();
          return usual.attestPartition(input, tools);
        },
        writeCheckpoint: async (input, tools) => {
          fail.state();
          return usual.writeCheckpoint(input, tools);
        },
      }),
    });
    await world.pass(MINUTE, SECOND);
    expect(world.summary?.outcome).toBe('done');
    const after = await scrape();
    expect(after.value('source_errors_total', { network: 'testnet', source_type: 'local' })).toBe(3);
    expect(after.value('storage_errors_total', { network: 'testnet', backend: 'local' })).toBe(4);
    expect(after.value('pas_errors_total')).toBe(0);
    expect(after.value('metadata_errors_total')).toBe(0);
    const retries = after.all('retry_attempts_total').filter(([, value]) => value > 0);
    expect(Object.fromEntries(retries.map(([key, value]) => [/operation="(\w+)"/.exec(key)?.[1], value]))).toEqual({
      surveyChain: 1,
      openLake: 1,
      buildPartition: 2,
      stagePartition: 1,
      sealPartition: 1,
      attestPartition: 1,
      writeCheckpoint: 2,
    });
    expect(after.all('partitions_failed_total')).toEqual([]);
  });

  it('for good is no retry, and stops the era at one partition', async () => {
    const { world, scrape } = await Watched.start([specOf('era', { workers: 3 }), specOf('other')], {
      era: (_, usual) => ({
        buildPartition: async (input, tools) => {
          // The later one first: the era stops at the earlier.
          if (input.job.range.start === 30) throw new BronzeError('LEDGER_MISSING', 'it is not there');
          const built = await usual.buildPartition(input, tools);
          if (input.job.range.start === 20) throw new BronzeError('TX_SET_HASH', 'it is another one');
          return built;
        },
      }),
    });
    await world.pass(MINUTE, SECOND);
    expect(world.summary?.eras[0]).toMatchObject({ outcome: 'failed', failure: { code: 'TX_SET_HASH' } });
    const after = await scrape();
    expect(after.value('source_errors_total')).toBe(2);
    expect(after.all('retry_attempts_total').filter(([, value]) => value > 0)).toEqual([]);
    expect(after.value('partitions_failed_total', { ...ERA, error_type: 'TX_SET_HASH' })).toBe(1);
    expect(after.value('partitions_failed_total', { ...ERA, error_type: 'LEDGER_MISSING' })).toBe(1);
    expect(after.all('partitions_failed_total', { era_id: 'other' })).toEqual([]);
    expect(after.states('era', 'era')).toEqual({ failed: 1 });
    expect(after.value('last_ledger_sequence', ERA)).toBe(19);
    expect(after.value('ledgers_behind', ERA)).toBe(20);
    expect(after.value('ledgers_behind', { era_id: 'other' })).toBe(0);
  });

  it('without an effect that failed: a broken link, an estate that cannot be gone on from', async () => {
    const { world, scrape } = await Watched.start([specOf('linked'), specOf('holed')], {
      linked: (_, usual) => ({
        buildPartition: async (input, tools) => {
          const built = await usual.buildPartition(input, tools);
          return input.job.range.start === 20 ? { ...built, ledgers: { ...built.ledgers, previousHash: 'x' } } : built;
        },
      }),
      holed: () => ({
        surveyChain: async () => ({
          ...noFacts,
          events: [attestedEvent(1, { start: 20, end: 29 }, 'event-0')],
        }),
      }),
    });
    await world.pass(MINUTE, SECOND);
    const [linked, holed] = world.summary?.eras ?? [];
    expect([linked?.failure?.code, holed?.failure?.code]).toEqual(['LINK_BROKEN', 'AUDIT_HOLE']);
    const after = await scrape();
    expect(after.value('source_errors_total')).toBe(1);
    expect(after.value('pas_errors_total')).toBe(1);
    expect(after.value('partitions_failed_total', { era_id: 'linked', error_type: 'LINK_BROKEN' })).toBe(1);
    expect(after.all('partitions_failed_total', { era_id: 'holed' })).toEqual([]);
  });

  it('because what was staged has vanished is built again, until that has been tried often enough', async () => {
    const { world, scrape } = await Watched.start([specOf('era')], {
      era: (_, usual) => ({
        publishPartition: async (input, tools) => {
          if (input.staged.range.start === 20) throw new BronzeError('STAGED_GONE', 'it is gone');
          return usual.publishPartition(input, tools);
        },
      }),
    });
    await world.pass(10 * MINUTE, SECOND);
    expect(world.summary?.eras[0]?.failure?.code).toBe('STAGED_GONE');
    const after = await scrape();
    expect(after.value('storage_errors_total')).toBe(6);
    expect(after.value('retry_attempts_total', { operation: 'publishPartition' })).toBe(5);
    expect(after.value('partitions_failed_total', { ...ERA, error_type: 'STAGED_GONE' })).toBe(1);
  });

  it('outside of Bronze: a catalog and an endpoint that are down, lenient and strict', async () => {
    const down: Override = (_, usual) => {
      const catalog = failing(2, 'CATALOG_UNAVAILABLE');
      const endpoint = failing(2, 'DELIVERY_FAILED');
      return {
        recordPartition: async (input, tools) => {
          catalog();
          return usual.recordPartition(input, tools);
        },
        deliverPending: async (input, tools) => {
          endpoint();
          return usual.deliverPending(input, tools);
        },
      };
    };
    const { world, scrape } = await Watched.start(
      [
        specOf('lenient', { network: 'a', catalog: 'lenient', delivery: 'lenient' }),
        specOf('strict', { network: 'b', catalog: 'strict', delivery: 'strict' }),
      ],
      { lenient: down, strict: down },
    );
    await world.pass(5 * MINUTE, SECOND);
    expect(world.summary?.outcome).toBe('done');
    const after = await scrape();
    for (const network of ['a', 'b']) {
      expect(after.value('metadata_errors_total', { network }), network).toBe(2);
      expect(after.value('pas_errors_total', { network }), network).toBe(2);
      expect(after.value('retry_attempts_total', { network, operation: 'deliverPending' }), network).toBe(2);
    }
    // A row that is left to the courier is not tried again by the sequencer.
    expect(after.value('retry_attempts_total', { network: 'a', operation: 'recordPartition' })).toBe(0);
    expect(after.value('retry_attempts_total', { network: 'b', operation: 'recordPartition' })).toBe(2);
  });

  it('in a bucket is blamed on the side that the effect was at work on', async () => {
    const { world, scrape } = await Watched.start(
      [specOf('lake', { network: 'a' }), specOf('store', { network: 'b' })],
      {
        lake: () => ({
          openLake: async () => {
            throw new BronzeError('CREDENTIALS_INVALID', 'who are you');
          },
        }),
        store: () => ({
          openChain: async () => {
            throw new BronzeError('CREDENTIALS_INVALID', 'who are you');
          },
        }),
      },
    );
    await world.pass(MINUTE, SECOND);
    const after = await scrape();
    expect(after.value('source_errors_total', { network: 'a' })).toBe(1);
    expect(after.value('storage_errors_total', { network: 'a' })).toBe(0);
    expect(after.value('source_errors_total', { network: 'b' })).toBe(0);
    expect(after.value('storage_errors_total', { network: 'b' })).toBe(1);
    expect(after.all('partitions_failed_total')).toEqual([]);
  });

  it('by standing still trips the breaker, and what the era was is forgotten', async () => {
    const { world, scrape } = await Watched.start([specOf('era'), specOf('sound')], {
      era: (era, usual) => ({
        buildPartition: (input, tools) =>
          input.job.range.start === 20 ? never(era, tools.signal) : usual.buildPartition(input, tools),
      }),
    });
    await world.pass(STALL_TIMEOUT + 30 * SECOND, SECOND);
    const once = await scrape();
    expect(once.value('circuit_breaker_trips_total', ERA)).toBe(1);
    expect(once.states('worker', 'era')).toEqual({ building: 1 });
    expect(once.value('last_ledger_sequence', ERA)).toBe(19);
    // It finds what it had committed itself.
    expect(once.value('partitions_skipped_total', ERA)).toBe(0);
    await world.pass(2 * STALL_TIMEOUT, SECOND);
    expect(world.summary?.eras[0]?.failure?.code).toBe('STALLED');
    const twice = await scrape();
    expect(twice.value('circuit_breaker_trips_total', ERA)).toBe(2);
    expect(twice.value('circuit_breaker_trips_total', { era_id: 'sound' })).toBe(0);
    expect(twice.states('worker')).toEqual({});
    // Given up by the supervisor: it is failed, although its own actor had no last word.
    expect(twice.states('era', 'era')).toEqual({ failed: 1 });
    expect(twice.value('last_ledger_sequence', ERA)).toBe(19);
  });

  it('by throwing takes an actor and its children out of what is shown', async () => {
    const { world, scrape } = await Watched.start([specOf('era')], {
      era: () => ({ surveyChain: async () => undefined as never }),
    });
    await world.pass(MINUTE, SECOND);
    expect(world.summary?.eras[0]?.failure?.code).toBe('ACTOR_CRASHED');
    const after = await scrape();
    expect(after.all('machine_state').length).toBe(2);
    expect(after.states('supervisor')).toEqual({ failed: 1 });
    expect(after.states('era', 'era')).toEqual({ failed: 1 });
  });
});
