/** The ports of delivery: the audit stream's endpoint (actors/endpoint/), and how far it came (actors/state/). */

/** Who takes the events of the audit stream, over HTTP. */
export interface AuditEndpoint {
  /** For messages; no credentials in it. */
  readonly uri: string;
  /**
   * Posts one event, as stored, with `event_id` as its idempotency key; answers once it was acknowledged (2xx, or 409
   * by somebody who has the same event). `head`: the signed head that goes with it, as stored. Throws AUDIT_FORK (409 and
   * another hash), DELIVERY_REFUSED, DELIVERY_FAILED.
   */
  post(
    event: {
      readonly eventId: string;
      readonly eventHash: string;
      readonly bytes: Uint8Array;
      readonly head?: Uint8Array | null;
    },
    signal?: AbortSignal,
  ): Promise<void>;
  /** Whether somebody answers there who may take events; posts nothing. Throws what `post` would throw. */
  probe(signal?: AbortSignal): Promise<void>;
}

/** The last event of a chain that was acknowledged. */
export interface Delivered {
  readonly sequence: number;
  readonly eventHash: string;
}

/** How far the delivery of one chain came; only a hint: without it everything is posted again. */
export interface DeliveryPointer {
  /** `problem`: why what is there cannot be used. */
  read(): Promise<{ delivered: Delivered | null; problem: string | null }>;
  /** What stands there of this chain, whichever endpoint it was for; null where it says nothing that can be used. */
  remembered(): Promise<Delivered | null>;
  write(delivered: Delivered): Promise<void>;
}
