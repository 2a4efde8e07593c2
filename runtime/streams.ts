/**
 * What the program says on its standard streams. Lines (logs, progress, errors) may be lost: they are counted, and the
 * work goes on. An answer (what a command was asked for) is written whole, or the command has failed. Node's own
 * streams are not used for either: they take a write that was cut short for a whole one, and end with the first error.
 * Nothing leaves here that acts on a terminal, but for the log's own colours.
 */
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import { errnoOf } from '../actors/files.ts';
import { BronzeError } from '../machines/errors.ts';
import { harmless, harmlessLine, printable } from './human.ts';

export const OUT = 1;
export const ERR = 2;

/** A pipe that is full, and does not make its writer wait: how long until the next try, ms. */
const FULL_PIPE_MS = 10;

/** As if SIGPIPE had ended it: what shells say of a command whose reader went away. */
export const READER_GONE = 141;

const pause = new Int32Array(new SharedArrayBuffer(4));
const write = promisify(fs.write);

const isFull = (error: unknown): boolean => errnoOf(error) === 'EAGAIN';

let lost = 0;

/** Lines of this process that could not be written, or not whole. */
export const lostLines = (): number => lost;

/** One of the standard streams, for what may be lost. */
class Lines {
  readonly #fd: number;
  /** The last line is there in part. */
  #isCut = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Whole lines. Answers why they are lost; null where they were written. Waits for a slow reader, as any program does. */
  write(text: string): Error | null {
    const whole = harmlessLine(text);
    const bytes = Buffer.from(this.#isCut ? `\n${whole}` : whole);
    let done = 0;
    while (done < bytes.length) {
      try {
        done += fs.writeSync(this.#fd, bytes, done);
      } catch (error) {
        if (isFull(error)) {
          Atomics.wait(pause, 0, 0, FULL_PIPE_MS);
          continue;
        }
        this.#isCut ||= done > 0;
        lost += text.split('\n').length - 1;
        return error as Error;
      }
    }
    this.#isCut = false;
    return null;
  }
}

export const lines = { [OUT]: new Lines(OUT), [ERR]: new Lines(ERR) } as const;

/** Whole lines on standard error; what cannot be written there is counted and otherwise forgotten. */
export const say = (text: string): void => void lines[ERR].write(harmless(text));

/** A line at the bottom of a terminal that takes the place of the one before; an empty one only takes it away. */
export const redraw = (text: string): void =>
  void process.stderr.write(text === '' ? '\r\x1b[0J' : `\r${printable(text)} `);

let isReaderGone = false;

/** Whether somebody closed standard output before all of an answer was there, as `| head` does. */
export const readerIsGone = (): boolean => isReaderGone;

/**
 * What a command was asked for, on standard output, to the last byte. Throws OUTPUT_FAILED. That the reader went away is
 * no error, and nothing more is written then.
 */
export async function print(text: string): Promise<void> {
  const bytes = Buffer.from(harmless(text));
  let done = 0;
  while (done < bytes.length && !isReaderGone) {
    try {
      done += (await write(OUT, bytes, done)).bytesWritten;
    } catch (error) {
      if (isFull(error)) await sleep(FULL_PIPE_MS);
      else if (errnoOf(error) === 'EPIPE') isReaderGone = true;
      else throw outputFailed('standard output', error);
    }
  }
}

/** Something that was asked for could not be written. */
export function outputFailed(where: string, error: unknown): BronzeError {
  const reason = error instanceof Error ? error.message : String(error);
  const hint = 'give it a place that can be written, and ask again';
  return new BronzeError('OUTPUT_FAILED', `could not write to ${where}: ${reason}; ${hint}`, {
    details: { object: where, hint },
    cause: error,
  });
}

/**
 * Keeps what happens to a standard stream from ending the program. To be called once, at its start.
 *
 * Node ends with a fault of its own where a terminal has vanished: at its exit it gives each terminal the settings back
 * that it had, and takes no error for an answer. What is closed it leaves alone.
 */
export function guardStreams(): void {
  // The display and other people's code write to these.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const terminals = [0, OUT, ERR].filter((fd) => isatty(fd));
  if (terminals.length === 0) return;
  process.on('exit', () => {
    for (const fd of terminals) {
      if (isatty(fd)) continue;
      try {
        fs.closeSync(fd);
      } catch {
        // Closed already.
      }
    }
  });
}
