/**
 * What stands for a staged object of Google Cloud Storage between the thread that wrote it and the process that
 * publishes it. It is parsed, whoever hands it over.
 */
import * as z from 'zod';
import { BronzeError } from '../../machines/errors.ts';

const handleSchema = z.strictObject({
  /** Full key in the bucket. */
  key: z.string(),
  generation: z.string(),
  size: z.number(),
  crc32c: z.string(),
});

/** What a handle says, as JSON: all that is needed to publish the object, by any process. */
export type GcsHandle = z.infer<typeof handleSchema>;

export function parseGcsHandle(handle: string): GcsHandle {
  try {
    return handleSchema.parse(JSON.parse(handle));
  } catch (cause) {
    throw new BronzeError('INTERNAL', 'not a handle of a store on Google Cloud Storage', { cause });
  }
}
