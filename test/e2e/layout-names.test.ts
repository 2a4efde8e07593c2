// Estates that earlier releases wrote under names which the layout uses: a sweep takes nothing of them, and they are found.
import { mkdirSync, renameSync, rmSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openStore } from '../../actors/store/index.ts';
import { findChains, layoutNamedChains } from '../../actors/verify/chains.ts';
import { tempFolder } from '../support/bronze.ts';
import { filesIn } from '../support/estate.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';

const LONG_AGO = new Date('2020-01-01T00:00:00Z');

describe.each(['_staging/probe-1a2b3c4d5e6f/v1', 'sample/_staging/v1', 'sample/whole/_staging'])('%s', (name) => {
  it('is left alone by a run, told by status, and found by verify', async () => {
    const scene = await sampleScene(sampleEra({ partition_size: 63 }));
    expect((await scene.run()).code).toBe(0);
    const from = scene.chain('sample', 'whole');
    const root = dirname(dirname(dirname(from)));
    const to = join(root, name);
    mkdirSync(dirname(to), { recursive: true });
    renameSync(from, to);
    // What is remembered of the chain is of the name that it never had.
    for (const dir of [scene.state, scene.backup]) rmSync(dir, { recursive: true });
    for (const file of Object.keys(filesIn(to))) utimesSync(join(to, file), LONG_AGO, LONG_AGO);
    const before = filesIn(to);

    expect((await scene.run()).code).toBe(0);
    expect(filesIn(to)).toEqual(before);
    const status = await scene.start('status', { args: ['--json'] }).done;
    expect(JSON.parse(status.stdout).layout_named).toEqual([name]);
    expect((await scene.start('status').done).stdout).toContain(
      `note: ${name} is a chain with a name that the layout uses`,
    );

    const [network, eraId, versionLabel] = name.split('/');
    expect((await findChains(root)).map(({ chain }) => chain)).toContainEqual({ network, eraId, versionLabel });
    const verdict = await scene.verify('--json');
    expect(verdict.code).toBe(3);
    expect(JSON.parse(verdict.stdout).findings).toContainEqual(
      expect.objectContaining({ code: 'BRONZE_NAME', chain: name }),
    );
  });
});

it('an ordinary estate has none', async () => {
  const store = openStore({ backend: 'local', root: tempFolder(), prefix: '' });
  expect(await layoutNamedChains(store, [{ network: 'a', eraId: 'b', versionLabel: 'c' }])).toEqual([]);
});
