/** Where the processor time of a run goes, by V8's sampling profiler in all its threads. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Lake } from './lake.ts';
import { command, configFor, type Setup } from './product.ts';

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

/** By the name of a function, the first that matches; what is called from none of them belongs to its caller. */
const STAGES: readonly (readonly [string, RegExp])[] = [
  ['waiting', /^\(idle\)$/],
  ['garbage collection', /^\(garbage collector\)$/],
  ['unpack', /^decompress(Into)?$/],
  ['compress', /^compress2?$/],
  ['SHA-256', /^(hash|sha256Hex|update|digest|oneShotDigest|hashOfTwo)$/],
  ['walk the XDR', /^(walkLedger|walk[A-Z].*)$/],
  ['read', /^(#readSync|fill|openSync|readSync|closeSync|open|read|close|#openSync)$/],
  ['write', /^(writeSync|writev?|writeBuffer|fsyncSync|fsync|fdatasync)$/],
  ['check and make rows', /^(checkWalked|checkNext|checkBatch|checkResults|add|#addCell|#addXdr|#addLedger|hexAt)$/],
  ['Parquet framing', /^(#writeGroup|#writeColumn|writePageHeader|serializeTCompactProtocol|writeElement|finish)$/],
];

/** Share of each stage of the time in which any thread worked, in per cent; the main thread's own work apart. */
export async function stages(work: string, of: Lake, setup: Setup): Promise<Record<string, number>> {
  const dir = join(work, 'profile');
  mkdirSync(dir);
  try {
    const file = configFor(dir, of, setup);
    const flags = ['--cpu-prof', `--cpu-prof-dir=${join(dir, 'profiles')}`];
    await command(['run', '--config', file, '--no-progress'], flags);
    const sums = new Map<string, number>();
    const folder = join(dir, 'profiles');
    for (const name of readdirSync(folder))
      addUp(JSON.parse(readFileSync(join(folder, name), 'utf8')) as Profile, sums);
    sums.delete('waiting');
    const all = [...sums.values()].reduce((sum, ms) => sum + ms, 0);
    const sorted = [...sums].toSorted(([, a], [, b]) => b - a);
    return Object.fromEntries(sorted.map(([stage, ms]) => [stage, Number(((100 * ms) / all).toFixed(1))]));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function addUp(profile: Profile, sums: Map<string, number>): void {
  const isBuilder = profile.nodes.some(({ callFrame }) => callFrame.functionName === 'walkLedger');
  const rest = isBuilder ? 'the rest of a thread' : 'start, machines, commits';
  const parents = new Map<number, number>();
  for (const { id, children } of profile.nodes) for (const child of children ?? []) parents.set(child, id);
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const stageOf = (id: number): string => {
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const name = byId.get(at)?.callFrame.functionName ?? '';
      const found = STAGES.find(([, pattern]) => pattern.test(name));
      if (found && (isBuilder || found[0] === 'waiting' || found[0] === 'garbage collection')) return found[0];
    }
    return rest;
  };
  const known = new Map<number, string>();
  for (const [i, id] of profile.samples.entries()) {
    const stage = known.get(id) ?? stageOf(id);
    known.set(id, stage);
    sums.set(stage, (sums.get(stage) ?? 0) + (profile.timeDeltas[i] ?? 0));
  }
}
