/**
 * What the machines were doing when something went wrong: the state of every actor and the last events between them, as
 * one JSON file beside the checkpoints. Written when an era stalls, when an actor crashes, and on SIGQUIT. It reads
 * snapshots and never changes anything; it does not fail a run.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AnyActorRef, InspectionEvent } from 'xstate';
import { z } from 'zod';
import { BronzeError } from '../machines/errors.ts';
import { activePaths } from './inspect/page/chart.ts';
import { PRODUCER } from './version.ts';

export { activePaths };

/** Of the file's form. A dump of another version is refused, not guessed at. */
const DUMP_VERSION = 1;
const KEPT_EVENTS = 1_000;
/** Characters of an event or a context that are kept. */
const KEPT_TEXT = 4_000;

interface SeenEvent {
  readonly at: string;
  readonly from: string | null;
  readonly to: string;
  readonly event: unknown;
}

const dumpSchema = z.object({
  version: z.literal(DUMP_VERSION),
  program: z.string(),
  written_at: z.string(),
  reason: z.string(),
  actors: z.array(
    z.object({
      id: z.string(),
      /** Name of its machine; null for an effect. */
      machine: z.string().nullable(),
      status: z.string(),
      /** Paths of active states, joined by dots. */
      active: z.array(z.string()),
      context: z.unknown(),
      error: z.string().nullable(),
    }),
  ),
  events: z.array(z.object({ at: z.string(), from: z.string().nullable(), to: z.string(), event: z.unknown() })),
});

export type Dump = z.infer<typeof dumpSchema>;

/** Plain, bounded data of anything: actor references become their ids, errors their messages. */
function plain(value: unknown): unknown {
  const text = JSON.stringify(value, (_, inner: unknown) => {
    if (inner instanceof Error) return `${inner.name}: ${inner.message}`;
    if (typeof inner === 'bigint') return String(inner);
    if (inner && typeof inner === 'object' && 'sessionId' in inner && 'id' in inner) return String(inner.id);
    return inner;
  });
  if (text === undefined) return null;
  return text.length <= KEPT_TEXT ? JSON.parse(text) : `${text.slice(0, KEPT_TEXT)}… (${text.length} characters)`;
}

interface LooseSnapshot {
  readonly status?: string;
  readonly value?: unknown;
  readonly context?: unknown;
  readonly error?: unknown;
  readonly children?: Readonly<Record<string, AnyActorRef | undefined>>;
  readonly machine?: { readonly id: string };
}

function* walk(ref: AnyActorRef): Generator<Dump['actors'][number]> {
  const snapshot = ref.getSnapshot() as LooseSnapshot | undefined;
  yield {
    id: ref.id,
    machine: snapshot?.machine?.id ?? null,
    status: snapshot?.status ?? 'unknown',
    active: activePaths(snapshot?.value),
    context: plain(snapshot?.context),
    error: snapshot?.error === undefined ? null : String(snapshot.error),
  };
  for (const child of Object.values(snapshot?.children ?? {})) if (child) yield* walk(child);
}

/** Keeps the last events of an actor system and writes dumps of it. */
export class Diagnostics {
  readonly #dir: string;
  readonly #events: SeenEvent[] = [];
  #next = 0;
  #root: AnyActorRef | null = null;
  #written = 0;

  /** `dir`: where dumps go, made where it is missing. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** For `createActor(…, { inspect })`, beside others. */
  readonly inspect = (event: InspectionEvent): void => {
    if (event.type !== '@xstate.event') return;
    this.#events[this.#next] = {
      at: new Date().toISOString(),
      from: (event.sourceRef as { id?: string } | undefined)?.id ?? null,
      to: (event.actorRef as { id?: string }).id ?? '',
      event: event.event,
    };
    this.#next = (this.#next + 1) % KEPT_EVENTS;
  };

  watch(root: AnyActorRef): void {
    this.#root = root;
  }

  /** Writes a dump and returns its path, or says why there is none. */
  dump(reason: string): { path: string } | { problem: string } {
    try {
      const now = new Date().toISOString();
      const kept = [...this.#events.slice(this.#next), ...this.#events.slice(0, this.#next)];
      const dump: Dump = {
        version: DUMP_VERSION,
        program: `${PRODUCER.name} ${PRODUCER.version} (commit ${PRODUCER.git_sha})`,
        written_at: now,
        reason,
        actors: this.#root ? [...walk(this.#root)] : [],
        events: kept.map((seen) => ({ ...seen, event: plain(seen.event) })),
      };
      mkdirSync(this.#dir, { recursive: true });
      const path = join(this.#dir, `dump_${now.replaceAll(/[:.]/g, '-')}_${process.pid}_${++this.#written}.json`);
      writeFileSync(path, `${JSON.stringify(dump, null, 1)}\n`);
      return { path };
    } catch (error) {
      return { problem: error instanceof Error ? error.message : String(error) };
    }
  }
}

/** A dump as read from a file. Throws USAGE for anything that is not one of this release. */
export function parseDump(text: string, file: string): Dump {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new BronzeError('USAGE', `${file} is not JSON`, { details: { object: file } });
  }
  const version = typeof json === 'object' && json !== null && 'version' in json ? json.version : undefined;
  if (version !== DUMP_VERSION) {
    throw new BronzeError('USAGE', `${file} is not a diagnostic dump that this release can read`, {
      details: { object: file, expected: `version ${DUMP_VERSION}`, found: String(version) },
    });
  }
  const parsed = dumpSchema.safeParse(json);
  if (!parsed.success) {
    throw new BronzeError('USAGE', `${file} is not a diagnostic dump: ${z.prettifyError(parsed.error)}`, {
      details: { object: file },
    });
  }
  return parsed.data;
}
