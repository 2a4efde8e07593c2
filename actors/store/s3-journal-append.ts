/**
 * Writes the journal of uploads, for the threads that begin them; s3-journal.ts says what it is and reads it. It must
 * never rewrite a line.
 */
import { constants } from 'node:fs';
import { type FileOps, fileError } from '../files.ts';
import type { JournalLine } from './s3-journal.ts';

const APPEND = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND;

/** Appends a line. `durable`: fsync before it returns; that an upload has ended need not be. Throws STATE_IO. */
export async function appendLine(files: FileOps, path: string, line: JournalLine, durable: boolean): Promise<void> {
  try {
    const fd = await files.open(path, APPEND);
    try {
      const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
      let done = 0;
      while (done < bytes.length) done += await files.write(fd, bytes, done, bytes.length - done);
      if (durable) await files.fsync(fd);
    } finally {
      await files.close(fd);
    }
  } catch (error) {
    throw fileError('state', 'write the journal of uploads', path, error);
  }
}
