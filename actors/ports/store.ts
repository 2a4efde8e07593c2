/** The port of the store that Bronze lies in. Backends are in actors/store/; what is above works with any of them. */
import type { StoredPart } from '../../machines/protocol.ts';
import type { GcsAddress, S3Address } from '../remote/bucket.ts';

export interface StoredObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
}

/** Random access to one stored object. */
export interface ObjectReader {
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Writes one staged object, in a thread. `write` may keep no reference to the chunk after it returned. */
export interface StagingWriter {
  write(chunk: Uint8Array): void | Promise<void>;
  /** Ends writing; the handle is what `stage`, `publish` and `discard` take. Not yet durable. */
  finish(): Promise<string>;
  /** Removes what was written. Never throws. */
  abort(): Promise<void>;
}

/** Whether the store itself refuses to write over what stands there. Where it does not, its adapter has to fence. */
export interface Conditions {
  /** For small objects: `create`. */
  readonly create: boolean;
  /** For data objects: `publish`. */
  readonly publish: boolean;
}

/**
 * Object storage as this program needs it. Keys are relative to the configured prefix and use `/`.
 * Every method throws BronzeError (STORE_*); "not there" is never an error and an error is never "not there".
 */
export interface BronzeStore {
  /** URI of the root, with the prefix, ending in `/`. */
  readonly uri: string;
  /** What `storage_path` in events starts with: the configured prefix, e.g. `bronze/`. */
  readonly prefix: string;
  /** Whether what is there is such a store at all, before it is believed that something is not there. Writes nothing. */
  check(signal?: AbortSignal): Promise<void>;
  /** Makes the place that everything is written below, durably. Called once before anything is staged. */
  prepare(): Promise<void>;
  /** What the store itself enforces; null where that is not known before `prepare`. Writes nothing. */
  conditions(): Promise<Conditions | null>;
  /** The parts that an object consists of as it was staged, for its manifest; null where it is in one piece. */
  partsOf(handle: string): readonly StoredPart[] | null;
  /** All objects below a key prefix that ends in `/`, in key order; empty where there is none. */
  list(keyPrefix: string, signal?: AbortSignal): Promise<StoredObject[]>;
  /**
   * Names of the folders right below a key prefix that ends in `/`, in no order; empty where there is none. Only those
   * that begin with `beginning`, where it is given.
   */
  folders(keyPrefix: string, signal?: AbortSignal, beginning?: string): Promise<string[]>;
  /** A small object whole; null where there is none. */
  get(key: string, signal?: AbortSignal): Promise<Uint8Array | null>;
  /** Null where there is no such object. */
  open(key: string, signal?: AbortSignal): Promise<ObjectReader | null>;
  /**
   * Creates a small object, durably, only if there is none. `created`: exactly these bytes stand there, by the store's
   * own checksum or read back. `exists` may also be the answer where this very call (or a lost one before) created it:
   * the caller reads back. Throws ANSWER_UNTRUE where it is said to be created, and is not there.
   */
  create(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<'created' | 'exists'>;
  /** Makes what a StagingWriter wrote durable, still invisible. Throws STAGED_GONE where it is not there or cut. */
  stage(handle: string, bytes: number, signal?: AbortSignal): Promise<void>;
  /**
   * Makes the staged object visible under `key`, durably, only if nothing stands there. `published`: it was asked for
   * afterwards, and is there by its size and the store's checksum. `first` is awaited before anything becomes visible,
   * and what it throws is thrown; what nobody sees may be done meanwhile.
   */
  publish(
    handle: string,
    key: string,
    signal?: AbortSignal,
    first?: () => Promise<void>,
  ): Promise<'published' | 'exists'>;
  /** Removes staged objects; what is gone already is fine. */
  discard(handles: readonly string[], signal?: AbortSignal): Promise<void>;
  /** Starts staging below a chain's prefix; `owner` is the nonce of the lock's holder and becomes part of the name. */
  stagingSpec(chainPrefix: string, owner: string): StagingSpec;
  /**
   * Prepares for somebody elsewhere to stage one object: what he will begin is known here, durably, before he begins.
   * `staging` must have been made by `stagingSpec`.
   */
  reserve(staging: StagingSpec, target: StagingTarget, signal?: AbortSignal): Promise<Reservation>;
  /** Removes staging objects of `owners`, and of anybody when older than a day by the store's own clock. */
  sweep(chainPrefix: string, owners: readonly string[], signal?: AbortSignal): Promise<number>;
  /** Bytes that can still be written; null where that is not known. */
  freeBytes(): Promise<number | null>;
}

/** A place for one staged object that somebody elsewhere writes. */
export interface Reservation {
  /** The upload that was begun for it; null where writers need none. */
  readonly upload: string | null;
  /** Whether a handle stands for what was staged for exactly this target. */
  owns(handle: string): boolean;
  /** Gives up what was begun; what a late writer still sends finds nothing. Nothing happens where nothing was. */
  release(signal?: AbortSignal): Promise<void>;
}

/** What a thread needs to open a StagingWriter; plain data without secrets. `owner`: nonce of the lock's holder. */
export type StagingSpec =
  | { readonly backend: 'local'; readonly folder: string; readonly owner: string }
  | {
      readonly backend: 's3';
      readonly address: S3Address;
      /** Configured prefix, `''` or ending in `/`: what keys of the port are below. */
      readonly prefix: string;
      readonly owner: string;
      /** Absolute path of the owner's journal of uploads; null where nobody keeps one. */
      readonly journal: string | null;
      /** An upload that the owner has begun for this one target; absent: the writer begins one. */
      readonly upload?: string;
    }
  | {
      readonly backend: 'gcs';
      readonly address: GcsAddress;
      /** Full key prefix of staging objects, ending in `/`. */
      readonly folder: string;
      readonly owner: string;
    };

/** One object to be staged. */
export interface StagingTarget {
  /** Distinguishes attempts: letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** The key that it is to be published under; some backends write below it from the first byte, invisibly. */
  readonly key: string;
}

// What a thread is told to open: plain data without secrets, because SDKs find credentials by themselves.

export type StoreSpec =
  | {
      readonly backend: 'local';
      /** Absolute path of the folder that keys are relative to, without the prefix. */
      readonly root: string;
      /** `''` or ending in `/`. */
      readonly prefix: string;
    }
  | {
      readonly backend: 's3';
      readonly address: S3Address;
      readonly prefix: string;
      /** Absolute path of the state folder, for journals of uploads; null for a reader. */
      readonly stateDir: string | null;
    }
  | { readonly backend: 'gcs'; readonly address: GcsAddress; readonly prefix: string };
