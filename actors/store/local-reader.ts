/**
 * Random access to one file by its descriptor: what was opened is what is read, whatever happens to the name.
 * It must never answer with fewer bytes than the file had when it was opened.
 */
import { BronzeError } from '../../machines/errors.ts';
import { readFully } from '../durable.ts';
import { type FileOps, fileError } from '../files.ts';
import type { ObjectReader } from '../ports/store.ts';

/** A reader that owns `fd` and closes it. Reads beyond the end are cut; `size` in bytes. */
export function localReader(files: FileOps, fd: number, path: string, size: number): ObjectReader {
  let isOpen = true;
  return {
    size,
    async read(offset, length) {
      const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)));
      let count: number;
      try {
        count = await readFully(files, fd, buffer, offset);
      } catch (error) {
        throw fileError('store', 'read', path, error);
      }
      if (count === buffer.length) return buffer;
      throw new BronzeError('STORE_IO', `${path} became shorter while it was read`, {
        details: { object: path },
        retryable: false,
      });
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      await files.close(fd);
    },
  };
}
