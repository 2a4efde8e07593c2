/**
 * The real program signs its audit log (pas.signing_key): a head after each event, whatever it dies of; nothing is signed
 * twice; a chain that was cut or rewritten is refused by `run` and found by `pas verify`.
 */
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditServer, startAuditServer } from '../support/audit-endpoint.ts';
import { tempFolder } from '../support/bronze.ts';
import { newCopier } from '../support/copier.ts';
import { canonicalEvent, eventFile, filesIn, merkleRoot, readJson, sha256Hex } from '../support/estate.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import { type Outcome, program, type Scene, type Settings } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';

const NAME = 'example.com/bronze';
const EVENTS = 6;
const chainOf = (scene: Scene): string => scene.chain('sample', 'whole');
const headsOf = (scene: Scene): string => join(chainOf(scene), '_audit', 'heads');
const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);
const ten = (n: number): string => String(n).padStart(10, '0');
const sizes = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, n) => ten(from + n));

/** A key in a file of its own, and its public part. */
let file: string;
let key: string;
let unsigned: Scene;
let whole: Scene;

/** A copier that signs, with the key where it was made. */
const signing = (scene: Scene): Scene => scene.change({ pas: { signing_key: file, origin: NAME } });

beforeAll(async () => {
  file = join(tempFolder(), 'signing.key');
  const made = await program('pas', 'keygen', '--out', file, '--origin', NAME);
  expect([made.code, made.stderr]).toEqual([0, '']);
  key = made.stdout.trim();
  unsigned = await sampleScene(sampleEra({ ledger_end: 59 }));
  whole = signing(unsigned.copy());
  expect((await whole.run()).code).toBe(0);
});

const pas = (scene: Scene, ...args: string[]): Promise<Outcome> =>
  program('pas', 'verify', scene.data, '--key', key, '--json', ...args);
const codesOf = ({ stdout }: Outcome): string[] =>
  JSON.parse(stdout).failures.map(({ code }: { code: string }) => code);
const errorOf = ({ summary }: Outcome) => summary?.eras[0]?.error;

/** Origin, size and root of a head are those of the events, by code that shares nothing with the program's. */
function expectHead(scene: Scene, size: number): void {
  const [origin, count, root] = readFileSync(join(headsOf(scene), ten(size)), 'utf8').split('\n');
  const leaves = Array.from({ length: size }, (_, n) => canonicalEvent(readJson(eventFile(chainOf(scene), n))));
  expect([origin, count, root]).toEqual([
    `${NAME}/sample/whole/v1`,
    `${size}`,
    Buffer.from(merkleRoot(leaves.map((text) => Buffer.from(text).toString('hex'))), 'hex').toString('base64'),
  ]);
}

describe('a run that signs', () => {
  it('leaves a head after each event, and a copy of it; everything else is as without a key', async () => {
    expect(namesIn(headsOf(whole))).toEqual(sizes(1, EVENTS));
    for (let size = 1; size <= EVENTS; size++) expectHead(whole, size);
    expect(namesIn(join(whole.backup, 'heads'))).toEqual(sizes(1, EVENTS).map((size) => `sample_whole_v1_${size}`));
    for (const size of sizes(1, EVENTS)) {
      const [head, copy] = [join(headsOf(whole), size), join(whole.backup, 'heads', `sample_whole_v1_${size}`)];
      expect(readFileSync(copy, 'utf8')).toBe(readFileSync(head, 'utf8'));
    }
    await expectVerified(whole);
    const before = filesIn(whole.data);
    expect((await whole.run()).code).toBe(0);
    expect(filesIn(whole.data)).toEqual(before);
    for (const args of [[], ['--heads', join(whole.backup, 'heads')]]) {
      const verdict = await pas(whole, ...args);
      expect([verdict.code, JSON.parse(verdict.stdout).heads[0]]).toMatchObject([
        0,
        { newest: EVENTS, events: EVENTS },
      ]);
    }
    const configured = await whole.start('pas', { args: ['verify', '--key', key, '--json'] }).done;
    expect([configured.code, JSON.parse(configured.stdout)]).toMatchObject([
      0,
      { not_seen: [], heads: [{ newest: EVENTS }] },
    ]);
    const reconciled = await whole.start('reconcile', { args: ['--json'] }).done;
    expect(reconciled.code, reconciled.stdout).toBe(0);
  });

  it('never says the key, nor shows the file to others', async () => {
    const secret = readFileSync(file, 'utf8').trim().slice(-40, -10);
    const scene = signing(unsigned.copy()).change({ logging: { level: 'trace' } });
    const outcome = await scene.run();
    const shown = await scene.start('validate', { args: ['--online'] }).done;
    expect([outcome.code, shown.code]).toEqual([0, 0]);
    for (const text of [outcome.stdout, outcome.stderr, shown.stdout, JSON.stringify(outcome.summary)]) {
      expect(text).not.toContain(secret);
    }
    const pasted = await signing(unsigned.copy())
      .change({ pas: { signing_key: readFileSync(file, 'utf8').trim() } })
      .start('validate').done;
    expect([pasted.code, pasted.stderr]).toEqual([2, expect.stringContaining('the path of a file')]);
    expect(pasted.stdout + pasted.stderr).not.toContain(secret);
  });

  it('that begins late signs what is there, and goes on from there', async () => {
    const scene = unsigned.copy();
    expect((await scene.run({ args: ['--to', '25'] })).code).toBe(0);
    expect(namesIn(headsOf(scene))).toEqual([]);
    const late = await signing(scene).run();
    expect(late.code).toBe(0);
    // Nobody can tell this from a chain whose heads were all taken away.
    expect(late.logs.filter(({ level, msg }) => level === 'warn' && msg?.includes('no signed head'))).toHaveLength(1);
    expect(namesIn(headsOf(scene))).toEqual(sizes(3, EVENTS));
    expectHead(scene, 3);
    expectHead(scene, EVENTS);
  });

  it.each(['commit:before-head', 'commit:after-head', 'commit:before-head#3', 'create:after-link#7'])(
    'and is killed at %s makes up for the newest head, once',
    async (at) => {
      const scene = signing(unsigned.copy());
      expect((await scene.run({ env: { BRONZE_KILL_AT: at } })).signal).toBe('SIGKILL');
      const events = namesIn(join(chainOf(scene), '_audit')).filter((name) => name.endsWith('.json')).length;
      expect(events).toBeGreaterThan(0);
      const before = Object.fromEntries(
        Object.entries(filesIn(headsOf(scene))).map(([name, { sha256 }]) => [name, { sha256 }]),
      );
      const bereft = scene.copy();
      bereft.lose('state', 'pas-backup');
      for (const one of [scene, bereft]) {
        expect((await one.run()).code).toBe(0);
        expect(namesIn(headsOf(one))).toEqual(sizes(1, EVENTS));
        expect(filesIn(headsOf(one))).toMatchObject(before);
        expectHead(one, EVENTS);
        expect((await pas(one)).code).toBe(0);
        await expectVerified(one);
      }
    },
  );
});

describe('S11: an endpoint that asks for heads', () => {
  const servers: AuditServer[] = [];
  afterAll(() => Promise.all(servers.map((server) => server.stop())));
  const delivering = async (scene: Scene, more: Settings = {}): Promise<[Scene, AuditServer]> => {
    const server = await startAuditServer();
    servers.push(server);
    return [signing(scene).change({ pas: { endpoint: server.url, deliver_heads: true, ...more } }), server];
  };
  /** Each post has the head that lies beside the chain under the number of events up to its own. */
  const expectHeads = (scene: Scene, server: AuditServer, from = 0): void => {
    expect(server.seen.length).toBeGreaterThan(from);
    for (const { headers, body } of server.seen.slice(from)) {
      const { sequence } = JSON.parse(body.toString()).chain;
      const head = Buffer.from(String(headers['bronze-log-head']), 'base64').toString();
      expect(head).toBe(readFileSync(join(headsOf(scene), ten(sequence + 1)), 'utf8'));
    }
  };

  it.each([false, true])('gets one with each event, and the same again (strict: %s)', async (strict) => {
    const [scene, server] = await delivering(unsigned.copy(), { strict });
    expect((await scene.run()).code).toBe(0);
    expect(server.kept.size).toBe(EVENTS);
    scene.lose('state');
    expect((await scene.run()).code).toBe(0);
    expect(server.seen).toHaveLength(2 * EVENTS);
    expectHeads(scene, server);
  });

  it.each([false, true])(
    'gets no event whose head is not written; the next run makes up for it (strict: %s)',
    async (strict) => {
      const [scene, server] = await delivering(unsigned.copy(), { strict });
      expect((await scene.run({ env: { BRONZE_KILL_AT: 'commit:before-head#3' } })).signal).toBe('SIGKILL');
      expect(server.kept.size).toBeLessThan(3);
      const left = await scene.start('pas', { args: ['deliver', '--json'] }).done;
      expect([left.code, JSON.parse(left.stdout).chains]).toMatchObject([
        1,
        [{ undelivered: 1, error: { code: 'HEAD_INVALID' } }],
      ]);
      expect(server.kept.size).toBe(2);
      expect((await scene.run()).code).toBe(0);
      expect(server.kept.size).toBe(EVENTS);
      expectHeads(scene, server);
    },
  );

  it('has to be given a key that signs them', async () => {
    const scene = unsigned.copy().change({ pas: { deliver_heads: true } });
    const refused = await scene.start('validate').done;
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('there are no heads to deliver')]);
  });
});

describe('S36: what contradicts a head', () => {
  it('a head by a strange key, a false signature, a head of another log: nothing is signed after it', async () => {
    const stranger = join(tempFolder(), 'stranger.key');
    await program('pas', 'keygen', '--out', stranger, '--origin', NAME);
    const theirs = whole.copy().change({ pas: { signing_key: stranger } });
    for (const folder of [headsOf(theirs), join(theirs.backup, 'heads')]) rmSync(folder, { recursive: true });
    expect((await theirs.run()).code).toBe(0);
    const newest = (scene: Scene): string => join(headsOf(scene), ten(EVENTS));
    const own = readFileSync(newest(whole), 'utf8');
    const wrongs: readonly (readonly [string, string, string])[] = [
      ['HEAD_INVALID', readFileSync(newest(theirs), 'utf8'), 'none of the keys has signed it'],
      ['HEAD_INVALID', own.replace(/.{10}\n$/, 'AAAAAAAAA=\n'), 'cannot be used'],
      ['HEAD_CONTRADICTS', own.replaceAll('/sample/whole/v1', '/sample/other/v1'), 'is a head of the log'],
    ];
    for (const [code, text, why] of wrongs) {
      const scene = whole.copy();
      writeFileSync(newest(scene), text);
      const before = filesIn(scene.data);
      const outcome = await scene.run();
      expect([outcome.code, errorOf(outcome)]).toMatchObject([1, { code, message: expect.stringContaining(why) }]);
      expect(filesIn(scene.data)).toEqual(before);
    }
  });

  it('a copy of a head in the backup folder is held against the events as well', async () => {
    const other = signing(unsigned.copy()).change({ bronze: { compression: 'snappy' } });
    expect((await other.run({ args: ['--to', '35'] })).code).toBe(0);
    // Everything else that remembers is gone, and the estate was exchanged with its heads.
    other.lose('state', 'pas-backup');
    cpSync(join(whole.backup, 'heads'), join(other.backup, 'heads'), { recursive: true });
    const before = filesIn(other.data);
    const outcome = await other.run();
    expect([outcome.code, errorOf(outcome)]).toMatchObject([1, { code: 'HEAD_CONTRADICTS' }]);
    expect(errorOf(outcome)?.object).toContain(join('heads', 'sample_whole_v1_'));
    expect(filesIn(other.data)).toEqual(before);
  });

  it('S7: two copiers of two histories, each without what the other remembers: one root for each size', async () => {
    const scene = signing(unsigned.copy());
    const rival = signing(unsigned.copy()).change({
      storage: { local_dir: scene.data },
      bronze: { compression: 'snappy' },
    });
    await Promise.all([scene.run(), rival.run()]);
    expect((await scene.run()).code).toBe(0);
    expect(namesIn(headsOf(scene))).toEqual(sizes(1, EVENTS));
    for (let size = 1; size <= EVENTS; size++) expectHead(scene, size);
    const copies = [scene, rival].map(({ backup }) => join(backup, 'heads')).filter((folder) => existsSync(folder));
    for (const folder of copies) expect((await pas(scene, '--heads', folder)).code).toBe(0);
  });

  it('another root under the size that comes next ends the era; nothing is signed over it', async () => {
    const scene = signing(unsigned.copy());
    expect((await scene.run({ args: ['--to', '25'] })).code).toBe(0);
    const planted = join(headsOf(scene), ten(4));
    // Signed by the same key for other events: what another history of this chain has left.
    const other = signing(unsigned.copy()).change({ bronze: { compression: 'snappy' } });
    expect((await other.run()).code).toBe(0);
    cpSync(join(headsOf(other), ten(4)), planted);
    const before = readFileSync(planted, 'utf8');
    const outcome = await scene.run();
    expect([outcome.code, errorOf(outcome)]).toMatchObject([1, { code: 'HEAD_CONTRADICTS' }]);
    expect(readFileSync(planted, 'utf8')).toBe(before);
    const verdict = await pas(scene);
    expect([verdict.code, codesOf(verdict)]).toEqual([3, expect.arrayContaining(['HEAD_CONTRADICTS'])]);
  });

  it('a chain that was cut is refused before anything is written, and found where only copies of heads tell', async () => {
    const scene = whole.copy();
    rmSync(eventFile(chainOf(scene), 5));
    rmSync(join(chainOf(scene), 'ledgers_lcm_raw', 'range=50-59'), { recursive: true });
    scene.lose('state', 'pas-backup');
    const before = filesIn(scene.data);
    const outcome = await scene.run();
    expect([outcome.code, errorOf(outcome)]).toMatchObject([1, { code: 'HEAD_CONTRADICTS' }]);
    expect(errorOf(outcome)?.message).toContain('is signed for 6 events, and the chain has 5');
    expect(filesIn(scene.data)).toEqual(before);
    rmSync(join(headsOf(scene), ten(EVENTS)));
    const unseen = await pas(scene);
    expect([unseen.code, JSON.parse(unseen.stdout).not_seen.length]).toEqual([0, 1]);
    const seen = await pas(scene, '--heads', join(whole.backup, 'heads'));
    expect([seen.code, codesOf(seen)]).toEqual([3, ['HEAD_CONTRADICTS']]);
  });

  it('an estate replaced by an honest other one, whole and signed by the same key, is found by copies', async () => {
    const other = signing(unsigned.copy()).change({ bronze: { compression: 'snappy' } });
    expect((await other.run({ args: ['--to', '35'] })).code).toBe(0);
    expect((await pas(other)).code).toBe(0);
    const verdict = await pas(other, '--heads', join(whole.backup, 'heads'));
    expect([verdict.code, new Set(codesOf(verdict))]).toEqual([3, new Set(['HEAD_CONTRADICTS'])]);
  });

  it('a chain that was rewritten beside its heads is found without a key as well; who signed is said to be open', async () => {
    const sound = await program('pas', 'verify', whole.data, '--json');
    const notSeen = JSON.parse(sound.stdout).not_seen;
    expect([sound.code, notSeen]).toEqual([0, [expect.stringContaining('who signed'), expect.any(String)]]);
    const other = unsigned.copy().change({ bronze: { compression: 'snappy' } });
    expect((await other.run()).code).toBe(0);
    cpSync(headsOf(whole), headsOf(other), { recursive: true });
    const verdict = await program('pas', 'verify', other.data, '--json');
    expect([verdict.code, codesOf(verdict)]).toEqual([3, ['HEAD_CONTRADICTS']]);
  });

  it('heads of two eras, swapped: each lies beside events of another log', async () => {
    const scene = signing(await newCopier({ start: 44, end: 83, size: 10 }));
    expect((await scene.run()).code).toBe(0);
    const at = (era: string, size: number): string => join(scene.chain('sample', era), '_audit', 'heads', ten(size));
    const taken = ['before', 'after'].map((era) => readFileSync(at(era, 1), 'utf8'));
    writeFileSync(at('before', 1), taken[1] as string);
    writeFileSync(at('after', 1), taken[0] as string);
    const verdict = await pas(scene);
    expect([verdict.code, codesOf(verdict)]).toEqual([3, ['HEAD_CONTRADICTS', 'HEAD_CONTRADICTS']]);
    const reconciled = await scene.start('reconcile', { args: ['--json'] }).done;
    expect([reconciled.code, reconciled.stdout]).toEqual([3, expect.stringContaining('log_head.contradicts')]);
  });

  it('something else under the name of a head or among heads is foreign to verify', async () => {
    const scene = whole.copy();
    writeFileSync(join(headsOf(scene), 'notes.txt'), 'x');
    const verdict = await scene.verify('--json');
    expect([verdict.code, JSON.parse(verdict.stdout).findings]).toMatchObject([3, [{ code: 'OBJECT_FOREIGN' }]]);
  });
});

describe('`status` and `plan` see what a run would refuse', () => {
  const statusOf = async (scene: Scene) => {
    const { code, stdout } = await scene.start('status', { args: ['--json'] }).done;
    return { code, ...JSON.parse(stdout).eras[0] };
  };

  it('a head that fits: its size, its log, its root', async () => {
    const scene = whole.copy();
    const [origin, , root] = readFileSync(join(headsOf(scene), ten(EVENTS)), 'utf8').split('\n');
    expect(await statusOf(scene)).toMatchObject({ code: 0, signed_head: { size: EVENTS, origin, root, fits: true } });
    const said = await scene.start('status').done;
    expect(said.stdout).toContain(`signed: up to event ${EVENTS - 1}, the newest head fits; log ${origin}`);
    expect((await scene.start('plan').done).code).toBe(0);
    expect(await statusOf(unsigned.copy())).toMatchObject({ signed_head: null });
  });

  it.each<[string, string, (scene: Scene) => unknown]>([
    [
      'the last partition and its event are gone',
      'HEAD_CONTRADICTS',
      (scene) => {
        rmSync(eventFile(chainOf(scene), EVENTS - 1));
        rmSync(join(chainOf(scene), 'ledgers_lcm_raw', 'range=50-59'), { recursive: true });
        scene.lose('state', 'pas-backup');
      },
    ],
    ['pas.origin is another one', 'KEY_INVALID', (scene) => scene.change({ pas: { origin: 'example.com/other' } })],
    ['the key is gone', 'KEY_INVALID', (scene) => scene.change({ pas: { signing_key: join(scene.root, 'gone') } })],
    ['the newest head is cut', 'HEAD_INVALID', (scene) => writeFileSync(join(headsOf(scene), ten(EVENTS)), 'x')],
  ])('%s: %s', async (_, code, damage) => {
    const scene = whole.copy();
    damage(scene);
    const status = await statusOf(scene);
    expect(status).toMatchObject({ code: 1, committed_known: true, signed_head: { fits: false }, error: { code } });
    const plan = await scene.start('plan', { args: ['--json'] }).done;
    expect([plan.code, JSON.parse(plan.stdout).eras[0].error]).toMatchObject([1, { code }]);
    const run = await scene.run();
    expect(run.code).toBeGreaterThan(0);
    expect(run.stdout + run.stderr).toContain(code);
  });
});

describe('`reconcile` holds heads and their copies against the events', () => {
  const reconciled = async (scene: Scene, ...args: string[]) => {
    const { code, stdout } = await scene.start('reconcile', { args: ['--json', ...args] }).done;
    const { differences, pending, failures, repairs } = JSON.parse(stdout);
    const named = (all: Record<string, string>[]) => all.map(({ kind, code: its }) => [kind, its]);
    return { code, differences: named(differences), pending: named(pending), failures, repairs };
  };

  it('all of them fit; what is under no head yet is for the next run', async () => {
    expect(await reconciled(whole.copy())).toMatchObject({ code: 0, differences: [], pending: [] });
    const late = signing(unsigned.copy());
    expect((await late.run()).code).toBe(0);
    for (const folder of [headsOf(late), join(late.backup, 'heads')]) {
      for (const size of [5, 6]) {
        rmSync(join(folder, folder === headsOf(late) ? ten(size) : `sample_whole_v1_${ten(size)}`));
      }
    }
    expect(await reconciled(late)).toMatchObject({ code: 0, pending: [['log_head.pending', undefined]] });
  });

  it('a head that was removed, an older one of another history, a stranger: each is named', async () => {
    const scene = whole.copy();
    rmSync(join(headsOf(scene), ten(3)));
    expect(await reconciled(scene)).toMatchObject({ code: 3, differences: [['log_head.missing', undefined]] });
    cpSync(join(scene.backup, 'heads', `sample_whole_v1_${ten(3)}`), join(headsOf(scene), ten(3)));
    expect((await reconciled(scene)).code).toBe(0);
    const other = signing(unsigned.copy()).change({ bronze: { compression: 'snappy' } });
    expect((await other.run()).code).toBe(0);
    cpSync(join(headsOf(other), ten(2)), join(headsOf(scene), ten(2)));
    const found = await reconciled(scene);
    expect([found.code, found.differences.every(([kind]) => kind === 'log_head.contradicts')]).toEqual([3, true]);
    expect(found.differences[0]).toEqual(['log_head.contradicts', 'HEAD_CONTRADICTS']);
    writeFileSync(join(headsOf(scene), ten(2)), 'x');
    expect((await reconciled(scene)).differences).toEqual([['log_head.invalid', 'HEAD_INVALID']]);
    const keyless = await reconciled(scene.change({ pas: { signing_key: join(scene.root, 'gone') } }));
    expect([keyless.code, keyless.failures]).toMatchObject([1, [{ code: 'KEY_INVALID' }]]);
  });

  it('an estate that was cut; one that was exchanged: nothing is repaired over it', async () => {
    const cut = whole.copy();
    rmSync(eventFile(chainOf(cut), EVENTS - 1));
    rmSync(join(chainOf(cut), 'ledgers_lcm_raw', 'range=50-59'), { recursive: true });
    cut.lose('state', 'pas-backup');
    expect((await reconciled(cut)).differences).toContainEqual(['log_head.contradicts', 'HEAD_CONTRADICTS']);
    const other = signing(unsigned.copy()).change({ bronze: { compression: 'snappy' } });
    expect((await other.run()).code).toBe(0);
    other.lose('state', 'pas-backup');
    cpSync(join(whole.backup, 'heads'), join(other.backup, 'heads'), { recursive: true });
    const found = await reconciled(other, '--repair');
    expect([found.code, found.repairs]).toEqual([3, []]);
    expect(found.differences).toContainEqual(['log_head.contradicts', 'HEAD_CONTRADICTS']);
  });

  it('an event that was removed from the end while its partition stands is written again, and fits its head', async () => {
    const scene = whole.copy();
    const event = readFileSync(eventFile(chainOf(scene), EVENTS - 1), 'utf8');
    rmSync(eventFile(chainOf(scene), EVENTS - 1));
    expect((await scene.run()).code).toBe(1);
    scene.lose('state', 'pas-backup');
    const mended = await reconciled(scene, '--repair');
    expect(mended).toMatchObject({ code: 0, differences: [] });
    expect(readFileSync(eventFile(chainOf(scene), EVENTS - 1), 'utf8')).toBe(event);
    expect((await scene.run()).code).toBe(0);
  });
});

describe('a key that cannot be used', () => {
  it('ends the program before anything is written', async () => {
    const mine = join(tempFolder(), 'signing.key');
    cpSync(file, mine);
    const scene = signing(unsigned.copy()).change({ pas: { signing_key: mine } });
    const refused = async (why: string, settings = {}): Promise<void> => {
      const outcome = await scene.run({ settings });
      expect([outcome.code, outcome.stderr + outcome.stdout]).toEqual([2, expect.stringContaining(why)]);
      expect(outcome.stderr + outcome.stdout).toContain('KEY_INVALID');
      expect(existsSync(scene.data)).toBe(false);
    };
    chmodSync(mine, 0o644);
    await refused('mode 0644');
    chmodSync(mine, 0o600);
    await refused(`it is the key of ${NAME}`, { pas: { origin: 'example.com/other' } });
    renameSync(mine, `${mine}.gone`);
    await refused('there is no such file');
    expect((await scene.start('validate').done).code).toBe(0);
    expect((await scene.start('validate', { args: ['--online'] }).done).code).toBe(1);
    const unnamed = await scene.start('validate', { settings: { pas: { origin: '' } } }).done;
    expect([unnamed.code, unnamed.stderr]).toEqual([2, expect.stringContaining('pas.origin')]);
    const silent = await scene.start('validate', { settings: { pas: { enabled: false } } }).done;
    expect([silent.code, silent.stderr]).toEqual([2, expect.stringContaining('no audit log to sign')]);
  });

  it('is never made over another file', async () => {
    const before = readFileSync(file, 'utf8');
    const again = await program('pas', 'keygen', '--out', file, '--origin', NAME);
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('KEY_INVALID')]);
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect(sha256Hex(before)).not.toBe(sha256Hex(''));
  });

  it('is replaced by a new one, which signs from then on', async () => {
    const next = join(tempFolder(), 'next.key');
    const made = await program('pas', 'keygen', '--out', next, '--origin', NAME);
    const scene = signing(unsigned.copy());
    expect((await scene.run({ args: ['--to', '25'] })).code).toBe(0);
    const before = filesIn(headsOf(scene));
    // Who signed the newest head has to be known: else anybody's would be gone on from.
    scene.change({ pas: { signing_key: next } });
    const refused = await scene.run();
    expect([refused.code, errorOf(refused)]).toMatchObject([1, { code: 'HEAD_INVALID' }]);
    expect(errorOf(refused)?.hint).toContain('pas.former_keys');
    expect(filesIn(headsOf(scene))).toEqual(before);
    expect((await scene.change({ pas: { former_keys: [key] } }).run()).code).toBe(0);
    expect(filesIn(headsOf(scene))).toMatchObject(before);
    // With one key alone: the heads that it cannot check are named.
    for (const [one, left] of [
      [key, sizes(4, EVENTS)],
      [made.stdout.trim(), sizes(1, 3)],
    ] as const) {
      const verdict = await program('pas', 'verify', scene.data, '--key', one, '--json');
      const { failures, heads } = JSON.parse(verdict.stdout);
      expect([verdict.code, heads[0].heads]).toEqual([3, 3]);
      expect(failures.map(({ code, object }: Record<string, string>) => [code, object?.slice(-10)])).toEqual(
        left.map((size) => ['HEAD_INVALID', size]),
      );
    }
    const both = await pas(scene, '--key', made.stdout.trim());
    expect([both.code, JSON.parse(both.stdout).heads[0]]).toMatchObject([0, { heads: EVENTS, newest: EVENTS }]);
  });
});
