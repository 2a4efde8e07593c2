/**
 * What an estate has to look like after any number of accidents: the same as after a run that nothing disturbed. Looks
 * from outside, at files; when a copy was made is the only thing that may differ.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { eventHashOf, filesIn, parquetHashes, partitionsOf, readJson, sha256Hex, TABLE } from './estate.ts';

/** Where one copier works: storage with its prefix, state folder, folder of copies of events. */
export interface Place {
  readonly bronze: string;
  readonly state: string;
  readonly backup: string;
}

/** What a run that nothing disturbed leaves. */
export interface Reference {
  /** SHA-256 by path. */
  readonly parquet: Readonly<Record<string, string>>;
  readonly objects: readonly string[];
  /** Manifests and `_bronze.json` by path, without the time. */
  readonly documents: Readonly<Record<string, unknown>>;
  readonly chains: readonly string[];
}

const isStaging = (path: string): boolean => path.includes('_staging/');

/** Names of all objects that a reader may see. */
const objectsIn = (bronze: string): string[] => Object.keys(filesIn(bronze)).filter((path) => !isStaging(path));

/**
 * A copier's probe of a bucket lies outside of any chain and goes after a day. Eras start side by side, so that one may be in
 * its probe where the other one kills the process.
 */
const PROBE = /^_staging\/(?:[0-9a-f]{12}\.probe-[0-9a-f]{12}\.tmp|probe-[0-9a-f]{12}\.(?:create|publish))$/;

export const isProbe = (path: string): boolean => PROBE.test(path);

/**
 * Whether this is a staging object of a chain, which nobody may leave behind.
 * @param path below Bronze's root, prefix included
 */
export const isStagedOfChain = (path: string): boolean => isStaging(path) && !isProbe(path);

const stagedIn = (bronze: string): string[] => Object.keys(filesIn(bronze)).filter(isStagedOfChain);

/** Manifests and `_bronze.json`, without what differs from run to run, and from store to store. */
function documentsIn(bronze: string): Record<string, unknown> {
  const paths = objectsIn(bronze).filter((path) => /\/_(manifest|bronze)\.json$/.test(path));
  return Object.fromEntries(
    paths.map((path) => {
      const { created_at: _, parts: __, ...document } = readJson(bronze, path);
      return [path, document];
    }),
  );
}

export function referenceOf({ bronze }: Place): Reference {
  const objects = objectsIn(bronze);
  return {
    parquet: parquetHashes(bronze),
    objects,
    documents: documentsIn(bronze),
    chains: objects.flatMap((path) => (path.endsWith('/_bronze.json') ? [path.slice(0, -'/_bronze.json'.length)] : [])),
  };
}

interface ChainState {
  readonly labels: readonly string[];
  readonly lastEventHash: string | null;
  /** Checksum of the last attested partition. */
  readonly lastChecksum: string | null;
}

/** Whether the events of a chain are contiguous, whole, in order, and each derived from the manifest that stands there. */
function checkEvents(bronze: string, chain: string): ChainState {
  const audit = join(bronze, chain, '_audit');
  const names = existsSync(audit) ? readdirSync(audit).sort() : [];
  expect(names).toEqual(names.map((_, n) => `${String(n).padStart(10, '0')}.json`));
  const labels: string[] = [];
  let lastEventHash: string | null = null;
  let lastChecksum: string | null = null;
  let next: number | null = null;
  for (const [sequence, name] of names.entries()) {
    const event = readJson(audit, name);
    const { ledger_start, ledger_end } = event.partition;
    const label = `${ledger_start}-${ledger_end}`;
    const manifest = readFileSync(join(bronze, chain, TABLE, `range=${label}`, '_manifest.json'));
    const { tables, created_at } = JSON.parse(manifest.toString());
    expect(event.chain).toEqual({
      sequence,
      prev_event_hash: lastEventHash,
      event_hash: eventHashOf(event),
    });
    expect(next ?? ledger_start).toBe(ledger_start);
    expect(event.manifest_sha256).toBe(sha256Hex(manifest));
    expect(event.timestamp).toBe(created_at);
    expect(event.tables[TABLE].checksum).toBe(tables[TABLE].checksum);
    next = ledger_end + 1;
    labels.push(label);
    lastEventHash = event.chain.event_hash;
    lastChecksum = event.tables[TABLE].checksum;
  }
  return { labels, lastEventHash, lastChecksum };
}

/**
 * What must hold at every moment, also while a copier lies dead: nothing visible that a whole run would not have left
 * under the same name, no manifest without its data, no event without its manifest, no half-written object.
 */
export function expectNothingHalfVisible({ bronze }: Place, reference: Reference): void {
  const objects = objectsIn(bronze);
  expect(objects.filter((path) => !reference.objects.includes(path))).toEqual([]);
  for (const [path, hash] of Object.entries(parquetHashes(bronze)))
    expect([path, hash]).toEqual([path, reference.parquet[path]]);
  for (const [path, document] of Object.entries(documentsIn(bronze)))
    expect(document).toEqual(reference.documents[path]);
  for (const chain of reference.chains) {
    expect(partitionsOf(join(bronze, chain)).filter(({ state }) => state === 'manifest')).toEqual([]);
    checkEvents(bronze, chain);
  }
}

/**
 * The same content as after a run that nothing disturbed. `kept`: the state folder survived everything, so that nothing
 * temporary is left anywhere; without it, staged files of the dead stay for a day, where no reader looks.
 */
export function expectWhole(place: Place, reference: Reference, { kept }: { readonly kept: boolean }): void {
  const { bronze, state, backup } = place;
  expect(parquetHashes(bronze)).toEqual(reference.parquet);
  expect(objectsIn(bronze)).toEqual(reference.objects);
  expect(documentsIn(bronze)).toEqual(reference.documents);
  if (kept) expect(stagedIn(bronze)).toEqual([]);
  const heads: Record<string, string | null> = {};
  const copies: string[] = [];
  const beside: string[] = [];
  for (const chain of reference.chains) {
    const { labels, lastEventHash, lastChecksum } = checkEvents(bronze, chain);
    expect(labels).toEqual(partitionsOf(join(bronze, chain)).map(({ label }) => label));
    const [network, era_id, version_label] = chain.split('/') as [string, string, string];
    const name = `${network}_${era_id}_${version_label}`;
    const [start, end] = (labels.at(-1) as string).split('-').map(Number);
    expect(readJson(state, `checkpoint_${name}.json`)).toMatchObject({
      network,
      era_id,
      version_label,
      last_committed_ledger: end,
      last_committed_partition: { start, end, checksum: lastChecksum },
    });
    beside.push(`checkpoint_${name}.json`, `staging_${name}.json`);
    heads[chain] = lastEventHash;
    for (const [sequence, label] of labels.entries()) {
      copies.push(`${name}_${label}.json`);
      const event = join(bronze, chain, '_audit', `${String(sequence).padStart(10, '0')}.json`);
      expect(readJson(backup, `${name}_${label}.json`)).toEqual(readJson(event));
    }
  }
  expect(readJson(backup, 'pas-chain-heads.json')).toEqual(heads);
  // No lock, no claim, no journal of uploads, no temporary file. How far delivery came may stand there.
  expect(
    readdirSync(state)
      .filter((name) => name !== 'store-conditions.json' && !name.startsWith('delivery_'))
      .sort(),
  ).toEqual(beside.sort());
  expect(readdirSync(backup).sort()).toEqual([...copies, 'pas-chain-heads.json'].sort());
}

/** Everything of a copier by path, with what tells whether it was touched. */
export const everything = ({ bronze, state, backup }: Place) => ({
  bronze: filesIn(bronze),
  backup: filesIn(backup),
  // The lock is taken and given back, and the journal names its holder.
  state: Object.fromEntries(Object.entries(filesIn(state)).filter(([path]) => !path.startsWith('staging_'))),
});
