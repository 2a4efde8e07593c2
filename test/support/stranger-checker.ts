/**
 * A checker of proof files, written from docs/proofs.md alone. It imports nothing of the program, so
 * that what it accepts is what the page says, and not what the program does.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import { gunzipSync } from 'node:zlib';

/** JSON as it is here: objects are maps, so that no key is special. */
type Json = null | boolean | number | string | Json[] | Map<string, Json>;

class Refused extends Error {
  readonly step: string;
  constructor(step: string, why: string) {
    super(why);
    this.step = step;
  }
}

const need = (step: string, holds: boolean, why: string): void => {
  if (!holds) throw new Refused(step, why);
};

const sha = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const hex = (bytes: Buffer): string => bytes.toString('hex');
const utf8 = (text: string): Buffer => Buffer.from(text, 'utf8');

/** Parses JSON; a key twice in one object, a number without end and whatever JSON has not are errors. */
function parseJson(text: string): Json {
  let at = 0;
  const token = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const blanks = (): void => void token(/[ \t\r\n]*/y);
  const take = (what: string): boolean => {
    blanks();
    const there = text.startsWith(what, at);
    if (there) at += what.length;
    return there;
  };
  const must = (what: string): void => {
    if (!take(what)) throw new SyntaxError(`no ${what} at ${at}`);
  };
  const string = (): string => {
    blanks();
    // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON says which are not in a string.
    const found = token(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y);
    if (found === undefined) throw new SyntaxError(`no string at ${at}`);
    const said: unknown = JSON.parse(found);
    return String(said);
  };
  const value = (): Json => {
    if (take('{')) {
      const object = new Map<string, Json>();
      if (take('}')) return object;
      do {
        const key = string();
        if (object.has(key)) throw new SyntaxError(`${key} is there twice`);
        must(':');
        object.set(key, value());
      } while (take(','));
      must('}');
      return object;
    }
    if (take('[')) {
      const list: Json[] = [];
      if (take(']')) return list;
      do list.push(value());
      while (take(','));
      must(']');
      return list;
    }
    if (take('null')) return null;
    if (take('true')) return true;
    if (take('false')) return false;
    if (text[at] === '"') return string();
    const number = Number(token(/-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y));
    if (!Number.isFinite(number)) throw new SyntaxError(`no value at ${at}`);
    return number;
  };
  const whole = value();
  blanks();
  if (at !== text.length) throw new SyntaxError(`more after the value, at ${at}`);
  return whole;
}

/** RFC 8785. */
function canonical(value: Json): string {
  if (value instanceof Map) {
    const keys = [...value.keys()].sort();
    return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value.get(key) ?? null)}`).join(',')}}`;
  }
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  return JSON.stringify(value);
}

function parsed(step: string, text: string): Json {
  try {
    return parseJson(text);
  } catch (error) {
    throw new Refused(step, `no JSON: ${String(error)}`);
  }
}

/** Reads values of one step; what is missing or of another kind fails the step. */
function reader(step: string) {
  const object = (value: Json | undefined, only?: string[]): Map<string, Json> => {
    if (!(value instanceof Map)) throw new Refused(step, 'an object is missing');
    const keys = [...value.keys()].sort();
    if (only) need(step, keys.join() === [...only].sort().join(), `members: ${keys}`);
    return value;
  };
  const text = (value: Json | undefined): string => {
    if (typeof value !== 'string') throw new Refused(step, 'a text is missing');
    return value;
  };
  const whole = (value: Json | undefined, most = Number.MAX_SAFE_INTEGER): number => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > most)
      throw new Refused(step, 'an integer is missing or out of its range');
    return value;
  };
  const list = (value: Json | undefined): Json[] => {
    if (!Array.isArray(value)) throw new Refused(step, 'a list is missing');
    return value;
  };
  const base64 = (value: Json | undefined, least = 0, most = Number.POSITIVE_INFINITY): Buffer => {
    const said = text(value);
    const bytes = Buffer.from(said, 'base64');
    need(step, bytes.toString('base64') === said, 'base64 that is not exact');
    need(step, bytes.length >= least && bytes.length <= most, `${bytes.length} bytes`);
    return bytes;
  };
  const digest = (value: Json | undefined): string => {
    const said = text(value);
    need(step, /^[0-9a-f]{64}$/.test(said) && said.length === 64, 'no hash in hex');
    return said;
  };
  return { object, text, whole, list, base64, digest };
}

/** The public key of a `G…`, 32 bytes, or undefined (SEP-23). */
function publicKeyOf(signer: string): Buffer | undefined {
  if (signer.length !== 56) return undefined;
  const bytes: number[] = [];
  let held = 0;
  let bits = 0;
  for (const letter of signer) {
    const five = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter);
    if (five < 0) return undefined;
    held = ((held << 5) | five) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((held >> bits) & 0xff);
    }
  }
  let crc = 0;
  for (const byte of bytes.slice(0, 33)) {
    crc ^= byte << 8;
    for (let turn = 0; turn < 8; turn++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  const right = bytes[0] === 0x30 && bytes[33] === (crc & 0xff) && bytes[34] === crc >> 8;
  return right ? Buffer.from(bytes.slice(1, 33)) : undefined;
}

function signedBy(publicKey: Buffer, message: Buffer, signature: Buffer): boolean {
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKey]);
  try {
    return verify(null, message, createPublicKey({ key: spki, format: 'der', type: 'spki' }), signature);
  } catch {
    return false;
  }
}

/** The root that follows from the hash of leaf m of n, and its path. */
function rootOf(step: string, hash: Buffer, m: number, n: number, path: Buffer[]): Buffer {
  need(step, m < n, `leaf ${m} of ${n}`);
  const half = (number: number): number => Math.floor(number / 2);
  let fn = m;
  let sn = n - 1;
  let root = hash;
  for (const sibling of path) {
    need(step, sn !== 0, 'the path is too long');
    if (fn % 2 === 1 || fn === sn) {
      root = sha(Buffer.of(1), sibling, root);
      while (fn % 2 === 0 && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else root = sha(Buffer.of(1), root, sibling);
    fn = half(fn);
    sn = half(sn);
  }
  need(step, sn === 0, 'the path is too short');
  return root;
}

function formOf(file: Buffer) {
  const read = reader('format');
  need('format', file.length <= 67_108_864, 'too long');
  const said = file.toString('utf8');
  need('format', utf8(said).equals(file), 'no UTF-8');
  const value = parsed('format', said);
  need('format', utf8(`${canonical(value)}\n`).equals(file), 'not canonical');
  const top = ['format', 'ledger', 'log', 'partition'];
  const withNetwork = value instanceof Map && value.has('network');
  const proof = read.object(value, withNetwork ? [...top, 'network'] : top);
  need('format', proof.get('format') === 'bronze-ledger-proof/1', 'another format');
  const ledger = read.object(proof.get('ledger'), ['sequence', 'xdr_gzip', 'xdr_gzip_sha256']);
  const log = read.object(proof.get('log'), ['event', 'proof']);
  const partition = read.object(proof.get('partition'), ['manifest', 'path']);
  return {
    sequence: read.whole(ledger.get('sequence'), 4_294_967_295),
    packed: read.base64(ledger.get('xdr_gzip')),
    packedSha: read.digest(ledger.get('xdr_gzip_sha256')),
    event: read.text(log.get('event')),
    logProof: read.text(log.get('proof')),
    manifest: read.text(partition.get('manifest')),
    path: read.list(partition.get('path')).map((one) => read.base64(one, 32, 32)),
    network: withNetwork ? networkOf(read, proof.get('network')) : undefined,
  };
}

function networkOf(read: ReturnType<typeof reader>, value: Json | undefined) {
  const network = read.object(value, ['headers', 'passphrase', 'signed']);
  const signed = read.list(network.get('signed'));
  need('format', signed.length > 0, 'nothing is signed');
  return {
    passphrase: read.text(network.get('passphrase')),
    headers: read.list(network.get('headers')).map((one) => read.base64(one, 36)),
    signed: signed.map((one) => {
      const said = read.object(one, ['close_time', 'set', 'set_form', 'signature', 'signer']);
      const form = read.text(said.get('set_form'));
      need('format', form === 'generalized' || form === 'v0', `set_form ${form}`);
      const signer = publicKeyOf(read.text(said.get('signer')));
      if (!signer) throw new Refused('format', 'no public key of a validator');
      return {
        form,
        signer,
        closeTime: read.whole(said.get('close_time')),
        set: read.base64(said.get('set'), 32),
        signature: read.base64(said.get('signature'), 64, 64),
      };
    }),
  };
}

/** What zlib gives with `info`; its types do not know it. */
interface Unpacked {
  buffer: Buffer;
  engine: { bytesWritten: number };
}

function unpacked(packed: Buffer, packedSha: string): Buffer {
  need('xdr', hex(sha(packed)) === packedSha, 'other packed bytes');
  let found: Unpacked;
  try {
    found = gunzipSync(packed, { maxOutputLength: 268_435_456, info: true }) as unknown as Unpacked;
  } catch (error) {
    throw new Refused('xdr', `not unpacked: ${String(error)}`);
  }
  need('xdr', found.engine.bytesWritten === packed.length, 'more after the last member');
  return found.buffer;
}

interface LogKey {
  name: string;
  publicKey: Buffer;
}

const keyId = (name: string, publicKey: Buffer): Buffer =>
  sha(utf8(name), Buffer.of(0x0a, 1), publicKey).subarray(0, 4);

function logKey(said: string): LogKey {
  const [name = '', id = '', ...rest] = said.split('+');
  const bytes = reader('head').base64(rest.join('+'), 33, 33);
  const publicKey = bytes.subarray(1);
  need('head', bytes[0] === 1 && id === hex(keyId(name, publicKey)), 'no verifier key');
  return { name, publicKey };
}

function headOf(said: string, keys: LogKey[]) {
  const read = reader('head');
  const lines = said.split('\n');
  need('head', lines.pop() === '', 'the last line has no end');
  const next = (): string => {
    const line = lines.shift();
    if (line === undefined) throw new Refused('head', 'a line is missing');
    return line;
  };
  const decimal = (digits: string): number => {
    need('head', /^(?:0|[1-9][0-9]*)$/.test(digits), 'no decimal number');
    return read.whole(Number(digits));
  };
  need('head', next() === 'c2sp.org/tlog-proof@v1', 'another first line');
  const place = next();
  need('head', place.startsWith('index '), 'no index');
  const index = decimal(place.slice('index '.length));
  const path: Buffer[] = [];
  for (let line = next(); line !== ''; line = next()) path.push(read.base64(line, 32, 32));
  const [origin, size, root] = [next(), next(), next()];
  need('head', next() === '', 'no empty line below the root hash');
  need('head', lines.length > 0, 'no signature');
  const note = `${origin}\n${size}\n${root}\n`;
  need('head', utf8(`${note}\n${lines.join('\n')}\n`).length <= 131_072, 'a head that is too long');
  const signed = utf8(note);
  const counting = keys.filter(({ name }) => origin === name || origin.startsWith(`${name}/`));
  for (const line of lines) {
    const start = `\u2014 ${origin} `;
    need('head', line.startsWith(start), 'a signature by another name');
    const bytes = read.base64(line.slice(start.length), 68, 68);
    const right = counting.some(
      ({ publicKey }) =>
        keyId(origin, publicKey).equals(bytes.subarray(0, 4)) && signedBy(publicKey, signed, bytes.subarray(4)),
    );
    need('head', right, 'a signature that is not right');
  }
  return { index, path, origin, size: decimal(size), root: read.base64(root, 32, 32) };
}

const LEDGERS = ['content_root', 'first_hash', 'last_hash', 'previous_hash'];

function eventOf(text: string, head: ReturnType<typeof headOf>) {
  const read = reader('event');
  const leaf = sha(Buffer.of(0), utf8(text));
  need('event', rootOf('event', leaf, head.index, head.size, head.path).equals(head.root), 'not in the log');
  const event = read.object(parsed('event', text));
  need('event', canonical(event) === text, 'not canonical');
  const chain = read.object(event.get('chain'));
  need('event', event.get('version') === '1.2', 'another version');
  need('event', chain.get('sequence') === head.index, 'another place in the chain');
  const partition = read.object(event.get('partition'));
  const place = ['network', 'era_id', 'version_label'].map((key) => read.text(partition.get(key)));
  need('event', head.origin.endsWith(`/${place.join('/')}`), 'an event of another log');
  const [start, end] = [read.whole(partition.get('ledger_start')), read.whole(partition.get('ledger_end'))];
  const tables = [...read.object(event.get('tables'))];
  need('event', tables.length === 1, 'not one table');
  const table = read.object(tables[0]?.[1]);
  const rows = read.whole(table.get('row_count'));
  need('event', rows === end - start + 1, 'another number of rows');
  const ledgers = read.object(event.get('ledgers'));
  for (const key of LEDGERS) read.digest(ledgers.get(key));
  const bare = new Map(event).set('chain', new Map([...chain].filter(([key]) => key !== 'event_hash')));
  const own = `sha256:${hex(sha(utf8(canonical(bare))))}`;
  need('event', chain.get('event_hash') === own, 'another event_hash');
  const manifestSha = read.digest(event.get('manifest_sha256'));
  return { place, start, end, rows, tables, table, ledgers, manifestSha };
}

function checkManifest(text: string, event: ReturnType<typeof eventOf>): void {
  const read = reader('manifest');
  need('manifest', hex(sha(utf8(text))) === event.manifestSha, 'another manifest');
  const manifest = read.object(parsed('manifest', text));
  const partition = read.object(manifest.get('partition'));
  const place = ['network', 'era_id', 'version', 'start', 'end'].map((key) => partition.get(key));
  const same = [...event.place, event.start, event.end].every((one, index) => one === place[index]);
  need('manifest', same, 'another partition');
  const tables = [...read.object(manifest.get('tables'))];
  need('manifest', tables.length === 1 && tables[0]?.[0] === event.tables[0]?.[0], 'another table');
  const table = read.object(tables[0]?.[1]);
  for (const key of ['checksum', 'row_count', 'byte_size'])
    need('manifest', table.has(key) && table.get(key) === event.table.get(key), `another ${key}`);
  if (!manifest.has('ledgers')) return;
  const ledgers = read.object(manifest.get('ledgers'));
  for (const key of LEDGERS) need('manifest', ledgers.get(key) === event.ledgers.get(key), `another ${key}`);
}

/** The hash of the ledger whose meta this is. */
function ledgerHash(xdr: Buffer, sequence: number): Buffer {
  let at = 0;
  const bytes = (count: number): Buffer => {
    need('ledger', at + count <= xdr.length, 'the bytes end');
    at += count;
    return xdr.subarray(at - count, at);
  };
  const number = (most = 0xffff_ffff): number => {
    const found = bytes(4).readUInt32BE();
    need('ledger', found <= most, `${found} at ${at - 4}`);
    return found;
  };
  const upTo = (most: number): void => {
    const length = number(most);
    bytes(length);
    const filling = bytes((4 - (length % 4)) % 4);
    need(
      'ledger',
      filling.every((byte) => byte === 0),
      'filled up with something',
    );
  };
  if (number(2) > 0 && number(1) === 1) {
    number(0);
    bytes(8);
  }
  const hash = bytes(32);
  const start = at;
  bytes(4 + 32 + 32 + 8);
  for (let left = number(6); left > 0; left--) upTo(128);
  const arm = number(2);
  if (arm === 2) bytes(68);
  if (arm > 0) {
    number(0);
    bytes(32);
    upTo(64);
  }
  bytes(64);
  const ledgerSeq = number();
  bytes(168);
  if (number(1) === 1) {
    bytes(4);
    number(0);
  }
  need('ledger', sha(xdr.subarray(start, at)).equals(hash), 'a header of another hash');
  need('ledger', ledgerSeq === sequence, `ledger ${ledgerSeq}`);
  return hash;
}

const PASSPHRASES = new Map([
  ['pubnet', 'Public Global Stellar Network ; September 2015'],
  ['testnet', 'Test SDF Network ; September 2015'],
  ['futurenet', 'Test SDF Future Network ; October 2022'],
]);

function checkNetwork(network: ReturnType<typeof networkOf>, label: string, first: Buffer): void {
  const hashes = [first];
  for (const header of network.headers) {
    const before = hashes.at(-1) ?? first;
    need('headers', header.subarray(4, 36).equals(before), 'a header that does not follow');
    hashes.push(sha(header));
  }
  const known = PASSPHRASES.get(label) ?? network.passphrase;
  need('signatures', network.passphrase === known, 'the passphrase of another network');
  let last = -1;
  for (const { form, set, signer, signature, closeTime } of network.signed) {
    const generalized = form === 'generalized';
    need('signatures', !generalized || (set.length >= 36 && set.readUInt32BE() === 1), 'no generalized set');
    const named = generalized ? set.subarray(4, 36) : set.subarray(0, 32);
    const k = hashes.findIndex((hash) => hash.equals(named));
    need('signatures', k > last, 'a set of no ledger, or out of order');
    last = k;
    const time = Buffer.alloc(8);
    time.writeUInt32BE(Math.floor(closeTime / 2 ** 32), 0);
    time.writeUInt32BE(closeTime % 2 ** 32, 4);
    const message = Buffer.concat([sha(utf8(network.passphrase)), Buffer.of(0, 0, 0, 4), sha(set), time]);
    need('signatures', signedBy(signer, message, signature), 'a signature that is not right');
  }
  need('signatures', last === network.headers.length, 'a header that nobody covers');
}

/** Checks a proof file by docs/proofs.md: true, or the name of the step that failed. */
export function strangerChecks(file: Buffer, keys: string[]): true | string {
  try {
    const proof = formOf(file);
    const xdr = unpacked(proof.packed, proof.packedSha);
    const head = headOf(proof.logProof, keys.map(logKey));
    const event = eventOf(proof.event, head);
    checkManifest(proof.manifest, event);
    const row = proof.sequence - event.start;
    need('content_root', row >= 0 && proof.sequence <= event.end, 'not in the partition');
    const leaf = sha(Buffer.of(0), sha(xdr));
    const root = rootOf('content_root', leaf, row, event.rows, proof.path);
    need('content_root', hex(root) === event.ledgers.get('content_root'), 'not in the partition');
    const hash = ledgerHash(xdr, proof.sequence);
    if (proof.network) checkNetwork(proof.network, event.place[0] ?? '', hash);
    return true;
  } catch (error) {
    if (error instanceof Refused) return error.step;
    if (error instanceof RangeError) return 'format';
    throw error;
  }
}
