/** A store that holds one object in memory, as far as reading back needs one. */
import type { BronzeStore, ObjectReader } from '../../actors/ports/store.ts';

/** Every key is this object; null = there is none. `beforeRead` may throw. */
export function objectStore(
  bytes: Uint8Array | null,
  beforeRead: (offset: number, length: number) => void = () => undefined,
): Pick<BronzeStore, 'open'> {
  return {
    async open(): Promise<ObjectReader | null> {
      if (bytes === null) return null;
      return {
        size: bytes.length,
        async read(offset, length) {
          beforeRead(offset, length);
          return bytes.slice(offset, offset + length);
        },
        async close() {},
      };
    },
  };
}
