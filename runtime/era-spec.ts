/**
 * From the configuration to what the machines need: era specs, and a clear refusal of what this release cannot do.
 * It opens nothing.
 */
import { randomBytes } from 'node:crypto';
import type { Config, EraConfig } from '../config/schema.ts';
import { BronzeError } from '../machines/errors.ts';
import type { EraSpec, Mode } from '../machines/protocol.ts';

/** Tells the correlation ids of one process from those of another. */
export const newRunId = (): string => randomBytes(4).toString('hex');

/** Choices of one command that are not configuration. */
export interface RunChoices {
  /** Names of eras; null = the active ones. */
  readonly eras: readonly string[] | null;
  readonly stopAfter: number | null;
  readonly once: boolean;
}

/** The eras a command works on. Throws USAGE for a name that no era has. */
export function chosenEras(config: Config, names: readonly string[] | null): EraConfig[] {
  const wanted = names ?? config.active_eras;
  const known = new Map(config.eras.map((era) => [era.era_id, era]));
  return wanted.map((name) => {
    const era = known.get(name);
    if (!era) {
      throw new BronzeError('USAGE', `--eras: there is no era ${name}`, {
        details: { expected: [...known.keys()].join(', '), found: name },
      });
    }
    return era;
  });
}

/** How much an outsider holds up a commit, from its `strict`. */
export const modeOf = (isThere: boolean, strict: boolean): Mode => (isThere ? (strict ? 'strict' : 'lenient') : 'none');

export function eraSpec(config: Config, era: EraConfig, choices: RunChoices, runId: string): EraSpec {
  return {
    eraId: era.era_id,
    network: era.network,
    versionLabel: era.version_label,
    grid: {
      size: era.partition_size,
      origin: era.partition_origin,
      ledgerStart: era.ledger_start,
      ledgerEnd: era.ledger_end,
    },
    stopAfter: choices.stopAfter,
    once: choices.once,
    workers: config.perf.workers,
    queueSize: config.perf.queue_size,
    retryAttempts: config.perf.retry_attempts,
    retryBackoffMs: config.perf.retry_backoff_ms,
    respawnLimit: config.perf.respawn_limit,
    attests: config.pas.enabled,
    catalog: modeOf(config.catalog.backend !== 'none', config.catalog.strict),
    delivery: modeOf(config.pas.enabled && config.pas.endpoint !== '', config.pas.strict),
    runId,
  };
}
