/**
 * The schema as a tree that can be walked: which keys stand where, and what judges each leaf. It has no key or default
 * of its own; it only shows what schema.ts says.
 */
import { z } from 'zod';
import { type FieldFacts, facts } from './fields.ts';
import { fileSchema } from './schema.ts';

export interface MapNode {
  readonly kind: 'map';
  readonly doc: string;
  readonly keys: ReadonlyMap<string, Node>;
}

export interface ListNode {
  readonly kind: 'list';
  readonly doc: string;
  readonly item: MapNode;
}

export interface Leaf {
  readonly kind: 'leaf';
  readonly doc: string;
  readonly facts: FieldFacts;
  readonly schema: z.ZodType;
  /** Undefined where it depends on other keys, where there is none, and where the key is required. */
  readonly preset: unknown;
  readonly required: boolean;
}

export type Node = MapNode | ListNode | Leaf;

/** What a leaf can hold once it has been judged. */
export type Value = string | number | boolean | readonly string[];

function nodeOf(schema: z.ZodType, doc: string | undefined): Node {
  const about = doc ?? schema.description ?? '';
  const found = facts.get(schema);
  if (found !== undefined) {
    const preset = schema.safeParse(undefined);
    return { kind: 'leaf', doc: about, facts: found, schema, preset: preset.data, required: !preset.success };
  }
  if (schema instanceof z.ZodObject) {
    const entries = Object.entries(schema.shape as Record<string, z.ZodType>);
    return { kind: 'map', doc: about, keys: new Map(entries.map(([key, child]) => [key, nodeOf(child, undefined)])) };
  }
  if (schema instanceof z.ZodArray) {
    const item = nodeOf(schema.element as z.ZodType, undefined);
    if (item.kind === 'map') return { kind: 'list', doc: about, item };
  }
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) {
    return nodeOf(schema.unwrap() as z.ZodType, about);
  }
  throw new Error(`the schema has a node that is neither leaf, map nor list: ${about}`);
}

function rootOf(): MapNode {
  const root = nodeOf(fileSchema, undefined);
  if (root.kind !== 'map') throw new Error('the schema is not a map');
  return root;
}

/** The whole schema. */
export const tree: MapNode = rootOf();

/** A leaf with its dotted path; entries of a list carry `[]`. */
export interface NamedLeaf {
  readonly path: string;
  readonly leaf: Leaf;
}

const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);

function leavesBelow(node: Node, path: string): NamedLeaf[] {
  if (node.kind === 'leaf') return [{ path, leaf: node }];
  if (node.kind === 'list') return leavesBelow(node.item, `${path}[]`);
  return [...node.keys].flatMap(([key, child]) => leavesBelow(child, join(path, key)));
}

/** Every leaf, in the order of the schema. */
export const leaves: readonly NamedLeaf[] = leavesBelow(tree, '');

const byPath = new Map(leaves.map(({ path, leaf }) => [path, leaf]));

/** The leaf at a concrete path such as `eras[2].network`; undefined for an unknown key or one that is not a leaf. */
export function leafAt(path: string): Leaf | undefined {
  return byPath.get(path.replaceAll(/\[\d+\]/g, '[]'));
}
