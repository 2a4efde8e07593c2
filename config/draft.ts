/**
 * A configuration in the making: file, environment and flags laid over each other, each value with its origin. That a
 * value was given wrongly stays visible: from what is broken nothing may be concluded.
 */
import type { Layer } from './environment.ts';
import type { Origin, Problem } from './problems.ts';
import { leafAt, type Value } from './tree.ts';
import type { Reading, Setting } from './yaml-source.ts';

/** The problem of a value, but for its origin, which the draft knows. */
export type Complaint = Omit<Problem, 'origin' | 'key'>;

export class Draft {
  readonly problems: Problem[];
  private readonly settings = new Map<string, Setting>();
  private readonly broken: Set<string>;
  private readonly places: ReadonlyMap<string, Origin>;

  constructor(file: Reading | null) {
    this.problems = [...(file?.problems ?? [])];
    this.broken = new Set(file?.broken);
    this.places = file?.places ?? new Map();
    for (const setting of file?.settings ?? []) this.settings.set(setting.path, setting);
  }

  /** Lays a later source over the earlier ones. What it gives heals what was broken; what it breaks hides the rest. */
  overlay(layer: Layer): void {
    this.problems.push(...layer.problems);
    for (const path of layer.broken) this.broken.add(path);
    for (const setting of layer.settings) {
      this.settings.set(setting.path, setting);
      this.broken.delete(setting.path);
    }
  }

  /** Whether this path, or what it stands in, was given wrongly. */
  isBroken(path: string): boolean {
    if (this.broken.has(path)) return true;
    if (this.settings.has(path)) return false;
    for (const broken of this.broken) {
      if (path.startsWith(`${broken}.`) || path.startsWith(`${broken}[`)) return true;
    }
    return false;
  }

  /** What was given for a path; undefined where nothing was, or something broken. */
  given(path: string): Value | undefined {
    return this.broken.has(path) ? undefined : this.settings.get(path)?.value;
  }

  /** Whether anything was given below a path. */
  hasBelow(path: string): boolean {
    return [...this.settings.keys(), ...this.broken].some((each) => each.startsWith(`${path}.`));
  }

  /** The key of an entry of a list: with its index where the file gave the list, else that of the list. */
  keyOfItem(path: string, index: number): string {
    const item = `${path}[${index}]`;
    return this.settings.get(path)?.origin.kind === 'file' && this.places.has(item) ? item : path;
  }

  private read(path: string): unknown {
    return this.isBroken(path) ? undefined : (this.given(path) ?? leafAt(path)?.preset);
  }

  /** Number at a path, by default if need be; undefined where there is none or it is broken. */
  number(path: string): number | undefined {
    const value = this.read(path);
    return typeof value === 'number' ? value : undefined;
  }

  /** Text at a path; see `number`. Text that is not set is the empty string. */
  text(path: string): string | undefined {
    const value = this.read(path);
    return typeof value === 'string' ? value : undefined;
  }

  list(path: string): readonly string[] | undefined {
    const value = this.read(path);
    return Array.isArray(value) ? value.map(String) : undefined;
  }

  /** Where a path was set, else the place of what it stands in, else the beginning of the file, else nowhere. */
  originOf(path: string): Origin {
    const setting = this.settings.get(path);
    if (setting !== undefined) return setting.origin;
    for (let place = path; place !== ''; place = parentOf(place)) {
      const origin = this.places.get(place);
      if (origin !== undefined) return origin;
    }
    return this.places.get('') ?? { kind: 'missing' };
  }

  /** Complains about the value at `key`, at the place where it was written. */
  complain(key: string, complaint: Complaint): void {
    this.problems.push({ origin: this.originOf(key), key, ...complaint });
  }

  /** What was given, as a nested object for the schema; nothing that is not set. */
  toObject(): Record<string, unknown> {
    const root: Record<string, unknown> = {};
    const listed: Record<string, unknown>[] = [];
    for (const { path, value } of this.settings.values()) {
      if (value === undefined) continue;
      const entry = /^eras\[(\d+)\]\.(.+)$/.exec(path);
      if (entry?.[2] === undefined) {
        put(root, path.split('.'), value);
      } else {
        const index = Number(entry[1]);
        listed[index] = { ...listed[index], [entry[2]]: value };
      }
    }
    return listed.length === 0 ? root : { ...root, eras: listed };
  }
}

/** `eras[0].network` → `eras[0]` → `eras` → ''. */
const parentOf = (path: string): string => path.slice(0, Math.max(path.lastIndexOf('.'), path.lastIndexOf('['), 0));

function put(target: Record<string, unknown>, path: readonly string[], value: Value): void {
  const [head, ...rest] = path;
  if (head === undefined) return;
  if (rest.length === 0) {
    target[head] = value;
    return;
  }
  const next = (target[head] ?? {}) as Record<string, unknown>;
  target[head] = next;
  put(next, rest, value);
}
