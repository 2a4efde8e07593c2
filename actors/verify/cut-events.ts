/**
 * Cuts events out of an export of an endpoint, each exactly as it is written there: the old program's hash is over the
 * text, so nothing may be parsed and written again. Pure. It must never pass over a part of the file in silence.
 */

/** The text of one event and where it is: `element 3`, `line 17`. */
export interface Cut {
  readonly at: string;
  readonly text: string;
}

export interface CutExport {
  readonly cuts: readonly Cut[];
  /** Lines that are no JSON. */
  readonly broken: readonly { readonly at: string; readonly reason: string }[];
}

const BLANK = /[ \t\r\n]/;

function afterBlanks(text: string, from: number): number {
  let at = from;
  while (at < text.length && BLANK.test(text[at] as string)) at += 1;
  return at;
}

/** The place after the string that begins at `from`. */
function afterString(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

/** The place after the value that begins at `from`. The text is known to be JSON, as in all of these. */
function afterValue(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const character = text[at] as string;
    if (character === '"') {
      at = afterString(text, at) - 1;
      if (depth === 0) return at + 1;
    } else if (character === '{' || character === '[') {
      depth += 1;
    } else if (depth === 0 && (BLANK.test(character) || ',]}'.includes(character))) {
      return at;
    } else if (character === '}' || character === ']') {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return text.length;
}

/** The texts of the elements of the array that begins at `from`. */
function elementsOf(text: string, from: number): string[] {
  const elements: string[] = [];
  let at = afterBlanks(text, from + 1);
  while (at < text.length && text[at] !== ']') {
    const end = afterValue(text, at);
    elements.push(text.slice(at, end));
    at = afterBlanks(text, end);
    if (text[at] === ',') at = afterBlanks(text, at + 1);
  }
  return elements;
}

/** Where the values of a key of the object that begins at `from` begin: it may be there more than once. */
function placesOfKey(text: string, from: number, key: string): number[] {
  const found: number[] = [];
  let at = afterBlanks(text, from + 1);
  while (at < text.length && text[at] !== '}') {
    const end = afterString(text, at);
    const value = afterBlanks(text, afterBlanks(text, end) + 1);
    if (JSON.parse(text.slice(at, end)) === key) found.push(value);
    at = afterBlanks(text, afterValue(text, value));
    if (text[at] === ',') at = afterBlanks(text, at + 1);
  }
  return found;
}

/** What a text that is JSON holds: an array of events, an object with `events`, or one event. */
function eventsIn(text: string, json: unknown, prefix: string, alone: string): Cut[] {
  const from = afterBlanks(text, 0);
  const all = (at: number, before = prefix): Cut[] =>
    elementsOf(text, at).map((element, n) => ({ at: `${before}element ${n + 1}`, text: element }));
  if (Array.isArray(json)) return all(from);
  const isPage = typeof json === 'object' && json !== null && 'events' in json && !('event_type' in json);
  if (isPage && Array.isArray(json.events)) {
    const places = placesOfKey(text, from, 'events').filter((at) => text[at] === '[');
    return places.flatMap((at, n) => all(at, n === 0 ? prefix : `${prefix}list ${n + 1}, `));
  }
  return [{ at: alone, text: text.trim() }];
}

/** The value of a JSON text, or why it is none. */
function parsed(text: string): { json: unknown } | { reason: string } {
  try {
    return { json: JSON.parse(text) };
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * The events of an export: a JSON array, `{"events": [...]}`, JSON Lines of events or of such pages, or a single event.
 * Null where it is none of these.
 */
export function cutEvents(text: string): CutExport | null {
  const whole = parsed(text);
  if ('json' in whole) return { cuts: eventsIn(text, whole.json, '', 'the whole file'), broken: [] };
  const cuts: Cut[] = [];
  const broken: { at: string; reason: string }[] = [];
  for (const [n, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const at = `line ${n + 1}`;
    const value = parsed(line);
    if ('json' in value) cuts.push(...eventsIn(line, value.json, `${at}, `, at));
    else broken.push({ at, reason: value.reason });
  }
  return cuts.length === 0 ? null : { cuts, broken };
}
