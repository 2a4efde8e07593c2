/**
 * What is wrong with partitions: their manifests and data against what is attested, and the ledgers that they cover
 * against each other. Pure. What follows from a missing or altered event is not reported as damage of a partition.
 */
import { overlapsOrGap, rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent, DataFile, LedgerRange } from '../../machines/protocol.ts';
import { bronzeJsonKey, dataKey, manifestKey, partitionPrefix } from '../bronze/names.ts';
import type { PartitionFound } from './facts.ts';
import type { Difference } from './kinds.ts';
import { isForeign, isUnknown, type View } from './view.ts';

const DAMAGED = 'docs/runbook.md, "A partition is damaged"';
const TOUCHED = 'somebody or some disk changed it; no copier does: look for the cause, more may be damaged';
const REMOVED = 'somebody or some disk removed it; no copier does';

export function compareBronzeJson(view: View): Difference[] {
  const { chain, bronzeJson, partitions, events } = view.facts;
  const object = bronzeJsonKey(chain);
  const { state, problem } = bronzeJson;
  if (state === 'there' || (state === 'missing' && partitions.length + events.length === 0)) return [];
  if (state === 'missing') {
    const isOld = isForeign(view.facts);
    return [
      view.difference({
        kind: 'bronze_json.missing',
        object,
        what: `${object} is not there`,
        cause: isOld ? 'the old program wrote this estate, and no run has taken it over' : REMOVED,
        cure: isOld
          ? 'run, which takes it over or says why it does not'
          : 'reconcile --repair, or run: it is written again from the configuration, where the partitions fit that',
        repairable: isOld ? 'run' : 'reconcile',
      }),
    ];
  }
  const isInvalid = state === 'invalid';
  return [
    view.difference({
      kind: isInvalid ? 'bronze_json.invalid' : 'bronze_json.mismatch',
      object,
      what: `${object} ${isInvalid ? 'cannot be used' : 'differs from the configuration'}: ${problem}`,
      cause: isInvalid ? TOUCHED : 'the configuration was changed, or is for another estate',
      cure: isInvalid
        ? 'bring it back from a copy, or move it aside and reconcile --repair'
        : 'configure what is stored, or choose a new version_label for another layout',
      repairable: isInvalid ? 'copy' : 'no',
    }),
  ];
}

/** Objects that no copier gives such names. */
export function compareStrays(view: View): Difference[] {
  return view.facts.strays.map((object) =>
    view.difference({
      kind: 'object.stray',
      object,
      what: `${object} is nothing that a copier writes`,
      cause: 'somebody put it there',
      cure: 'find out whose it is, then move it aside',
      repairable: 'copy',
    }),
  );
}

/** Written by the old program, which alone writes such files. */
const isAdopted = ({ facts }: View, { start, end }: LedgerRange): boolean => {
  const { adopted } = facts.bronzeJson;
  return adopted !== null && start >= adopted.start && end <= adopted.end;
};

const ONLY_A_COPY = {
  cure: 'put it back from a copy: the old program wrote it, and nothing else comes out as it was',
  repairable: 'copy',
} as const;

const BUILT_AGAIN = {
  cure: 'run: it is built again from the lake, and published only if it comes out as it was; or put it back from a copy',
  repairable: 'run',
} as const;

/** What is wrong with the data object, given what it has to be. */
function data(view: View, found: PartitionFound, expected: DataFile): Difference[] {
  const { range, dataBytes, read } = found;
  const { chain, table } = view.facts;
  const object = dataKey(chain, table, range);
  const about = { range, object };
  if (dataBytes === null) {
    return [
      view.difference({
        kind: 'data.missing',
        ...about,
        what: `${object} is not there`,
        cause: REMOVED,
        ...(isAdopted(view, range) ? ONLY_A_COPY : BUILT_AGAIN),
      }),
    ];
  }
  const damaged = (kind: 'data.size' | 'data.checksum', what: string): Difference[] => [
    view.difference({
      kind,
      ...about,
      what,
      cause: TOUCHED,
      cure: `put it back from a copy, or move it aside and run, which builds it again from the lake (${DAMAGED})`,
      repairable: 'copy',
    }),
  ];
  if (dataBytes !== expected.byteSize) {
    return damaged('data.size', `${object} has ${dataBytes} bytes and not ${expected.byteSize}`);
  }
  if (read === null) return [];
  if ('failure' in read) {
    return [
      view.difference({
        kind: 'data.unread',
        ...about,
        what: `${object} could not be read: ${read.failure.message}`,
        cause: 'the store did not let it be read',
        cure: 'take away the cause, then reconcile again',
        repairable: 'no',
      }),
    ];
  }
  if (read.checksum === expected.checksum && read.byteSize === expected.byteSize) return [];
  return damaged('data.checksum', `${object} has ${read.checksum} and not ${expected.checksum}`);
}

/** What is wrong with the manifest of a partition that is attested. */
function manifest(view: View, found: PartitionFound, event: AttestedEvent): Difference[] {
  const { range } = found;
  const object = manifestKey(view.facts.chain, view.facts.table, range);
  if (!found.hasManifest) {
    return [
      view.difference({
        kind: 'manifest.missing',
        range,
        object,
        what: `${object} is not there, and event ${event.sequence} attests it`,
        cause: REMOVED,
        ...(found.dataBytes === null
          ? isAdopted(view, range)
            ? ONLY_A_COPY
            : BUILT_AGAIN
          : {
              cure: 'run, or reconcile --repair: it is written again if it comes out as it was attested; or put it back from a copy',
              repairable: 'reconcile',
            }),
      }),
    ];
  }
  if (found.manifest === null) return [invalidManifest(view, found)];
  if (found.manifest.sha256 === event.manifestSha256) return [];
  return [
    view.difference({
      kind: 'manifest.other',
      range,
      object,
      what: `${object} has SHA-256 ${found.manifest.sha256}; event ${event.sequence} attests ${event.manifestSha256}`,
      cause: TOUCHED,
      cure: `put it back from a copy, or move it aside and reconcile --repair (${DAMAGED})`,
      repairable: 'copy',
    }),
  ];
}

const invalidManifest = (view: View, { range, manifestProblem }: PartitionFound): Difference => {
  const object = manifestKey(view.facts.chain, view.facts.table, range);
  return view.difference({
    kind: 'manifest.invalid',
    range,
    object,
    what: manifestProblem ?? `${object} cannot be read`,
    cause: TOUCHED,
    cure: `put it back from a copy, or move it aside; where it was attested, reconcile --repair writes it again, otherwise run does (${DAMAGED})`,
    repairable: 'copy',
  });
};

/** A partition that no event is known of. */
function unattested(view: View, found: PartitionFound): Difference[] {
  const { range, hasManifest, dataBytes } = found;
  const { chain, table } = view.facts;
  if (!hasManifest && dataBytes !== null) {
    return [
      view.difference({
        kind: 'partition.unsealed',
        range,
        object: dataKey(chain, table, range),
        what: `partition ${rangeLabel(range)} has no manifest: readers do not trust it`,
        cause: 'a run was interrupted after publishing, or is at work now',
        cure: 'run: it is built again, compared and sealed; if that ends in PARTITION_CONFLICT, see docs/runbook.md, "A partition conflicts"',
        repairable: 'run',
      }),
    ];
  }
  if (found.manifest === null) return [invalidManifest(view, found)];
  // Where it is not the next one to be attested, what lies before it is wrong, and said.
  return data(view, found, found.manifest.data);
}

/** Partitions that share ledgers with one that has a better claim: attested before sealed before anything else. */
function overlapping(view: View): Set<PartitionFound> {
  const claim = (found: PartitionFound): number =>
    view.truthOf.has(rangeLabel(found.range)) ? 0 : found.hasManifest ? 1 : 2;
  const kept: LedgerRange[] = view.truths.map(({ range }) => range);
  const strays = new Set<PartitionFound>();
  const isFixed = view.facts.bronzeJson.state !== 'mismatch';
  const others = view.partitions.filter((found) => claim(found) > 0).sort((a, b) => claim(a) - claim(b));
  const starts = [...kept].sort((a, b) => a.start - b.start);
  for (const found of others) {
    const { start, end } = found.range;
    // The last kept one that starts before this one ends is the only one that can reach into it.
    let [low, high] = [0, starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((starts[middle] as LedgerRange).start <= end) low = middle + 1;
      else high = middle;
    }
    const before = starts[low - 1];
    const isEarly = isFixed && start < view.facts.ledgerStart;
    if (isEarly || (before !== undefined && before.end >= start)) strays.add(found);
    else starts.splice(low, 0, found.range);
  }
  return strays;
}

/** Ledgers between what is there or attested that nobody holds, and neighbours that do not link. */
function coverage(view: View, kept: readonly PartitionFound[]): Difference[] {
  const { chain, table, ledgerStart, bronzeJson } = view.facts;
  const byLabel = new Map(kept.map((found) => [rangeLabel(found.range), found]));
  const attested = view.truths.filter(({ range }) => !byLabel.has(rangeLabel(range))).map(({ range }) => range);
  const ranges = [...kept.map(({ range }) => range), ...attested].sort((a, b) => a.start - b.start);
  const found: Difference[] = [];
  const gap = (start: number, end: number): void => {
    const isLost = isUnknown(view, { start, end });
    found.push(
      view.difference({
        kind: 'partition.gap',
        range: { start, end },
        object: partitionPrefix(chain, table, { start, end }),
        what: `no partition holds ledgers ${start} to ${end}`,
        cause: 'somebody removed what was there, or it was never copied',
        cure: isLost ? 'bring its events back first; then run copies it again' : 'run: it is copied from the lake',
        repairable: isLost ? 'no' : 'run',
      }),
    );
  };
  const first = ranges[0];
  if (first && bronzeJson.state !== 'mismatch' && first.start > ledgerStart) gap(ledgerStart, first.start - 1);
  for (const [i, range] of ranges.entries()) {
    const next = ranges[i + 1];
    const problem = next === undefined ? null : overlapsOrGap(range, next);
    if (next === undefined || problem === 'overlap') continue;
    if (problem === 'gap') gap(range.end + 1, next.start - 1);
    const [a, b] = [byLabel.get(rangeLabel(range))?.manifest, byLabel.get(rangeLabel(next))?.manifest];
    const isSound = (label: string, sha256: string): boolean =>
      (view.truthOf.get(label)?.manifestSha256 ?? sha256) === sha256;
    if (problem === 'gap' || !a?.ledgers || !b?.ledgers || a.ledgers.lastHash === b.ledgers.previousHash) continue;
    // A manifest that was changed is told as such.
    if (!isSound(rangeLabel(range), a.sha256) || !isSound(rangeLabel(next), b.sha256)) continue;
    found.push(
      view.difference({
        kind: 'partition.unlinked',
        range: next,
        object: manifestKey(chain, table, next),
        what: `ledger ${next.start} names ${b.ledgers.previousHash} as the one before it; ledger ${range.end} has ${a.ledgers.lastHash}`,
        cause: 'the two were copied from lakes of different networks, or a manifest was changed before it was attested',
        cure: 'compare both hashes with a history archive; copy the era under a new version_label',
        repairable: 'no',
      }),
    );
  }
  return found;
}

export function comparePartitions(view: View): Difference[] {
  const { chain, table } = view.facts;
  const strays = overlapping(view);
  const kept = view.partitions.filter((found) => !strays.has(found));
  const found = [...strays].map(({ range }) =>
    view.difference({
      kind: 'partition.overlap',
      range,
      object: partitionPrefix(chain, table, range),
      what: `partition ${rangeLabel(range)} shares ledgers with another one, or lies before ledger ${view.facts.ledgerStart}`,
      cause: 'somebody else wrote there: another program, a hand, a restore to the wrong place',
      cure: 'find out whose it is, then move it aside (docs/runbook.md, "Partitions overlap")',
      repairable: 'copy',
    }),
  );
  for (const partition of kept) {
    const event = view.truthOf.get(rangeLabel(partition.range));
    if (event === undefined) found.push(...unattested(view, partition));
    else found.push(...manifest(view, partition, event), ...data(view, partition, event.data));
  }
  const there = new Set(view.partitions.map(({ range }) => rangeLabel(range)));
  for (const { range, sequence } of view.truths) {
    if (there.has(rangeLabel(range))) continue;
    found.push(
      view.difference({
        kind: 'partition.missing',
        range,
        object: partitionPrefix(chain, table, range),
        what: `nothing of partition ${rangeLabel(range)} is there, and event ${sequence} attests it`,
        cause: REMOVED,
        ...(isAdopted(view, range) ? ONLY_A_COPY : BUILT_AGAIN),
      }),
    );
  }
  return [...found, ...coverage(view, kept)];
}
