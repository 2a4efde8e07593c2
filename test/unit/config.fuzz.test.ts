/** S25, for all the mistakes that nobody thought of: damaged files are problems, never a crash and never half a config. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatProblem } from '../../config/problems.ts';
import { readYaml } from '../../config/yaml-source.ts';
import { load, problemsOf } from '../support/config.ts';

const example = (name: string) =>
  readFileSync(new URL(`../../config/examples/${name}.yaml`, import.meta.url), 'utf8').replaceAll(/^ *#.*\n/gm, '');

const texts = [example('quickstart'), example('two-era-backfill'), example('unbounded')];
const scraps = [
  '&a ',
  '*a',
  '<<: ',
  '- ',
  ': ',
  '\n',
  '\t',
  '{',
  '}',
  '[',
  ']',
  '"',
  "'",
  '|\n',
  '---\n',
  '!!x ',
  '#',
  '0',
  'é',
  '~',
];

const damage = fc.record({
  text: fc.constantFrom(...texts),
  edits: fc.array(
    fc.record({
      at: fc.nat(2000),
      cut: fc.nat(8),
      put: fc.oneof(fc.constantFrom(...scraps), fc.string({ maxLength: 4 })),
    }),
    { minLength: 1, maxLength: 4 },
  ),
});

const apply = ({ text, edits }: { text: string; edits: { at: number; cut: number; put: string }[] }): string =>
  edits.reduce((whole, { at, cut, put }) => {
    const start = at % (whole.length + 1);
    return whole.slice(0, start) + put + whole.slice(start + cut);
  }, text);

describe('damaged files', () => {
  it('are either a whole configuration or problems with places', () => {
    fc.assert(
      fc.property(damage, (input) => {
        const text = apply(input);
        const problems = problemsOf(text);
        const lines = text.split('\n').length;
        for (const problem of problems) {
          expect(formatProblem(problem)).not.toMatch(/undefined|\[object/);
          expect(problem.expected).not.toBe('');
          if (problem.origin.kind === 'file') expect(problem.origin.line).toBeLessThanOrEqual(lines);
        }
        if (problems.length > 0) return;
        const { eras, active_eras } = load(text);
        expect(eras.length).toBeGreaterThan(0);
        expect(active_eras.length).toBeGreaterThan(0);
      }),
      { numRuns: 400 },
    );
  });

  it('of any text at all are read without a crash', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ maxLength: 60 }), fc.array(fc.constantFrom(...scraps, 'era', 'a'), { maxLength: 15 })),
        (text) => {
          const reading = readYaml(Array.isArray(text) ? text.join('') : text, 'x.yaml');
          expect(reading.understood || reading.problems.length > 0).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
