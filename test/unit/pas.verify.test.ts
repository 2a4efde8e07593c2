// `pas verify` on everything that it reads: `_audit/`, copies, exports, the configured Bronze; both programs' chains.
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { eventBytes, eventHash } from '../../actors/bronze/event.ts';
import { auditPrefix, backupFile, eventKey } from '../../actors/bronze/names.ts';
import { readChain } from '../../actors/chain/audit-chain.ts';
import { restoreCopies } from '../../actors/chain/copies.ts';
import type { BronzeError } from '../../machines/errors.ts';
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
import { describeShared, SHARED } from '../support/shared.ts';

const EVENTS = 4;
const RANGES = rangesOf(10, 10, EVENTS);
const HEADS = 'pas-chain-heads.json';
const KEY = 'pubnet/pre_p23/v1';

interface Finding {
  readonly ok: boolean;
  readonly [field: string]: unknown;
}
interface Verdict {
  readonly code: number;
  readonly ok: boolean;
  readonly chains: readonly Finding[];
  readonly failures: readonly { readonly code: string; readonly message: string }[];
}

vi.mock('../../runtime/streams.ts', async (original) => (await import('../support/said.ts')).quietly(original));

async function run(args: readonly string[], options: Record<string, string | boolean>) {
  taken();
  return { code: await execute({ args, options }), text: taken() };
}
async function verify(path?: string, options: Record<string, string> = {}): Promise<Verdict> {
  const { code, text } = await run(['verify', ...(path === undefined ? [] : [path])], { ...options, json: true });
  return { code, ...JSON.parse(text) };
}

const committed = tempFolder();
let estate: Estate;
let audit: string;
let backup: string;
let texts: string[];
let head: string;

beforeAll(async () => {
  const made = estateIn(committed);
  await commitAll(made, RANGES);
  const { events } = await readChain(placeOf(made));
  await restoreCopies({ dir: join(committed, 'pas-backup'), chain: CHAIN }, made.store, events);
});
beforeEach(() => {
  estate = estateIn();
  cpSync(committed, estate.root, { recursive: true });
  audit = join(estate.root, 'bronze', auditPrefix(CHAIN));
  backup = join(estate.root, 'pas-backup');
  texts = RANGES.map((_, n) => readFileSync(join(estate.root, 'bronze', eventKey(CHAIN, n)), 'utf8'));
  head = JSON.parse(texts.at(-1) as string).chain.event_hash;
});

const eventFile = (n: number): string => join(audit, basename(eventKey(CHAIN, n)));
const copyFile = (n: number): string => join(backup, backupFile(CHAIN, RANGES[n] as (typeof RANGES)[0]));
const whole = (more: object = {}) => ({
  ok: true,
  chain: KEY,
  version: '1.2',
  events: EVENTS,
  head,
  duplicates: 0,
  ...more,
});
const broken = (n: number, more: object = {}) => {
  const { start, end } = RANGES[n] as (typeof RANGES)[0];
  return { ok: false, chain: KEY, sequence: n, start, end, ...more };
};
/** Another event for a partition, whole in itself. */
function forked(n: number): Uint8Array {
  const event = JSON.parse(texts[n] as string);
  const other = { ...event, manifest_sha256: hex('another manifest') };
  return eventBytes({ ...other, chain: { ...other.chain, event_hash: eventHash(other) } });
}

describe('a folder', () => {
  it('of a chain, or any above it, is verified', async () => {
    for (const path of [audit, join(audit, '..'), join(estate.root, 'bronze'), estate.root]) {
      expect(await verify(path)).toMatchObject({ code: 0, ok: true, chains: [whole({ heads: null })], failures: [] });
    }
    const { code, text } = await run(['verify', audit], {});
    expect(code).toBe(0);
    expect(text).toContain(`${KEY}: ${EVENTS} events, unbroken, head ${head}`);
  });

  it('above several chains gives one verdict each', async () => {
    const other = { ...CHAIN, eraId: 'p23' };
    await commitAll({ ...estate, chain: other }, rangesOf(50, 10, 2));
    rmSync(join(estate.root, 'bronze', eventKey(other, 0)));
    expect(await verify(estate.root)).toMatchObject({
      code: 3,
      ok: false,
      chains: [{ ok: false, chain: 'pubnet/p23/v1', sequence: 1, object: expect.stringContaining('p23') }, whole()],
    });
  });

  it('of copies is verified, and its heads with it', async () => {
    expect(await verify(backup)).toMatchObject({ code: 0, chains: [whole({ heads: 'same' })] });
    const heads = (content: string): void => writeFileSync(join(backup, HEADS), content);
    heads(JSON.stringify({ [KEY]: JSON.parse(texts[1] as string).chain.event_hash }));
    expect(await verify(backup)).toMatchObject({ code: 0, chains: [whole({ heads: 'behind' })] });
    heads(JSON.stringify({ [KEY]: `sha256:${hex('x')}` }));
    expect(await verify(backup)).toMatchObject({ code: 3, chains: [broken(3, { reason: /names sha256/ })].map(loose) });
    heads(JSON.stringify({ [KEY]: head, 'pubnet/p23/v1': head }));
    expect(await verify(backup)).toMatchObject({ code: 3, failures: [{ code: 'AUDIT_HOLE' }] });
    for (const content of ['', '[]', '{"a":1}']) {
      heads(content);
      expect(await verify(backup)).toMatchObject({ code: 3, chains: [whole()], failures: [{ code: 'AUDIT_INVALID' }] });
    }
    rmSync(join(backup, HEADS));
    expect(await verify(backup)).toMatchObject({ code: 0, chains: [whole({ heads: null })] });
  });

  it('S12: whose last copies are cut off is found out by its heads', async () => {
    rmSync(copyFile(3));
    expect(await verify(backup)).toMatchObject({ code: 3, chains: [broken(2, { reason: /not here/ })].map(loose) });
    for (const n of [0, 1, 2]) rmSync(copyFile(n));
    expect(await verify(backup)).toMatchObject({ code: 3, chains: [], failures: [{ code: 'AUDIT_HOLE' }] });
  });

  it('S9: says where it breaks first, and why', async () => {
    rmSync(eventFile(1));
    expect(await verify(audit)).toMatchObject({
      code: 3,
      chains: [broken(2, { object: eventFile(2), reason: /sequence 1 is missing/ })].map(loose),
    });
    writeFileSync(eventFile(1), (texts[1] as string).replace('"row_count": 10', '"row_count": 11'));
    const changed = await verify(audit);
    expect(changed).toMatchObject({ code: 3, failures: [{ code: 'AUDIT_INVALID', object: eventFile(1) }] });
    expect(changed.chains).toEqual([expect.objectContaining(broken(2))]);
    writeFileSync(eventFile(1), forked(1));
    expect(await verify(audit)).toMatchObject({
      code: 3,
      chains: [broken(2, { reason: /as the event before it/ })].map(loose),
      failures: [],
    });
    const { text } = await run(['verify', audit], {});
    expect(text).toContain(`${KEY}: breaks at ${eventFile(2)} (ledgers 30 to 39): it names`);
  });

  it('S9: an event under the name of another is told', async () => {
    renameSync(eventFile(3), join(audit, '0000000007.json'));
    const { code, failures } = await verify(audit);
    expect(code).toBe(3);
    expect(failures).toEqual([
      expect.objectContaining({ code: 'AUDIT_INVALID', message: expect.stringMatching(/number 3/) }),
    ]);
  });

  it('without events, or that is not there, is a wrong call', async () => {
    for (const path of [tempFolder(), join(estate.root, 'nowhere'), 's3://bucket/x', 'gs://bucket']) {
      expect((await failureOf(verify(path))).code).toBe('USAGE');
    }
    expect((await failureOf(run(['verfiy'], {}))).code).toBe('USAGE');
    expect((await failureOf(run(['deliver', 'x'], {}))).code).toBe('USAGE');
  });
});

/** Regular expressions in a finding match a text. */
function loose(finding: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(finding).map(([key, value]) => [
      key,
      value instanceof RegExp ? expect.stringMatching(value) : value,
    ]),
  );
}

describe('an export of an endpoint', () => {
  let file: string;
  beforeEach(() => {
    file = join(tempFolder(), 'export');
  });
  const dense = (text: string): string => JSON.stringify(JSON.parse(text));
  const forms: [string, (events: readonly string[]) => string][] = [
    ['an array', (events) => `[${events.join(',')}]`],
    ['JSON Lines', (events) => events.map((event) => `${dense(event)}\n`).join('')],
    ['events', (events) => `{"total": ${events.length}, "events": [${events.join(',\n')}]}`],
    ['a file with a byte-order mark', (events) => `\ufeff[${events.join(',')}]`],
  ];

  it.each(forms)('as %s is verified in any order, with what came twice counted', async (_, form) => {
    writeFileSync(file, form([...texts].reverse()));
    expect(await verify(file)).toMatchObject({ code: 0, chains: [whole({ place: file })] });
    writeFileSync(file, form([...texts.slice(2), ...texts, texts[0] as string]));
    expect(await verify(file)).toMatchObject({ code: 0, chains: [whole({ duplicates: 3 })] });
  });

  it.each(forms)('as %s says which event breaks', async (_, form) => {
    writeFileSync(file, form(texts.filter((_text, n) => n !== 1)));
    const reason = /sequence 1 is missing/;
    expect(await verify(file)).toMatchObject({
      code: 3,
      chains: [broken(2, { object: /(element|line) 2$/, reason })].map(loose),
    });
    writeFileSync(file, form([...texts, Buffer.from(forked(2)).toString()]));
    expect(await verify(file)).toMatchObject({
      code: 3,
      chains: [{ ok: false, sequence: 2, reason: 'two events have the sequence 2' }],
    });
    writeFileSync(file, form(['{"hello":1}', ...texts]));
    expect(await verify(file)).toMatchObject({ code: 3, chains: [whole()], failures: [{ code: 'AUDIT_INVALID' }] });
  });

  it('that was cut off says so', async () => {
    const lines = texts.map(dense).join('\n');
    writeFileSync(file, lines.slice(0, -20));
    expect(await verify(file)).toMatchObject({
      code: 3,
      chains: [{ ok: true, events: EVENTS - 1 }],
      failures: [{ code: 'AUDIT_INVALID', object: `${file}, line ${EVENTS}` }],
    });
  });

  it('that is none is a wrong call', async () => {
    for (const content of ['', '<html>', '[{"a":', Buffer.from([0xff, 0xfe]), '[]']) {
      writeFileSync(file, content);
      expect((await failureOf(verify(file))).code).toBe('USAGE');
    }
  });
});

describe('the configured Bronze', () => {
  let config: string;
  beforeEach(() => {
    config = join(estate.root, 'config.yaml');
    const settings = {
      era: {
        era_id: 'pre_p23',
        version_label: 'v1',
        network: 'pubnet',
        ledger_start: 10,
        ledger_end: 49,
        partition_size: 10,
      },
      source: { mode: 'local', local_path: join(estate.root, 'lake') },
      storage: { backend: 'local', local_dir: estate.root, prefix: 'bronze/' },
      pas: { backup_dir: backup },
      checkpoint: { dir: join(estate.root, 'state') },
    };
    writeFileSync(config, stringify(settings));
  });

  it('is verified together with its copies', async () => {
    expect(await verify(undefined, { config })).toMatchObject({
      code: 0,
      chains: [whole({ heads: null }), whole({ heads: 'same', place: backup })],
    });
    rmSync(backup, { recursive: true });
    expect(await verify(undefined, { config })).toMatchObject({ code: 0, chains: [whole()] });
  });

  it('S12: may lack nothing that its copies hold', async () => {
    rmSync(eventFile(3));
    expect(await verify(undefined, { config })).toMatchObject({
      code: 3,
      chains: [
        { ok: true, events: 3 },
        broken(3, { place: backup, reason: 'the chain in Bronze does not have this event' }),
      ],
    });
    rmSync(audit, { recursive: true });
    expect(await verify(undefined, { config })).toMatchObject({ code: 3, chains: [broken(0, { place: backup })] });
    rmSync(backup, { recursive: true });
    const failure: BronzeError = await failureOf(verify(undefined, { config }));
    expect([failure.code, failure.message]).toEqual(['USAGE', expect.stringContaining('_audit')]);
  });

  it("S9: names an event of another chain that lies in this one's place", async () => {
    const other = { ...CHAIN, eraId: 'p23' };
    await commitAll({ ...estate, chain: other }, rangesOf(50, 10, 1));
    cpSync(join(estate.root, 'bronze', eventKey(other, 0)), eventFile(0));
    const { code, failures } = await verify(undefined, { config });
    expect(code).toBe(3);
    expect(failures).toEqual([
      expect.objectContaining({ code: 'AUDIT_INVALID', message: expect.stringContaining('it is of pubnet/p23/v1') }),
    ]);
  });
});

describeShared("S28: the old program's chains", () => {
  const old = join(SHARED, 'old-estate/aligned/pas-backup');
  const oldFiles = (): string[] => readdirSync(old).filter((name) => name !== HEADS);
  const oldTexts = (): string[] => oldFiles().map((name) => readFileSync(join(old, name), 'utf8'));

  it.each(['aligned', 'unaligned'])('%s: are verified where that program left them', async (name) => {
    const folder = join(SHARED, 'old-estate', name, 'pas-backup');
    const heads = JSON.parse(readFileSync(join(folder, HEADS), 'utf8'));
    expect(await verify(folder)).toMatchObject({
      code: 0,
      chains: [{ ok: true, version: '1.1', chain: KEY, head: heads[KEY], heads: 'same' }],
    });
    const { text } = await run(['verify', folder], {});
    expect(text).toContain('events 1.1, of the old program');
  });

  it('are verified from an export, whose text keeps the order of keys', async () => {
    const file = join(tempFolder(), 'export.jsonl');
    const dense = oldTexts().map((text) => JSON.stringify(JSON.parse(text)));
    for (const content of [
      `[${oldTexts().join(',')}]`,
      dense.join('\n'),
      `{"events":[${[...dense, dense[0]].join(',')}]}`,
    ]) {
      writeFileSync(file, content);
      expect(await verify(file)).toMatchObject({ code: 0, chains: [{ ok: true, version: '1.1', events: 3 }] });
    }
    writeFileSync(file, dense.join('\n').replace('"row_count":10', '"row_count":10.0'));
    expect(await verify(file)).toMatchObject({ code: 3, failures: [{ code: 'AUDIT_INVALID' }] });
    writeFileSync(file, [dense[0], dense[2]].join('\n'));
    expect(await verify(file)).toMatchObject({ code: 3, chains: [{ ok: false, version: '1.1', start: 64020 }] });
  });

  it('are a chain of their own beside the one of this program, flat or in v1.1/', async () => {
    const both = (more: object) => [{ ok: true, version: '1.1', events: 3 }, whole(more)];
    const sorted = async (path: string): Promise<Verdict> => {
      const verdict = await verify(path);
      return {
        ...verdict,
        chains: [...verdict.chains].sort((a, b) => (String(a.version) < String(b.version) ? -1 : 1)),
      };
    };
    for (const name of oldFiles()) cpSync(join(old, name), join(backup, name));
    expect(await sorted(backup)).toMatchObject({ code: 0, chains: both({ heads: 'same' }) });
    for (const folder of [audit, backup]) {
      mkdirSync(join(folder, 'v1.1'));
      for (const name of oldFiles()) cpSync(join(old, name), join(folder, 'v1.1', name));
    }
    for (const name of oldFiles()) rmSync(join(backup, name));
    expect(await sorted(audit)).toMatchObject({ code: 0, chains: both({}) });
    expect(await sorted(estate.root)).toMatchObject({ code: 0, chains: both({}) });
    expect(await sorted(backup)).toMatchObject({ code: 0, chains: both({ heads: 'same' }) });
    // Adopted, and nothing new yet: the heads are still those of the old chain.
    for (const n of [0, 1, 2, 3]) rmSync(copyFile(n));
    cpSync(join(old, HEADS), join(backup, HEADS));
    expect(await verify(backup)).toMatchObject({ code: 0, chains: [{ version: '1.1', heads: 'same' }], failures: [] });
    rmSync(join(backup, 'v1.1', oldFiles()[2] as string));
    expect(await verify(backup)).toMatchObject({ code: 3, chains: [{ ok: false, version: '1.1' }] });
  });

  it('in v1.1/ are held against the heads that were kept with them', async () => {
    const kept = join(backup, 'v1.1');
    cpSync(old, kept, { recursive: true });
    const chains = (more: object) => expect.arrayContaining([expect.objectContaining({ version: '1.1', ...more })]);
    expect(await verify(backup)).toMatchObject({ code: 0, chains: chains({ ok: true, heads: 'same' }), failures: [] });
    rmSync(join(kept, oldFiles()[2] as string));
    expect(await verify(backup)).toMatchObject({ code: 3, chains: chains({ ok: false, start: 64010 }) });
    for (const name of oldFiles()) rmSync(join(kept, name), { force: true });
    expect(await verify(backup)).toMatchObject({ code: 3, failures: [{ code: 'AUDIT_HOLE' }] });
  });

  it('are found archived in the configured Bronze, and its copies are compared with them', async () => {
    const config = join(estate.root, 'config.yaml');
    const text = readFileSync(join(SHARED, 'old-estate/aligned/config.yaml'), 'utf8');
    writeFileSync(
      config,
      text.replace('./data', estate.root).replace('./pas-backup', old).replace('./state', join(estate.root, 'state')),
    );
    rmSync(audit, { recursive: true });
    expect(await verify(undefined, { config })).toMatchObject({ code: 0, chains: [{ version: '1.1', place: old }] });
    mkdirSync(join(audit, 'v1.1'), { recursive: true });
    for (const name of oldFiles()) cpSync(join(old, name), join(audit, 'v1.1', name));
    expect(await verify(undefined, { config })).toMatchObject({
      code: 0,
      chains: [
        { version: '1.1', events: 3 },
        { version: '1.1', place: old, heads: 'same' },
      ],
    });
    rmSync(join(audit, 'v1.1', oldFiles()[2] as string));
    expect(await verify(undefined, { config })).toMatchObject({
      code: 3,
      chains: [
        { ok: true, events: 2 },
        { ok: false, place: old, reason: 'the chain in Bronze does not have this event' },
      ],
    });
  });
});
