/** The committed walker is what its generator makes of the installed SDK; and the generator refuses what it must. */
import { readFileSync } from 'node:fs';
import { LedgerCloseMeta } from '@stellar/stellar-sdk/xdr';
import { describe, expect, it } from 'vitest';
import { currentWalker, generateWalker, type Hook, LEDGER_HOOKS } from '../../tools/generate-walker.ts';

const versions = { sdk: '0', jsXdr: '0' };
const generate = (hooks: Hook): string => generateWalker(LedgerCloseMeta.schema, hooks, versions);
const { v0, v1, v2 } = LEDGER_HOOKS.fields as Record<string, Hook>;

describe('walker.gen.ts', () => {
  it('is what the generator writes today', () => {
    const { path, expected } = currentWalker();
    expect(readFileSync(path, 'utf8') === expected, 'run node build/tools/generate-walker.js').toBe(true);
  });
});

describe('the generator', () => {
  it('refuses a hook on a field that does not exist, at any depth', () => {
    const renamed: Hook = { fields: { ...v0?.fields, txSet: { fields: { txes: { count: 'txCount' } } } } };
    const fields = { v0: renamed, v1: v1 as Hook, v2: v2 as Hook };
    expect(() => generate({ everyArm: true, fields })).toThrow(/TransactionSet \(struct\): there is no txes/);
    expect(() => generate({ fields: { v9: {} } })).toThrow(/there is no v9; there are v0, v1, v2/);
  });

  it('refuses to pass over an arm that has no hook', () => {
    expect(() => generate({ everyArm: true, fields: { v0: v0 as Hook, v1: v1 as Hook } })).toThrow(
      /arm v2 has no hook/,
    );
  });

  it('refuses a hook of the wrong kind', () => {
    expect(() => generate({ count: 'txCount' })).toThrow(/count and each are for arrays/);
    const onHash: Hook = { fields: { ledgerHeader: { fields: { hash: { fields: { x: {} } } } } } };
    expect(() => generate({ fields: { v0: onHash } })).toThrow(/fields are for structs and unions/);
  });

  it('refuses to leave a slot unfilled', () => {
    const withoutSet: Hook = { fields: { ledgerHeader: v1?.fields?.ledgerHeader as Hook } };
    expect(() => generate({ fields: { v1: withoutSet } })).toThrow(/no hook fills .*txSetStart/);
  });
});
