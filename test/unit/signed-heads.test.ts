// Signed heads of the audit log: the files of keys, the growing tree, heads beside the chain, and what `pas verify` finds.

import { createPublicKey } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { verifyCheckpoint } from '@sigstore/verify/dist/tlog/checkpoint.js';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { eventBytes, eventHash } from '../../actors/bronze/event.ts';
import { auditPrefix, chainKey, eventKey, headKey } from '../../actors/bronze/names.ts';
import { readChain } from '../../actors/chain/audit-chain.ts';
import {
  createHead,
  type LogSigner,
  listHeads,
  logOrigin,
  newestHead,
  readHead,
} from '../../actors/chain/log-heads.ts';
import { createKeyFile, readSigningKey, readVerifierKeys } from '../../actors/state/key-files.ts';
import { EventTree, eventLeaf } from '../../actors/tlog/event-tree.ts';
import { SigningKey } from '../../actors/tlog/keys.ts';
import { rootOf } from '../../actors/tlog/tree.ts';
import { execute } from '../../runtime/cli/pas.ts';
import {
  CHAIN,
  commitAll,
  type Estate,
  estateIn,
  failureOf,
  hex,
  placeOf,
  rangesOf,
  tempFolder,
} from '../support/bronze.ts';
import { taken } from '../support/said.ts';

vi.mock('../../runtime/streams.ts', async (original) => (await import('../support/said.ts')).quietly(original));

const EVENTS = 5;
const RANGES = rangesOf(10, 10, EVENTS);
const NAME = 'example.com/bronze';
const ORIGIN = logOrigin(NAME, CHAIN);
const { key: base } = SigningKey.generate(NAME);
const KEY = String(base.verifier);
const signer = { key: base.named(ORIGIN), origin: ORIGIN, former: [] };
const other = SigningKey.generate(NAME).key;

const bytesOf = (estate: Estate, n: number): Buffer => readFileSync(join(estate.root, 'bronze', eventKey(CHAIN, n)));

/** The log of an estate's first events. */
function logOf(estate: Estate, size: number): EventTree {
  const tree = new EventTree();
  for (let n = 0; n < size; n++) tree.note(n, eventLeaf(bytesOf(estate, n)));
  return tree;
}

const sign = (estate: Estate, size: number, by: LogSigner = signer) =>
  createHead({ ...placeOf(estate), backup: null }, by, logOf(estate, size));

const committed = tempFolder();
let estate: Estate;
let audit: string;
let heads: string;
/** Copies of the heads, kept elsewhere. */
let kept: string;

beforeAll(async () => {
  const made = estateIn(committed);
  await commitAll(made, RANGES);
  for (const size of [1, 2, 4, 5]) await sign(made, size);
});
beforeEach(() => {
  estate = estateIn();
  cpSync(committed, estate.root, { recursive: true });
  audit = join(estate.root, 'bronze', auditPrefix(CHAIN));
  heads = join(audit, 'heads');
  kept = tempFolder();
  cpSync(heads, kept, { recursive: true });
});

describe('a file with the private key', () => {
  it('is made for its owner alone, and never a second time', async () => {
    const path = join(tempFolder(), 'signing.key');
    const verifier = await createKeyFile(path, NAME);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const before = readFileSync(path, 'utf8');
    expect(await failureOf(createKeyFile(path, NAME))).toMatchObject({ code: 'KEY_INVALID', message: /stands there/ });
    expect(readFileSync(path, 'utf8')).toBe(before);
    const key = readSigningKey(path, ORIGIN);
    expect([key.name, String(key.verifier.named(NAME))]).toEqual([ORIGIN, String(verifier)]);
  });

  it('is refused where others may use it, where it is no key, or is one of another log; nothing of it is told', async () => {
    const path = join(tempFolder(), 'signing.key');
    await createKeyFile(path, NAME);
    const text = readFileSync(path, 'utf8');
    const seed = text.trim().slice(-20);
    const refusal = async (): Promise<Error> => {
      const error = await failureOf((async () => readSigningKey(path, ORIGIN))());
      expect([error.code, JSON.stringify(error.details) + error.message]).toEqual([
        'KEY_INVALID',
        expect.not.stringContaining(seed),
      ]);
      return error;
    };
    for (const mode of [0o640, 0o604, 0o660, 0o610]) {
      chmodSync(path, mode);
      expect((await refusal()).message).toContain(`mode 0${mode.toString(8)}`);
    }
    chmodSync(path, 0o400);
    expect(readSigningKey(path, ORIGIN).name).toBe(ORIGIN);
    expect(
      (await failureOf((async () => readSigningKey(path, logOrigin('example.com/bron', CHAIN)))())).message,
    ).toContain(`it is the key of ${NAME}`);
    chmodSync(path, 0o600);
    for (const [bad, why] of [
      ['', /does not begin with PRIVATE/],
      [KEY, /does not begin with PRIVATE/],
      [text.slice(0, -9), /bytes of private key|not base64|its id/],
      [text.replace('bronze', 'silver'), /its id is/],
    ] as const) {
      writeFileSync(path, bad);
      expect((await refusal()).message).toMatch(why);
    }
    rmSync(path);
    expect((await refusal()).message).toContain('no such file');
    mkdirSync(path, { mode: 0o700 });
    expect((await refusal()).message).toContain('no ordinary file');
  });

  it('is not taken for a key to verify with; a file of several keys is', async () => {
    const folder = tempFolder();
    const [secret, list] = [join(folder, 'signing.key'), join(folder, 'keys.txt')];
    await createKeyFile(secret, NAME);
    const hidden = readFileSync(secret, 'utf8').trim();
    for (const given of [secret, hidden]) {
      const error = await failureOf(readVerifierKeys([given]));
      expect([error.code, error.message]).toEqual(['KEY_INVALID', expect.stringContaining('private key')]);
      expect(error.message + JSON.stringify(error.details)).not.toContain(hidden.slice(-20));
    }
    writeFileSync(list, `# ours\n${KEY}\n\n${other.verifier}\n`);
    expect((await readVerifierKeys([list, KEY])).map(String)).toEqual([KEY, String(other.verifier), KEY]);
    writeFileSync(list, '# none\n');
    for (const given of [list, join(folder, 'none'), KEY.replace('+A', '+B')]) {
      expect((await failureOf(readVerifierKeys([given]))).code).toBe('KEY_INVALID');
    }
  });
});

describe('the log', () => {
  it('has the same root in whatever order its events come, and waits at a hole', () => {
    const leaves = RANGES.map((_, n) => eventLeaf(bytesOf(estate, n)));
    const tree = new EventTree([2, 4]);
    for (const n of [1, 3, 2]) tree.note(n, leaves[n] as Buffer);
    expect([tree.size, tree.rootAt(2)]).toEqual([0, null]);
    tree.note(0, leaves[0] as Buffer);
    tree.note(0, leaves[4] as Buffer);
    expect([tree.size, tree.root, tree.rootAt(2)]).toEqual([4, rootOf(leaves.slice(0, 4)), rootOf(leaves.slice(0, 2))]);
  });

  it('does not depend on how an event is laid out', () => {
    const bytes = bytesOf(estate, 0);
    const parsed = JSON.parse(bytes.toString());
    const turned = Object.fromEntries(Object.entries(parsed).reverse());
    expect(eventLeaf(Buffer.from(JSON.stringify(turned)))).toEqual(eventLeaf(bytes));
    expect(eventLeaf(Buffer.from(JSON.stringify({ ...parsed, version: '1.3' })))).not.toEqual(eventLeaf(bytes));
  });
});

describe('a head beside the chain', () => {
  it('is found, read, and taken by code that is not ours', async () => {
    const place = placeOf(estate);
    expect(await listHeads(place)).toEqual([1, 2, 4, 5]);
    const newest = await newestHead(place);
    expect(newest).toMatchObject({
      object: headKey(CHAIN, 5),
      head: { origin: ORIGIN, size: 5, root: logOf(estate, 5).root },
    });
    expect(await readHead(place, 3)).toBeNull();
    const log = {
      baseURL: ORIGIN,
      logID: Buffer.from(signer.key.verifier.id, 'hex'),
      publicKey: createPublicKey({
        key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), signer.key.verifier.publicKey]),
        format: 'der',
        type: 'spki',
      }),
      validFor: { start: new Date(0), end: new Date(8.64e15) },
    };
    const proof = {
      rootHash: logOf(estate, 5).root,
      checkpoint: { envelope: Buffer.from(newest?.bytes ?? []).toString() },
    };
    const checkpoint = verifyCheckpoint({ inclusionProof: proof } as never, [log as never]);
    expect(Number(checkpoint.logSize)).toBe(5);
  });

  it('is never replaced; one that says something else is HEAD_CONTRADICTS', async () => {
    const before = readFileSync(join(heads, '0000000004'), 'utf8');
    await sign(estate, 4);
    // Another key, after a rotation: the same events, and the head that is there counts, where its key is known.
    await sign(estate, 4, { ...signer, key: other.named(ORIGIN), former: [signer.key.verifier] });
    const stranger = await failureOf(sign(estate, 4, { ...signer, key: other.named(ORIGIN) }));
    expect([stranger.code, stranger.details.hint]).toEqual(['HEAD_INVALID', expect.stringContaining('former_keys')]);
    expect(readFileSync(join(heads, '0000000004'), 'utf8')).toBe(before);
    const place = { ...placeOf(estate), backup: null };
    const elsewhere = createHead(place, signer, { size: 4, root: logOf(estate, 5).root });
    expect(await failureOf(elsewhere)).toMatchObject({ code: 'HEAD_CONTRADICTS', retryable: false });
    const origin = logOrigin('example.com/other', CHAIN);
    expect(await failureOf(sign(estate, 4, { origin, key: base.named(origin), former: [] }))).toMatchObject({
      code: 'HEAD_CONTRADICTS',
    });
    writeFileSync(join(heads, '0000000004'), before.slice(0, 40));
    expect(await failureOf(sign(estate, 4))).toMatchObject({ code: 'HEAD_INVALID' });
    expect(readFileSync(join(heads, '0000000004'), 'utf8')).toBe(before.slice(0, 40));
  });

  it('is no event: the chain is read as before', async () => {
    const { events, holes } = await readChain(placeOf(estate));
    expect([events.length, holes]).toEqual([EVENTS, []]);
  });
});

interface Verdict {
  readonly code: number;
  readonly ok: boolean;
  readonly heads?: readonly object[];
  readonly failures: readonly { readonly code: string; readonly check?: string; readonly message: string }[];
  readonly not_seen: readonly string[];
}

async function verify(path: string, options: Record<string, string> = {}): Promise<Verdict> {
  taken();
  const code = await execute({ args: ['verify', path], options: { ...options, json: true } });
  return { code, ...JSON.parse(taken()) };
}

/** Another event for a partition, whole in itself, and all that follow it linked to it. */
function rewriteFrom(n: number): void {
  let before = n === 0 ? null : JSON.parse(bytesOf(estate, n - 1).toString()).chain.event_hash;
  for (let at = n; at < EVENTS; at++) {
    const event = JSON.parse(bytesOf(estate, at).toString());
    const changed = { ...event, manifest_sha256: at === n ? hex('another') : event.manifest_sha256 };
    const linked = { ...changed, chain: { ...changed.chain, prev_event_hash: before } };
    before = eventHash(linked);
    writeFileSync(
      join(estate.root, 'bronze', eventKey(CHAIN, at)),
      eventBytes({ ...linked, chain: { ...linked.chain, event_hash: before } }),
    );
  }
}

const drop = (from: number): void => {
  for (let n = from; n < EVENTS; n++) rmSync(join(estate.root, 'bronze', eventKey(CHAIN, n)));
};

describe('pas verify --key', () => {
  const whole = { chain: chainKey(CHAIN), events: EVENTS, heads: 4, newest: 5 };

  it('takes a chain as it was signed, from any folder above it, and says what it cannot see', async () => {
    for (const path of [audit, join(estate.root, 'bronze'), estate.root]) {
      const verdict = await verify(path, { key: KEY });
      expect(verdict).toMatchObject({ code: 0, ok: true, heads: [whole], failures: [] });
      expect(verdict.not_seen).toEqual([expect.stringContaining('the last partitions were removed')]);
    }
    const copies = await verify(estate.root, { key: KEY, heads: kept });
    expect(copies).toMatchObject({ code: 0, heads: [{ ...whole, heads: 8 }], not_seen: [] });
    expect(await verify(estate.root)).toMatchObject({
      code: 0,
      not_seen: [expect.stringContaining('who signed'), expect.any(String)],
    });
    taken();
    expect(await execute({ args: ['verify', estate.root], options: { key: KEY } })).toBe(0);
    expect(taken()).toMatch(
      /4 heads signed by the key, the newest of 5 of 5 events.*\nnot seen from here.*\nOK: the chain is unbroken, and as signed\n$/,
    );
  });

  it('a gap between heads, and events after the newest, are no defect and are told', async () => {
    rmSync(join(heads, '0000000005'));
    expect(await verify(audit, { key: KEY })).toMatchObject({ code: 0, heads: [{ events: 5, heads: 3, newest: 4 }] });
  });

  it('finds a chain that was rewritten whole: by its heads, and by copies where they are gone', async () => {
    rewriteFrom(2);
    const found = [
      { code: 'HEAD_CONTRADICTS', check: 'root', message: expect.stringContaining('an event from 2 to 3') },
    ];
    const keyless = await verify(audit);
    expect([keyless.code, keyless.failures.map(({ code }) => code)]).toEqual([3, ['HEAD_CONTRADICTS']]);
    expect(await verify(audit, { key: KEY })).toMatchObject({ code: 3, ok: false, failures: found });
    rmSync(heads, { recursive: true });
    expect(await verify(audit, { key: KEY })).toMatchObject({ code: 3, failures: [{ code: 'HEAD_INVALID' }] });
    expect(await verify(audit, { key: KEY, heads: kept })).toMatchObject({ code: 3, failures: found });
    // Signed anew by whoever holds the key: two histories.
    for (const size of [1, 2, 4, 5]) await sign(estate, size);
    expect(await verify(audit, { key: KEY })).toMatchObject({ code: 0 });
    const twice = await verify(audit, { key: KEY, heads: kept });
    expect([twice.code, twice.failures.map(({ check }) => check)]).toEqual([3, ['split_view', 'split_view', 'root']]);
  });

  it('finds a chain that was cut: by a head that was left, and by copies where none was', async () => {
    drop(3);
    const found = [{ code: 'HEAD_CONTRADICTS', check: 'size', expected: '5', found: '3' }];
    expect(await verify(audit, { key: KEY })).toMatchObject({ code: 3, failures: found });
    for (const name of ['0000000004', '0000000005']) rmSync(join(heads, name));
    const unseen = await verify(audit, { key: KEY });
    expect([unseen.code, unseen.not_seen.length]).toEqual([0, 1]);
    expect(await verify(audit, { key: KEY, heads: kept })).toMatchObject({ code: 3, failures: found });
  });

  it('finds a chain that is gone whole', async () => {
    const second = { ...CHAIN, eraId: 'p23' };
    await commitAll({ ...estate, chain: second }, rangesOf(60, 10, 1));
    rmSync(audit, { recursive: true });
    const verdict = await verify(estate.root, { key: KEY, heads: kept });
    const messages = verdict.failures.map(({ message }) => message).join();
    expect([verdict.code, messages]).toEqual([3, expect.stringContaining('there is none of it')]);
    expect(messages).toContain('no head of pubnet/p23/v1');
  });

  it('refuses heads that are changed, moved, or signed by no key that was given', async () => {
    const path = join(heads, '0000000002');
    const text = readFileSync(path, 'utf8');
    const invalid = (why: string) => ({
      code: 3,
      failures: [{ code: 'HEAD_INVALID', message: expect.stringContaining(why) }],
    });
    writeFileSync(path, text.replace('\n2\n', '\n3\n'));
    expect(await verify(audit, { key: KEY })).toMatchObject(invalid('it is of 3 events'));
    writeFileSync(path, text.replace(/\n2\n.{10}/, '\n2\nAAAAAAAAAA'));
    expect(await verify(audit, { key: KEY })).toMatchObject(invalid('is false'));
    writeFileSync(path, '');
    expect(await verify(audit, { key: KEY })).toMatchObject(invalid('no blank line'));
    rmSync(path);
    renameSync(join(heads, '0000000001'), join(heads, '0000000003'));
    expect(await verify(audit, { key: KEY })).toMatchObject(invalid('it is of 1 events'));
    const strange = await verify(audit, { key: String(other.verifier) });
    expect(strange.code).toBe(3);
    expect(new Set(strange.failures.map(({ code }) => code))).toEqual(new Set(['HEAD_INVALID']));
  });

  it('takes heads of several keys, as after a rotation, where all are given', async () => {
    rmSync(join(heads, '0000000005'));
    await sign(estate, 5, { ...signer, key: other.named(ORIGIN) });
    expect(await verify(audit, { key: KEY })).toMatchObject({ code: 3 });
    expect(await verify(audit, { key: `${KEY}\n${other.verifier}` })).toMatchObject({ code: 0, heads: [{ heads: 4 }] });
  });

  it('wants what it needs', async () => {
    const refused = async (args: string[], options: Record<string, string>) =>
      (await failureOf(execute({ args, options }))).code;
    expect(await refused(['verify', audit], { heads: kept })).toBe('USAGE');
    expect(await refused(['verify', audit], { key: KEY, heads: join(kept, 'none') })).toBe('USAGE');
    expect(await refused(['verify', audit], { key: KEY, heads: tempFolder() })).toBe('USAGE');
    expect(await refused(['verify', audit], { key: 'nonsense' })).toBe('KEY_INVALID');
    expect(await refused(['verify', audit], { key: KEY, out: 'x' })).toBe('USAGE');
    expect(await refused(['deliver'], { key: KEY })).toBe('USAGE');
    expect(await refused(['keygen'], { origin: NAME })).toBe('USAGE');
    const out = join(tempFolder(), 'k');
    for (const origin of ['a b', 'a+b', 'https://example.com', '/a', 'a/']) {
      expect(await refused(['keygen'], { origin, out })).toBe('USAGE');
    }
    expect(readdirSync(join(out, '..'))).toEqual([]);
  });
});
