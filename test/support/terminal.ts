/**
 * The program in a terminal of its own (a real pty), and what a person would see there: a screen that knows just the
 * codes that the program writes, and re-wraps its lines when it is resized, as terminals do.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, it } from 'vitest';
import { BINARY } from './program.ts';

export const PYTHON = '/usr/bin/python3';
const PATIENCE_MS = 50_000;

/** `describe` for suites that need a terminal; without Python, which makes one, `body` is not even run. */
export function describeTerminal(name: string, body: () => void): void {
  const absent = (): never => {
    throw new Error(`there is no ${PYTHON}, which opens terminals for tests`);
  };
  if (existsSync(PYTHON)) describe(name, body);
  else if (process.env.CI === 'true') describe(name, () => it('has a terminal', absent));
  else describe.skip(name, () => it('needs a terminal', absent));
}

/** Text without colours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
export const uncoloured = (text: string): string => text.replace(/\x1b\[[0-9;]*m/g, '');

/**
 * Lines as they were ended by `\n`; rows are what they come to at the present width. Every code that it does not know is
 * an error: nothing else may be written.
 */
export class Screen {
  columns: number;
  rows: number;
  #lines = [''];
  #line = 0;
  #at = 0;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
  }

  write(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    for (const [token] of text.matchAll(/\x1b\[[0-9;]*[A-Za-z]|\x1b|[^\x1b]/gu)) this.#take(token);
  }

  /** Everything that was ever on it and was not erased, row by row. */
  get seen(): string[] {
    return this.#lines.flatMap((line) => this.#rowsOf(line).map((row) => row.trimEnd()));
  }

  get cursorColumn(): number {
    return this.#at % this.columns;
  }

  #rowsOf(line: string): string[] {
    const rows: string[] = [];
    for (let at = 0; at === 0 || at < line.length; at += this.columns) rows.push(line.slice(at, at + this.columns));
    return rows;
  }

  #take(token: string): void {
    if (token === '\r') this.#at -= this.#at % this.columns;
    else if (token === '\n') {
      this.#line += 1;
      if (this.#line === this.#lines.length) this.#lines.push('');
      this.#at = 0;
    } else if (token === '\x1b[0J') {
      this.#lines.length = this.#line + 1;
      this.#lines[this.#line] = (this.#lines[this.#line] as string).slice(0, this.#at);
    } else if (token.startsWith('\x1b[') && token.endsWith('A')) this.#up(Number(token.slice(2, -1)));
    else if (token.startsWith('\x1b[') && token.endsWith('m')) return;
    else if (token.length > 1 || token < ' ') throw new Error(`the terminal does not know ${JSON.stringify(token)}`);
    else {
      const line = this.#lines[this.#line] as string;
      this.#lines[this.#line] = line.slice(0, this.#at).padEnd(this.#at) + token + line.slice(this.#at + 1);
      this.#at += 1;
    }
  }

  /** By rows, no further than the top of the screen. */
  #up(by: number): void {
    const heights = this.#lines.map((line) => this.#rowsOf(line).length);
    const all = heights.reduce((sum, height) => sum + height, 0);
    const now =
      heights.slice(0, this.#line).reduce((sum, height) => sum + height, 0) + Math.floor(this.#at / this.columns);
    let row = Math.max(now - by, all - this.rows, 0);
    for (this.#line = 0; row >= (heights[this.#line] as number); this.#line++) row -= heights[this.#line] as number;
    this.#at = row * this.columns;
  }
}

const children = new Set<ChildProcess>();

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

/** A program in a terminal. */
export class InTerminal {
  readonly screen: Screen;
  /** Everything that was written, as it was written. */
  raw = '';
  readonly done: Promise<number>;
  readonly #child: ChildProcess;
  #code: number | null = null;

  constructor(
    args: readonly string[],
    options: {
      readonly cwd: string;
      readonly columns: number;
      readonly rows: number;
      readonly env?: Record<string, string>;
    },
  ) {
    const { columns, rows, cwd, env = {} } = options;
    this.screen = new Screen(columns, rows);
    const words = [
      join(import.meta.dirname, 'in-terminal.py'),
      String(columns),
      String(rows),
      process.execPath,
      BINARY,
      ...args,
    ];
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(PYTHON, words, {
      cwd,
      env: { PATH, HOME, TERM: 'xterm-256color', ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child = child;
    children.add(child);
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) =>
      this.#hear(JSON.parse(line)),
    );
    const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    this.done = new Promise((finish, reject) => {
      child.on('error', reject);
      child.on('close', () => {
        clearTimeout(late);
        children.delete(child);
        if (this.#code === null) reject(new Error(`killed by the test after ${PATIENCE_MS} ms:\n${this.raw}`));
        else finish(this.#code);
      });
    });
    // A test that fails before it looks has its own error.
    this.done.catch(() => {});
  }

  #hear(message: { out?: string; resized?: [number, number]; code?: number }): void {
    if (message.out !== undefined) {
      const text = Buffer.from(message.out, 'base64').toString();
      this.raw += text;
      this.screen.write(text);
    }
    if (message.resized) this.screen.resize(...message.resized);
    if (message.code !== undefined) this.#code = message.code;
  }

  resize(columns: number, rows: number): void {
    this.#order({ resize: [columns, rows] });
  }

  type(text: string): void {
    this.#order({ type: text });
  }

  #order(order: object): void {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  /** Waits until the screen shows it. */
  async until(holds: (seen: readonly string[]) => boolean, what: string): Promise<void> {
    while (!holds(this.screen.seen)) {
      if (this.#code !== null || !children.has(this.#child)) {
        throw new Error(`it ended before ${what}:\n${this.screen.seen.join('\n')}`);
      }
      await sleep(10);
    }
  }
}
