/**
 * A chain of six events in a store of its own and a real endpoint, anew for each test of a file: what tests of delivery
 * begin with.
 */
import { cpSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach } from 'vitest';
import { eventBytes, eventHash } from '../../actors/bronze/event.ts';
import { eventKey } from '../../actors/bronze/names.ts';
import { type AuditServer, startAuditServer } from './audit-endpoint.ts';
import { CHAIN, commitAll, type Estate, estateIn, hex, rangesOf, tempFolder } from './bronze.ts';

export const EVENTS = 6;
const RANGES = rangesOf(10, 10, EVENTS);

/** An event as an endpoint's adapter is given it. */
export interface Posted {
  readonly eventId: string;
  readonly eventHash: string;
  readonly bytes: Uint8Array;
}

export interface DeliveryScene {
  readonly server: AuditServer;
  readonly estate: Estate;
  /** Events as stored, in order of sequence. */
  readonly stored: readonly Buffer[];
  posted(n?: number): Posted;
  /** Another event under the same sequence, as a second copier of another lake would write it. */
  forked(n: number): Buffer;
}

/** To be called at the top of a test file. */
export function deliveryScene(): DeliveryScene {
  const committed = tempFolder();
  let server: AuditServer;
  let estate: Estate | null = null;
  let stored: Buffer[];
  beforeAll(async () => {
    const made = estateIn(committed);
    await commitAll(made, RANGES);
    const read = RANGES.map((_, n) => made.store.get(eventKey(CHAIN, n)));
    stored = (await Promise.all(read)).map((bytes) => Buffer.from(bytes as Uint8Array));
  });
  beforeEach(async () => {
    server = await startAuditServer();
    estate = null;
  });
  afterEach(() => server.stop());
  const parsed = (n: number) => JSON.parse((stored[n] as Buffer).toString());
  return {
    get server() {
      return server;
    },
    get estate() {
      if (estate === null) {
        estate = estateIn();
        cpSync(committed, estate.root, { recursive: true });
      }
      return estate;
    },
    get stored() {
      return stored;
    },
    posted(n = 0) {
      const event = parsed(n);
      return { eventId: event.event_id, eventHash: event.chain.event_hash, bytes: stored[n] as Buffer };
    },
    forked(n) {
      const other = { ...parsed(n), manifest_sha256: hex('another manifest') };
      return Buffer.from(eventBytes({ ...other, chain: { ...other.chain, event_hash: eventHash(other) } }));
    },
  };
}
