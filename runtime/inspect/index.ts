/**
 * The inspector: who looks at the machines of a run while it works, in a browser (`--inspect`) or afterwards in a file
 * (`--inspect-log`). Only imported where one of the two is asked for: nothing of it is loaded otherwise. It does not
 * slow, stop or change a run.
 */
import type { AnyActorRef, InspectedEventEvent, InspectionEvent, Snapshot } from 'xstate';
import type { Logger } from '../log.ts';
import type { Watcher } from '../watcher.ts';
import { Frames } from './frames.ts';
import { openLogFile } from './log-file.ts';
import { serve } from './server.ts';
import { ActorTree, isMachine, type SeenActor } from './tree.ts';

export interface InspectOptions {
  /** `default`: 5150, or any that is free where it is taken. 0: any. Null: no server. */
  readonly port: number | 'default' | null;
  /** Null: no log. */
  readonly logFile: string | null;
  /** Address of the hosted inspector that the page may embed; http or https. */
  readonly hosted: string;
}

/** @throws BronzeError LISTEN_FAILED: the port cannot be had; USAGE: the log cannot be written. */
export async function openInspector({
  port,
  logFile,
  hosted,
  log,
}: InspectOptions & { readonly log: Logger }): Promise<Watcher> {
  const tree = new ActorTree();
  const frames = new Frames(tree);
  const file = logFile === null ? null : await openLogFile(logFile, log);
  const served = port === null ? null : await serve({ port, hosted, frames, log });
  if (served) log.info({ component: 'inspector', url: served.url }, `inspector: ${served.url}`);
  if (file) frames.listen((text) => file.write(text));
  const see = (event: InspectionEvent): void => {
    tree.note(event);
    frames.inspect(event);
  };
  return {
    inspect: (event) => {
      see(event);
      if (event.type === '@xstate.event' && event.event.type.startsWith('xstate.error.actor.') && event.sourceRef) {
        seeCrash(event.sourceRef as unknown as SeenActor, event);
      }
    },
    close: async () => {
      const { root } = tree;
      // Nobody hears of it when the root throws.
      if (root) seeCrash(root.ref, { rootId: root.rootId, event: { type: 'xstate.error' } });
      await frames.flush();
      await Promise.all([served?.close(), file?.close()]);
    },
  };

  /** XState sends no snapshot of a machine that threw: only its parent hears of it. */
  function seeCrash(ref: SeenActor, { rootId, event }: Pick<InspectedEventEvent, 'rootId' | 'event'>): void {
    const snapshot = ref.getSnapshot() as Snapshot<unknown> | undefined;
    if (snapshot?.status !== 'error' || !isMachine(ref)) return;
    see({ type: '@xstate.snapshot', actorRef: ref as unknown as AnyActorRef, rootId, event, snapshot });
  }
}
