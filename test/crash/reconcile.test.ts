// `reconcile` after runs that were killed, and killed itself while it repairs: the next one finishes, and no data object is
// ever touched.
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KillPoint } from '../../actors/kill-points.ts';
import type { Kind } from '../../actors/reconcile/kinds.ts';
import { filesBelow } from '../support/bronze.ts';
import { changeCatalog } from '../support/catalog.ts';
import { said } from '../support/copier.ts';
import { runInProcess } from '../support/in-process.ts';
import { Reconciled } from '../support/reconciled.ts';

let estate: Reconciled;

beforeAll(async () => {
  estate = await Reconciled.make();
});

beforeEach(() => estate.putBack());

async function killed(command: 'run' | 'reconcile', at: string, args: readonly string[] = []): Promise<void> {
  const over = await estate.scene.start(command, { args, env: { BRONZE_KILL_AT: at } }).done;
  expect(over.signal, `${at} was never reached: ${said(over)}`).toBe('SIGKILL');
}

/** One more partition is copied, and the run killed there. `run`: it takes a run to finish that. */
const INTERRUPTED: readonly (readonly [KillPoint, readonly Kind[], 'run' | 'reconcile'])[] = [
  ['commit:after-publish', ['partition.unsealed'], 'run'],
  ['commit:after-seal', ['partition.unattested'], 'reconcile'],
  ['commit:after-attest', ['copy.missing', 'checkpoint.behind', 'row.missing'], 'reconcile'],
  ['checkpoint:before-write', ['checkpoint.behind'], 'reconcile'],
];

describe('S5: a run that was killed', () => {
  it.each(INTERRUPTED)('at %s', async (at, expected, by) => {
    const { eras } = estate.scene.settings as { eras: readonly object[] };
    const longer = { eras: [{ ...eras[0], ledger_end: 63 }] };
    estate.scene.change(longer);
    try {
      await killed('run', at);
      const { code, kinds } = await estate.reconcile();
      expect([code, kinds]).toEqual([3, expected]);
      if (by === 'run') {
        expect((await estate.reconcile({ repair: true })).kinds).toEqual(expected);
        expect((await runInProcess(estate.scene)).outcome).toBe('done');
      }
      await estate.expectRepaired();
    } finally {
      estate.scene.change({ eras });
    }
  });
});

/** Something of every kind that is repaired; in two rounds, Bronze first. */
async function damage(): Promise<void> {
  estate.lose(estate.manifest(1), estate.event(2), estate.event(5), estate.copy(0), estate.checkpoint);
  estate.lose(`${estate.chain}/_bronze.json`);
  await changeCatalog(
    estate.catalogDir,
    "UPDATE _meta_lineage SET checksum = replace(checksum, 'a', 'b') WHERE ledger_start = 20",
    'DELETE FROM _meta_lineage WHERE ledger_start = 50',
  );
}

const AT: readonly string[] = [
  'lock:after-link',
  // `_bronze.json`, the manifest, an event.
  'create:after-link',
  'create:before-link#2',
  'commit:after-seal',
  'commit:before-attest',
  'commit:after-attest',
  'commit:after-attest#2',
  'copies:before-rename',
  'copies:after-rename',
  'reconcile:before-forget',
  'reconcile:after-forget',
  'commit:before-record',
  'commit:after-record',
  'checkpoint:before-rename',
  'checkpoint:after-fsync',
  'lock:before-release',
];

describe('S5: a run that is killed while it writes a lost manifest again', () => {
  it.each([
    'commit:before-seal',
    'create:before-link',
    'create:after-link',
    'commit:after-seal',
    'commit:after-seal#2',
  ])('at %s', async (at) => {
    const before = filesBelow(estate.scene.bronze);
    estate.lose(estate.manifest(1), estate.manifest(5));
    await killed('run', at);
    expect((await runInProcess(estate.scene)).outcome).toBe('done');
    expect(filesBelow(estate.scene.bronze)).toEqual(before);
    await estate.expectRepaired();
  });
});

describe('S5: killed while it repairs', () => {
  it.each(AT)('at %s', async (at) => {
    await damage();
    const before = estate.dataObjects();
    await killed('reconcile', at, ['--repair', '--quick']);
    expect(estate.dataObjects()).toEqual(before);
    await estate.expectRepaired();
    expect(estate.dataObjects()).toEqual(before);
  });
});
