/** What machines say instead of casts: the types of a setup, and that a value is there. */
import { BronzeError } from './errors.ts';

/** For `setup({ types })`, which reads types only. */
export const typesOf = <T>(): T | undefined => undefined;

/** A value that a state is entered with. A machine that comes there without it is wrong: the actor crashes. */
export function given<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new BronzeError('INTERNAL', `${what} is not there`);
  return value;
}
