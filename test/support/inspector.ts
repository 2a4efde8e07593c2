/**
 * A client of the inspector: follows the frames over a WebSocket and rebuilds the tree of actors from nothing else.
 */
import type { StatelyInspectionEvent } from '@statelyai/inspect';
import { WebSocket } from 'ws';
import type { Running } from './program.ts';

export interface FollowedActor {
  readonly name: string;
  readonly parentId: string | undefined;
  readonly machine: string | undefined;
  snapshot: { status?: string; value?: unknown; context?: Record<string, unknown>; error?: unknown };
}

/** What frames say of the actors of a run, by session. */
export class FollowedTree {
  readonly actors = new Map<string, FollowedActor>();
  /** Frames about an actor that no frame before had introduced. */
  readonly strays: StatelyInspectionEvent[] = [];

  take(frame: StatelyInspectionEvent): void {
    if (frame.type === '@xstate.actor') {
      const { id, states } = JSON.parse(frame.definition ?? '{}') as { id?: string; states?: unknown };
      const machine = states ? id : undefined;
      this.actors.set(frame.sessionId, {
        name: frame.name,
        parentId: frame.parentId,
        machine,
        snapshot: frame.snapshot as FollowedActor['snapshot'],
      });
      return;
    }
    const actor = this.actors.get(frame.sessionId);
    if (!actor) this.strays.push(frame);
    else if (frame.type === '@xstate.snapshot') actor.snapshot = frame.snapshot as FollowedActor['snapshot'];
  }

  named(name: string): FollowedActor | undefined {
    return [...this.actors.values()].find((actor) => actor.name === name);
  }

  /** Names from the root down, e.g. `supervisor/era:one/sequencer:one`. */
  paths(): string[] {
    const path = (actor: FollowedActor): string => {
      const parent = actor.parentId === undefined ? undefined : this.actors.get(actor.parentId);
      if (actor.parentId !== undefined && !parent) return `?/${actor.name}`;
      return parent ? `${path(parent)}/${actor.name}` : actor.name;
    };
    return [...this.actors.values()].map(path);
  }
}

const PATIENCE_MS = 30_000;

export class Follower {
  readonly texts: string[] = [];
  readonly tree = new FollowedTree();
  readonly socket: WebSocket;
  /** Its close code; 1006 where nobody said goodbye. */
  readonly closed: Promise<number>;

  constructor(url: string, options: { readonly origin?: string } = {}) {
    this.socket = new WebSocket(url.replace(/^http/, 'ws'), options);
    this.socket.on('message', (data: Buffer) => {
      const text = data.toString();
      this.texts.push(text);
      this.tree.take(JSON.parse(text) as StatelyInspectionEvent);
    });
    this.socket.on('error', () => {});
    this.closed = new Promise((done) => this.socket.on('close', done));
  }

  get frames(): StatelyInspectionEvent[] {
    return this.texts.map((text) => JSON.parse(text) as StatelyInspectionEvent);
  }

  /** Fails where the connection ends before, or nothing of it comes for half a minute. */
  until(holds: (tree: FollowedTree) => boolean, what: string): Promise<void> {
    return new Promise((done, failed) => {
      const late = setTimeout(() => {
        const seen = [...this.tree.actors.values()].map(({ name, snapshot }) => [name, snapshot.value]);
        failed(new Error(`not before ${what}: ${JSON.stringify(seen)}`));
      }, PATIENCE_MS);
      const look = (): void => {
        if (!holds(this.tree)) return;
        this.socket.off('message', look);
        clearTimeout(late);
        done();
      };
      this.socket.on('message', look);
      this.socket.on('close', () => {
        clearTimeout(late);
        failed(new Error(`the connection ended before ${what}`));
      });
      look();
    });
  }
}

/** Where a started program says that its inspector is. */
export async function inspectorOf(running: Running): Promise<string> {
  await running.untilLogged(
    ({ component, url }) => component === 'inspector' && url !== undefined,
    'it has an inspector',
  );
  return String(running.logs.find(({ component }) => component === 'inspector')?.url);
}
