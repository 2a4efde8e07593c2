/**
 * A few lines at the bottom of a terminal that are drawn anew in place, below whatever else is written to it. It must
 * never leave a line of its own behind, hide the cursor, or write more than the terminal has room for.
 */
import { UNPRINTABLE } from './human.ts';

/** A redraw after a log line comes no sooner than this after the last one, ms: floods of lines cost nothing then. */
const CALM_MS = 100;

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const NO_WIDTH = /\p{Mark}|[\u200b-\u200f]/u;

const charWidth = (char: string): number => (NO_WIDTH.test(char) ? 0 : WIDE.test(char) ? 2 : 1);

/** Columns that a text takes. */
export function widthOf(text: string): number {
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

/** The text in at most so many columns, with `…` where something is cut off. Control characters are taken out. */
export function cutTo(text: string, columns: number): string {
  // As printable() has it, but one column each.
  const clean = text.replace(UNPRINTABLE, ' ');
  if (widthOf(clean) <= columns) return clean;
  let cut = '';
  let width = 1;
  for (const char of clean) {
    width += charWidth(char);
    if (width > columns) break;
    cut += char;
  }
  return `${cut}…`;
}

/** Whether the environment lets a terminal be coloured (no-color.org). */
export const isColourful = (env = process.env): boolean => !env.NO_COLOR && env.TERM !== 'dumb';

/** Whether lines can be drawn in place there. */
export const isDrawable = (stream: NodeJS.WriteStream, env = process.env): boolean =>
  stream.isTTY === true && env.TERM !== 'dumb';

const COLOURS = { red: 31, green: 32, yellow: 33 } as const;

export interface DisplayLine {
  readonly text: string;
  readonly colour?: keyof typeof COLOURS;
}

export class Display {
  readonly #out: NodeJS.WriteStream;
  readonly #colourful = isColourful();
  /** What is to be seen. */
  #wanted: readonly DisplayLine[] = [];
  /** Widths of the lines that are on the screen. */
  #drawn: readonly number[] = [];
  #drawnAt = Number.NEGATIVE_INFINITY;
  #later: NodeJS.Timeout | undefined;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    out.on('resize', this.#redraw);
    process.on('SIGCONT', this.#comeBack);
  }

  get columns(): number {
    return Math.max((this.#out.columns || 80) - 1, 10);
  }

  /** Lines that there is room for; one is left to the cursor. */
  get rows(): number {
    return Math.max((this.#out.rows || 24) - 1, 1);
  }

  show(lines: readonly DisplayLine[]): void {
    this.#wanted = lines;
    this.#redraw();
  }

  /** Lets something else write to the same terminal; it has to end its lines. */
  readonly above = (write: () => void): void => {
    this.#out.write(this.#erased());
    write();
    if (performance.now() - this.#drawnAt >= CALM_MS) this.#redraw();
    else this.#later ??= setTimeout(this.#redraw, CALM_MS).unref();
  };

  /** Takes everything away. */
  close(): void {
    this.#out.off('resize', this.#redraw);
    process.off('SIGCONT', this.#comeBack);
    clearTimeout(this.#later);
    this.#out.write(this.#erased());
    this.#wanted = [];
  }

  readonly #redraw = (): void => {
    clearTimeout(this.#later);
    this.#later = undefined;
    const before = this.#erased();
    const lines = this.#wanted.slice(0, this.rows).map((line) => ({ ...line, text: cutTo(line.text, this.columns) }));
    const text = lines.map((line) => `${this.#coloured(line)}\n`).join('');
    if (before !== '' || text !== '') this.#out.write(before + text);
    this.#drawn = lines.map((line) => widthOf(line.text));
    this.#drawnAt = performance.now();
  };

  /** The shell has written below the lines while the program was stopped: they are its now. */
  readonly #comeBack = (): void => {
    this.#drawn = [];
    this.#redraw();
  };

  /** What takes the lines off the screen. In a terminal that has become narrower they stand on several rows each. */
  #erased(): string {
    const columns = this.#out.columns || 80;
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(Math.ceil(width / columns), 1), 0);
    this.#drawn = [];
    return rows === 0 ? '' : `\r\x1b[${rows}A\x1b[0J`;
  }

  #coloured({ text, colour }: DisplayLine): string {
    return colour && this.#colourful ? `\x1b[${COLOURS[colour]}m${text}\x1b[0m` : text;
  }
}
