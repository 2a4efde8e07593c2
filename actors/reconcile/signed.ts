/**
 * The signed heads of a chain: those beside it and their copies, held against its events as `pas verify` does it. It must
 * never call a head missing of which there never was one: a gap between heads is none.
 */
import { join } from 'node:path';
import { chainKey, HEADS_FOLDER, headCopyFile, headKey } from '../bronze/names.ts';
import type { ChainPlace } from '../chain/chain-place.ts';
import type { VerifierKey } from '../tlog/keys.ts';
import { gatherChain, gatherHeads, kindOf } from '../verify/gather.ts';
import { checkSignatures, verifyHeads } from '../verify/verify-heads.ts';
import type { BackupFolder } from '../version-1/old-chain.ts';
import type { SignedFound } from './facts.ts';
import type { Difference } from './kinds.ts';
import { several, type View } from './view.ts';

/** One read per event and per head. Throws STORE_*, STATE_IO. */
export async function gatherSigned(
  place: Pick<ChainPlace, 'store' | 'chain'> & { readonly backup: BackupFolder | null },
  keys: readonly VerifierKey[],
): Promise<SignedFound> {
  const { store, chain, backup } = place;
  const folder = backup && join(backup.dir, HEADS_FOLDER);
  // Copies first, then heads, then events: each is written after what it is of.
  const all = folder !== null && (await kindOf(folder)) === 'folder' ? await gatherHeads(folder) : [];
  const copies = all.filter(({ object, size }) => size !== null && object.endsWith(`/${headCopyFile(chain, size)}`));
  const source = await gatherChain(store, chain, true);
  const beside = new Set(source.signedHeads.map(({ size }) => size));
  const missing = copies.flatMap(({ size }) => (size === null || beside.has(size) ? [] : [size]));
  if (copies.length + beside.size === 0) return { failures: [], missing: [], newest: 0 };
  const { known, failures } = checkSignatures(copies, keys);
  const verified = verifyHeads([source], known, keys);
  return {
    failures: [...failures, ...verified.failures],
    missing: missing.sort((a, b) => a - b),
    newest: verified.verdicts[0]?.newest ?? 0,
  };
}

/** Where events are wrong themselves, that is told, and heads are held against them once it is mended. */
export function compareSigned(view: View, eventsAreWrong: boolean): Difference[] {
  const { signed, chain, storeUri } = view.facts;
  if (signed === null) return [];
  const { failures, missing, newest } = signed;
  const found = failures.flatMap(({ code, message, object, check }): Difference[] => {
    if (code === 'HEAD_CONTRADICTS' && eventsAreWrong) return [];
    const about = { object: object ?? `${storeUri}${chainKey(chain)}`, code, what: message };
    return code === 'HEAD_CONTRADICTS'
      ? [
          view.difference({
            kind: 'log_head.contradicts',
            ...about,
            cause:
              check === 'size'
                ? 'partitions and events at the end were removed after they had been signed'
                : 'events were changed or exchanged after they had been signed, or pas.origin was changed',
            cure: 'docs/anchors.md, "A head contradicts the events"; do not delete the head',
            repairable: 'copy',
          }),
        ]
      : [
          view.difference({
            kind: 'log_head.invalid',
            ...about,
            cause: 'the key was replaced, or somebody else wrote the head or changed it',
            cure: 'name the old public key in pas.former_keys; or put the head back from a copy',
            repairable: 'copy',
          }),
        ];
  });
  for (const size of missing) {
    found.push(
      view.difference({
        kind: 'log_head.missing',
        object: headKey(chain, size),
        what: `there is a copy of the head of ${size} events, and no head`,
        cause: 'somebody removed it',
        cure: `copy ${headCopyFile(chain, size)} back under this name`,
        repairable: 'copy',
      }),
    );
  }
  const last = view.truths.at(-1);
  if (found.length === 0 && !eventsAreWrong && last !== undefined && last.sequence >= newest) {
    found.push(
      view.difference({
        kind: 'log_head.pending',
        sequence: newest,
        object: headKey(chain, last.sequence + 1),
        what: `${several('event', newest, last.sequence)} under no signed head yet`,
        cause: 'a run was interrupted or is at work; or the key is new',
        cure: 'run: it signs what is there when it starts',
        repairable: 'run',
      }),
    );
  }
  return found;
}
