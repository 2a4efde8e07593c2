/**
 * From contexts, events and errors to plain data that may leave the process: bounded in size, without secrets. Machines
 * get no secrets by design; messages of failures may still carry an address with a password in it, so every text is
 * masked. It does not throw, calls no foreign code (toJSON), and returns nothing that grows with a lake.
 */
import { MASK, redactSecrets } from '../../config/secrets.ts';

/** Characters of one text. */
const TEXT = 1_000;
/** Of a longer text that much is searched for secrets: one that begins in what is shown must be found whole. */
const SEARCHED = 4_000;
/** Without one of these there is no secret to be found; searching takes long in long words. */
const SUSPECT = /[@=]|upload_id|bearer|basic/i;
const ITEMS = 50;
const KEYS = 100;
/** XState's adapter itself cuts at ten. */
const DEPTH = 7;

const SECRET_KEY = /password|passwd|secret|token|authorization|api_?key|credential|private_?key|signature|dsn/i;
const HEADER = /\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi;
/** Who has it may write to an upload of Google Cloud Storage without any other right. */
const UPLOAD = /(upload_id(?:=|%3d|":"))[^&\s"]+/gi;

function masked(text: string): string {
  const searched = text.length > SEARCHED ? text.slice(0, SEARCHED) : text;
  const shown = SUSPECT.test(searched)
    ? redactSecrets(searched).replace(HEADER, `$1 ${MASK}`).replace(UPLOAD, `$1${MASK}`)
    : searched;
  return text.length > TEXT ? `${shown.slice(0, TEXT)}… (${text.length} characters)` : shown;
}

interface Room {
  /** Characters that may still be used. */
  left: number;
}

/** Own data of an error: its message is no enumerable property. */
function errorFields(error: Error): Record<string, unknown> {
  const { cause: _cause, stack: _stack, ...fields } = error as Error & Record<string, unknown>;
  return { ...fields, name: error.name, message: error.message };
}

function copyList(list: readonly unknown[], room: Room, depth: number): unknown[] {
  const out: unknown[] = [];
  for (const item of list) {
    if (out.length === ITEMS || room.left <= 0) {
      out.push(`… ${list.length - out.length} more`);
      break;
    }
    out.push(copy(item, room, depth + 1));
  }
  return out;
}

function copyObject(value: Readonly<Record<string, unknown>>, room: Room, depth: number): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  const keys = Object.keys(value);
  let done = 0;
  for (const key of keys) {
    if (done === KEYS || room.left <= 0) {
      out['…'] = `${keys.length - done} more`;
      break;
    }
    done += 1;
    const inner = value[key];
    // As JSON has it.
    if (inner === undefined || typeof inner === 'function') continue;
    room.left -= key.length + 4;
    const isSecret = inner !== null && inner !== '' && SECRET_KEY.test(key);
    out[masked(key)] = isSecret ? MASK : copy(inner, room, depth + 1);
  }
  return out;
}

function copy(value: unknown, room: Room, depth: number): unknown {
  switch (typeof value) {
    case 'string': {
      const text = masked(value);
      room.left -= text.length + 3;
      return text;
    }
    case 'number':
    case 'boolean':
      room.left -= 8;
      return value;
    case 'bigint':
      room.left -= 20;
      return String(value);
    case 'object':
      break;
    default:
      return null;
  }
  room.left -= 4;
  if (value === null) return null;
  if (room.left <= 0 || depth > DEPTH) return '…';
  if (Array.isArray(value)) return copyList(value, room, depth);
  // An actor: what XState's own toJSON makes of it.
  if ('sessionId' in value && 'id' in value) return { id: String(value.id), xstate$$type: 1 };
  return copyObject(value instanceof Error ? errorFields(value) : (value as Record<string, unknown>), room, depth);
}

/** A copy of at most about `size` characters as JSON; what was left out is marked with `…`. */
export const plain = (value: unknown, size: number): unknown => copy(value, { left: size }, 0);
