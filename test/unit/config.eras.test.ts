/** What eras may not be to each other, and that variables cannot say which of several they mean. */
import { describe, expect, it } from 'vitest';
import { brief, briefOf, only, problemsOf } from '../support/config.ts';

const LAKE = 'source: { local_path: ./lake }\n';

describe('eras', () => {
  const eras = (...entries: string[]) => `eras:\n${entries.map((entry) => `  - { ${entry} }\n`).join('')}${LAKE}`;
  const era = (id: string, range: string, network = 'pubnet', version = 'v1') =>
    `era_id: ${id}, network: ${network}, version_label: ${version}${range === '' ? '' : `, ${range}`}`;
  const from = (start: number, end: number) => `ledger_start: ${start}, ledger_end: ${end}`;

  it('may follow each other, with gaps, in any order, and share ledgers on different networks', () => {
    expect(problemsOf(eras(era('b', from(10, 0)), era('a', from(2, 9))))).toEqual([]);
    expect(problemsOf(eras(era('a', from(2, 9)), era('b', from(100, 199)), era('c', from(50, 60))))).toEqual([]);
    expect(problemsOf(eras(era('a', from(2, 0)), era('b', from(2, 0), 'testnet')))).toEqual([]);
  });

  it('may not overlap', () => {
    expect(briefOf(eras(era('a', from(2, 10)), era('b', from(10, 20))))).toEqual([
      expect.stringMatching(/^3:\d+ eras\[1\]\.ledger_start$/),
    ]);
    // 0, 1 and 2 are one ledger.
    expect(briefOf(eras(era('a', from(2, 2)), era('b', from(0, 5))))).toHaveLength(1);
    // Inside another, behind a third that ends earlier.
    const nested = problemsOf(eras(era('a', from(2, 100)), era('b', from(5, 6)), era('c', from(50, 60))));
    expect(nested.map(({ key }) => key)).toEqual(['eras[1].ledger_start', 'eras[2].ledger_start']);
    expect(nested[1]?.message).toContain('overlaps "a", which holds 2 to 100');
  });

  it('may be unbounded only as the last of a network', () => {
    const problem = only(eras(era('a', from(2, 0)), era('b', from(10, 20))));
    expect(problem).toMatchObject({ key: 'eras[0].ledger_end', found: '0 (unbounded)' });
    expect(problem.message).toContain('unbounded era is followed by another, "b"');
    expect(only(eras(era('b', from(10, 20)), era('a', ''))).key).toBe('eras[1].ledger_end');
    expect(only(eras(era('a', ''), era('b', ''))).key).toBe('eras[0].ledger_end');
  });

  it('may not end before they start', () => {
    expect(only(eras(era('a', from(10, 9))))).toMatchObject({ key: 'eras[0].ledger_end', found: '9' });
    expect(only(eras(era('a', from(0, 1))))).toMatchObject({ key: 'eras[0].ledger_end', found: '1' });
    expect(only(`era: { ledger_start: 5 }\n${LAKE}`, { LEDGER_END: '4' })).toMatchObject({
      key: 'era.ledger_end',
      origin: { kind: 'variable', name: 'LEDGER_END' },
    });
  });

  it('may not have a guard that nothing passes', () => {
    expect(only(eras(era('a', 'protocol_min: 23, protocol_max: 22'))).key).toBe('eras[0].protocol_max');
    expect(problemsOf(eras(era('a', 'protocol_min: 22, protocol_max: 22')))).toEqual([]);
  });

  it('may not share a name', () => {
    expect(only(eras(era('a', from(2, 9)), era('a', from(10, 19), 'pubnet', 'v2')))).toMatchObject({
      key: 'eras[1].era_id',
      message: expect.stringContaining('eras[0]'),
    });
  });

  it('may not end up in the same files', () => {
    expect(only(eras(era('c', '', 'a_b'), era('b_c', '', 'a')))).toMatchObject({
      key: 'eras[1].era_id',
      found: '"a_b_c_v1"',
    });
    expect(only(eras(era('a', from(2, 9)), era('A', from(10, 19)))).message).toContain('same names');
    expect(only(eras(era('x', '', 'Net'), era('X', '', 'net'))).message).toContain('same names');
    expect(problemsOf(eras(era('a', from(2, 9)), era('b', from(10, 19))))).toEqual([]);
  });

  it('may carry no label that is no file name', () => {
    for (const label of ['.', '..', 'a/b', '"a b"', 'a\\b', 'ü', '"a:b"']) {
      const file = eras(`era_id: ${label}, network: ${label}, version_label: ${label}`);
      expect(problemsOf(file).map(({ key }) => key)).toEqual([
        'eras[0].era_id',
        'eras[0].network',
        'eras[0].version_label',
      ]);
    }
  });

  it('are named by active_eras as they are', () => {
    const two = eras(era('pre_p23', from(2, 9)), era('p23_plus', from(10, 0)));
    expect(only(`${two}active_eras: [pre_p23, p23plus]\n`)).toMatchObject({
      key: 'active_eras[1]',
      nearest: 'p23_plus',
      found: '"p23plus"',
    });
    expect(only(two, { ACTIVE_ERAS: 'pre_p24' })).toMatchObject({ key: 'active_eras', nearest: 'pre_p23' });
    expect(only(two, { ACTIVE_ERAS: 'pre_p23,,' })).toMatchObject({ key: 'active_eras', message: 'an empty name' });
    const flags = [{ flag: '--eras', key: 'active_eras', text: 'nope' }];
    expect(problemsOf(two, { flags }).map(brief)).toEqual(['--eras active_eras']);
  });

  it('are not set by variables where there are several', () => {
    const two = eras(era('a', from(2, 9)), era('b', from(10, 0)));
    const env = {
      ERA_ID: 'x',
      VERSION_LABEL: 'v2',
      NETWORK: 'testnet',
      LEDGER_START: '2',
      LEDGER_END: '9',
      PARTITION_SIZE: '5',
      ALLOW_OVERWRITE: 'true',
    };
    expect(problemsOf(two, { env }).map(({ origin }) => (origin.kind === 'variable' ? origin.name : origin))).toEqual(
      Object.keys(env),
    );
    expect(problemsOf(two, { env: { LEDGER_START: '' } })).toEqual([]);
  });

  it('are given in one form only', () => {
    const both = `${eras(era('a', from(2, 9)))}era: { era_id: b }\n`;
    expect(only(both)).toMatchObject({ key: 'era', message: 'both forms of eras at once' });
  });
});
