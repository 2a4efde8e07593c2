/**
 * `pas deliver`: delivers what is undelivered of the configured eras, once, and says what is left. It holds the chain's
 * lock meanwhile, so that no courier of a copier posts the same chain in between; it copies nothing.
 */

import { resolve } from 'node:path';
import { chainKey, headKey } from '../../actors/bronze/names.ts';
import { countUndelivered, type DeliveryPlace, deliverEvents } from '../../actors/endpoint/deliver.ts';
import { openEndpoint } from '../../actors/endpoint/endpoint.ts';
import type { AuditEndpoint } from '../../actors/ports/delivery.ts';
import { persistently, type RetryPolicy } from '../../actors/remote/retry.ts';
import { openDeliveryPointer } from '../../actors/state/delivery.ts';
import { acquireLock } from '../../actors/state/lock.ts';
import { BronzeError, type Failure, fromFailure, toFailure } from '../../machines/errors.ts';
import { chainOf, openContext } from '../context.ts';
import { counted } from '../human.ts';
import { errorText } from '../print-error.ts';
import { onSignals } from '../signals.ts';
import { print, say } from '../streams.ts';
import { surveyEra } from '../survey-era.ts';
import { type CommandLine, switchOption } from './command-line.ts';

/** Longest pause between two attempts at one event, and longest Retry-After that is waited for, ms. */
const LONGEST_PAUSE_MS = 60_000;
/** For all attempts at one event, ms. */
const EVENT_BUDGET_MS = 300_000;

export interface ChainDelivery {
  readonly chain: string;
  /** Events that were acknowledged now. */
  readonly delivered: number;
  /** Null = it could not be found out. */
  readonly undelivered: number | null;
  /** Why something is left. */
  readonly error: Failure | null;
}

/**
 * Delivers one chain under its lock, unless `assertSound` throws. Answers what failed instead of throwing it: other chains
 * go on.
 */
export async function deliverChain(
  place: DeliveryPlace,
  holder: { readonly dir: string; readonly copierId: string },
  signal?: AbortSignal,
  assertSound: () => Promise<void> = async () => undefined,
): Promise<ChainDelivery> {
  const { chain } = place;
  let delivered = 0;
  let error: Failure | null = null;
  const onDelivered: DeliveryPlace['onDelivered'] = (last) => {
    delivered += 1;
    place.onDelivered?.(last);
  };
  let unsigned: number | null = null;
  const onUnsigned = (sequence: number): void => {
    unsigned = sequence;
  };
  try {
    const lock = await acquireLock({ ...holder, chain });
    try {
      await assertSound();
      await deliverEvents({ ...place, onDelivered, onUnsigned }, signal);
    } finally {
      await lock.release();
    }
  } catch (thrown) {
    error = toFailure(thrown);
  }
  // Without the signal: what is left is told also where somebody had enough.
  const undelivered = await countUndelivered({ ...place, onProblem: () => {} }).catch((thrown: unknown) => {
    error ??= toFailure(thrown);
    return null;
  });
  if (unsigned !== null && error === null) {
    const message = `events of ${chainKey(chain)} from ${unsigned} on have no signed head yet, and are not delivered before`;
    const details = { object: headKey(chain, unsigned + 1), hint: 'run the copier: it signs what is not signed' };
    error = toFailure(new BronzeError('HEAD_INVALID', message, { details }));
  }
  if (undelivered !== null && undelivered > 0 && error === null) {
    const message = `${counted(undelivered, 'event')} of ${chainKey(chain)} ${undelivered === 1 ? 'comes' : 'come'} after a hole in the chain and ${undelivered === 1 ? 'is' : 'are'} not delivered`;
    const details = { hint: 'run the copier: it fills holes from the manifests' };
    error = toFailure(new BronzeError('AUDIT_HOLE', message, { details }));
  }
  return { chain: chainKey(chain), delivered, undelivered, error };
}

/** Tries each event again, as often as the configuration says; then what is left is for another time. */
const patient = (endpoint: AuditEndpoint, policy: RetryPolicy): AuditEndpoint => ({
  ...endpoint,
  post: (event, signal) => persistently(() => endpoint.post(event, signal), signal, policy),
});

function text({ chain, delivered, undelivered }: ChainDelivery, uri: string): string {
  const left = undelivered === null ? 'how many are left is not known' : `${undelivered} left`;
  return `${chain}: ${counted(delivered, 'event')} delivered to ${uri}, ${left}\n`;
}

export async function deliver(commandLine: CommandLine): Promise<number> {
  const context = openContext(commandLine);
  const { config, eras, store } = context;
  if (config.pas.endpoint === '') {
    throw new BronzeError('USAGE', 'pas.endpoint is not set: there is nobody to deliver to', {
      details: { hint: 'set pas.endpoint in the configuration, or PAS_ENDPOINT' },
    });
  }
  const { retry_attempts, retry_backoff_ms } = config.perf;
  const endpoint = patient(openEndpoint(config.pas.endpoint), {
    attempts: retry_attempts,
    firstMs: retry_backoff_ms,
    capMs: LONGEST_PAUSE_MS,
    wishMs: LONGEST_PAUSE_MS,
    budgetMs: EVENT_BUDGET_MS,
  });
  const dir = resolve(config.checkpoint.dir);
  const stop = new AbortController();
  const takeHandlersOff = onSignals(() => stop.abort());
  const chains: ChainDelivery[] = [];
  try {
    for (const era of eras) {
      const chain = chainOf(era);
      const pointer = openDeliveryPointer({ dir, chain, endpoint: endpoint.uri });
      const onProblem = (problem: string): void => void say(`${problem}\n`);
      const withHeads = config.pas.deliver_heads;
      const place = { store, chain, table: config.bronze.primary_table, endpoint, pointer, withHeads, onProblem };
      // Whoever receives an event has it for good: not from a chain that is not what it was.
      const assertSound = async (): Promise<void> => {
        const { failure, log } = await surveyEra(context, era);
        if (failure?.code === 'EVIDENCE_CONTRADICTS') throw fromFailure(failure);
        // The key itself is not needed here.
        if (log?.failure && log.failure.code !== 'KEY_INVALID') throw fromFailure(log.failure);
      };
      chains.push(await deliverChain(place, { dir, copierId: config.copier_id }, stop.signal, assertSound));
    }
  } finally {
    await context.catalog?.close();
    takeHandlersOff();
  }
  const ok = chains.every(({ error }) => error === null);
  if (switchOption(commandLine, 'json')) {
    await print(`${JSON.stringify({ ok, endpoint: endpoint.uri, chains }, null, 2)}\n`);
  } else {
    await print(chains.map((chain) => text(chain, endpoint.uri)).join(''));
    say(chains.map(({ error }) => (error === null ? '' : errorText(error))).join(''));
  }
  return ok ? 0 : 1;
}
