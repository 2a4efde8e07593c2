/**
 * A small estate of made-up data objects with everything beside it, to be damaged in one place and looked at as `reconcile`
 * does, without threads and without a real catalog.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventHash } from '../../actors/bronze/event.ts';
import { backupFile, bronzeJsonKey, dataKey, deliveryFile, eventKey } from '../../actors/bronze/names.ts';
import { readChain } from '../../actors/chain/audit-chain.ts';
import { openBronze } from '../../actors/chain/bronze-json.ts';
import { restoreCopies } from '../../actors/chain/copies.ts';
import type { LineageRow } from '../../actors/ports/catalog.ts';
import { expectedRows } from '../../actors/reconcile/compare-catalog.ts';
import type { ChainFacts } from '../../actors/reconcile/facts.ts';
import { gatherFacts } from '../../actors/reconcile/gather-facts.ts';
import { viewOf } from '../../actors/reconcile/view.ts';
import { openCheckpoint } from '../../actors/state/checkpoint.ts';
import { openDeliveryPointer } from '../../actors/state/delivery.ts';
import {
  CHAIN,
  commitAll,
  type Estate,
  estateIn,
  FIRST,
  hex,
  placeOf,
  rangesOf,
  TABLE,
  tempFolder,
} from '../support/bronze.ts';

export const RANGES = rangesOf(2, 10, 6);
export const at = (n: number) => RANGES[n] as (typeof RANGES)[0];
const TERMS = { grid: { size: 10, origin: 2, ledgerStart: 2 }, networkPassphrase: null };

export interface Scene {
  readonly root: string;
  readonly estate: Estate;
  readonly backup: string;
  readonly state: string;
  /** What the catalog holds; null = held. */
  rows: readonly LineageRow[] | null;
}

export const sceneIn = (root: string): Scene => ({
  root,
  estate: estateIn(root),
  backup: join(root, 'backup'),
  state: join(root, 'state'),
  rows: null,
});

export const checkpointIn = (dir: string, chain = CHAIN) => openCheckpoint({ dir, chain, copierId: 'c' });
export const CHECKPOINT = 'checkpoint_pubnet_pre_p23_v1.json';

export async function gathered(scene: Scene, over: Partial<ChainFacts> = {}): Promise<ChainFacts> {
  const { estate, backup, state, rows } = scene;
  const facts = await gatherFacts(
    {
      ...placeOf(estate),
      terms: TERMS,
      attests: true,
      backup: { dir: backup, chain: CHAIN },
      checkpoint: { store: checkpointIn(state), file: join(state, CHECKPOINT) },
      catalog: null,
      delivery: null,
      keys: null,
      memories: {
        copies: { dir: backup, chain: CHAIN },
        checkpoint: { store: checkpointIn(state), file: join(state, CHECKPOINT) },
        delivery: {
          pointer: openDeliveryPointer({ dir: state, chain: CHAIN, endpoint: '' }),
          file: join(state, deliveryFile(CHAIN)),
        },
      },
    },
    {
      readBytes: (range, columns) =>
        estate.readBack({
          depth: 'bytes',
          chain: CHAIN,
          range,
          key: dataKey(CHAIN, TABLE, range),
          columns,
          checks: estate.checks,
        }),
      parallel: 4,
      known: new Map(),
      onPartition: () => {},
    },
  );
  return { ...facts, catalog: { uri: 'catalog', rows, failure: null }, ...over };
}

/** Where Bronze lay when each of some events was written, by number of events: release 2.0.0 wrote that into them. */
export type Moves = readonly { readonly prefix: string; readonly events: number }[];

/**
 * An estate of six partitions that nothing is wrong with; to be copied, not changed. With `moves` it is one of release
 * 2.0.0, which was moved while it was written; it lies at `bronze/`.
 */
export async function wholeScene(moves?: Moves): Promise<Scene> {
  const whole = sceneIn(tempFolder());
  const { estate, backup, state } = whole;
  await openBronze(placeOf(estate), TERMS);
  let head = FIRST;
  for (const { prefix, events: count } of moves ?? [{ prefix: 'bronze/', events: 6 }]) {
    const { nextSequence: from } = head;
    head = await commitAll(estate, RANGES.slice(from, from + count), head, { prefix });
  }
  if (moves !== undefined) forgetPrefix(pathOf(whole, bronzeJsonKey(CHAIN)));
  const { events } = await readChain(placeOf(estate));
  await restoreCopies({ dir: backup, chain: CHAIN }, estate.store, events);
  await checkpointIn(state).write(at(5), events[5]?.data.checksum as string);
  whole.rows = expectedRows(viewOf(await gathered(whole)));
  return whole;
}

/** Makes a `_bronze.json` one of release 2.0.0. */
function forgetPrefix(path: string): void {
  const { storage_prefix: _, ...fixed } = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify(fixed));
}

/** The estate as it is, to be damaged. */
export function copyOf(whole: Scene): Scene {
  const scene = sceneIn(tempFolder());
  cpSync(whole.root, scene.root, { recursive: true });
  const moved = (row: LineageRow) => ({ ...row, storageUri: row.storageUri.replace(whole.root, scene.root) });
  return Object.assign(scene, { rows: (whole.rows ?? []).map(moved) });
}

export const pathOf = (scene: Scene, key: string): string => join(scene.root, 'bronze', key);
export const lose = (scene: Scene, key: string): void => rmSync(pathOf(scene, key), { recursive: true });
export const copyPath = (scene: Scene, n: number): string => join(scene.backup, backupFile(CHAIN, at(n)));

export function change(path: string, from: string | RegExp, to: string): void {
  const text = readFileSync(path, 'utf8');
  expect(text.replace(from, to)).not.toBe(text);
  writeFileSync(path, text.replace(from, to));
}

/** Changes an event and gives it the hash that fits. */
export function forge(
  scene: Scene,
  n: number,
  with_: (event: { chain: Record<string, unknown> } & Record<string, unknown>) => void,
) {
  const path = pathOf(scene, eventKey(CHAIN, n));
  const event = JSON.parse(readFileSync(path, 'utf8'));
  with_(event);
  event.chain.event_hash = eventHash(event);
  writeFileSync(path, `${JSON.stringify(event, null, 2)}\n`);
  return event.chain.event_hash as string;
}

export const key = (n: number): string => eventKey(CHAIN, n);
export const HEX = hex('something else');
