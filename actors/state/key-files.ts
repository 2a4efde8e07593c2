/**
 * Files of keys: the private key that signs heads, made once and only read after that, and public keys to check them with.
 * It must never give out, log or overwrite a private key, nor take one that others of this machine may read.
 */
import fs from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BronzeError } from '../../machines/errors.ts';
import { fsyncFolder } from '../durable.ts';
import { errnoOf, fileError, realFiles } from '../files.ts';
import { keysFor, SigningKey, VerifierKey } from '../tlog/keys.ts';

/** Bytes; a key has some hundred. */
const LIMIT = 64 * 1024;
const PRIVATE = 'PRIVATE+KEY+';
/** Bits of a mode that let anybody but the owner in. */
const OTHERS = 0o077;

const refuse = (object: string, why: string, hint: string, cause?: unknown): BronzeError =>
  new BronzeError('KEY_INVALID', `the key ${object} cannot be used: ${why}`, {
    details: { object, hint },
    ...(cause === undefined ? {} : { cause }),
  });

/**
 * Makes a new key under a name that nothing stands under, readable by its owner alone, durably. Answers the public part.
 * Throws KEY_INVALID where something stands there, STATE_IO.
 */
export async function createKeyFile(path: string, name: string): Promise<VerifierKey> {
  const { key, secret } = SigningKey.generate(name);
  let fd: number;
  try {
    fd = fs.openSync(path, 'wx', 0o600);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw fileError('state', 'create the key', path, error);
    throw refuse(path, 'something stands there already', 'name a new file: a key is never overwritten');
  }
  try {
    fs.writeSync(fd, `${secret}\n`);
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    await fsyncFolder(realFiles, dirname(path));
  } catch (error) {
    // What is cut off is no key.
    fs.rmSync(path, { force: true });
    throw fileError('state', 'write the key', path, error);
  }
  return key.verifier;
}

/** The text of a file that only its owner may read. */
function privateText(path: string): string {
  let fd: number;
  try {
    // Waits for nobody at the other end of a pipe. A link is followed: that is how secrets are mounted.
    fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  } catch (error) {
    const why = errnoOf(error) === 'ENOENT' ? 'there is no such file' : String(errnoOf(error) ?? error);
    throw refuse(
      path,
      why,
      'bring the file back from where you keep it, or make a new key: bronze-copier pas keygen',
      error,
    );
  }
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) throw refuse(path, 'it is no ordinary file', 'name the file that pas keygen has made');
    if ((stat.mode & OTHERS) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw refuse(
        path,
        `others than its owner may use it (mode ${mode})`,
        `chmod 600 ${path}; if others may have read it, make a new key`,
      );
    }
    if (stat.size > LIMIT) throw refuse(path, `it has ${stat.size} bytes`, 'name the file that pas keygen has made');
    return fs.readFileSync(fd, 'utf8').trimEnd();
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * The key in a file, under the name of the log that it is to sign. `origin`: the log's; the key's own name is it or the
 * beginning of it. Throws KEY_INVALID, and nothing of what is in the file.
 */
export function readSigningKey(path: string, origin: string): SigningKey {
  const text = privateText(path);
  let key: SigningKey;
  try {
    key = SigningKey.parse(text);
  } catch (error) {
    throw refuse(path, error instanceof Error ? error.message : 'it is none', 'name the file that pas keygen has made');
  }
  const [own] = keysFor([key], origin);
  if (own !== undefined) return own;
  throw refuse(
    path,
    `it is the key of ${key.name}, and the log is ${origin}`,
    `set pas.origin to ${key.name}, or name the key of this log`,
  );
}

/** Whether a text is meant for a key and not for a file that holds some. */
const isKeyText = (text: string): boolean => text.startsWith(PRIVATE) || /^[^\s+]+\+[0-9a-f]{8}\+/.test(text);

/**
 * Keys to check heads with: each given as it is, or as a file with one a line (`#` begins a comment). Throws KEY_INVALID.
 */
export async function readVerifierKeys(given: readonly string[]): Promise<VerifierKey[]> {
  const keys: VerifierKey[] = [];
  for (const one of given) {
    const lines = isKeyText(one) ? [one] : await linesOf(one);
    if (lines.length === 0)
      throw refuse(one, 'there is no key in it', 'name a file with the line that pas keygen prints');
    for (const line of lines) keys.push(verifierIn(line, isKeyText(one) ? line : one));
  }
  return keys;
}

/** A public key from the line that it was printed as; `object`: where the line stands. Throws KEY_INVALID. */
export function verifierIn(line: string, object: string): VerifierKey {
  const hint = 'give the line that pas keygen printed, or a file that holds it';
  // Not even repeated: it is the private one.
  if (line.startsWith(PRIVATE)) throw refuse(object === line ? 'given' : object, 'it is a private key', hint);
  try {
    return VerifierKey.parse(line);
  } catch (error) {
    throw refuse(object, error instanceof Error ? error.message : 'it is none', hint);
  }
}

async function linesOf(path: string): Promise<string[]> {
  try {
    if (fs.statSync(path).size > LIMIT) throw new Error('it is too large');
    const text = await readFile(path, 'utf8');
    return text
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
  } catch (error) {
    const why =
      errnoOf(error) === 'ENOENT'
        ? 'it is neither a key nor a file'
        : error instanceof Error
          ? error.message
          : String(error);
    throw refuse(path, why, 'give the line that pas keygen printed, or a file that holds it', error);
  }
}
