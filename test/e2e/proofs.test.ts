/**
 * `prove` and `check-proof` by the real program: of Bronze on a disk and in buckets, over the edges of partitions and eras,
 * of a real history and a forged one; and what is said where a ledger cannot be proved.
 */
import { cpSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../config/load.ts';
import { tempFolder } from '../support/bronze.ts';
import { copyOfCopier, expectDone, newCopier, said } from '../support/copier.ts';
import { dataFile, eventFile, filesIn, manifestFile } from '../support/estate.ts';
import { ARCHIVE, archiveLedgers, forge, forgersKey, lakeOf } from '../support/forged.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import { sampleScene } from '../support/lakes.ts';
import { type Outcome, program, Running, Scene, type Settings } from '../support/program.ts';
import { type RemoteKind, type RemoteScene, remoteScene } from '../support/remote-scene.ts';
import { describeServer } from '../support/servers.ts';
import { describeShared } from '../support/shared.ts';

const NAME = 'example.com/bronze';
const ROOT = join(import.meta.dirname, '../..');
const VALIDATORS = join(ROOT, 'config/examples/sample-validators.json');
const elsewhere = tempFolder();
const CUT = { start: 43, end: 85, size: 8 };

/** The private key in a file, and a file with the public one. */
let signing: string;
let key: string;
let otherKey: string;

async function newKey(file: string, name = NAME): Promise<string> {
  const made = await program('pas', 'keygen', '--out', file, '--origin', name);
  expect([made.code, made.stderr]).toEqual([0, '']);
  const publicFile = `${file}.pub`;
  writeFileSync(publicFile, made.stdout);
  return publicFile;
}

const pas = (): Settings => ({ pas: { signing_key: signing, origin: NAME } });

let scene: Scene;
beforeAll(async () => {
  signing = join(elsewhere, 'signing.key');
  key = await newKey(signing);
  otherKey = await newKey(join(elsewhere, 'other.key'));
  scene = (await newCopier(CUT)).change(pas());
  await expectDone(scene);
});

/** As somebody has it who was given the file, in a folder without anything. */
const check = (file: string, ...args: readonly string[]): Promise<Outcome> =>
  program('check-proof', file, '--key', key, ...args);

const lastLine = ({ stdout }: Outcome): string => stdout.trimEnd().split('\n').at(-1) as string;

let files = 0;
/** Proves a ledger to a new file. */
async function prove(of: Scene, ledger: number, ...args: readonly string[]): Promise<{ file: string; run: Outcome }> {
  const file = join(elsewhere, `${++files}.proof`);
  return { file, run: await of.start('prove', { args: [String(ledger), '--out', file, ...args] }).done };
}

async function proved(of: Scene, ledger: number, ...args: readonly string[]): Promise<string> {
  const { file, run } = await prove(of, ledger, ...args);
  expect(run.code, said(run)).toBe(0);
  return file;
}

const validators = (organisations: object): string => {
  const file = join(elsewhere, `validators-${++files}.json`);
  writeFileSync(file, JSON.stringify(organisations));
  return file;
};

describe('Bronze on a disk', () => {
  it('proves any ledger to whoever has the key and nothing else, and writes nothing to Bronze', async () => {
    const before = filesIn(scene.data);
    for (const ledger of [43, 47, 48, 63, 64, 85]) {
      const file = await proved(scene, ledger);
      const verdict = await check(file, '--json');
      expect(verdict.code, said(verdict)).toBe(0);
      expect(JSON.parse(verdict.stdout)).toMatchObject({
        ok: true,
        verdict: 'in_log',
        ledger: { sequence: ledger },
        chain: ledger < 64 ? 'sample/before/v1' : 'sample/after/v1',
        network: null,
      });
    }
    expect(filesIn(scene.data)).toEqual(before);
  });

  it('gives the same file by its path as by its configuration, and says plainly what it does not show', async () => {
    const file = await proved(scene, 50);
    const byPath = join(elsewhere, 'by-path.proof');
    for (const path of [scene.data, scene.chain('sample', 'before'), `file://${scene.bronze}`]) {
      expect((await program('prove', '50', path, '--out', byPath)).code).toBe(0);
      expect(readFileSync(byPath)).toEqual(readFileSync(file));
    }
    const verdict = await check(file);
    expect([verdict.code, verdict.stderr]).toEqual([0, '']);
    expect(lastLine(verdict)).toBe(
      `OK: ledger 50 is in the signed log ${NAME}/sample/before/v1; nobody was asked whose network it is (prove --network, --validators)`,
    );
    // Who asks whose network it is gets no OK from a proof that does not say it.
    for (const args of [
      ['--validators', VALIDATORS],
      ['--quorum', '1'],
    ]) {
      const asked = await check(file, ...args);
      expect([asked.code, lastLine(asked)]).toEqual([
        4,
        expect.stringMatching(/^NOT VOUCHED FOR: .*no words of valid/),
      ]);
    }
  });

  it('proves whose network it is, also over the edges of partition and era', async () => {
    for (const [ledger, words] of [
      [50, ['birch (by ledger 52)', 'cedar (by ledger 53)', 'alder (by ledger 51)']],
      [55, ['birch (by ledger 58)', 'cedar (by ledger 56)', 'alder (by ledger 57)']],
      [62, ['birch (by ledger 64)', 'cedar (by ledger 65)', 'alder (by ledger 63)']],
    ] as const) {
      const file = await proved(scene, ledger, '--network', '--validators', VALIDATORS);
      const verdict = await check(file, '--validators', VALIDATORS);
      expect(verdict.code, said(verdict)).toBe(0);
      for (const word of words) expect(lastLine(verdict)).toContain(word);
      expect(lastLine(verdict)).toMatch(/^OK: .*; vouched for by /);
    }
  });

  it('tells the words of strangers apart, and is not vouched for by fewer than it takes', async () => {
    const file = await proved(scene, 50, '--network', '--validators', VALIDATORS, '--quorum', '2');
    const { alder, birch, cedar } = JSON.parse(readFileSync(VALIDATORS, 'utf8'));
    const enough = await check(file, '--validators', VALIDATORS, '--quorum', '2', '--json');
    expect([enough.code, JSON.parse(enough.stdout)]).toMatchObject([
      0,
      { ok: true, verdict: 'vouched', network: { quorum: 2, organisations: 3, voices: [{}, {}], strangers: [] } },
    ]);
    const all = await check(file, '--validators', VALIDATORS);
    expect([all.code, lastLine(all)]).toEqual([4, expect.stringContaining('2 of the 3 organisations that it takes')]);
    const one = await check(file, '--validators', validators({ one: [...alder, ...birch, ...cedar] }), '--json');
    expect([one.code, JSON.parse(one.stdout).network.voices.length]).toEqual([0, 1]);
    const nobody = await check(file, '--validators', validators({ a: [forgersKey('a').text] }));
    expect(nobody.code).toBe(4);
    expect(nobody.stdout).toMatch(/ledger 5\d is signed by G\w{55}, whom nobody has named/);
    const unnamed = await check(file);
    expect([unnamed.code, lastLine(unnamed)]).toEqual([4, expect.stringMatching(/nobody has named validators of the/)]);
  });

  it('writes nothing where the words are not there yet, and exits 4', async () => {
    for (const [ledger, found] of [
      [85, /there is no ledger after it yet/],
      [84, /of the 3 organisations that it takes 1 signed one of the ledgers 85 to 85/],
      [83, /takes 2 signed/],
    ] as const) {
      const { file, run } = await prove(scene, ledger, '--network', '--validators', VALIDATORS);
      expect([run.code, run.stderr]).toEqual([4, expect.stringMatching(/^NOT_VOUCHED: /)]);
      expect(run.stderr).toMatch(found);
      expect(existsSync(file)).toBe(false);
    }
    await proved(scene, 84, '--network', '--validators', VALIDATORS, '--quorum', '1');
    const { run } = await prove(scene, 84, '--network');
    expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(/^ANCHORS_INVALID: no validators/)]);
  });
});

describe('the example', () => {
  it('gives the answer that README quotes', async () => {
    const { eras, pas: signed } = loadConfig({ file: join(ROOT, 'config/examples/quickstart.yaml'), env: {} });
    const secret = join(elsewhere, 'quickstart.key');
    const example = await sampleScene(
      eras.map(({ era_id, version_label, network, ledger_start, ledger_end, partition_size }) => {
        return { era_id, version_label, network, ledger_start, ledger_end, partition_size };
      }),
    );
    const publicKey = await newKey(secret, signed.origin);
    await expectDone(example.change({ pas: { signing_key: secret, origin: signed.origin } }));
    const file = await proved(example, 62, '--network', '--validators', VALIDATORS);
    const verdict = await program('check-proof', file, '--key', publicKey, '--validators', VALIDATORS);
    expect(readFileSync(join(ROOT, 'README.md'), 'utf8')).toContain(`\`${lastLine(verdict)}\``);
  });
});

describe('what cannot be proved', () => {
  /** A copy of the scene in which something is not as it should be. */
  function spoiled(change: (chain: string, copy: Scene) => void): Scene {
    const copy = copyOfCopier(scene);
    change(copy.chain('sample', 'before'), copy);
    return copy;
  }
  const heads = (chain: string): string => join(chain, '_audit', 'heads');
  const flip = (file: string, at: number): void => {
    const bytes = readFileSync(file);
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(file, bytes);
  };

  it.each<[string, number, RegExp, (chain: string, copy: Scene) => void]>([
    [
      'a ledger that is in no partition',
      200,
      /LEDGER_MISSING: ledger 200 lies in no published partition: .*43 to 63/,
      () => undefined,
    ],
    [
      'one of a partition without a manifest',
      50,
      /LEDGER_MISSING: .*not published yet/,
      (chain) => rmSync(manifestFile(chain, '48-55')),
    ],
    [
      'a log that nobody has signed',
      50,
      /HEAD_INVALID: the log of sample\/before\/v1 has no signed head/,
      (chain) => rmSync(heads(chain), { recursive: true }),
    ],
    [
      'a partition that no head is of yet',
      60,
      /HEAD_INVALID: .*event 2, which no head is of yet/,
      (chain) => rmSync(join(heads(chain), '0000000003')),
    ],
    [
      'a partition without an event',
      60,
      /HEAD_CONTRADICTS: .*signed for 3 events, and the chain has 2/,
      (chain) => rmSync(eventFile(chain, 2)),
    ],
    ['a log with a hole', 60, /HEAD_CONTRADICTS/, (chain) => rmSync(eventFile(chain, 0))],
    [
      'a head that is of other events',
      50,
      /HEAD_CONTRADICTS/,
      (chain, copy) => {
        const name = '0000000003';
        cpSync(join(heads(copy.chain('sample', 'after')), name), join(heads(chain), name));
      },
    ],
    ['an event that was changed', 50, /AUDIT_INVALID/, (chain) => flip(eventFile(chain, 1), 300)],
    [
      'a manifest that was changed',
      50,
      /MANIFEST_INVALID: .*not the one that its event names/,
      (chain) => {
        const file = manifestFile(chain, '48-55');
        writeFileSync(file, readFileSync(file, 'utf8').replace('"source": "', '"source": "x'));
      },
    ],
    ['a file that is not there', 50, /PARTITION_DAMAGED|LEDGER_MISSING/, (chain) => rmSync(dataFile(chain, '48-55'))],
    [
      'a file that was cut',
      50,
      /PARTITION_DAMAGED/,
      (chain) => truncateSync(dataFile(chain, '48-55'), statSync(dataFile(chain, '48-55')).size - 100),
    ],
    [
      'a file of another partition',
      50,
      /PARTITION_DAMAGED: .*content_root/,
      (chain, copy) => cpSync(dataFile(copy.chain('sample', 'after'), '64-71'), dataFile(chain, '48-55')),
    ],
  ])('%s', async (_, ledger, expected, change) => {
    const { file, run } = await prove(spoiled(change), ledger);
    expect(run.stderr).toMatch(expected);
    if (!expected.source.includes('content_root')) expect(run.stderr).toMatch(/what to do|see docs/);
    expect([run.code, existsSync(file)]).toEqual([1, false]);
  });

  it('a ledger of two chains, until it is said of which', async () => {
    const copy = copyOfCopier(scene);
    const era = { era_id: 'twice', version_label: 'v1', network: 'sample', ledger_start: 43, ledger_end: 70 };
    const beside = new Scene('', { ...era, partition_size: 8 }, pas(), copy.data);
    beside.change({ source: scene.settings.source as Settings });
    await expectDone(beside);
    const file = join(elsewhere, 'twice.proof');
    const words = ['prove', '50', copy.data, '--out', file];
    const both = await program(...words);
    expect([both.code, both.stderr]).toEqual([
      2,
      expect.stringMatching(
        /^USAGE: ledger 50 lies in several chains: sample\/before\/v1, sample\/twice\/v1\n.*--eras/s,
      ),
    ]);
    for (const args of [
      [...words, '--eras', 'before'],
      ['prove', '50', copy.chain('sample', 'before'), '--out', file],
    ]) {
      expect((await program(...args)).code).toBe(0);
      expect((await check(file)).stdout).toContain('sample/before/v1');
    }
    expect((await program(...words, '--eras', 'none')).stderr).toMatch(/^USAGE: --eras: there is no era none/);
    await proved(beside, 50, '--eras', 'twice');
  });

  it('a command line that says too little or too much, and a place that cannot be written', async () => {
    for (const [args, expected] of [
      [['prove', '50', scene.data], /prove needs --out/],
      [['prove', '0', scene.data, '--out', 'x'], /sequence of one ledger/],
      [['prove', '5x', scene.data, '--out', 'x'], /sequence of one ledger/],
      [['prove', '50', scene.data, '--out', 'x', '--quorum', '2'], /--quorum goes with --network/],
      [['prove', '50', scene.data, '--out', 'x', '--validators', VALIDATORS], /--validators goes with --network/],
      [['prove', '50', tempFolder(), '--out', 'x'], /there is no Bronze below/],
      [['check-proof', 'x'], /check-proof needs --key/],
      [['check-proof', 'x', '--key', key], /the proof x cannot be read/],
      [['check-proof', elsewhere, '--key', key], /a folder, and not an ordinary file/],
    ] as const) {
      const run = await program(...args);
      expect([run.code, run.stderr, run.stdout]).toEqual([2, expect.stringMatching(expected), '']);
    }
    const run = await program('prove', '50', scene.data, '--out', join(elsewhere, 'no', 'folder'));
    expect([run.code, run.stderr]).toEqual([1, expect.stringMatching(/^OUTPUT_FAILED: /)]);
  });
});

describe('check-proof', () => {
  it('names the step that fails, exits 3, and says it as JSON', async () => {
    const file = await proved(scene, 50);
    const text = readFileSync(file, 'utf8');
    const broken = join(elsewhere, 'broken.proof');
    const steps: [string, string][] = [
      [text.slice(0, 1000), 'format'],
      ['', 'format'],
      ['a tale of two ledgers\n', 'format'],
      [text.replace('proof/1', 'proof/2'), 'format'],
      [text.replace('"sequence":50', '"sequence":51'), 'content_root'],
      [text.replace('bronze-copier', 'bronze-copies'), 'event'],
    ];
    for (const [bytes, step] of steps) {
      writeFileSync(broken, bytes);
      const run = await check(broken);
      expect([run.code, run.stdout]).toEqual([
        3,
        expect.stringMatching(`^NOT OK: the proof fails at its step ${step}: `),
      ]);
      expect(run.stderr).toMatch(/^PROOF_INVALID: /);
      const json = await check(broken, '--json');
      expect([json.code, JSON.parse(json.stdout)]).toMatchObject([
        3,
        { ok: false, verdict: 'wrong', failure: { code: 'PROOF_INVALID', check: step } },
      ]);
    }
  });

  it('refuses what is larger than any proof before it reads it', async () => {
    const file = join(elsewhere, 'huge.proof');
    writeFileSync(file, '');
    truncateSync(file, 2 ** 40);
    const run = await check(file);
    expect([run.code, run.stdout]).toEqual([3, expect.stringMatching(/^NOT OK: .*larger than any proof/)]);
  });

  it('takes the key of this log alone, given as a text or as a file, and never a private one', async () => {
    const file = await proved(scene, 50);
    const text = readFileSync(key, 'utf8').trim();
    expect((await program('check-proof', file, '--key', text)).code).toBe(0);
    expect((await program('check-proof', file, '--key', otherKey, '--key', key)).code).toBe(0);
    const other = await program('check-proof', file, '--key', otherKey);
    expect([other.code, other.stdout]).toEqual([3, expect.stringMatching(/step head: .*whose key was not given/)]);
    const foreign = await newKey(join(elsewhere, 'foreign.key'), 'example.org');
    const run = await program('check-proof', file, '--key', foreign);
    expect([run.code, run.stdout]).toEqual([3, expect.stringMatching(/step head: .*the key is of another one/)]);
    const secret = await program('check-proof', file, '--key', signing);
    expect([secret.code, secret.stderr]).toEqual([2, expect.stringMatching(/^KEY_INVALID: .*private key/)]);
    expect(secret.stderr + secret.stdout).not.toContain(readFileSync(signing, 'utf8').trim().slice(-20));
  });
});

async function provesInBucket(kind: RemoteKind, uri: string, ...access: readonly string[]): Promise<void> {
  const remote: RemoteScene = (await remoteScene(kind, await newCopier(CUT))).change(pas());
  await expectDone(remote);
  const file = await proved(remote, 62, '--network', '--validators', VALIDATORS);
  const verdict = await check(file, '--validators', VALIDATORS);
  expect(verdict.code, said(verdict)).toBe(0);
  const byPath = join(elsewhere, `${kind.protocol}.proof`);
  const words = ['prove', '62', `${uri}${remote.bucket.name}/bronze/`, '--network', '--validators', VALIDATORS];
  const run = await new Running([...words, '--out', byPath, ...access], { cwd: tempFolder(), env: remote.environment })
    .done;
  expect(run.code, said(run)).toBe(0);
  expect(readFileSync(byPath)).toEqual(readFileSync(file));
}

describe('Bronze in Google Cloud Storage', () => {
  let double: GcsDouble;
  beforeAll(async () => {
    double = await startGcsDouble();
  });
  afterAll(() => double.close());

  it('is proved in the same way', () => provesInBucket({ protocol: 'gcs', double }, 'gs://'));
});

for (const name of ['ceph', 'moto'] as const) {
  describeServer(name, 'Bronze in S3', (server) => {
    it('is proved in the same way', () =>
      provesInBucket(
        { protocol: 's3', server },
        's3://',
        '--s3-endpoint',
        server.endpoint,
        '--s3-region',
        server.region,
      ));
  });
}

describeShared('the history of testnet, 10,046 signed ledgers', () => {
  const THREE = {
    one: ['GC2V2EFSXN6SQTWVYA5EPJPBWWIMSD2XQNKUOHGEKB535AQE2I6IXV2Z'],
    two: ['GCUCJTIYXSOXKBSNFGNFWW5MUQ54HKRPGJUTQFJ5RQXZXNOLNXYDHRAP'],
    three: ['GDKXE2OZMJIPOSLNA6N6F2BVCI3O777I2OOC4BV7VOYUEHYX7RTRYA7Y'],
  };
  const era = (last: number): Settings => ({
    era_id: 'all',
    version_label: 'v1',
    network: 'testnet',
    ledger_start: ARCHIVE.first,
    ledger_end: last,
    partition_size: 10_000,
  });

  it('proves a ledger of the middle of 10,000 in less than a megabyte, and ledgers of all its forms', async () => {
    const real = new Scene(lakeOf(archiveLedgers()), era(ARCHIVE.last), pas());
    await expectDone(real);
    const file = await proved(real, 5000);
    expect(statSync(file).size).toBeLessThan(1_000_000);
    expect((await check(file)).code).toBe(0);
    const three = validators(THREE);
    // 2 to 9: V0, protocol 0; 10 the upgrade, its set still of the old form; 9999 the last of its partition.
    for (const ledger of [2, 8, 9, 10, 2775, 9999]) {
      const more = await proved(real, ledger, '--network', '--validators', three, '--quorum', '3');
      const verdict = await check(more, '--validators', three, '--quorum', '3', '--json');
      expect([verdict.code, JSON.parse(verdict.stdout)]).toMatchObject([
        0,
        { verdict: 'vouched', ledger: { sequence: ledger } },
      ]);
      expect(JSON.parse(verdict.stdout).network.voices).toHaveLength(3);
    }
    // The list that is built in: one organisation, so that the next ledger is enough.
    const built = await check(await proved(real, 10_046, '--network'));
    expect([built.code, lastLine(built)]).toEqual([0, expect.stringMatching(/vouched for by .* \(by ledger 10047\)$/)]);
  });

  it('is not vouched for from the ledger on that somebody forged and signed himself', async () => {
    const last = 60;
    const ledgers = forge(archiveLedgers().slice(0, last - 1), { first: 2, from: 30, forger: 'mallory' });
    const forged = new Scene(lakeOf(ledgers), era(last), pas());
    await expectDone(forged);
    // Ledger 28 is named by the set of 29, which is the network's own.
    expect((await check(await proved(forged, 28, '--network'))).code).toBe(0);
    const { run } = await prove(forged, 30, '--network');
    expect([run.code, run.stderr]).toEqual([4, expect.stringMatching(/^NOT_VOUCHED: /)]);
    const his = validators({ mallory: [forgersKey('mallory').text] });
    const file = await proved(forged, 30, '--network', '--validators', his);
    expect((await check(file, '--validators', his)).code).toBe(0);
    const verdict = await check(file);
    expect([verdict.code, lastLine(verdict)]).toEqual([4, expect.stringMatching(/^NOT VOUCHED FOR: /)]);
  });
});
