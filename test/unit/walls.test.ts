// The walls of the house: imports point one way, and there are no cycles.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const ROOMS = ['machines', 'actors', 'config', 'runtime'] as const;

/** What each room may import of the others. */
const MAY: Record<(typeof ROOMS)[number], readonly string[]> = {
  machines: ['machines'],
  config: ['config', 'machines'],
  actors: ['actors', 'machines', 'config'],
  runtime: ['runtime', 'actors', 'machines', 'config'],
};

const files = ROOMS.flatMap((room) =>
  readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(room, name)),
);

interface Import {
  readonly from: string;
  readonly what: string;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const found = [
    ...text.matchAll(/(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g),
  ];
  return found.map((match) => ({ from: file, what: (match[1] ?? match[2]) as string }));
}

const all = files.flatMap(importsOf);
const local = all
  .filter((entry) => entry.what.startsWith('.'))
  .map((entry) => ({ from: entry.from, to: relative(ROOT, resolve(ROOT, dirname(entry.from), entry.what)) }));

const roomOf = (file: string): string => file.split('/')[0] as string;

/** Each cycle that a walk from anywhere closes, as it is walked. */
function cyclesOf(next: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (at: string, path: readonly string[]): void => {
    if (path.includes(at)) {
      cycles.push([...path.slice(path.indexOf(at)), at].join(' → '));
      return;
    }
    if (done.has(at)) return;
    for (const to of next.get(at) ?? []) visit(to, [...path, at]);
    done.add(at);
  };
  for (const at of next.keys()) visit(at, []);
  return cycles;
}

/** A file without its comments and the texts in it. */
const codeOf = (file: string): string =>
  readFileSync(join(ROOT, file), 'utf8')
    .replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
    .replace(/'[^'\n]*'/g, "''");

describe('the walls between the folders', () => {
  it('finds the code it judges', () => {
    expect(files.length).toBeGreaterThan(30);
    expect(local.length).toBeGreaterThan(60);
  });

  it('lets imports point one way only', () => {
    const through = local.filter(({ from, to }) => !MAY[roomOf(from) as 'machines'].includes(roomOf(to)));
    expect(through).toEqual([]);
  });

  it('lets machines import nothing but xstate and machines', () => {
    const packages = all.filter(
      ({ from, what }) => roomOf(from) === 'machines' && !what.startsWith('.') && what !== 'xstate',
    );
    expect(packages).toEqual([]);
  });

  it('keeps clocks, chance, I/O and promises out of machines', () => {
    const words =
      /\b(?:Date\.now|new Date|Math\.random|process\.|setTimeout|setInterval|await |performance\.|globalThis)/;
    const guilty = files
      .filter((file) => roomOf(file) === 'machines')
      .filter((file) => words.test(readFileSync(join(ROOT, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')));
    expect(guilty).toEqual([]);
  });

  it('keeps a directory of actors out of machines: children are known by id, parents by reference', () => {
    const found = files
      .filter((file) => file.startsWith('machines/'))
      .filter((file) => /\bsystem(Id)?\b/.test(codeOf(file)));
    expect(found).toEqual([]);
  });

  it('keeps casts out of machines', () => {
    const cast = /\bas (?!const\b).*|[\w)\]]!(?=[.;,)\]])|\bany\b/;
    const castsIn = (code: string): string[] =>
      code
        .replace(/\b(?:import|export) (?:type )?(?:\{[^}]*\}|\*[^;]*);?/g, '')
        // Of a text with values in it, the values.
        .replace(/`[^`]*`/g, (text) => [...text.matchAll(/\$\{([^}]*)\}/g)].map(([, value]) => value).join(' '))
        .split('\n')
        .filter((line) => cast.test(line));
    for (const code of ['f({} as A);', 'b!.c;', 'const e: any = 1;', ['`as A $', '{d as E}`;'].join('')])
      expect(castsIn(code), code).toEqual([expect.stringMatching(cast)]);
    expect(castsIn("import { x as y } from '';\n[1] as const;\n!(a != b);\n`known as A`;")).toEqual([]);
    const machines = files.filter((file) => roomOf(file) === 'machines');
    expect(machines.flatMap((file) => castsIn(codeOf(file)).map((line) => `${file}: ${line.trim()}`))).toEqual([]);
  });

  it('lets the tests that step machines touch nothing that is private to XState', () => {
    const steppers = ['test/model', 'test/generated', 'test/generated/models']
      .flatMap((folder) => readdirSync(join(ROOT, folder)).map((name) => join(folder, name)))
      .filter((name) => name.endsWith('.ts'));
    const found = [...steppers, 'test/support/stepper.ts', 'test/support/pure.ts'].filter((file) =>
      /\._[a-z]|\b_[a-z]+[A-Za-z]*\(/.test(codeOf(file)),
    );
    expect(steppers.length).toBeGreaterThan(15);
    expect(found).toEqual([]);
  });

  it('has no import cycles', () => {
    const next = new Map<string, Set<string>>();
    for (const { from, to } of local) next.set(from, (next.get(from) ?? new Set()).add(to));
    expect(cyclesOf(next)).toEqual([]);
  });

  it('has no cycles between folders either', () => {
    const next = new Map<string, Set<string>>();
    for (const { from, to } of local) {
      const [folder, other] = [dirname(from), dirname(to)];
      if (folder === other || roomOf(from) === 'runtime') continue;
      next.set(folder, (next.get(folder) ?? new Set()).add(other));
    }
    expect(next.size).toBeGreaterThan(15);
    expect(cyclesOf(next)).toEqual([]);
  });

  it('says in the first lines of every file what it is for', () => {
    const silent = files.filter((file) => !/^(?:#!.*\n)?\s*\/[/*]/.test(readFileSync(join(ROOT, file), 'utf8')));
    expect(silent).toEqual([]);
  });
});
