/** History archives and trusted hashes: what each answer counts as, and that no answer is neither agreement nor dissent. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkpointHash, checkpointsIn, HistoryArchive, headersKey } from '../../actors/anchor/archive.ts';
import type { Bounds } from '../../actors/anchor/bounded-get.ts';
import { KnownHashes } from '../../actors/anchor/known-hashes.ts';
import { parseTrustedHashes } from '../../actors/anchor/trusted-hashes.ts';
import { toFailure } from '../../machines/errors.ts';
import { archiveServer, forgedHeaders } from '../support/archive-server.ts';
import { tempFolder } from '../support/bronze.ts';
import { PASSPHRASES } from '../support/lakes.ts';
import { describeShared, SHARED } from '../support/shared.ts';

const ARCHIVE = join(SHARED, 'ledgers', 'archive', 'testnet-archive');
const never = new AbortController().signal;
const BOUNDS: Partial<Bounds> = { timeoutMs: 5_000, limit: 64 * 1024, redirects: 3 };

describe('checkpoints', () => {
  it('are 64 apart, the first one 63', () => {
    expect(checkpointsIn({ start: 2, end: 200 })).toEqual([63, 127, 191]);
    expect(checkpointsIn({ start: 63, end: 63 })).toEqual([63]);
    expect(checkpointsIn({ start: 64, end: 126 })).toEqual([]);
    expect(checkpointsIn({ start: 127, end: 127 + 64 })).toEqual([127, 191]);
    expect(headersKey(10_047)).toBe('ledger/00/00/27/ledger-0000273f.xdr.gz');
  });
});

describeShared('an archive', () => {
  /** What Bronze has; the archive's own, read by this test. */
  const known = new Map<number, string>();
  beforeAll(() => {
    for (const ledger of [63, 127, 191, 255]) {
      const hash = checkpointHash(readFileSync(join(ARCHIVE, headersKey(ledger))), ledger);
      if (typeof hash !== 'string') throw new Error(hash.why);
      known.set(ledger, hash);
    }
  });

  async function asked(url: string, bounds: Partial<Bounds> = {}, passphrase: string | null = PASSPHRASES.testnet) {
    const archive = new HistoryArchive({ organisation: 'org', url }, passphrase, { ...BOUNDS, ...bounds });
    const dissent = await archive.compare(known, never);
    const { agrees, contradicts, no_answer } = archive.report();
    return { agrees, contradicts, silences: no_answer.map(({ reason, count }) => [reason, count]), dissent };
  }

  it('that has the same hashes agrees', async () => {
    const { url } = await archiveServer(ARCHIVE);
    expect(await asked(url)).toEqual({ agrees: 4, contradicts: 0, silences: [], dissent: [] });
  });

  it('with one file cut, one absent and one forged: each is told apart', async () => {
    const folder = join(tempFolder(), 'archive');
    for (const name of ['.well-known', 'ledger/00/00/00']) {
      cpSync(join(ARCHIVE, name), join(folder, name), { recursive: true });
    }
    const file = (ledger: number) => join(folder, headersKey(ledger));
    const cut = readFileSync(file(63));
    writeFileSync(file(63), cut.subarray(0, cut.length / 2));
    rmSync(file(127));
    writeFileSync(file(191), forgedHeaders(readFileSync(file(191))));
    const { url } = await archiveServer(folder);
    const { dissent, silences, ...counts } = await asked(url);
    expect(counts).toEqual({ agrees: 1, contradicts: 1 });
    expect(silences.sort()).toEqual([
      ['cut', 1],
      ['not_found', 1],
    ]);
    expect(dissent).toEqual([
      {
        ledger: 191,
        expected: expect.stringMatching(/^[0-9a-f]{64}$/),
        found: known.get(191),
        object: `${url}/${headersKey(191)}`,
      },
    ]);
    expect(dissent[0]?.expected).not.toBe(known.get(191));
  });

  it('whose file is cut anywhere, or has a bit flipped, neither agrees nor contradicts', () => {
    const file = readFileSync(join(ARCHIVE, headersKey(63)));
    for (let length = 0; length < file.length; length += 97) {
      expect(checkpointHash(file.subarray(0, length), 63)).toMatchObject({ silence: expect.any(String) });
    }
    for (let at = 0; at < file.length; at += 41) {
      const flipped = Buffer.from(file);
      flipped[at] = (flipped[at] as number) ^ 4;
      const answer = checkpointHash(flipped, 63);
      if (typeof answer === 'string') expect(answer).toBe(known.get(63));
    }
    expect(checkpointHash(file, 127)).toMatchObject({ silence: 'damaged' });
  });

  const HEADERS = 'ledger/';
  /** The state is told as ever; what is asked for after it is not. */
  const files =
    (odd: (response: ServerResponse, path: string) => void) =>
    (response: ServerResponse, path: string): void =>
      path.startsWith(HEADERS) ? odd(response, path) : void response.end(readFileSync(join(ARCHIVE, path)));

  it.each<[string, (response: ServerResponse, path: string) => void, string]>([
    ['answers 404', (response) => response.writeHead(404).end(), 'not_found'],
    ['answers 403', (response) => response.writeHead(403).end(), 'denied'],
    ['answers 500', (response) => response.writeHead(500).end(), 'status'],
    ['answers a web page', (response) => response.setHeader('content-type', 'text/html').end('<p>hello'), 'html'],
    ['answers a web page that does not say so', (response) => response.end(' <!DOCTYPE html><p>'), 'html'],
    ['redirects for ever', (response, path) => response.writeHead(302, { location: `/${path}` }).end(), 'redirects'],
    ['redirects to nowhere', (response) => response.writeHead(301).end(), 'redirects'],
    [
      'redirects to a file',
      (response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
      'redirects',
    ],
    ['sends without end', (response) => sendForEver(response), 'too_large'],
    [
      'ends early',
      (response) => response.writeHead(200, { 'content-length': '9999' }).write('x', () => response.destroy()),
      'cut',
    ],
    ['sends something else', (response) => response.end('something else'), 'damaged'],
    ['sends nothing', (response) => response.end(), 'cut'],
  ])('that %s gives no answer, and it is said why', async (_, odd, reason) => {
    const { url } = await archiveServer(ARCHIVE, files(odd));
    const { agrees, contradicts, silences } = await asked(url);
    expect({ agrees, contradicts, silences }).toEqual({ agrees: 0, contradicts: 0, silences: [[reason, 4]] });
  });

  it('that never answers, or is not there, gives none', async () => {
    const { url } = await archiveServer(
      ARCHIVE,
      files(() => undefined),
    );
    expect((await asked(url, { timeoutMs: 50 })).silences).toEqual([['timeout', 4]]);
    expect((await asked('http://127.0.0.1:1')).silences).toEqual([['unreachable', 4]]);
  });

  it('that gives none again and again is not asked any more', async () => {
    const many = new Map(Array.from({ length: 50 }, (_, i) => [64 * i + 63, 'ab']));
    const { url, asked: paths } = await archiveServer(
      ARCHIVE,
      files((response) => response.writeHead(500).end()),
    );
    const archive = new HistoryArchive({ organisation: 'org', url }, null, BOUNDS);
    await archive.compare(many, never);
    expect(paths.length).toBeLessThan(20);
    const { no_answer } = archive.report();
    expect(no_answer.map(({ reason }) => reason)).toEqual(['status', 'not_asked']);
    expect(no_answer.reduce((sum, { count }) => sum + count, 0)).toBe(50);
  });

  it('that ends before, or is of another network, says nothing of what is here', async () => {
    const state = (more: object) => (response: ServerResponse, path: string) =>
      response.end(path.startsWith('.well-known') ? JSON.stringify(more) : readFileSync(join(ARCHIVE, path)));
    const behind = await archiveServer(ARCHIVE, state({ currentLedger: 127 }));
    expect(await asked(behind.url)).toMatchObject({ agrees: 2, contradicts: 0, silences: [['behind', 2]] });
    const other = await archiveServer(ARCHIVE, state({ currentLedger: 999, networkPassphrase: 'another' }));
    expect((await asked(other.url)).silences).toEqual([['other_network', 4]]);
    expect((await asked(other.url, {}, null)).agrees).toBe(4);
  });

  it('that has no state file is asked all the same', async () => {
    const { url, odd } = await archiveServer(ARCHIVE);
    odd.set('.well-known/stellar-history.json', (response) => response.writeHead(404).end());
    expect(await asked(url)).toMatchObject({ agrees: 4, silences: [] });
  });

  it('is followed over a redirect', async () => {
    const { url: to } = await archiveServer(ARCHIVE);
    const { url } = await archiveServer(ARCHIVE, (response, path) =>
      response.writeHead(307, { location: `${to}/${path}` }).end(),
    );
    expect(await asked(url)).toMatchObject({ agrees: 4, silences: [] });
  });

  it('is no longer asked once the work is cancelled', async () => {
    const stop = new AbortController();
    const { url } = await archiveServer(ARCHIVE, () => stop.abort());
    const archive = new HistoryArchive({ organisation: 'org', url }, null, BOUNDS);
    const failure = await archive.compare(known, stop.signal).catch(toFailure);
    expect(failure).toMatchObject({ code: 'CANCELLED' });
  });
});

function sendForEver(response: ServerResponse): void {
  const chunk = Buffer.alloc(16 * 1024, 1);
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', more).on('error', () => undefined);
  more();
}

describe('trusted hashes', () => {
  const hash = (n: number): string => n.toString(16).padStart(64, '0');
  const parse = (value: unknown) => parseTrustedHashes(Buffer.from(JSON.stringify(value)), 'trusted.json');

  it('are those of the file, in order, by range', () => {
    const trusted = parse([
      [191, hash(3)],
      [127, hash(2)],
      [63, hash(1).toUpperCase()],
      [0, ''],
    ]);
    expect(trusted.count).toBe(3);
    expect(trusted.within({ start: 63, end: 127 })).toEqual([
      { ledger: 63, hash: hash(1) },
      { ledger: 127, hash: hash(2) },
    ]);
    expect(trusted.within({ start: 64, end: 126 })).toEqual([]);
    expect(trusted.within({ start: 1, end: 1000 })).toHaveLength(3);
  });

  it('are compared with what was read, and what contradicts names both', async () => {
    const all = new KnownHashes(
      parse([
        [5, hash(1)],
        [7, hash(2)],
        [99, hash(3)],
        [0, ''],
      ]),
      [],
    );
    expect(all.of({ start: 1, end: 10 })).toEqual([5, 7]);
    const failures = await all.compare({ start: 1, end: 10 }, [hash(1), hash(9)], never);
    expect(failures).toEqual([
      expect.objectContaining({ code: 'ANCHOR_CONTRADICTED', ledger: 7, expected: hash(2), found: hash(9) }),
    ]);
    expect(all.report().trusted_hashes).toEqual({ file: 'trusted.json', hashes: 3, agrees: 1, contradicts: 1 });
  });

  it.each<[string, string]>([
    ['nothing', ''],
    ['cut within', '[[63,"ab'],
    ['without its end', JSON.stringify([[63, hash(1)]])],
    ['an object', '{}'],
    ['empty', '[[0,""]]'],
    ['a hash that is too short', '[[63,"abcd"],[0,""]]'],
    [
      'a ledger that is none',
      JSON.stringify([
        [-1, hash(1)],
        [0, ''],
      ]),
    ],
    [
      'a ledger as text',
      JSON.stringify([
        ['63', hash(1)],
        [0, ''],
      ]),
    ],
    ['a list of hashes', JSON.stringify([hash(1), [0, '']])],
    [
      'one ledger with two hashes',
      JSON.stringify([
        [63, hash(1)],
        [63, hash(2)],
        [0, ''],
      ]),
    ],
  ])('of a file that is %s are refused', (_, text) => {
    let code = '';
    try {
      parseTrustedHashes(Buffer.from(text), 'trusted.json');
    } catch (error) {
      code = toFailure(error).code;
    }
    expect(code).toBe('ANCHORS_INVALID');
  });
});
