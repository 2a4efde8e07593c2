/** Figures as people read them. Pure; plain ASCII. */

/** `850 ms`, `1.2 s`, `45 s`, `12 min`, `3.4 h`, `5.1 days` */
export function durationText(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${(seconds / 3_600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(1)} days`;
}

/** Of 10^6 bytes. */
export const megabytes = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(2)} MB`;

/** `1,234,567` */
export const grouped = (n: number): string => n.toLocaleString('en-US', { maximumFractionDigits: 0 });

/** `1 partition`, `2 partitions` */
export const counted = (n: number, one: string, many = `${one}s`): string => `${grouped(n)} ${n === 1 ? one : many}`;

/** Longest piece of foreign text that is shown, characters. */
const SHOWN = 4_000;

/**
 * What acts on a terminal, or lies about what stands there: control characters, directions of writing and other formats
 * that show nothing, separators of lines, halves of characters. The joiners of scripts and emoji are left.
 */
export const UNPRINTABLE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

const escaped = (char: string): string =>
  Array.from({ length: char.length }, (_, n) => `\\u${char.charCodeAt(n).toString(16).padStart(4, '0')}`).join('');

/**
 * What came from outside (a lake, a store, a configuration), fit for a line of text: what acts on a terminal is shown and
 * not sent, lines are joined so that it cannot pass for a line of its own, and of a long one the beginning is shown.
 */
export const printable = (text: string): string =>
  shortened(text)
    // Begins only where blanks begin, so that each is looked at once.
    .replace(/(?<!\s)\s*\n\s*/g, ' ')
    .replace(UNPRINTABLE, escaped);

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
const COLOUR = /(\x1b\[\d{1,2}m)/;

/**
 * The last gate before a standard stream: whatever still acts on a terminal is shown as `\uXXXX`, which inside JSON is the
 * same text. Line breaks and tabs pass.
 */
export const harmless = (text: string): string =>
  text.replace(UNPRINTABLE, (char) => (char === '\n' || char === '\t' ? char : escaped(char)));

/** The same of a line of the log, whose own colours pass as well. */
export const harmlessLine = (text: string): string =>
  text
    .split(COLOUR)
    .map((piece, n) => (n % 2 === 1 ? piece : harmless(piece)))
    .join('');

const shortened = (text: string): string =>
  text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}… (${grouped(text.length - SHOWN)} characters more)`;
