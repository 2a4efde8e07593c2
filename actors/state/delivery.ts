/**
 * How far the events of one chain were delivered to one endpoint, beside its checkpoint. It is a hint: reading it never
 * fails, writing it is durable, and without it everything is posted again. It must never hold more of the endpoint's
 * URL than may be read by anybody, nor be used for another chain or another endpoint.
 */
import { join } from 'node:path';
import * as z from 'zod';
import { type ChainName, chainKey, deliveryFile } from '../bronze/names.ts';
import { ensureFolder, readSmall, replaceFile } from '../durable.ts';
import { type FileOps, fileError, realFiles } from '../files.ts';
import { parseJson, prettyJson } from '../json.ts';
import type { Delivered, DeliveryPointer } from '../ports/delivery.ts';

const LIMIT = 1024 * 1024;
/** A later release that means something else by the same keys counts up. */
const FORMAT = 1;

const schema = z.looseObject({
  format: z.int(),
  chain: z.string(),
  endpoint: z.string(),
  sequence: z.int().min(0).max(9_999_999_999),
  event_hash: z.string().regex(/^sha256:[0-9a-f]{64}$/),
});

export interface DeliveryOptions {
  /** State folder; made where it is missing. */
  readonly dir: string;
  readonly chain: ChainName;
  /** `uri` of the endpoint: without credentials. */
  readonly endpoint: string;
  readonly files?: FileOps;
  /** RFC 3339, for people only. */
  readonly now?: () => string;
}

/** What a pointer says, or why it cannot be used for this chain and this endpoint. */
function judge(bytes: Uint8Array, chain: ChainName, endpoint: string): Delivered | string {
  let json: unknown;
  try {
    json = parseJson(bytes);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  // Before the rest, which a later release may have changed.
  const format = z.looseObject({ format: z.int().min(FORMAT + 1) }).safeParse(json);
  if (format.success) return `it is of a later release (format ${format.data.format})`;
  const parsed = schema.safeParse(json);
  if (!parsed.success) return z.prettifyError(parsed.error).replaceAll('\n', ' ');
  const { format: ours, chain: found, endpoint: whose, sequence, event_hash } = parsed.data;
  if (ours !== FORMAT) return `its format is ${ours}, which there never was`;
  if (found !== chainKey(chain)) return `it belongs to ${found}`;
  if (whose !== endpoint) return `it is of the endpoint ${whose}`;
  return { sequence, eventHash: event_hash };
}

/** The delivery pointer of a chain in a state folder. `write` throws STATE_IO; `read` never throws. */
export function openDeliveryPointer(options: DeliveryOptions): DeliveryPointer {
  const { dir, chain, endpoint } = options;
  const files = options.files ?? realFiles;
  const name = deliveryFile(chain);
  const path = join(dir, name);
  const unused = (why: string) => ({ delivered: null, problem: `the delivery pointer ${path} is not used: ${why}` });
  return {
    async read() {
      try {
        const bytes = await readSmall(files, path, LIMIT);
        if (bytes === null) return { delivered: null, problem: null };
        const verdict = judge(bytes, chain, endpoint);
        return typeof verdict === 'string' ? unused(verdict) : { delivered: verdict, problem: null };
      } catch (error) {
        return unused(`it cannot be read: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
    async remembered() {
      try {
        const bytes = await readSmall(files, path, LIMIT);
        const parsed = bytes && schema.safeParse(parseJson(bytes));
        if (!parsed?.success || parsed.data.chain !== chainKey(chain)) return null;
        return { sequence: parsed.data.sequence, eventHash: parsed.data.event_hash };
      } catch {
        return null;
      }
    },
    async write({ sequence, eventHash }) {
      const content = {
        format: FORMAT,
        chain: chainKey(chain),
        endpoint,
        sequence,
        event_hash: eventHash,
        updated_at: options.now?.() ?? new Date().toISOString(),
      };
      try {
        await ensureFolder(files, dir);
        await replaceFile(files, dir, name, prettyJson(content));
      } catch (error) {
        throw fileError('state', 'write the delivery pointer', path, error);
      }
    },
  };
}
