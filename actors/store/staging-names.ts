/**
 * Names of staged objects, the same on every backend that has names for them: whose an object is can be read from its
 * name alone. Pure.
 */
import { randomBytes } from 'node:crypto';
import { BronzeError } from '../../machines/errors.ts';

/** Folder below a chain's prefix (and below the root, for objects of no chain) that no listing shows unless asked. */
export const STAGING_FOLDER = '_staging';

const LABEL = /^[A-Za-z0-9._-]{1,180}$/;
const OWNER = /^[A-Za-z0-9_-]{1,64}$/;

export const randomLabel = (): string => randomBytes(6).toString('hex');

/** `{owner}.{name}.tmp`: whose it is can be read from the name alone. */
export function stagingName(owner: string, name: string): string {
  if (!OWNER.test(owner)) throw new BronzeError('INTERNAL', `not a name of a staging owner: ${JSON.stringify(owner)}`);
  if (!LABEL.test(name)) throw new BronzeError('INTERNAL', `not a name for a staged object: ${JSON.stringify(name)}`);
  return `${owner}.${name}.tmp`;
}

/** The owner in the name of a staged file; null for a name that no copier gives. */
export function stagingOwner(fileName: string): string | null {
  return /^([A-Za-z0-9_-]{1,64})\..+\.tmp$/.exec(fileName)?.[1] ?? null;
}
