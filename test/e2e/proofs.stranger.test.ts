/**
 * Two checkers of proofs, the program's and one that was written from docs/proofs.md alone, hold the same of what the
 * program makes, and of everything that can be changed in it without the key.
 */
import { hash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import canonicalize from 'canonicalize';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkProof } from '../../actors/proof/check.ts';
import { VerifierKey } from '../../actors/tlog/keys.ts';
import { BronzeError } from '../../machines/errors.ts';
import { tempFolder } from '../support/bronze.ts';
import { expectDone, newCopier, said } from '../support/copier.ts';
import { ARCHIVE, archiveLedgers, lakeOf } from '../support/forged.ts';
import type { ProofText } from '../support/made-proof.ts';
import { program, Scene, type Settings } from '../support/program.ts';
import { describeShared } from '../support/shared.ts';
import { strangerChecks } from '../support/stranger-checker.ts';

const NAME = 'example.com/bronze';
const VALIDATORS = join(import.meta.dirname, '../../config/examples/sample-validators.json');
const WORDS = ['--network', '--validators', VALIDATORS];
const folder = tempFolder();

let signing: string;
let key: string;
let otherKey: string;
let scene: Scene;

async function newKey(file: string): Promise<string> {
  const made = await program('pas', 'keygen', '--out', file, '--origin', NAME);
  expect(made.code, said(made)).toBe(0);
  return made.stdout.trim();
}

const pas = (): Settings => ({ pas: { signing_key: signing, origin: NAME } });

beforeAll(async () => {
  signing = join(folder, 'signing.key');
  key = await newKey(signing);
  otherKey = await newKey(join(folder, 'other.key'));
  scene = (await newCopier({ start: 43, end: 85, size: 8 })).change(pas());
  await expectDone(scene);
});

let files = 0;
async function proved(of: Scene, ledger: number, ...args: readonly string[]): Promise<Buffer> {
  const file = join(folder, `${++files}.proof`);
  const run = await of.start('prove', { args: [String(ledger), '--out', file, ...args] }).done;
  expect(run.code, said(run)).toBe(0);
  return readFileSync(file);
}

/** True, or the step at which the program's own checker refuses it. */
function programChecks(file: Buffer, by = key): true | string {
  try {
    checkProof(file, [VerifierKey.parse(by)]);
    return true;
  } catch (error) {
    if (!(error instanceof BronzeError) || error.code !== 'PROOF_INVALID') throw error;
    return String(error.details?.check);
  }
}

/** What both say; the name of the step may differ only where one file fails at several. */
const both = (file: Buffer, by = key): [boolean, boolean] => [
  programChecks(file, by) === true,
  strangerChecks(file, [by]) === true,
];
const TAKEN = [true, true];
const REFUSED = [false, false];

const written = (value: unknown): Buffer => Buffer.from(`${canonicalize(value)}\n`);
/** As `written`, of values that RFC 8785 has no word for as well: lone surrogates, as escapes. */
const sorted = (value: unknown): string => {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(sorted).join(',')}]`;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, held]) => `${JSON.stringify(name)}:${sorted(held)}`).join(',')}}`;
};
const parsed = (file: Buffer): ProofText => JSON.parse(file.toString()) as ProofText;

describe('what the program has made', () => {
  it('is taken by both: first, middle and last of a partition, both eras, with and without the network', async () => {
    for (const ledger of [43, 45, 47, 48, 63, 64, 67, 71, 80, 85]) {
      expect(both(await proved(scene, ledger)), `ledger ${ledger}`).toEqual(TAKEN);
    }
    for (const ledger of [43, 47, 48, 55, 62, 63, 64, 71]) {
      expect(both(await proved(scene, ledger, ...WORDS)), `ledger ${ledger} with the network`).toEqual(TAKEN);
    }
  });

  it('is refused by both with another key, and as part of another proof', async () => {
    const [one, two, far] = [await proved(scene, 50), await proved(scene, 51), await proved(scene, 66)].map(parsed);
    if (!one || !two || !far) throw new Error('three proofs were made');
    expect(both(written(one), otherKey)).toEqual(REFUSED);
    const words = parsed(await proved(scene, 50, ...WORDS)).network;
    for (const forged of [
      { ...one, ledger: two.ledger },
      { ...one, ledger: { ...one.ledger, sequence: 51 } },
      { ...one, ledger: { ...two.ledger, sequence: 50 } },
      { ...one, partition: two.partition },
      { ...one, partition: far.partition },
      { ...one, log: far.log },
      { ...one, log: { ...one.log, proof: far.log.proof } },
      { ...one, ledger: far.ledger },
      { ...two, network: words },
      { ...far, network: words },
    ]) {
      expect(both(written(forged))).toEqual(REFUSED);
    }
  });
});

describe('what was changed on its way', () => {
  it('is refused by both, whichever bit it is and wherever it was cut', async () => {
    const file = await proved(scene, 50, ...WORDS, '--quorum', '1');
    expect(both(file)).toEqual(TAKEN);
    const taken: number[] = [];
    for (let bit = 0; bit < 8 * file.length; bit += 1) {
      const changed = Buffer.from(file);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      if (strangerChecks(changed, [key]) === true || programChecks(changed) === true) taken.push(bit);
    }
    expect(taken).toEqual([]);
    for (let length = 0; length < file.length; length += 13) {
      expect(both(file.subarray(0, length)), `cut at ${length}`).toEqual(REFUSED);
    }
  });

  it('is the same to both after hundreds of changes of its structure', async () => {
    const file = await proved(scene, 50, ...WORDS);
    let random = 7;
    const below = (most: number): number => {
      random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((random / 2 ** 32) * most);
    };
    const odd: unknown[] = [
      null,
      true,
      0,
      -1,
      1.5,
      2 ** 53,
      '',
      '50',
      'AA==',
      'AB==',
      '=',
      [],
      {},
      '\u0000',
      'é',
      '\ud800',
    ];
    /** One change somewhere in the value. */
    const change = (value: unknown): unknown => {
      const turn = below(10);
      if (Array.isArray(value)) {
        const at = below(value.length);
        if (turn === 0) return [...value, ...value.slice(at)];
        if (turn === 1) return value.filter((_, i) => i !== at);
        if (turn === 2) return [...value].reverse();
        return value.map((one, i) => (i === at ? change(one) : one));
      }
      if (typeof value === 'object' && value !== null) {
        const entries = Object.entries(value);
        const [name = 'x'] = entries[below(entries.length)] ?? [];
        const [other = 'y', that] = entries[below(entries.length)] ?? [];
        if (turn === 0) return { ...value, extra: that };
        if (turn === 1) return Object.fromEntries(entries.filter(([one]) => one !== name));
        if (turn === 2) return { ...value, [name]: that };
        if (turn === 3) return { ...value, [`${other} `]: that };
        return Object.fromEntries(entries.map(([one, held]) => [one, one === name ? change(held) : held]));
      }
      if (turn < 3) return odd[below(odd.length)];
      if (typeof value === 'number') return turn < 6 ? String(value) : value + turn - 7;
      const text = String(value);
      const at = below(text.length);
      if (turn < 5) return text.slice(0, at) + [' ', '\n', '=', '-', '_', 'A'][below(6)] + text.slice(at);
      if (turn < 7) return text.slice(0, at) + text.slice(at + 1);
      if (turn < 8) return `${text}\n`;
      const lines = text.split('\n');
      return [...lines, ...lines.slice(below(lines.length))].join('\n');
    };
    const differ: string[] = [];
    let refused = 0;
    for (let turn = 0; turn < 600; turn += 1) {
      const changed = change(parsed(file));
      const spaced = turn % 10 === 0 ? Buffer.from(`${JSON.stringify(changed, null, 1)}\n`) : null;
      const [program, stranger] = both(spaced ?? Buffer.from(`${sorted(changed)}\n`));
      if (program !== stranger) differ.push(`${turn}: program ${program}, stranger ${stranger}`);
      if (!program) refused += 1;
    }
    expect(differ).toEqual([]);
    expect(refused).toBeGreaterThan(400);
  });

  it('is the same to both where the text is JSON still, and not the same text', async () => {
    const text = (await proved(scene, 50)).toString();
    for (const changed of [
      text.trimEnd(),
      `${text}\n`,
      ` ${text}`,
      `\ufeff${text}`,
      text.replace('\n', '\r\n'),
      text.replace('"sequence":50', '"sequence":50.0'),
      text.replace('"sequence":50', '"sequence":5e1'),
      text.replace('"sequence":50', '"sequence":"50"'),
      text.replace('"sequence":50', '"sequence":50,"sequence":50'),
      text.replace('"format"', '"\\u0066ormat"'),
      text.replace('{"format"', '{"__proto__":{},"format"'),
      text.replace('ledger-proof/1', 'ledger-proof\\/1'),
      text.replace('"format":"bronze-ledger-proof/1",', ''),
    ]) {
      expect(changed).not.toBe(text);
      expect(both(Buffer.from(changed))).toEqual(REFUSED);
    }
  });

  it('is the same to both where the ledger was packed in another way', async () => {
    const proof = parsed(await proved(scene, 50));
    const xdr = gunzipSync(Buffer.from(proof.ledger.xdr_gzip, 'base64'));
    const gz = gzipSync(xdr);
    const split = Buffer.concat([gzipSync(xdr.subarray(0, 9)), gzipSync(xdr.subarray(9))]);
    const cases: [string, Buffer, boolean][] = [
      ['other level', gzipSync(xdr, { level: 1 }), true],
      ['two members', split, true],
      ['an empty member after it', Buffer.concat([gz, gzipSync('')]), true],
      ['zeros after it', Buffer.concat([gz, Buffer.alloc(3)]), false],
      ['garbage after it', Buffer.concat([gz, Buffer.from('garbage')]), false],
      ['half a member after it', Buffer.concat([gz, gz.subarray(0, 12)]), false],
      ['cut', gz.subarray(0, -1), false],
      ['more after the ledger', gzipSync(Buffer.concat([xdr, Buffer.alloc(4)])), false],
      ['nothing', Buffer.alloc(0), false],
    ];
    const found = cases.map(([name, packed]) => {
      const digest = hash('sha256', packed, 'hex');
      const ledger = { ...proof.ledger, xdr_gzip: packed.toString('base64'), xdr_gzip_sha256: digest };
      return [name, ...both(written({ ...proof, ledger }))];
    });
    expect(found).toEqual(cases.map(([name, , taken]) => [name, taken, taken]));
  });

  it('is the same to both where lines of the head are there twice, and to the program as a process', async () => {
    const proof = parsed(await proved(scene, 50));
    const { proof: log } = proof.log;
    const signature = log.trimEnd().split('\n').at(-1) as string;
    const changed = [
      `${log}${signature}\n`,
      `${log}\n`,
      `${log}${`${signature}\n`.repeat(2_000)}`,
      log.replace('index ', 'index 0'),
      log.replace('index ', 'index +'),
      log.replaceAll('\n', '\r\n'),
      log.replace('\n\n', '\nextra AA==\n\n'),
      log.replace('\u2014', '-'),
      log.trimEnd(),
      log + signature.repeat(2),
    ].map((text) => written({ ...proof, log: { ...proof.log, proof: text } }));
    const taken = changed.map((file) => both(file));
    expect(taken).toEqual(changed.map((_, i) => (i === 0 ? TAKEN : REFUSED)));
    const file = join(folder, 'changed.proof');
    writeFileSync(file, changed[1] as Buffer);
    expect((await program('check-proof', file, '--key', key)).code).toBe(3);
    expect((await program('check-proof', file, '--key', otherKey)).code).toBe(3);
  });
});

describeShared('ledgers of testnet', () => {
  it('are taken by both: of both forms of set, with the words of the network', async () => {
    const era = { era_id: 'all', version_label: 'v1', network: 'testnet', partition_size: 10_000 };
    const range = { ledger_start: ARCHIVE.first, ledger_end: ARCHIVE.last };
    const real = new Scene(lakeOf(archiveLedgers()), { ...era, ...range }, pas());
    await expectDone(real);
    for (const ledger of [2, 9, 10, 2775, 9999, 10_046]) {
      expect(both(await proved(real, ledger)), `ledger ${ledger}`).toEqual(TAKEN);
      expect(both(await proved(real, ledger, '--network')), `ledger ${ledger}`).toEqual(TAKEN);
    }
  });
});
