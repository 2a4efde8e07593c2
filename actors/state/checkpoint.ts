/**
 * The checkpoint of one era, under the name and with the keys of the old program (contract, section 6). It is a hint:
 * reading it never fails, writing it is durable. Nothing is copied or skipped because of it.
 */
import { join } from 'node:path';
import * as z from 'zod';
import { MAX_LEDGER } from '../../machines/partitions.ts';
import type { CheckpointFacts } from '../../machines/protocol.ts';
import { type ChainName, chainKey, checkpointFile } from '../bronze/names.ts';
import { ensureFolder, readSmall, replaceFile } from '../durable.ts';
import { type FileOps, fileError, realFiles } from '../files.ts';
import { parseJson, prettyJson } from '../json.ts';
import { killPoint } from '../kill-points.ts';
import type { CheckpointStore } from '../ports/state.ts';

const LIMIT = 1024 * 1024;

/**
 * Stands in what this program writes, and nowhere else: the old program's file has the same name and keys, and what it
 * committed nobody has verified.
 */
const FORMAT = 2;

const ledger = z.int().min(0).max(MAX_LEDGER);

const schema = z.looseObject({
  network: z.string(),
  era_id: z.string(),
  version_label: z.string(),
  /** Absent: of the old program. */
  format: z.int().optional(),
  last_committed_ledger: ledger,
  last_committed_partition: z.looseObject({
    start: ledger,
    end: ledger,
    checksum: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  }),
});

export interface CheckpointOptions {
  /** State folder; made where it is missing. */
  readonly dir: string;
  readonly chain: ChainName;
  readonly copierId: string;
  readonly files?: FileOps;
  /** RFC 3339, for people only. */
  readonly now?: () => string;
}

type Verdict = { facts: CheckpointFacts } | { problem: string; belongsTo?: string } | { old: CheckpointFacts };

/** What a checkpoint says, or what is wrong with its content for this chain. */
function judge(bytes: Uint8Array, chain: ChainName): Verdict {
  let json: unknown;
  try {
    json = parseJson(bytes);
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) return { problem: z.prettifyError(parsed.error).replaceAll('\n', ' ') };
  const { network, era_id, version_label, last_committed_ledger, last_committed_partition: last } = parsed.data;
  const found = chainKey({ network, eraId: era_id, versionLabel: version_label });
  if (found !== chainKey(chain)) return { problem: `it belongs to ${found}`, belongsTo: found };
  if (last.start > last.end) return { problem: `its partition ${last.start}-${last.end} ends before it starts` };
  if (last.end !== last_committed_ledger) {
    return { problem: `its ledger ${last_committed_ledger} is not the end of its partition ${last.start}-${last.end}` };
  }
  const facts = { range: { start: last.start, end: last.end }, checksum: last.checksum };
  return (parsed.data.format ?? 0) < FORMAT ? { old: facts } : { facts };
}

/** The checkpoint of a chain in a state folder. `write` throws STATE_IO; `read` never throws. */
export function openCheckpoint(options: CheckpointOptions): CheckpointStore {
  const { dir, chain, copierId } = options;
  const files = options.files ?? realFiles;
  const name = checkpointFile(chain);
  const path = join(dir, name);
  return {
    async read() {
      try {
        const bytes = await readSmall(files, path, LIMIT);
        if (bytes === null) return { facts: null, problem: null };
        const verdict = judge(bytes, chain);
        if ('old' in verdict) {
          const problem = `the checkpoint ${path} is of the old program and vouches for nothing: it is replaced once the last partition is verified`;
          return { facts: null, problem, isOld: true, old: verdict.old };
        }
        if ('facts' in verdict) return { facts: verdict.facts, problem: null };
        const { problem, belongsTo } = verdict;
        const of = belongsTo === undefined ? {} : { belongsTo };
        return { facts: null, problem: `the checkpoint ${path} is not used: ${problem}`, ...of };
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        return { facts: null, problem: `the checkpoint ${path} is not used: it cannot be read: ${reason}` };
      }
    },
    async write(range, checksum) {
      const content = {
        copier_id: copierId,
        network: chain.network,
        era_id: chain.eraId,
        version_label: chain.versionLabel,
        last_committed_ledger: range.end,
        last_committed_partition: { start: range.start, end: range.end, checksum },
        format: FORMAT,
        updated_at: options.now?.() ?? new Date().toISOString(),
      };
      killPoint('checkpoint:before-write');
      try {
        await ensureFolder(files, dir);
        const bytes = prettyJson(content);
        await replaceFile(files, dir, name, bytes, (at) => killPoint(`checkpoint:${at}`));
      } catch (error) {
        throw fileError('state', 'write the checkpoint', path, error);
      }
      killPoint('checkpoint:after-fsync');
    },
  };
}
