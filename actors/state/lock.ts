/**
 * The lock on one chain: refuses a second copier that shares the state folder, and names the first.
 * It saves work and nothing else: safety rests on conditional creation in the store. It must never remove the lock of
 * a holder that may be alive, and of two copiers that find a dead holder exactly one takes its place.
 *
 * Who is dead. Where numbers of processes tell, they do (host.ts). A holder in another container of this machine, or on a
 * machine of the same name, is judged by the mark that it renews (mark.ts): a stopped one that goes on later finds that
 * its lock is lost. A holder on a machine of another name is never taken for dead.
 *
 * Taking over. A lock is replaced only by whoever created the *claim* on it, a file named after the dead holder's
 * nonce, and only after looking again that this holder still stands there. A claimer that dies is treated the same
 * way: the next one claims the claim. Nonces are never used twice, so a claim can never hit another lock.
 */
import { randomBytes } from 'node:crypto';
import { BronzeError } from '../../machines/errors.ts';
import { type ChainName, chainKey } from '../bronze/names.ts';
import { ensureFolder, fsyncFolder, unlinkIfThere } from '../durable.ts';
import { errnoOf, type FileOps, fileError, realFiles } from '../files.ts';
import { killPoint } from '../kill-points.ts';
import type { ChainLock } from '../ports/state.ts';
import { type HostView, hostView, isSameKernel, type Liveness, liveness, wasRebooted } from './host.ts';
import {
  claimPath,
  createHolder,
  type LockHolder,
  lockPath,
  otherHolder,
  processOf,
  readHolder,
  readJournal,
  removeLeftovers,
  removeOwn,
  writeJournal,
} from './lock-file.ts';
import { type MarkListener, RENEWS_MS, type Renewing, renewing, watchMark } from './mark.ts';

export interface LockOptions {
  /** State folder; made where it is missing. */
  readonly dir: string;
  readonly chain: ChainName;
  readonly copierId: string;
  readonly files?: FileOps;
  readonly view?: HostView;
  /** RFC 3339, for people only. */
  readonly now?: () => string;
  /** Ends the watching of another holder's mark: CANCELLED. */
  readonly signal?: AbortSignal;
  /** Told before the mark of another holder is watched, which can take `upToMs`. */
  readonly onWatch?: (holder: string, upToMs: number) => void;
  readonly onMark?: MarkListener;
  /** How often the mark is renewed, ms. */
  readonly renewsMs?: number;
}

type Marked = LockHolder & { readonly renews_ms: number };

/** Somebody else came and went between two looks; more often than this is a bug or a fight. */
const ATTEMPTS = 20;
/** Claims on claims: each needs a copier that died within milliseconds. */
const CLAIM_DEPTH = 20;

/** Nonces with which this process did not get a lock, although a file with them may have been left behind. */
const abandoned = new Set<string>();

const newNonce = (): string => randomBytes(16).toString('hex');

/**
 * Takes the lock or throws LOCK_HELD naming its holder; STATE_IO where the folder cannot be used. `orphaned` of the
 * result are the former holders whose staging is still to be swept.
 */
export async function acquireLock(options: LockOptions): Promise<ChainLock> {
  const { dir, chain } = options;
  const files = options.files ?? realFiles;
  const view = options.view ?? hostView();
  const nonce = newNonce();
  const holder: Marked = {
    host: view.self.host,
    boot_id: view.self.bootId,
    pid_namespace: view.self.pidNamespace,
    pid: view.self.pid,
    process_start: view.self.processStart,
    nonce,
    acquired_at: options.now?.() ?? new Date().toISOString(),
    copier_id: options.copierId,
    renews_ms: options.renewsMs ?? RENEWS_MS,
  };
  const path = lockPath(dir, chain);
  try {
    await ensureFolder(files, dir);
    const { signal, onWatch } = options;
    const formers = await take({ files, view, dir, chain, path, holder, signal, onWatch });
    // This process may have stood still since, and whoever took the lock over is not to be swept.
    const assertOurs = async (): Promise<void> => {
      const other = await otherHolder(files, path, nonce);
      if (other !== null) throw lockLost(chain, path, other);
    };
    try {
      const owners = [...new Set([...(await readJournal(files, dir, chain)), ...formers])];
      await assertOurs();
      await writeJournal(files, dir, chain, [...owners, nonce]);
      await removeLeftovers(files, dir, chain);
      await assertOurs();
      return heldLock(files, dir, chain, owners, holder, renewing(files, path, holder, options.onMark ?? UNHEARD));
    } catch (error) {
      await removeOwn(files, path, nonce).catch(() => undefined);
      throw error;
    }
  } catch (error) {
    // Whatever still stands there of it holds nothing: the next try of this process may take its place.
    abandoned.add(nonce);
    throw fileError('state', 'take the lock', path, error);
  }
}

interface Taking {
  readonly files: FileOps;
  readonly view: HostView;
  readonly dir: string;
  readonly chain: ChainName;
  readonly path: string;
  readonly holder: LockHolder;
  readonly signal?: AbortSignal | undefined;
  readonly onWatch?: LockOptions['onWatch'] | undefined;
}

const UNHEARD: MarkListener = { onProblem: () => undefined, onRestored: () => undefined };

/** A new holder clears away everybody's temporary files: whoever's it was tries again. */
function unlessVanished(error: unknown): null {
  if (errnoOf(error) === 'ENOENT') return null;
  throw error;
}

/** A lock that could not be made durable is not held: it is taken away again. */
async function fsyncOrRemove({ files, dir, path, holder }: Taking): Promise<void> {
  try {
    await fsyncFolder(files, dir);
  } catch (error) {
    await removeOwn(files, path, holder.nonce).catch(() => undefined);
    throw error;
  }
}

/** Makes our holder stand at `path`; answers the nonces of the dead holder that stood there, if any. */
async function take(taking: Taking): Promise<string[]> {
  const { files, path, holder } = taking;
  const temp = `${path}.${holder.nonce}.tmp`;
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const created = await createHolder(files, path, temp, holder).catch(unlessVanished);
      if (created === null) continue;
      if (created) {
        await fsyncOrRemove(taking);
        return [];
      }
      const former = await readHolder(files, path);
      if (former === null) continue;
      const dead = await deadOrThrow(taking, former);
      if (dead === null) continue;
      if (await withClaim(taking, dead, () => files.rename(temp, path))) {
        killPoint('lock:after-takeover');
        await fsyncOrRemove(taking);
        return [dead.nonce];
      }
    }
  } finally {
    await unlinkIfThere(files, temp).catch(() => false);
  }
  throw new BronzeError('LOCK_HELD', `other copiers take and release the lock ${path} all the time`, {
    details: { object: path, hint: 'stop them, then start again' },
  });
}

/**
 * Does `replace` as the only one entitled to touch the lock of `former`; false where somebody else was first. Throws
 * LOCK_HELD where the one who was first is at it right now, which is judged by `mayPass`.
 */
async function withClaim(
  taking: Taking,
  former: LockHolder,
  replace: () => Promise<unknown>,
  mayPass: (state: Liveness) => boolean = isDead,
): Promise<boolean> {
  const { files, dir, chain, path, holder } = taking;
  const claims: string[] = [];
  const temp = `${path}.${newNonce()}.tmp`;
  let dead = former;
  for (let depth = 0; depth < CLAIM_DEPTH; depth++) {
    const claim = claimPath(dir, chain, dead.nonce);
    let created: boolean | null;
    try {
      created = await createHolder(files, claim, temp, { ...holder, nonce: newNonce() }).catch(unlessVanished);
    } finally {
      await unlinkIfThere(files, temp).catch(() => false);
    }
    if (created === null) return false;
    claims.push(claim);
    if (created) {
      killPoint('lock:after-claim');
      try {
        const now = await readHolder(files, path);
        if (now === null || now === 'corrupt' || now.nonce !== former.nonce) return false;
        await replace();
        // The oldest claim goes first: while any of them stands, nobody who saw the dead holder gets further.
        for (const old of claims.slice(0, -1)) await unlinkIfThere(files, old);
        return true;
      } finally {
        await unlinkIfThere(files, claim);
      }
    }
    const claimer = await readHolder(files, claim);
    if (claimer === null) return false;
    const passed = await deadOrThrow(taking, claimer, claim, mayPass);
    if (passed === null) return false;
    dead = passed;
  }
  throw new BronzeError('LOCK_HELD', `too many copiers died while they took over the lock ${path}`, {
    details: { object: path, hint: 'remove it with `bronze-copier unlock`' },
  });
}

/** For a sentence. */
const describe = ({ copier_id, host, pid, acquired_at }: LockHolder): string =>
  `${copier_id} (process ${pid} on ${host}, since ${acquired_at})`;

/** All that is known of a holder, for one field of an error. */
const identify = (holder: LockHolder): string =>
  `process ${holder.pid} started at ${holder.process_start ?? 'unknown'}, host ${holder.host}, boot ${holder.boot_id ?? 'unknown'}, namespace ${holder.pid_namespace ?? 'unknown'}, nonce ${holder.nonce}`;

const isDead = (state: Liveness): boolean => state === 'dead';

const isMarked = (holder: LockHolder): holder is Marked => holder.renews_ms !== null;

/** Of a machine of another name the mark may stand still because the way to the state folder is cut. */
const markDecides = (view: HostView, holder: LockHolder): boolean =>
  isSameKernel(view, processOf(holder)) || holder.host === view.self.host;

/** What can be told at once. */
function judged(view: HostView, holder: LockHolder): Liveness {
  const state = liveness(view, processOf(holder));
  return state === 'unknown' && !isMarked(holder) && wasRebooted(view, processOf(holder)) ? 'dead' : state;
}

/**
 * The holder that may be passed; LOCK_HELD where it may not. Null where its lock is not there any more: everything has to
 * be looked at again.
 */
async function deadOrThrow(
  taking: Taking,
  found: LockHolder | 'corrupt',
  path = taking.path,
  mayPass: (state: Liveness) => boolean = isDead,
): Promise<LockHolder | null> {
  const chain = chainKey(taking.chain);
  const unlock = 'if it certainly does not run any more, remove the lock with `bronze-copier unlock`';
  if (found === 'corrupt') {
    throw new BronzeError('LOCK_HELD', `the lock of ${chain} cannot be read: ${path}; ${unlock}`, {
      details: { object: path, hint: unlock },
    });
  }
  if (abandoned.has(found.nonce)) return found;
  let state = judged(taking.view, found);
  if (mayPass(state)) return found;
  if (state === 'unknown' && isMarked(found) && markDecides(taking.view, found)) {
    taking.onWatch?.(describe(found), 10 * found.renews_ms);
    const seen = await watchMark(taking.files, path, found, `${taking.path}.${newNonce()}.tmp`, taking.signal);
    if (seen === 'gone') return null;
    state = seen === 'moved' ? 'alive' : 'dead';
    if (mayPass(state)) return found;
  }
  const hint =
    state === 'alive' ? 'wait for it or stop it' : `whether it still runs cannot be checked from here: ${unlock}`;
  throw new BronzeError('LOCK_HELD', `${chain} is being copied by ${describe(found)}; ${hint}`, {
    details: { object: path, found: identify(found), hint },
  });
}

function lockLost(chain: ChainName, path: string, to: LockHolder): BronzeError {
  const hint = 'this process stood still for long, or somebody used `unlock`: stop one of the two';
  return new BronzeError('LOCK_LOST', `the lock of ${chainKey(chain)} is held by ${describe(to)} now; ${hint}`, {
    details: { object: path, found: identify(to), hint },
  });
}

function heldLock(
  files: FileOps,
  dir: string,
  chain: ChainName,
  orphaned: readonly string[],
  { nonce }: LockHolder,
  mark: Renewing,
): ChainLock {
  const path = lockPath(dir, chain);
  return {
    nonce,
    orphaned,
    async swept() {
      try {
        await writeJournal(files, dir, chain, [nonce]);
      } catch (error) {
        throw fileError('state', 'note in the journal beside', path, error);
      }
    },
    assertHeld() {
      if (mark.lostTo !== null) throw lockLost(chain, path, mark.lostTo);
    },
    async release(isUnused = false) {
      killPoint('lock:before-release');
      await mark.stop();
      try {
        // After a forced unlock it may be somebody else's.
        const now = await readHolder(files, path);
        if (now === null || now === 'corrupt' || now.nonce !== nonce) return;
        // A copier that is refused may be started again every few seconds, for days: the journal would grow.
        if (isUnused) await writeJournal(files, dir, chain, orphaned);
        await unlinkIfThere(files, path);
        await fsyncFolder(files, dir);
      } catch (error) {
        throw fileError('state', 'release the lock', path, error);
      }
    },
  };
}

/** A lock as somebody finds it who does not want it. `holder` is null where the file cannot be read. */
export interface LockSight {
  readonly path: string;
  readonly holder: LockHolder | null;
  readonly liveness: Liveness;
  /** For people: who holds it. */
  readonly description: string;
}

/**
 * Looks at a chain's lock and changes nothing; null where there is none. A holder that no number tells on is watched for
 * as long as it takes to renew its mark a few times. Throws STATE_IO.
 */
export async function inspectLock(
  dir: string,
  chain: ChainName,
  files: FileOps = realFiles,
  view: HostView = hostView(),
): Promise<LockSight | null> {
  const path = lockPath(dir, chain);
  let found: LockHolder | 'corrupt' | null;
  try {
    found = await readHolder(files, path);
  } catch (error) {
    throw fileError('state', 'read the lock', path, error);
  }
  if (found === null) return null;
  if (found === 'corrupt') {
    return { path, holder: null, liveness: 'unknown', description: `a file that is no lock of a copier: ${path}` };
  }
  const description = describe(found);
  const state = judged(view, found);
  if (state !== 'unknown' || !isMarked(found)) return { path, holder: found, liveness: state, description };
  try {
    const seen = await watchMark(files, path, found, null);
    if (seen === 'gone') return inspectLock(dir, chain, files, view);
    return { path, holder: found, liveness: seen === 'moved' ? 'alive' : 'unknown', description };
  } catch (error) {
    throw fileError('state', 'read the lock', path, error);
  }
}

/**
 * Removes a chain's lock for `bronze-copier unlock` and answers what it removed; null where there was none. A holder
 * that certainly runs is refused with LOCK_HELD unless `force`. Its nonce stays in the journal, so that what it staged
 * is swept by the next holder.
 */
export async function removeLock(
  dir: string,
  chain: ChainName,
  options: { force?: boolean; files?: FileOps; view?: HostView } = {},
): Promise<LockSight | null> {
  const files = options.files ?? realFiles;
  const view = options.view ?? hostView();
  const sight = await inspectLock(dir, chain, files, view);
  if (sight === null) return null;
  if (sight.liveness === 'alive' && options.force !== true) {
    throw new BronzeError('LOCK_HELD', `not removed: ${chainKey(chain)} is being copied by ${sight.description}`, {
      details: { object: sight.path, found: sight.description, hint: 'stop that process instead' },
    });
  }
  try {
    const { path, holder } = sight;
    const unlink = () => unlinkIfThere(files, path);
    let removed: boolean;
    if (holder === null) {
      removed = (await readHolder(files, path)) === 'corrupt' && (await unlink());
    } else {
      const asked = { ...holder, host: view.self.host, boot_id: view.self.bootId, copier_id: 'unlock' };
      const { pidNamespace, pid, processStart } = view.self;
      const self = { ...asked, pid_namespace: pidNamespace, pid, process_start: processStart };
      const mayPass = (state: Liveness): boolean => state !== 'alive' || options.force === true;
      removed = await withClaim({ files, view, dir, chain, path, holder: self }, holder, unlink, mayPass);
    }
    if (!removed) {
      throw new BronzeError('LOCK_HELD', `not removed: the lock ${path} has changed hands just now`, {
        details: { object: path, hint: 'look at it with `bronze-copier status`' },
      });
    }
    await fsyncFolder(files, dir);
  } catch (error) {
    throw fileError('state', 'remove the lock', sight.path, error);
  }
  return sight;
}
