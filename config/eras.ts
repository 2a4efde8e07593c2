/**
 * What eras may not be to each other: overlapping, of the same name, or of names that end up in one file. Only what was
 * configured is looked at, no ledger.
 */
import type { Draft } from './draft.ts';
import { UINT32_MAX } from './fields.ts';
import { nearestOf, quote } from './problems.ts';

/** No lake holds ledger 1 (the genesis ledger has no LedgerCloseMeta), so that 0 and 1 mean this. */
export const FIRST_LEDGER = 2;

/** An era as far as it can be judged; what is broken is undefined. `end` of an unbounded era is Infinity. */
interface Outline {
  readonly path: string;
  readonly id: string | undefined;
  readonly network: string | undefined;
  readonly version: string | undefined;
  readonly start: number | undefined;
  readonly end: number | undefined;
}

function outlineOf(draft: Draft, path: string): Outline {
  const start = draft.number(`${path}.ledger_start`);
  const end = draft.number(`${path}.ledger_end`);
  return {
    path,
    id: draft.text(`${path}.era_id`),
    network: draft.text(`${path}.network`),
    version: draft.text(`${path}.version_label`),
    start: start === undefined ? undefined : Math.max(start, FIRST_LEDGER),
    end: end === 0 ? Number.POSITIVE_INFINITY : end,
  };
}

/** Checks the eras at `paths` one by one and against each other, and the names in active_eras. */
export function checkEras(draft: Draft, paths: readonly string[]): void {
  const eras = paths.map((path) => outlineOf(draft, path));
  for (const era of eras) checkEra(draft, era);
  checkIds(draft, eras);
  checkFileNames(draft, eras);
  checkRanges(draft, eras);
  checkActive(draft, eras);
}

const REQUIRED = ['era_id', 'version_label', 'network'] as const;

function checkEra(draft: Draft, { path, start, end }: Outline): void {
  for (const key of REQUIRED) {
    if (draft.isBroken(`${path}.${key}`) || draft.text(`${path}.${key}`) !== undefined) continue;
    draft.complain(`${path}.${key}`, { message: 'required and not given', expected: 'a name', found: 'nothing' });
  }
  if (start !== undefined && end !== undefined && end < start) {
    draft.complain(`${path}.ledger_end`, {
      message: 'the era ends before it starts',
      expected: `at least ${start}, the first ledger${start === FIRST_LEDGER ? ' that any lake holds' : ''}, or 0 for unbounded`,
      found: String(end),
    });
  }
  const low = draft.number(`${path}.protocol_min`);
  const high = draft.number(`${path}.protocol_max`);
  if (low !== undefined && high !== undefined && low > high) {
    draft.complain(`${path}.protocol_max`, {
      message: 'no protocol is within the guard',
      expected: `at least ${low}, the protocol_min`,
      found: String(high),
    });
  }
}

function checkIds(draft: Draft, eras: readonly Outline[]): void {
  const seen = new Map<string, string>();
  for (const { id, path } of eras) {
    if (id === undefined) continue;
    const before = seen.get(id);
    if (before === undefined) {
      seen.set(id, path);
    } else {
      draft.complain(`${path}.era_id`, {
        message: `the same name as ${before}.era_id`,
        expected: 'a name of its own for every era',
        found: quote(id),
      });
    }
  }
}

/** Checkpoints, locks and copies of events are named `{network}_{era_id}_{version}`; some file systems ignore case. */
function checkFileNames(draft: Draft, eras: readonly Outline[]): void {
  const seen = new Map<string, Outline>();
  for (const era of eras) {
    if (era.id === undefined || era.network === undefined || era.version === undefined) continue;
    const name = [era.network, era.id, era.version].join('_');
    const before = seen.get(name.toLowerCase());
    if (before === undefined) {
      seen.set(name.toLowerCase(), era);
    } else if (before.id !== era.id) {
      draft.complain(`${era.path}.era_id`, {
        message: `its files would have the same names as those of ${before.path}`,
        expected: 'network, era_id and version_label that differ when joined by "_", also without regard to case',
        found: quote(name),
      });
    }
  }
}

interface Span extends Outline {
  readonly start: number;
  readonly end: number;
}

const isSpan = (era: Outline): era is Span => era.start !== undefined && era.end !== undefined && era.end >= era.start;

const nameOf = (era: Outline): string => (era.id === undefined ? era.path : quote(era.id));

function checkRanges(draft: Draft, eras: readonly Outline[]): void {
  const networks = new Map<string, Span[]>();
  for (const era of eras) {
    if (era.network === undefined || !isSpan(era)) continue;
    networks.set(era.network, [...(networks.get(era.network) ?? []), era]);
  }
  for (const spans of networks.values()) {
    // Stable: eras that start together stay in the order in which they were written.
    const ordered = spans.sort((a, b) => a.start - b.start);
    let reach: Span | undefined;
    for (const era of ordered) {
      if (reach !== undefined && era.start <= reach.end) complainOverlap(draft, reach, era);
      if (reach === undefined || era.end > reach.end) reach = era;
    }
  }
}

function complainOverlap(draft: Draft, before: Span, era: Span): void {
  if (before.end === Number.POSITIVE_INFINITY) {
    draft.complain(`${before.path}.ledger_end`, {
      message: `an unbounded era is followed by another, ${nameOf(era)}, which starts at ${era.start}`,
      expected: `a last ledger before ${era.start}, as only the last era of a network can be unbounded`,
      found: '0 (unbounded)',
    });
    return;
  }
  const latest = Math.min(before.end, UINT32_MAX);
  draft.complain(`${era.path}.ledger_start`, {
    message: `overlaps ${nameOf(before)}, which holds ${before.start} to ${latest} of the same network`,
    expected: `eras that do not share ledgers: a first ledger after ${latest}`,
    found: String(era.start),
  });
}

function checkActive(draft: Draft, eras: readonly Outline[]): void {
  const ids = eras.flatMap(({ id }) => (id === undefined ? [] : [id]));
  // Where an id is missing or broken, it may be the one that is meant.
  if (ids.length < eras.length) return;
  for (const [index, name] of (draft.list('active_eras') ?? []).entries()) {
    if (ids.includes(name)) continue;
    const nearest = nearestOf(name, ids);
    draft.complain(draft.keyOfItem('active_eras', index), {
      message: 'there is no such era',
      expected: `the era_id of a configured era: ${ids.join(', ')}`,
      found: quote(name),
      ...(nearest === undefined ? {} : { nearest }),
    });
  }
}
