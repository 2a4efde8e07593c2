/**
 * Reads a YAML file into settings: for every key that the schema knows, what was written and where. Mistakes are
 * collected, never thrown, so that one run shows all of them. Defaults are not applied here, and values are interpreted
 * by judge.ts only.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseAllDocuments,
  Scalar,
  type YAMLMap,
} from 'yaml';
import { judge, judgeItem, type Written } from './judge.ts';
import { apart, nearestOf, type Origin, type Problem, quote } from './problems.ts';
import { redactSecrets } from './secrets.ts';
import { type Leaf, type ListNode, leaves, type MapNode, type Node, tree, type Value } from './tree.ts';

/** A key that was given; `value` undefined = given as empty, which is the same as not given but for its place. */
export interface Setting {
  readonly path: string;
  readonly value: Value | undefined;
  readonly origin: Origin;
}

/** What a source says. A path in `broken` (or below one) was given, but wrongly: nothing may be concluded from it. */
export interface Reading {
  readonly settings: readonly Setting[];
  readonly broken: ReadonlySet<string>;
  readonly problems: readonly Problem[];
  /** Where each key stands, also those of maps and list entries. */
  readonly places: ReadonlyMap<string, Origin>;
  /** Entries of `eras`; null = there is no `eras` list. */
  readonly eraCount: number | null;
  readonly hasEraBlock: boolean;
  /** False where the file could not be understood as a whole, so that nothing can be said about what it lacks. */
  readonly understood: boolean;
}

type Found = ParsedNode | null | undefined;

interface Pair {
  readonly name: string;
  readonly key: ParsedNode;
  readonly value: Found;
}

const STRING_TAG = 'tag:yaml.org,2002:str';
/** Longest chain of `<<` and aliases that is followed; a file that needs more refers to itself. */
const MAX_HOPS = 8;
/** Mappings that `<<` brings in, in one file: those that bring in each other grow without bound. */
const MAX_MERGES = 1000;

class Walker {
  readonly settings: Setting[] = [];
  readonly broken = new Set<string>();
  readonly problems: Problem[] = [];
  readonly places = new Map<string, Origin>();
  eraCount: number | null = null;
  hasEraBlock = false;
  private merges = 0;
  private readonly file: string;
  private readonly lines: LineCounter;
  private readonly resolve: (node: Found) => Found;

  constructor(file: string, lines: LineCounter, resolve: (node: Found) => Found) {
    this.file = file;
    this.lines = lines;
    this.resolve = resolve;
  }

  at(node: Found): Origin {
    const { line, col } = this.lines.linePos(node?.range?.[0] ?? 0);
    return { kind: 'file', file: this.file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  report(node: Found, key: string, message: string, expected: string, found: string, nearest?: string): void {
    const problem = { origin: this.at(node), key, message, expected, found };
    this.problems.push(nearest === undefined ? problem : { ...problem, nearest });
  }

  private reject(node: Found, path: string, message: string, expected: string): void {
    this.broken.add(path);
    this.report(node, path, message, expected, describe(node));
  }

  /** Follows aliases to what they stand for; null = reported as a problem. */
  private follow(node: Found, path: string): { readonly node: Found } | null {
    let target = node;
    for (let hops = 0; isAlias(target); hops += 1) {
      const next = hops < MAX_HOPS ? this.resolve(target) : undefined;
      if (next === undefined) {
        this.broken.add(path);
        this.report(node, path, 'an alias of nothing', 'an anchor of this name before it', `*${target.source}`);
        return null;
      }
      target = next;
    }
    return { node: target };
  }

  /** The pairs of a map, its own before those that `<<` brings in. */
  private pairsOf(map: YAMLMap.Parsed, path: string, hops = 0): Pair[] {
    const own = new Map<string, Pair>();
    const merged: Pair[] = [];
    for (const { key, value } of map.items) {
      if (!isScalar(key)) {
        this.report(key, path, 'not a key', 'a plain word', describe(key));
        continue;
      }
      const name = String(key.source ?? key.value ?? '');
      const before = own.get(name);
      if (before !== undefined) {
        const { line } = this.lines.linePos(before.key.range[0]);
        this.report(key, childPath(path, name), `written twice, first in line ${line}`, 'every key once', name);
      } else if (name === '<<' && key.type === Scalar.PLAIN) {
        merged.push(...this.mergedPairs(value, path, hops));
      } else {
        own.set(name, { name, key, value });
      }
    }
    for (const pair of merged) if (!own.has(pair.name)) own.set(pair.name, pair);
    return [...own.values()];
  }

  private mergedPairs(value: Found, path: string, hops: number): Pair[] {
    const followed = this.follow(value, path);
    if (followed === null) return [];
    const sources = isSeq(followed.node) ? (followed.node.items as Found[]) : [followed.node];
    return sources.flatMap((source) => {
      const target = this.follow(source, path);
      if (target === null) return [];
      this.merges += 1;
      if (!isMap(target.node) || hops >= MAX_HOPS || this.merges > MAX_MERGES) {
        // Once is enough: what brings in too many does so thousands of times.
        if (this.merges > MAX_MERGES + 1) return [];
        this.report(source, path, 'nothing that can be merged', 'an alias of a mapping', describe(target.node));
        return [];
      }
      return this.pairsOf(target.node as YAMLMap.Parsed, path, hops + 1);
    });
  }

  map(map: YAMLMap.Parsed, node: MapNode, path: string): void {
    for (const { name, key, value } of this.pairsOf(map, path)) {
      const below = childPath(path, name);
      const child = node.keys.get(name);
      if (child === undefined) {
        const { nearest, expected } = suggest(name, node, path);
        this.report(key, below, 'unknown key', expected, name, nearest);
        continue;
      }
      this.places.set(below, this.at(key));
      const followed = this.follow(value, below);
      if (followed !== null) this.value(followed.node, child, below, key);
    }
  }

  private value(value: Found, node: Node, path: string, key: ParsedNode): void {
    const empty = value === null || value === undefined || (isScalar(value) && isUnset(value));
    if (node.kind === 'leaf') {
      if (node.facts.kind === 'labels') this.labels(value, empty, node, path);
      else this.leaf(value, node, path, key);
      return;
    }
    if (empty) return;
    if (node.kind === 'list') {
      this.list(value, node, path);
    } else if (isMap(value)) {
      // An empty block says as much as none.
      if (path === 'era') this.hasEraBlock = value.items.length > 0;
      this.map(value as YAMLMap.Parsed, node, path);
    } else {
      this.reject(value, path, 'wrong type', `a mapping with the keys ${[...node.keys.keys()].join(', ')}`);
    }
  }

  private list(value: Found, node: ListNode, path: string): void {
    if (!isSeq(value)) {
      this.reject(value, path, 'wrong type', 'a list, each entry beginning with "- "');
      return;
    }
    // An empty list says as much as no list.
    if (value.items.length > 0) this.eraCount = value.items.length;
    for (const [index, item] of (value.items as Found[]).entries()) {
      const below = `${path}[${index}]`;
      this.places.set(below, this.at(item));
      const followed = this.follow(item, below);
      if (followed === null) continue;
      if (isMap(followed.node)) this.map(followed.node as YAMLMap.Parsed, node.item, below);
      else this.reject(item, below, 'wrong type', `a mapping with the keys ${[...node.item.keys.keys()].join(', ')}`);
    }
  }

  private leaf(value: Found, leaf: Leaf, path: string, key: ParsedNode): void {
    const written = this.written(value, leaf, path);
    if (written === null) return;
    const origin = this.at(value === null || value === undefined || written.text === '' ? key : value);
    const verdict = judge(leaf, written);
    if (verdict.ok) {
      this.settings.push({ path, value: verdict.value, origin });
    } else {
      this.broken.add(path);
      this.report(value, path, verdict.message, verdict.expected, verdict.found);
    }
  }

  private labels(value: Found, empty: boolean, leaf: Leaf, path: string): void {
    if (empty) return;
    if (!isSeq(value)) {
      this.reject(value, path, 'wrong type', `${leaf.facts.expected}, in brackets: [a, b]`);
      return;
    }
    const names: string[] = [];
    for (const [index, item] of (value.items as Found[]).entries()) {
      const below = `${path}[${index}]`;
      this.places.set(below, this.at(item));
      const followed = this.follow(item, below);
      const written = followed === null ? null : this.written(followed.node, leaf, below);
      if (written === null) continue;
      const verdict = judgeItem(leaf, written);
      if (verdict.ok) {
        names.push(String(verdict.value));
      } else {
        this.broken.add(path);
        this.report(item, below, verdict.message, verdict.expected, verdict.found);
      }
    }
    if (!this.broken.has(path)) this.settings.push({ path, value: names, origin: this.at(value) });
  }

  /** A scalar as written; null = reported: it is none, or carries a tag. */
  private written(value: Found, leaf: Leaf, path: string): Written | null {
    if (value === null || value === undefined) return { text: '', style: 'plain' };
    if (!isScalar(value)) {
      this.reject(value, path, 'wrong type', leaf.facts.expected);
      return null;
    }
    const { tag } = value;
    if (tag !== undefined && tag !== STRING_TAG) {
      this.broken.add(path);
      this.report(value, path, 'a tag', `${leaf.facts.expected}, without a YAML tag`, tag);
      return null;
    }
    const quoted = value.type !== Scalar.PLAIN || tag === STRING_TAG;
    return { text: value.source ?? '', style: quoted ? 'quoted' : 'plain' };
  }
}

const childPath = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);

const isUnset = (scalar: Scalar): boolean =>
  scalar.type === Scalar.PLAIN ? scalar.value === null : scalar.source === '';

/** What a node is, for "found …". */
function describe(node: Found): string {
  if (node === null || node === undefined) return 'nothing';
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return 'a list';
  if (isAlias(node)) return 'an alias';
  // A connection string may stand in the wrong place, so that nothing but its form says that it holds a secret.
  return node.type === Scalar.PLAIN && node.value === null
    ? 'nothing'
    : `the value ${quote(redactSecrets(node.source))}`;
}

/** Two edits are a typo in a word of six letters, not in one of three. */
const isClose = (name: string, candidate: string): boolean =>
  apart(name, candidate) <= Math.max(1, Math.floor(candidate.length / 3));

/**
 * The key that was probably meant: a similar one in the same place, or one of the same name elsewhere. Where nothing is
 * similar it is still the nearest of its place, and the known keys are listed.
 */
function suggest(name: string, node: MapNode, path: string): { readonly nearest: string; readonly expected: string } {
  const here = [...node.keys.keys()];
  const sibling = nearestOf(name, here) ?? '';
  const expected = `one of ${here.join(', ')}`;
  if (isClose(name, sibling)) return { nearest: childPath(path, sibling), expected };
  const elsewhere = leaves.map((entry) => entry.path);
  const lastWord = (candidate: string) => candidate.slice(candidate.lastIndexOf('.') + 1);
  const namesake = elsewhere.find((candidate) => apart(lastWord(candidate), name) === 0);
  return { nearest: namesake ?? childPath(path, sibling), expected };
}

/** A file of which nothing can be said but what is wrong with it as a whole. */
export const notUnderstood = (problems: readonly Problem[]): Reading => ({
  settings: [],
  broken: new Set(),
  problems,
  places: new Map(),
  eraCount: null,
  hasEraBlock: false,
  understood: false,
});

/** Reads the text of a configuration file; `file` is its name as messages show it. */
export function readYaml(text: string, file: string): Reading {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    uniqueKeys: false,
    prettyErrors: false,
    version: '1.2',
  });
  const documents = Array.isArray(parsed) ? parsed : [];
  const written = text.split('\n');
  const first = documents[0];
  const place = (offset: number): Origin => {
    const { line, col } = lines.linePos(offset);
    return { kind: 'file', file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const whole = (origin: Origin, message: string, expected: string, found: string): Problem => ({
    origin,
    key: '',
    message,
    expected,
    found,
  });

  const seen = new Set<string>();
  const syntax = documents
    .flatMap((document) => document.errors)
    .map((error) => ({ origin: place(error.pos[0]), error }))
    // The parser often stumbles several times over one mistake; the first complaint about a line is the helpful one.
    .filter(({ origin }) => origin.kind === 'file' && !seen.has(`${origin.line}`) && seen.add(`${origin.line}`))
    .map(({ origin, error }) => {
      const line = origin.kind === 'file' ? (written[origin.line - 1] ?? '').trimEnd() : '';
      const message = `not YAML: ${error.message.replaceAll(/\s+/g, ' ').trim()}`;
      return whole(origin, message, 'a YAML mapping (key: value)', line === '' ? '' : quote(redactSecrets(line)));
    });
  if (syntax.length > 0) return notUnderstood(syntax);

  if (first === undefined || (documents.length === 1 && first.contents === null)) {
    return notUnderstood([whole(place(0), 'the file is empty', 'a YAML mapping (key: value)', 'nothing')]);
  }
  let followed = 0;
  const walker = new Walker(file, lines, (node) => {
    if (!isAlias(node)) return node;
    // Each looks through the whole file for its anchor.
    followed += 1;
    return followed > MAX_MERGES ? undefined : (node.resolve(first) as Found);
  });
  for (const later of documents.slice(1)) {
    const origin = place(later.range[0]);
    walker.problems.push(whole(origin, 'a second document', 'one YAML document', 'another one after "---"'));
  }
  const root: Found = first.contents;
  if (root !== null && !isMap(root)) {
    const problem = whole(walker.at(root), 'wrong type', 'a YAML mapping (key: value)', describe(root));
    return notUnderstood([...walker.problems, problem]);
  }
  walker.places.set('', walker.at(root));
  if (root !== null) walker.map(root as YAMLMap.Parsed, tree, '');
  return {
    settings: walker.settings,
    broken: walker.broken,
    problems: walker.problems,
    places: walker.places,
    eraCount: walker.eraCount,
    hasEraBlock: walker.hasEraBlock,
    understood: true,
  };
}
