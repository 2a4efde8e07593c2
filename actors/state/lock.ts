/**
 * The lock on one chain: refuses a second copier that shares the state folder, and names the first.
 * It saves work and nothing else: safety rests on conditional creation in the store. It must never remove the lock of
 * a holder that may be alive, and of two copiers that find a dead holder exactly one takes its place.
 *
 * Taking over. A lock is replaced only by whoever created the *claim* on it, a file named after the dead holder's
 * nonce, and only after looking again that this holder still stands there. A claimer that dies is treated the same
 * way: the next one claims the claim. Nonces are never used twice, so a claim can never hit another lock.
 */
import { randomBytes } from 'node:crypto';
import { BronzeError } from '../../machines/errors.ts';
import { ensureFolder, fsyncFolder, unlinkIfThere } from '../durable.ts';
import { errnoOf, type FileOps, fileError, realFiles } from '../files.ts';
import { killPoint } from '../kill-points.ts';
import { type ChainName, chainKey } from '../paths.ts';
import type { ChainLock } from '../ports.ts';
import { type HostView, hostView, type Liveness, liveness } from './host.ts';
import {
  claimPath,
  createHolder,
  type LockHolder,
  lockPath,
  processOf,
  readHolder,
  readJournal,
  removeLeftovers,
  writeJournal,
} from './lock-file.ts';

export interface LockOptions {
  /** State folder; made where it is missing. */
  readonly dir: string;
  readonly chain: ChainName;
  readonly copierId: string;
  readonly files?: FileOps;
  readonly view?: HostView;
  /** RFC 3339, for people only. */
  readonly now?: () => string;
}

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
  const holder: LockHolder = {
    host: view.self.host,
    boot_id: view.self.bootId,
    pid: view.self.pid,
    process_start: view.self.processStart,
    nonce,
    acquired_at: options.now?.() ?? new Date().toISOString(),
    copier_id: options.copierId,
  };
  const path = lockPath(dir, chain);
  try {
    await ensureFolder(files, dir);
    const formers = await take({ files, view, dir, chain, path, holder });
    try {
      const owners = [...new Set([...(await readJournal(files, dir, chain)), ...formers])];
      await writeJournal(files, dir, chain, [...owners, nonce]);
      await removeLeftovers(files, dir, chain);
      return heldLock(files, dir, chain, nonce, owners);
    } catch (error) {
      await unlinkIfThere(files, path).catch(() => false);
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
}

/** A new holder clears away everybody's temporary files: whoever's it was tries again. */
function unlessVanished(error: unknown): null {
  if (errnoOf(error) === 'ENOENT') return null;
  throw error;
}

/** A lock that could not be made durable is not held: it is taken away again. */
async function fsyncOrRemove({ files, dir, path }: Taking): Promise<void> {
  try {
    await fsyncFolder(files, dir);
  } catch (error) {
    await unlinkIfThere(files, path).catch(() => false);
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
      assertDead(taking, former);
      if (await withClaim(taking, former, () => files.rename(temp, path))) {
        killPoint('lock:after-takeover');
        await fsyncOrRemove(taking);
        return [former.nonce];
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
    assertDead(taking, claimer, claim, mayPass);
    dead = claimer;
  }
  throw new BronzeError('LOCK_HELD', `too many copiers died while they took over the lock ${path}`, {
    details: { object: path, hint: 'remove it with `bronze-copier unlock`' },
  });
}

const describe = (holder: LockHolder): string =>
  `${holder.copier_id} (host ${holder.host}, process ${holder.pid} started at ${holder.process_start ?? 'unknown'}, boot ${holder.boot_id ?? 'unknown'}, nonce ${holder.nonce}, since ${holder.acquired_at})`;

const isDead = (state: Liveness): boolean => state === 'dead';

function assertDead(
  taking: Taking,
  found: LockHolder | 'corrupt',
  path = taking.path,
  mayPass: (state: Liveness) => boolean = isDead,
): asserts found is LockHolder {
  const chain = chainKey(taking.chain);
  const unlock = 'if it certainly does not run any more, remove the lock with `bronze-copier unlock`';
  if (found === 'corrupt') {
    throw new BronzeError('LOCK_HELD', `the lock of ${chain} cannot be read: ${path}; ${unlock}`, {
      details: { object: path, hint: unlock },
    });
  }
  if (abandoned.has(found.nonce)) return;
  const state = liveness(taking.view, processOf(found));
  if (mayPass(state)) return;
  const hint =
    state === 'alive' ? 'wait for it or stop it' : `whether it still runs cannot be checked from here: ${unlock}`;
  throw new BronzeError('LOCK_HELD', `${chain} is being copied by ${describe(found)}; ${hint}`, {
    details: { object: path, found: describe(found), hint },
  });
}

function heldLock(
  files: FileOps,
  dir: string,
  chain: ChainName,
  nonce: string,
  orphaned: readonly string[],
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
    async release() {
      killPoint('lock:before-release');
      try {
        // After a forced unlock it may be somebody else's.
        const now = await readHolder(files, path);
        if (now === null || now === 'corrupt' || now.nonce !== nonce) return;
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

/** Looks at a chain's lock and changes nothing; null where there is none. Throws STATE_IO. */
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
  return { path, holder: found, liveness: liveness(view, processOf(found)), description: describe(found) };
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
      const self = { ...asked, pid: view.self.pid, process_start: view.self.processStart };
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
