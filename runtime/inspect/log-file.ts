/**
 * `--inspect-log`: frames as JSON lines in a file. Written behind the run's back: a slow disk loses lines and says how
 * many, a full one ends the log with a warning. It does not hold up or end the copy, and keeps a few megabytes waiting
 * at the most.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { BronzeError } from '../../machines/errors.ts';
import type { Logger } from '../log.ts';

/** Bytes that may wait for the disk. */
const WAITING = 4_000_000;
/** Ms that the end of a run waits for the last lines. */
const PATIENCE_MS = 2_000;

export interface LogFile {
  readonly write: (line: string) => void;
  readonly close: () => Promise<void>;
}

const refused = (file: string, why: string): BronzeError =>
  new BronzeError('USAGE', `--inspect-log: ${file} cannot be written: ${why}`, {
    details: { object: file, hint: 'name a file in a folder that is there' },
  });

/**
 * What stands in the file stays: another run may be writing it, and a start that is refused must not empty it.
 * Throws USAGE where it cannot be opened; a pipe could block that for ever.
 */
export async function openLogFile(file: string, log: Logger): Promise<LogFile> {
  const found = await stat(file).catch(() => null);
  if (found && !found.isFile() && !found.isCharacterDevice()) throw refused(file, 'it is no file');
  const stream = createWriteStream(file, { flags: 'a' });
  await new Promise<void>((opened, failed) => {
    stream.once('open', () => opened());
    stream.once('error', (error) => failed(refused(file, error.message)));
  });
  return follow(stream, file, log);
}

function follow(stream: WriteStream, file: string, log: Logger): LogFile {
  let isBroken = false;
  let lost = 0;
  const warn = (what: string, error?: string): void =>
    log.warn({ component: 'inspector', object: file, ...(error === undefined ? {} : { error }) }, `${file}: ${what}`);
  stream.on('error', (error) => {
    if (!isBroken) warn('no more frames are written, and the last line may be cut; the copy goes on', error.message);
    isBroken = true;
  });
  return {
    write(line) {
      if (isBroken) return;
      if (stream.writableLength > WAITING) {
        if (lost === 0) warn('the disk is too slow for all frames: some are left out, and the file says how many');
        lost += 1;
        return;
      }
      if (lost > 0) stream.write(`${JSON.stringify({ type: 'inspector.lost', lines: lost })}\n`);
      lost = 0;
      stream.write(`${line}\n`);
    },
    async close() {
      if (isBroken) return;
      if (lost > 0) stream.write(`${JSON.stringify({ type: 'inspector.lost', lines: lost })}\n`);
      const ended = new Promise<void>((done) => {
        stream.once('close', done);
        stream.end();
      });
      const patience = new AbortController();
      await Promise.race([
        ended.finally(() => patience.abort()),
        sleep(PATIENCE_MS, null, { signal: patience.signal, ref: false }).catch(() => null),
      ]);
    },
  };
}
