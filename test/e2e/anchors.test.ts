/** `verify --anchor` of real histories: up to where a quorum vouches, and what nobody known vouches for. */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkpointHash, headersKey } from '../../actors/anchor/archive.ts';
import { LedgerChecker } from '../../actors/check/ledger-checker.ts';
import { archiveServer, forgedHeaders } from '../support/archive-server.ts';
import { tempFolder } from '../support/bronze.ts';
import { ARCHIVE, archiveLedgers, forge, forgersKey, lakeOf } from '../support/forged.ts';
import { PASSPHRASES, PUBNET, sampleEra, sampleLedgers, sampleScene } from '../support/lakes.ts';
import { hashOf, makeLedger } from '../support/made-ledger.ts';
import { program, Scene, type Settings } from '../support/program.ts';
import { describeShared, SHARED } from '../support/shared.ts';
import { layoutOf, writeLake } from '../support/small-lake.ts';

const HISTORY = join(SHARED, 'ledgers', 'archive', 'testnet-archive');
const THREE = {
  one: ['GC2V2EFSXN6SQTWVYA5EPJPBWWIMSD2XQNKUOHGEKB535AQE2I6IXV2Z'],
  two: ['GCUCJTIYXSOXKBSNFGNFWW5MUQ54HKRPGJUTQFJ5RQXZXNOLNXYDHRAP'],
  three: ['GDKXE2OZMJIPOSLNA6N6F2BVCI3O777I2OOC4BV7VOYUEHYX7RTRYA7Y'],
};

function validatorsFile(organisations: object): string {
  const file = join(tempFolder(), 'validators.json');
  writeFileSync(file, JSON.stringify(organisations));
  return file;
}

const testnet = (more: Settings = {}): Settings => ({
  era_id: 'all',
  version_label: 'v1',
  network: 'testnet',
  ledger_start: ARCHIVE.first,
  ledger_end: ARCHIVE.last,
  partition_size: 1000,
  ...more,
});

async function copied(lake: string, era: Settings | readonly Settings[], more: Settings = {}): Promise<Scene> {
  const scene = new Scene(lake, era, more);
  const run = await scene.run();
  expect(run.code, run.stderr).toBe(0);
  return scene;
}

async function anchored(scene: Scene, ...args: readonly string[]) {
  const { code, stdout, stderr } = await scene.verify('--anchor', '--json', ...args);
  expect(stderr).toBe('');
  const { ok, anchor, findings } = JSON.parse(stdout);
  expect(findings).toEqual([]);
  expect(ok).toBe(code === 0);
  expect(anchor.verdict).toBe(code === 0 ? 'vouched' : 'not_vouched');
  return { code, chains: anchor.networks[0].chains, network: anchor.networks[0] };
}

describeShared('the history of testnet, 10,046 signed ledgers', () => {
  const file = validatorsFile(THREE);
  const three = ['--validators', file, '--quorum', '3'];
  let scene: Scene;
  beforeAll(async () => {
    scene = await copied(lakeOf(archiveLedgers()), testnet());
  });

  it('is vouched for by three organisations up to ledger 10041, and says by which ledgers', async () => {
    const { code, chains, network } = await anchored(scene, ...three);
    expect(code).toBe(0);
    expect(network).toMatchObject({ quorum: 3, organisations: 3, validators: file });
    expect(chains[0].stretches).toEqual([
      expect.objectContaining({
        first: 2,
        last: 10_047,
        vouched_to: 10_041,
        not_vouched: { start: 10_042, end: 10_047 },
        organisations: [
          { organisation: 'one', key: THREE.one[0], ledger: 10_047, vouches_to: 10_046 },
          { organisation: 'three', key: THREE.three[0], ledger: 10_045, vouches_to: 10_044 },
          { organisation: 'two', key: THREE.two[0], ledger: 10_042, vouches_to: 10_041 },
        ],
        stranger_keys: 0,
        not_read: [],
      }),
    ]);
    const { code: sameCode, stdout } = await scene.verify('--anchor', ...three);
    expect(sameCode).toBe(0);
    expect(stdout).toContain('ledgers 2 to 10041 are vouched for by 3 organisations');
    expect(stdout).toContain('not vouched for yet: ledgers 10042 to 10047 (6)');
    expect(stdout).toMatch(/^OK: .* is vouched for up to ledger 10041, not after it$/m);
  });

  it('by the built-in list, which names one organisation, is vouched for up to the last ledger but one', async () => {
    const { code, chains } = await anchored(scene);
    expect([code, chains[0].stretches[0].vouched_to]).toEqual([0, 10_046]);
  });

  it('is vouched for by a sample as well, which says what was not read', async () => {
    const { code, chains } = await anchored(scene, ...three, '--sample', '1/1000');
    expect([code, chains[0].stretches[0].vouched_to]).toEqual([0, 10_041]);
    const unread = chains[0].stretches[0].not_read.length;
    // The last one is read for the signatures; the sample is it or another one.
    expect([9, 10]).toContain(unread);
  });

  it('is vouched for by nobody where two of the three that it takes are others', async () => {
    const others = validatorsFile({ one: THREE.one, x: [forgersKey('x').text], y: [forgersKey('y').text] });
    const { code, chains } = await anchored(scene, '--validators', others);
    expect(code).toBe(4);
    expect(chains[0].stretches[0]).toMatchObject({ vouched_to: null, stranger_keys: 2, stranger_ledgers: 6_630 });
    const { stdout } = await scene.verify('--anchor', '--validators', others);
    expect(stdout).toContain('NOT VOUCHED FOR: ledgers 2 to 10047');
    expect(stdout).not.toMatch(/^OK/m);
  });

  it('agrees with the archive on all 157 checkpoints, and with trusted hashes', async () => {
    const { url } = await archiveServer(HISTORY);
    const trusted = join(tempFolder(), 'trusted.json');
    const hashes = [10_047, 63].map((ledger) => [
      ledger,
      checkpointHash(readFileSync(join(HISTORY, headersKey(ledger))), ledger),
    ]);
    writeFileSync(trusted, JSON.stringify([...hashes, [0, '']]));
    const args = [...three, '--archive', `sdf=${url}`, '--trusted-hashes', trusted];
    const { code, stdout } = await scene.verify('--anchor', '--json', ...args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).anchor).toMatchObject({
      verdict: 'vouched',
      trusted_hashes: { file: trusted, hashes: 2, agrees: 2, contradicts: 0 },
      archives: [{ organisation: 'sdf', url, current_ledger: 10_047, agrees: 157, contradicts: 0, no_answer: [] }],
    });
  });

  it('does not agree with an archive where one file is cut, one absent, one forged: told apart', async () => {
    const folder = join(tempFolder(), 'archive');
    for (const name of ['.well-known', 'ledger']) cpSync(join(HISTORY, name), join(folder, name), { recursive: true });
    const file = (ledger: number) => join(folder, headersKey(ledger));
    writeFileSync(file(5_055), readFileSync(file(5_055)).subarray(0, 500));
    rmSync(file(5_119));
    writeFileSync(file(6_015), forgedHeaders(readFileSync(file(6_015))));
    const { url } = await archiveServer(folder);
    const { code, stdout } = await scene.verify('--anchor', '--json', ...three, '--archive', `sdf=${url}`);
    expect(code).toBe(3);
    const { ok, anchor, findings } = JSON.parse(stdout);
    expect([ok, findings.length]).toEqual([false, 1]);
    expect(findings[0]).toMatchObject({ code: 'ANCHOR_CONTRADICTED', ledger: 6_015, check: 'archive of sdf' });
    const [{ no_answer, ...archive }] = anchor.archives;
    expect(archive).toMatchObject({ agrees: 154, contradicts: 1 });
    expect(no_answer.map(({ reason, count, first }: Record<string, unknown>) => [reason, count, first]).sort()).toEqual(
      [
        ['cut', 1, 5_055],
        ['not_found', 1, 5_119],
      ],
    );
  });

  it('is verified by the anchors of its configuration, where options say nothing else', async () => {
    const { url } = await archiveServer(HISTORY);
    const anchors = { validators: file, quorum: 3, archives: [`sdf=${url}`] };
    const told = async (...args: readonly string[]) => {
      const { code, stdout } = await scene.start('verify', { settings: { anchors }, args: ['--anchor', ...args] }).done;
      return { code, stdout };
    };
    const configured = await told();
    expect(configured.code).toBe(0);
    expect(configured.stdout).toContain('ledgers 2 to 10041 are vouched for by 3 organisations');
    expect(configured.stdout).toContain(`archive of sdf, ${url}: of 157 checkpoints 157 agree`);
    expect((await told('--quorum', '1')).stdout).toContain('ledgers 2 to 10046 are vouched for by 1 organisation');
  });

  it('is vouched for in status as well, at least up to where the events show it', async () => {
    const anchors = { validators: file, quorum: 3 };
    const { stdout } = await scene.start('status', { settings: { anchors }, args: ['--json'] }).done;
    const [{ anchor }] = JSON.parse(stdout).eras;
    expect(anchor).toMatchObject({ quorum: 3, organisations: expect.arrayContaining(['one', 'two', 'three']) });
    // Never more than what `verify` finds.
    expect(anchor.vouched_to_at_least).toBeLessThanOrEqual(10_041);
    expect(anchor.vouched_to_at_least).toBeGreaterThanOrEqual(9_999);
    const text = await scene.start('status', { settings: { anchors } }).done;
    expect(text.stdout).toContain(`vouched for: at least up to ledger ${anchor.vouched_to_at_least}, by the events`);
  });

  it('that contradicts a trusted hash is not OK; a cut file of them is refused', async () => {
    const trusted = join(tempFolder(), 'trusted.json');
    writeFileSync(
      trusted,
      JSON.stringify([
        [5_055, 'ab'.repeat(32)],
        [0, ''],
      ]),
    );
    const { code, stdout } = await scene.verify('--anchor', ...three, '--trusted-hashes', trusted);
    expect(code).toBe(3);
    expect(stdout).toContain('ANCHOR_CONTRADICTED: ledger 5055 does not have the hash');
    expect(stdout).toContain(`expected: ${'ab'.repeat(32)}`);
    writeFileSync(trusted, '[[5055,"abab');
    const cut = await scene.verify('--anchor', ...three, '--trusted-hashes', trusted);
    expect([cut.code, cut.stderr]).toEqual([2, expect.stringContaining('ANCHORS_INVALID')]);
  });

  it('forged from 5000 on and signed by the forger is copied, and nobody known vouches for anything after 4999', async () => {
    const ledgers = forge(archiveLedgers(), { first: ARCHIVE.first, from: 5000, forger: 'forger' });
    const forged = await copied(lakeOf(ledgers), testnet());
    const { code, chains } = await anchored(forged, ...three);
    expect(code).toBe(4);
    const [stretch] = chains[0].stretches;
    expect(stretch.vouched_to).toBeLessThan(4999);
    expect(stretch.vouched_to).toBeGreaterThan(4950);
    expect(stretch.organisations.every((voice: { ledger: number }) => voice.ledger <= 4999)).toBe(true);
    expect(stretch.strangers).toEqual([{ key: forgersKey('forger').text, ledgers: 5048, last: 10_047 }]);
    const { stdout } = await forged.verify('--anchor', ...three);
    const { url } = await archiveServer(HISTORY);
    const against = await forged.verify('--anchor', '--json', ...three, '--archive', `sdf=${url}`);
    expect(against.code).toBe(3);
    // 63 to 4991 are honest.
    expect(JSON.parse(against.stdout).anchor.archives).toMatchObject([{ agrees: 78, contradicts: 79, no_answer: [] }]);
    expect(stdout).toContain(`a key that no organisation has signed up to ledger 10047, which counts for nothing`);
    expect(stdout).not.toMatch(/^OK/m);
  });

  it.each([5_000, 10_020])('honest before %i and forged from there in a second run is not called OK', async (from) => {
    const first = from - 1_000;
    const era = testnet({ ledger_start: first, ledger_end: from - 1 });
    const honest = archiveLedgers().slice(first - ARCHIVE.first);
    const scene = await copied(lakeOf(honest, first), era);
    expect((await anchored(scene, ...three)).code).toBe(0);
    const eras = [{ ...era, ledger_end: from + 27 }];
    const old = lakeOf(forge(honest, { first, from }), first);
    const refused = await scene.change({ eras, source: { local_path: old } }).run();
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('SIGNATURE_INVALID')]);
    const own = lakeOf(forge(honest, { first, from, forger: 'forger' }), first);
    expect((await scene.change({ source: { local_path: own } }).run()).code).toBe(0);
    // 28 ledgers at the end, signed by somebody whom nobody knows: few enough to wait for a quorum, if they were honest.
    const { code, chains } = await anchored(scene, ...three);
    expect([code, chains[0].stretches[0].stranger_ledgers]).toEqual([4, 28]);
    const { stdout } = await scene.verify('--anchor', ...three);
    expect(stdout).not.toMatch(/^OK/m);
  });
});

describe('trusted hashes and a run', () => {
  const trustedFile = (entries: readonly (readonly [number, string])[], end: readonly unknown[] = [[0, '']]) => {
    const file = join(tempFolder(), 'trusted.json');
    writeFileSync(file, JSON.stringify([...entries, ...end]));
    return file;
  };
  const facts = (sequence: number) => {
    const ledger = sampleLedgers()[sequence - 2] as Buffer;
    return new LedgerChecker({ results: true }).check(ledger, 0, ledger.length, sequence).ledgerHash;
  };

  it('that agree are copied; one that contradicts refuses its partition, and those before it stay', async () => {
    const right = [63, 25].map((ledger) => [ledger, facts(ledger)] as const);
    const agreed = await sampleScene(sampleEra(), { anchors: { trusted_hashes: trustedFile(right) } });
    expect((await agreed.run()).code).toBe(0);

    const wrong = trustedFile([...right, [45, 'ab'.repeat(32)]]);
    const scene = await sampleScene(sampleEra(), { anchors: { trusted_hashes: wrong } });
    const { code, summary, logs } = await scene.run();
    expect(code).toBe(1);
    const [era] = summary?.eras ?? [];
    expect(era).toMatchObject({ next_ledger: 40, error: { code: 'ANCHOR_CONTRADICTED', ledger: 45 } });
    expect(logs.find(({ msg }) => msg === 'era failed')).toMatchObject({
      code: 'ANCHOR_CONTRADICTED',
      expected: 'ab'.repeat(32),
      found: facts(45),
    });
    // The cause taken away, the same command goes on.
    const again = await scene.run({ settings: { anchors: { trusted_hashes: trustedFile(right) } } });
    expect(again.code, again.stderr).toBe(0);
  });

  it.each<[string, Settings]>([
    ['a cut file', { trusted_hashes: trustedFile([[25, 'ab'.repeat(32)]], []) }],
    ['a file that is not there', { trusted_hashes: '/no/such/file' }],
    ['a quorum above the number of organisations', { validators: validatorsFile(THREE), quorum: 4 }],
    ['a key that is none', { validators: validatorsFile({ a: ['G'] }) }],
  ])('%s is refused before anything is written, by validate as well', async (_, anchors) => {
    const scene = await sampleScene(sampleEra(), { anchors });
    for (const command of ['run', 'validate']) {
      const { code, stderr } = await scene.start(command).done;
      expect([code, stderr]).toEqual([2, expect.stringContaining('ANCHORS_INVALID')]);
    }
    expect(existsSync(scene.data)).toBe(false);
  });
});

describeShared('ten ledgers of pubnet', () => {
  it('carry the words of six of its seven organisations, named', async () => {
    const first = 63_092_982;
    const ledgers = PUBNET.map((name) => readFileSync(join(SHARED, 'ledgers', name)));
    const lake = join(tempFolder(), 'lake');
    writeLake(lake, new Map(ledgers.map((ledger, i) => [first + i, ledger])), layoutOf(1, 64_000));
    const config = JSON.parse(readFileSync(join(lake, '.config.json'), 'utf8'));
    config.networkPassphrase = PASSPHRASES.pubnet;
    writeFileSync(join(lake, '.config.json'), JSON.stringify(config));
    const era = testnet({ network: 'pubnet', ledger_start: first, ledger_end: first + 9, partition_size: 5 });
    const scene = await copied(lake, era);
    const { code, chains, network } = await anchored(scene);
    expect([code, network.quorum, network.organisations]).toEqual([0, 5, 7]);
    const [stretch] = chains[0].stretches;
    const voices = stretch.organisations as { organisation: string; ledger: number }[];
    expect(voices.map(({ organisation }) => organisation).sort()).toEqual([
      'lobstr.co',
      'publicnode.org',
      'stellar.blockdaemon.com',
      'stellar.creit.tech',
      'www.franklintempleton.com',
      'www.stellar.org',
    ]);
    // The fifth of them from the end makes the quorum.
    expect(stretch.vouched_to).toBe((voices[4]?.ledger ?? 0) - 1);
    expect(stretch.stranger_keys).toBe(0);
    expect((await anchored(scene, '--quorum', '7')).code).toBe(4);
    expect((await anchored(scene, '--quorum', '6')).chains[0].stretches[0].vouched_to).toBe(
      (voices[5]?.ledger ?? 0) - 1,
    );
  });
});

describe('an era that nobody signed', () => {
  const passphrase = 'a network of this test';
  const source = { network_passphrase: passphrase };
  let scene: Scene;

  beforeAll(async () => {
    const { createHash, sign } = await import('node:crypto');
    const networkId = createHash('sha256').update(passphrase).digest();
    const head = Buffer.alloc(36);
    networkId.copy(head);
    head.writeInt32BE(4, 32);
    const ledgers = new Map<number, Buffer>();
    let previousHash: Uint8Array | undefined;
    for (let sequence = 2; sequence <= 61; sequence += 1) {
      const { key, nodeId } = forgersKey(['a', 'b', 'c'][sequence % 3] as string);
      const ledger = makeLedger({
        version: 1,
        sequence,
        ...(previousHash === undefined ? {} : { previousHash }),
        ...(sequence < 32
          ? { unsigned: true as const }
          : {
              sign: (txSetHash: Uint8Array, closeTime: bigint) => {
                const time = Buffer.alloc(8);
                time.writeBigUInt64BE(closeTime);
                return { nodeId, signature: sign(null, Buffer.concat([head, txSetHash, time]), key) };
              },
            }),
      });
      ledgers.set(sequence, ledger);
      previousHash = hashOf(ledger);
    }
    const lake = join(tempFolder(), 'lake');
    writeLake(lake, ledgers, layoutOf(1));
    const config = JSON.parse(readFileSync(join(lake, '.config.json'), 'utf8'));
    writeFileSync(join(lake, '.config.json'), JSON.stringify({ ...config, networkPassphrase: passphrase }));
    const era = (era_id: string, ledger_start: number, ledger_end: number) =>
      testnet({ network: 'made', era_id, ledger_start, ledger_end, partition_size: 10 });
    scene = await copied(lake, [era('old', 2, 31), era('new', 32, 61)], { source });
  });

  const organisations = { a: [forgersKey('a').text], b: [forgersKey('b').text], c: [forgersKey('c').text] };

  it('is vouched for through the one that follows it', async () => {
    const { code, chains } = await anchored(scene, '--validators', validatorsFile(organisations), '--quorum', '3');
    expect(code).toBe(0);
    const of = (name: string) => chains.find(({ chain }: { chain: string }) => chain === `made/${name}/v1`);
    expect(of('old').stretches).toEqual([expect.objectContaining({ first: 2, last: 31, vouched_to: 31, why: null })]);
    expect(of('new').stretches).toEqual([expect.objectContaining({ first: 32, last: 61, vouched_to: 58 })]);
  });

  it('is vouched for by nobody alone', async () => {
    const { code, stdout } = await program(
      'verify',
      scene.chain('made', 'old'),
      '--anchor',
      '--validators',
      validatorsFile(organisations),
    );
    expect(code).toBe(4);
    expect(stdout).toContain('no organisation has signed a ledger');
  });

  it('of a network whose validators nobody knows cannot be asked for', async () => {
    const { code, stderr } = await scene.verify('--anchor');
    expect([code, stderr]).toEqual([2, expect.stringContaining('ANCHORS_INVALID')]);
    const without = await scene.verify('--quorum', '3');
    expect([without.code, without.stderr]).toEqual([2, expect.stringContaining('--quorum goes with --anchor')]);
  });
});
