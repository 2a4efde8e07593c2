/**
 * What has to hold in every state of the world, and across every move. Each rule is a sentence; a rule that is broken
 * answers with one. What depends on one interned value only is judged once per value.
 */
import type { EraContext } from '../../machines/dispatch.ts';
import type { EraSpec, EraSummary } from '../../machines/protocol.ts';
import type { SequencerContext } from '../../machines/sequencing.ts';
import type { RunSummary } from '../../machines/supervisor.ts';
import type { Configuration } from './configurations.ts';
import {
  byStart,
  type Chain,
  deriveEvent,
  type Host,
  labelOf,
  type ManifestObject,
  manifestHash,
  missingRows,
  rangeOf,
  rowOf,
  undelivered,
} from './durable.ts';
import { factsOf } from './effects.ts';
import { contradictions } from './evidence.ts';
import { canonical } from './intern.ts';
import { isOver, outcomeOf } from './moves.ts';
import type { World } from './world.ts';

/** First ledger that is not committed, by what is durable. */
function frontierOf(chain: Chain, spec: EraSpec): number {
  const attested = Object.values(chain.events).map((event) => labelOf(event.range));
  const labels = spec.attests ? attested : Object.keys(chain.manifests);
  let next = spec.grid.ledgerStart;
  for (const label of labels.sort(byStart)) {
    const [start, end] = label.split('-').map(Number) as [number, number];
    if (start !== next || !chain.manifests[label] || !chain.data[label]) break;
    next = end + 1;
  }
  return next;
}

/** Rules about one era's durable contents. */
function judgeChain(chain: Chain, spec: EraSpec, config: Configuration): string | null {
  for (const [label, manifest] of Object.entries(chain.manifests)) {
    const data = chain.data[label];
    if (!data && !config.mending) return `the manifest of ${label} has no data`;
    if (data && data.checksum !== manifest.checksum) return `the manifest of ${label} is about other bytes`;
  }
  const events = Object.values(chain.events).sort((a, b) => a.sequence - b.sequence);
  const seen = new Set<string>();
  let next = spec.grid.ledgerStart;
  let last: (typeof events)[number] | null = null;
  for (const event of events) {
    const label = labelOf(event.range);
    const manifest: ManifestObject | undefined = chain.manifests[label];
    if (!manifest && !config.mending) return `event ${event.sequence} is there before the manifest of ${label}`;
    if (seen.has(label)) return `two events attest ${label}`;
    seen.add(label);
    if (manifest) {
      const derived = deriveEvent(label, manifest, event.sequence, event.prevEventHash);
      if (derived.eventHash !== event.eventHash)
        return `event ${event.sequence} is not that of the stored manifest of ${label}`;
      if (manifestHash(label, manifest) !== event.manifestSha256)
        return `event ${event.sequence} names another manifest of ${label}`;
    }
    const inSequence = last === null ? event.sequence === 0 : event.sequence === last.sequence + 1;
    if (!inSequence && !config.mending) return `event ${event.sequence} has none before it`;
    if (inSequence && event.prevEventHash !== (last?.eventHash ?? null))
      return `event ${event.sequence} does not name the one before`;
    if (inSequence && event.range.start !== next)
      return `event ${event.sequence} is for ${label}, ledger ${next} comes next`;
    if (last && inSequence && last.ledgers.lastHash !== event.ledgers.previousHash) {
      return `the attested partitions ${labelOf(last.range)} and ${label} do not link`;
    }
    next = event.range.end + 1;
    last = event;
  }
  if (!config.mending) {
    // In order: nothing of a partition is visible before the one before it is committed.
    const labels = Object.keys(chain.data).sort(byStart);
    for (const [i, label] of labels.entries()) {
      const expected = i === 0 ? spec.grid.ledgerStart : Number((labels[i - 1] as string).split('-')[1]) + 1;
      if (Number(label.split('-')[0]) !== expected) return `${label} is published before ledger ${expected}`;
      const before = labels[i - 1];
      if (before === undefined) continue;
      if (!chain.manifests[before]) return `${label} is published before ${before} is sealed`;
      if (spec.attests && !seen.has(before)) return `${label} is published before ${before} is attested`;
    }
  }
  // After Bronze was rolled back, rows are evidence of what it held.
  for (const [label, row] of chain.cut > 0 ? [] : Object.entries(chain.rows)) {
    const due = rowOf(chain, spec, label);
    if (!chain.manifests[label]) return `the row of ${label} is there before its manifest`;
    if (!due) return `the row of ${label} is there before its event`;
    if (row.checksum !== due.checksum || row.event !== due.event) return `the row of ${label} is about something else`;
  }
  const rows = Object.keys(chain.rows).sort(byStart).map(rangeOf);
  for (const [i, { start }] of rows.entries()) {
    if (start <= (rows[i - 1]?.end ?? -1)) return `two rows share ledger ${start}`;
  }
  for (const [sequence, hash] of chain.endpoint.entries()) {
    if (!config.forked && chain.events[sequence]?.eventHash !== hash)
      return `the endpoint's delivery ${sequence} is not event ${sequence}`;
  }
  return null;
}

/** What strict modes do not allow to be left up to a ledger. */
function strictlyLeft(chain: Chain, spec: EraSpec, end: number, mayBeHeld: boolean): string | null {
  const row = missingRows(chain, spec).find((label) => rangeOf(label).end <= end);
  if (spec.catalog === 'strict' && row !== undefined && !mayBeHeld) return `${row} is not recorded`;
  const event = undelivered(chain, spec).find(({ range }) => range.end <= end);
  if (spec.delivery === 'strict' && event !== undefined) return `event ${event.sequence} is not delivered`;
  return null;
}

/** Rules about a checkpoint and what it is a hint to. */
function judgeHost(host: Host, chain: Chain, spec: EraSpec, mayBeHeld: boolean): string | null {
  const { checkpoint } = host;
  if (checkpoint === null) return null;
  const label = labelOf(checkpoint.range);
  if (checkpoint.range.end >= frontierOf(chain, spec)) return `the checkpoint says ${label}, which is not committed`;
  if (chain.data[label]?.checksum !== checkpoint.checksum) return `the checkpoint of ${label} has other bytes`;
  const left = strictlyLeft(chain, spec, checkpoint.range.end, mayBeHeld);
  return left === null ? null : `the checkpoint says ${label}, and ${left}`;
}

/** What may never happen to an era's durable contents by one move; `mover` is who moved, `live` all that run. */
function judgeChange(
  before: Chain,
  after: Chain,
  live: readonly string[],
  mover: string,
  vanished: boolean,
  kind: string,
): string | null {
  for (const [label, data] of Object.entries(before.data)) {
    const now = after.data[label];
    if (!now || now.checksum !== data.checksum)
      return `published ${label} changes from ${data.checksum} to ${now?.checksum ?? 'nothing'}`;
  }
  for (const [label, manifest] of Object.entries(before.manifests)) {
    const now = after.manifests[label];
    if (!now || manifestHash(label, now) !== manifestHash(label, manifest)) return `the manifest of ${label} changes`;
  }
  for (const [sequence, event] of Object.entries(before.events)) {
    if (after.events[sequence]?.eventHash !== event.eventHash) return `event ${sequence} changes`;
  }
  for (const [label, row] of kind === 'give up' ? [] : Object.entries(before.rows)) {
    const now = after.rows[label];
    if (now?.checksum !== row.checksum || now.event !== row.event) return `the row of ${label} changes`;
  }
  if (before.endpoint.some((hash, sequence) => after.endpoint[sequence] !== hash)) return 'a delivery changes';
  if (!vanished) {
    for (const [handle, { owner }] of Object.entries(before.staged)) {
      if (after.staged[handle] || owner === mover) continue;
      if (live.includes(owner)) return `${mover} removes ${handle}, which the living ${owner} has staged`;
    }
  }
  for (const label of Object.keys(after.data)) {
    if (before.data[label]) continue;
    const used = Object.entries(before.staged).find(
      ([handle, object]) => object.label === label && !after.staged[handle],
    );
    if (used && !used[1].synced) return `${label} is published before what was staged is durable`;
  }
  return null;
}

const same = (a: unknown, b: unknown): boolean => canonical(a) === canonical(b);

/** What may never happen to evidence by one move that is not somebody's wish. */
function judgeEvidence(before: Host, after: Host, chain: Chain): string | null {
  for (const [label, { eventHash }] of Object.entries(before.copies)) {
    const now = after.copies[label]?.eventHash;
    if (now !== eventHash) return `the copy of ${label} is replaced: ${eventHash} by ${now ?? 'nothing'}`;
  }
  if (before.head === null || before.head === after.head) return null;
  const place = (hash: string | null): number =>
    Object.values(chain.events).find(({ eventHash }) => eventHash === hash)?.sequence ?? -1;
  return place(before.head) >= 0 && place(before.head) < place(after.head)
    ? null
    : `the head is replaced: ${before.head} by ${after.head ?? 'nothing'}`;
}

/** Moves by which somebody changes evidence, or Bronze behind the program's back, knowing what he does or not. */
const isSomebodys = (kind: string): boolean =>
  kind === 'give up' || kind.startsWith('lose the') || kind.startsWith('rolled back');

/** Rules about what machines hold. */
function judgeActor(machine: string, context: unknown, spec: EraSpec): string | null {
  if (machine === 'sequencer') {
    const { buffer, agenda } = context as SequencerContext;
    const mended = agenda.filter((item) => item.kind === 'restore' || item.kind === 'copy').length;
    if (buffer.length > spec.queueSize + mended)
      return `the sequencer buffers ${buffer.length} partitions, the window is ${spec.queueSize}`;
  }
  if (machine === 'era') {
    const { outstanding, spec: own } = context as EraContext;
    const counted = outstanding.filter((entry) => entry.counted).length;
    if (counted > own.queueSize) return `${counted} partitions are outstanding, the window is ${own.queueSize}`;
    const labels = outstanding.map((entry) => labelOf(entry.range));
    if (new Set(labels).size < labels.length) return 'one partition is outstanding twice';
  }
  return null;
}

export class Invariants {
  readonly #chains = new Map<number, string | null>();
  readonly #hosts = new Map<string, string | null>();
  readonly #changes = new Map<string, string | null>();
  readonly #actors = new Map<number, string | null>();
  readonly #contradicts = new Map<string, string | null>();

  readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  /** The first rule that the present state breaks. */
  state(): string | null {
    const { world } = this;
    const { config } = world;
    const held = world.spent('held') > 0;
    for (let era = 0; era < config.eras.length; era++) {
      const { spec } = config.eras[era] as Configuration['eras'][number];
      const chainId = world.chainId(era);
      const broken = memo(this.#chains, chainId * 16 + era, () => judgeChain(world.chain(era), spec, config));
      if (broken) return broken;
      for (let copier = 0; copier < config.copiers; copier++) {
        const key = `${world.hostId(copier, era)}/${chainId}/${era}/${held}`;
        const stands = this.#contradiction(chainId, world.hostId(copier, era), era);
        if (stands && world.chain(era).cut === 0) return `nobody rolled Bronze back, and ${stands}`;
        // What a checkpoint is a hint to may be gone; it has to be right again when the run is done.
        if (
          (config.mending || world.chain(era).cut > 0) &&
          !(isOver(world, copier) && outcomeOf(world, copier) === 'done')
        )
          continue;
        const ahead = memo(this.#hosts, key, () => judgeHost(world.host(copier, era), world.chain(era), spec, held));
        if (ahead) return ahead;
      }
    }
    for (let copier = 0; copier < config.copiers; copier++) {
      for (let slot = 1; slot < world.slots.length; slot++) {
        const id = world.snapshotId(copier, slot);
        if (id < 0) continue;
        const { machine, era } = world.slots[slot] as (typeof world.slots)[number];
        if (machine !== 'era' && machine !== 'sequencer') continue;
        const { spec } = config.eras[era] as Configuration['eras'][number];
        const broken = memo(this.#actors, id * 100 + slot, () =>
          judgeActor(machine, world.snapshot(copier, slot)?.context, spec),
        );
        if (broken) return broken;
      }
      const wrong = this.#discards(copier) ?? (isOver(world, copier) ? this.#end(copier) : null);
      if (wrong) return wrong;
    }
    return config.rule?.(world) ?? null;
  }

  /** What contradicts Bronze; null where nothing does, or where the chain itself cannot be used. */
  #contradiction(chainId: number, hostId: number, era: number): string | null {
    const { world } = this;
    return memo(this.#contradicts, `${chainId}/${hostId}/${era}`, () => {
      const facts = factsOf(world.chains.value(chainId), world.hosts.value(hostId));
      const { spec } = world.config.eras[era] as Configuration['eras'][number];
      return typeof facts === 'string' ? null : (contradictions(facts, spec)[0]?.why ?? null);
    });
  }

  /** Ids of chains by era, and of hosts by copier and era. */
  durable(): { readonly chains: readonly number[]; readonly hosts: readonly number[] } {
    const { world } = this;
    const chains = world.config.eras.map((_, era) => world.chainId(era));
    const hosts = chains.flatMap((_, era) =>
      Array.from({ length: world.config.copiers }, (__, copier) => world.hostId(copier, era)),
    );
    return { chains, hosts };
  }

  /** What became of evidence, and of Bronze while evidence contradicts it. */
  #evidence(before: ReturnType<Invariants['durable']>, kind: string): string | null {
    const { world } = this;
    const { eras, copiers } = world.config;
    if (isSomebodys(kind)) return null;
    for (let era = 0; era < eras.length; era++) {
      for (let copier = 0; copier < copiers; copier++) {
        const [was, is] = [before.hosts[era * copiers + copier] as number, world.hostId(copier, era)];
        const [from, to] = [before.chains[era] as number, world.chainId(era)];
        if (was === is && from === to) continue;
        const key = `evidence ${was}/${is}/${from}/${to}/${era}`;
        const broken = memo(this.#changes, key, () => {
          const [host, now] = [world.hosts.value(was), world.hosts.value(is)];
          const replaced = judgeEvidence(host, now, world.chains.value(to));
          if (replaced) return replaced;
          const stands = this.#contradiction(from, was, era);
          if (stands === null) return null;
          const { lock: _, journal: __, ...evidence } = host;
          const { lock: ___, journal: ____, ...after } = now;
          if (from !== to) return `Bronze changes while ${stands}`;
          return same(evidence, after) ? null : `evidence changes while ${stands}`;
        });
        if (broken) return broken;
      }
    }
    return null;
  }

  /** A rule that the move from `before` to the present state breaks. */
  change(
    { chains: before, ...durable }: ReturnType<Invariants['durable']>,
    mover: string,
    kind: string,
  ): string | null {
    const { world } = this;
    const evidence = this.#evidence({ chains: before, ...durable }, kind);
    if (evidence || kind.startsWith('rolled back')) return evidence;
    for (let era = 0; era < world.config.eras.length; era++) {
      const from = before[era] as number;
      const to = world.chainId(era);
      if (from === to) continue;
      const live: string[] = [];
      for (let copier = 0; copier < world.config.copiers; copier++) {
        if (!isOver(world, copier)) live.push(world.session(copier).nonce);
      }
      const vanished = kind === 'staged data vanishes' || !world.config.conditional;
      const key = `${from}/${to}/${live.join()}/${mover}/${vanished}/${kind === 'give up'}/${world.again}`;
      const broken = memo(this.#changes, key, () => {
        const [was, is] = [world.chains.value(from), world.chains.value(to)];
        const changed = judgeChange(was, is, live, mover, vanished, kind);
        if (changed || world.again === 0) return changed;
        const parts = ['data', 'manifests', 'events', 'bronze', 'rows', 'endpoint'] as const;
        return parts.every((part) => same(was[part], is[part]))
          ? null
          : 'recovering a second time writes to Bronze, the catalog or the endpoint';
      });
      if (broken) return broken;
    }
    return null;
  }

  /** A drain throws away only what cannot be committed. */
  #discards(copier: number): string | null {
    const { world } = this;
    for (const id of world.pending(copier)) {
      const effect = world.effects.value(id);
      if (effect.name !== 'discardStaged' || effect.outcome >= 0) continue;
      const sequencer = world.snapshot(copier, effect.slot)?.context as SequencerContext | undefined;
      if (!sequencer || sequencer.failure !== null) continue;
      const next = sequencer.agenda[0]?.range.start ?? sequencer.next;
      const forgotten = sequencer.buffer.find((staged) => staged.range.start === next);
      if (forgotten) return `the drain throws ${labelOf(forgotten.range)} away, which could be committed`;
    }
    return null;
  }

  /** How a run may end. */
  #end(copier: number): string | null {
    const { world } = this;
    const { config } = world;
    const { outcome, eras } = world.output(copier) as RunSummary;
    const spent = (fault: Parameters<World['spent']>[0]): boolean => world.spent(fault) > 0;
    // A drain does not hide what it found in trouble.
    const inTrouble = spent('drain') && (spent('fail') || spent('lost') || spent('vanish'));
    const refused = eras.find(({ failure }) => failure !== null)?.failure?.code === 'EVIDENCE_CONTRADICTS';
    if (refused && spent('rollback')) return null;
    if (outcome === 'failed' && !config.mayFail && !spent('fatal') && !inTrouble) {
      return `a run failed although everything that failed may be tried again: ${eras.find((era) => era.failure)?.failure?.code}`;
    }
    if (outcome === 'stopped' && !spent('drain')) return 'a run says that it was drained and nobody asked for it';
    for (let era = 0; era < config.eras.length; era++) {
      const { spec } = config.eras[era] as Configuration['eras'][number];
      const summary = eras.find(({ eraId }) => eraId === spec.eraId) as EraSummary;
      const chain = world.chain(era);
      if (outcome === 'done') {
        const asks = world.spec(copier, era);
        if (Object.keys(chain.data).length > 0 && !chain.bronze) return 'the run is done and there is no _bronze.json';
        const end = config.doneAt ?? Number(asks.grid.ledgerEnd);
        const next = frontierOf(chain, spec);
        if (next <= end) return `the run is done and ledger ${next} is not committed`;
        const held = spent('held');
        const left = strictlyLeft(chain, spec, Number.MAX_SAFE_INTEGER, held);
        if (left !== null) return `the run is done and ${left}`;
        const { rows, events } = summary.pending ?? { rows: 0, events: 0 };
        const uncounted = missingRows(chain, spec).length > rows || undelivered(chain, spec).length > events;
        if (uncounted) return 'the run is done and leaves more to the next one than it says';
      }
      const { nonce } = world.session(copier);
      const left = Object.keys(chain.staged).find((handle) => chain.staged[handle]?.owner === nonce);
      const swept = !spent('fail') && !spent('fatal') && config.late === undefined;
      if (left !== undefined && swept) return `the run is over and ${left} is still staged`;
      const orphan = Object.keys(chain.staged)[0];
      const known = config.copiers === 1 && !spent('loseLock') && config.estate === undefined;
      if (orphan !== undefined && swept && known && outcome === 'done')
        return `the run is done and ${orphan} of a dead process is still staged`;
      if (config.copiers > 1 || summary.outcome === 'failed') continue;
      const frontier = frontierOf(chain, spec);
      if (summary.nextLedger > frontier)
        return `the summary says ${summary.nextLedger} is next, but ${frontier} is not committed`;
    }
    return null;
  }
}

function memo<K>(known: Map<K, string | null>, key: K, judge: () => string | null): string | null {
  let verdict = known.get(key);
  if (verdict === undefined) {
    verdict = judge();
    known.set(key, verdict);
  }
  return verdict;
}
