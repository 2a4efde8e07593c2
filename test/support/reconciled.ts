/**
 * One small estate with everything beside it (copies, checkpoint, embedded catalog), to be damaged and put back as often
 * as a test likes: rows name the place of the data, so it stays where it is. `reconcile` is called in this process.
 */
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { realFiles } from '../../actors/files.ts';
import type { Kind } from '../../actors/reconcile/kinds.ts';
import { openStore } from '../../actors/store/index.ts';
import { verifyChain } from '../../actors/verify/verify-chain.ts';
import { exitCode, type Results, reconcileEras } from '../../runtime/cli/reconcile.ts';
import { chainOf, openContext } from '../../runtime/context.ts';
import { tempFolder } from './bronze.ts';
import { catalogFile } from './catalog.ts';
import { dataFile, eventFile, type FileFacts, filesIn, manifestFile } from './estate.ts';
import { poolWith, runInProcess } from './in-process.ts';
import { SAMPLE_SOURCE, sampleEra, sampleLake } from './lakes.ts';
import { Scene, type Settings } from './program.ts';

const CHAIN = ['sample', 'whole', 'v1'] as const;
const LAST = 63;
const never = new AbortController().signal;

/** Partitions of the whole estate, in ledger order. */
export const LABELS = ['2-9', '10-19', '20-29', '30-39', '40-49', '50-59'] as const;

export class Reconciled {
  readonly scene: Scene;
  readonly catalogDir: string;
  readonly #safe = tempFolder();

  private constructor(scene: Scene) {
    this.scene = scene;
    this.catalogDir = join(scene.state, 'catalog');
  }

  /** Copied by a run that nothing disturbed. The lake has a few ledgers more. */
  static async make(): Promise<Reconciled> {
    const { path } = await sampleLake({ last: LAST });
    const scene = new Scene(path, sampleEra({ ledger_end: 59 }), { source: SAMPLE_SOURCE });
    const made = new Reconciled(scene);
    // Strict, so that each row is written before the checkpoint and not beside it.
    scene.change({ catalog: { backend: 'embedded', dir: made.catalogDir, strict: true } });
    expect((await runInProcess(scene)).outcome).toBe('done');
    for (const name of ['data', 'state', 'pas-backup'])
      cpSync(join(scene.root, name), join(made.#safe, name), { recursive: true });
    return made;
  }

  /** Puts everything back as it was. */
  putBack(): void {
    for (const name of ['data', 'state', 'pas-backup']) {
      rmSync(join(this.scene.root, name), { recursive: true, force: true });
      cpSync(join(this.#safe, name), join(this.scene.root, name), { recursive: true });
    }
  }

  get chain(): string {
    return this.scene.chain(...CHAIN);
  }

  get catalogFile(): string {
    return catalogFile(this.catalogDir);
  }

  /** Of the nth partition or event. */
  data(n: number): string {
    return dataFile(this.chain, LABELS[n] as string);
  }

  manifest(n: number): string {
    return manifestFile(this.chain, LABELS[n] as string);
  }

  event(n: number): string {
    return eventFile(this.chain, n);
  }

  copy(n: number): string {
    return join(this.scene.backup, `${CHAIN.join('_')}_${LABELS[n]}.json`);
  }

  get checkpoint(): string {
    return join(this.scene.state, `checkpoint_${CHAIN.join('_')}.json`);
  }

  get heads(): string {
    return join(this.scene.backup, 'pas-chain-heads.json');
  }

  lose(...paths: readonly string[]): void {
    for (const path of paths) rmSync(path, { recursive: true });
  }

  /** Out of Bronze, as the runbook has it. */
  moveAside(path: string): void {
    const aside = join(this.scene.root, 'aside', path.slice(this.scene.root.length));
    mkdirSync(dirname(aside), { recursive: true });
    renameSync(path, aside);
  }

  edit(path: string, change: (text: string) => string): void {
    const text = readFileSync(path, 'utf8');
    expect(change(text)).not.toBe(text);
    writeFileSync(path, change(text));
  }

  /** Every data object, with what tells whether it was touched. */
  dataObjects(): Record<string, FileFacts> {
    return Object.fromEntries(Object.entries(filesIn(this.scene.bronze)).filter(([path]) => path.endsWith('.parquet')));
  }

  /** The command, in this process and without threads. */
  async reconcile(
    choices: { repair?: boolean; quick?: boolean; settings?: Settings } = {},
  ): Promise<{ code: number; results: Results; kinds: Kind[] }> {
    const { repair = false, quick = false, settings = {} } = choices;
    const context = openContext({ args: [], options: { config: this.scene.config(settings) } }, {});
    context.log.level = 'silent';
    try {
      const results = await reconcileEras(
        context,
        poolWith(realFiles),
        2,
        { repair, quick, onPartition: () => {} },
        never,
      );
      const kinds = results.chains.flatMap(({ differences }) => differences.map(({ kind }) => kind));
      return { code: exitCode(results), results, kinds };
    } finally {
      await context.catalog?.close();
    }
  }

  /** Repaired, nothing left, no data object touched, and proved from outside of `reconcile`. */
  async expectRepaired(): Promise<void> {
    const before = this.dataObjects();
    const { code, results, kinds } = await this.reconcile({ repair: true, quick: true });
    expect([code, kinds, results.failures]).toEqual([0, [], []]);
    expect(this.dataObjects()).toEqual(before);
    const again = await this.reconcile();
    expect([again.code, again.kinds]).toEqual([0, []]);
    await this.expectVerified();
  }

  async expectVerified(): Promise<void> {
    const { storeSpec, eras } = openContext({ args: [], options: { config: this.scene.config() } }, {});
    const report = await verifyChain(openStore(storeSpec), storeSpec, chainOf(eras[0] as (typeof eras)[0]), {
      sample: { take: 1, of: 1, offset: 0 },
      from: null,
      to: null,
      signatures: this.scene.looksAtSignatures,
      copies: null,
      rows: null,
      parallel: 2,
      signal: never,
      readBack: (task) => poolWith(realFiles).run(task, {}),
      onPartition: () => {},
    });
    expect(report.findings).toEqual([]);
    expect(report.read).toBe(report.partitions);
  }
}
