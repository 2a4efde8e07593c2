// A store whose answers cannot be relied on, and requests of a dead copier that land late (S8, S31): at every single
// change that a run makes in its store. Real machines and sessions over the port; whatever happens, there is one data
// object, one manifest and one event per partition, with the content of a run that nothing disturbed.
import { beforeAll, describe, expect, it } from 'vitest';
import type { BronzeStore } from '../../actors/ports/store.ts';
import { BronzeError } from '../../machines/errors.ts';
import { type Cut, copyOfCopier, newCopier } from '../support/copier.ts';
import { mortalFiles } from '../support/faulty-files.ts';
import { endProcess, runInProcess, startInProcess } from '../support/in-process.ts';
import { everything, expectWhole, type Reference, referenceOf } from '../support/outcome.ts';
import type { Scene } from '../support/program.ts';
import { expectNoWarnings } from '../support/settled.ts';

// One partition before the boundary, two after it: the first of a chain, one that links to another era, and one that
// follows another.
const CUT: Cut = { start: 62, end: 67, size: 2 };
const SETTINGS = { perf: { workers: 1, threads: 1, retry_attempts: 4, retry_backoff_ms: 1 } };
/** `_bronze.json` of both eras; data, manifest and event of three partitions. */
const CHANGES = 2 + 3 * 3;
const AT_A_TIME = 4;

expectNoWarnings();

let reference: Reference;

beforeAll(async () => {
  const scene = await newCopier(CUT, SETTINGS);
  expect((await runInProcess(scene)).outcome).toBe('done');
  reference = referenceOf(scene);
});

type Perform = () => Promise<unknown>;

/** A store with something between it and whoever calls `create` and `publish`; `number` counts these calls. */
function around(real: BronzeStore, change: (perform: Perform, number: number, key: string) => Promise<unknown>) {
  let number = 0;
  return new Proxy(real, {
    get(target, name: keyof BronzeStore) {
      const own = target[name];
      if (typeof own !== 'function') return own;
      const call = (...args: unknown[]): Promise<unknown> =>
        (own as (...all: unknown[]) => Promise<unknown>).apply(target, args);
      if (name !== 'create' && name !== 'publish') return call;
      return (...args: unknown[]) => {
        // A request that is on its way is not called back by whoever sent it.
        const request = args.filter((arg) => !(arg instanceof AbortSignal));
        return change(() => call(...request), number++, String(args[name === 'create' ? 0 : 1]));
      };
    },
  });
}

const lost = (): never => {
  throw new BronzeError('STORE_IO', 'no answer came');
};

/** Calls `strike` for 0, 1, 2, … a few at a time; each of them must come out right. */
async function forEach(count: number, strike: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await strike(next++);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, lane));
}

const MISHAPS: Readonly<Record<string, (perform: Perform) => Promise<unknown>>> = {
  'the answer is lost': (perform) => perform().then(lost),
  'it is done twice, and the second answer comes back': (perform) => perform().then(perform),
  'it is done twice, and no answer comes back': (perform) => perform().then(perform).then(lost),
  'it is done twice at the same moment': (perform) => Promise.all([perform(), perform()]).then(([, second]) => second),
  'it is not done, and no answer comes back': async () => lost(),
};

describe('S8: answers of the store', () => {
  for (const [what, mishap] of Object.entries(MISHAPS)) {
    it(`${what}: at each change in turn`, async () => {
      await forEach(CHANGES, async (at) => {
        const scene = await newCopier(CUT, SETTINGS);
        let reached = '';
        const store = (real: BronzeStore) =>
          around(real, (perform, number, key) => {
            if (number !== at) return perform();
            reached = key;
            return mishap(perform);
          });
        const summary = await runInProcess(scene, { store });
        expect(reached).not.toBe('');
        expect(summary, reached).toMatchObject({ outcome: 'done' });
        expectWhole(scene, reference, { kept: true });
      });
    });

    it(`${what}: at every change, the first time that it is tried`, async () => {
      const scene = await newCopier(CUT, SETTINGS);
      const met = new Set<string>();
      const store = (real: BronzeStore) =>
        around(real, (perform, _, key) => {
          if (met.has(key)) return perform();
          met.add(key);
          return mishap(perform);
        });
      expect(await runInProcess(scene, { store })).toMatchObject({ outcome: 'done' });
      expect(met.size).toBe(CHANGES);
      expectWhole(scene, reference, { kept: true });
    });
  }

  it('the answer is lost and the copier dies of it: the next one finds what was done', async () => {
    await forEach(CHANGES, async (at) => {
      const scene = await newCopier(CUT, SETTINGS);
      await dieAt(scene, at, 'done');
      const next = await runInProcess(scene);
      expect(next).toMatchObject({ outcome: 'done' });
      expectWhole(scene, reference, { kept: true });
    });
  });
});

/** Runs until change number `at`, which is done (or withheld) without an answer, and dies. Answers what was withheld. */
async function dieAt(scene: Scene, at: number, how: 'done' | 'withheld'): Promise<Perform> {
  let reach: (perform: Perform) => void = () => {};
  const reached = new Promise<Perform>((resolve) => {
    reach = resolve;
  });
  let dead = false;
  const never = new Promise<never>(() => {});
  const store = (real: BronzeStore) =>
    around(real, async (perform, number) => {
      // Nothing of a dead process reaches the store but what was on its way.
      if (dead) return never;
      if (number !== at) return perform();
      dead = true;
      if (how === 'done') await perform();
      reach(perform);
      return never;
    });
  const run = startInProcess(scene, { store, beside: mortalFiles(() => dead) });
  const withheld = await Promise.race([
    reached,
    run.done.then(() => expect.unreachable(`change ${at} was not reached`)),
  ]);
  run.die();
  endProcess(scene);
  return withheld;
}

describe('S31: a request of a dead copier lands late', () => {
  for (const [who, prepare] of [
    ['the same copier, started again', (scene: Scene) => scene],
    [
      'a copier elsewhere, with a state folder of its own',
      (scene: Scene) => {
        scene.lose('state', 'pas-backup');
        return scene;
      },
    ],
  ] as const) {
    it(`${who}: every change of the dead one, before every change of the living one`, async () => {
      await forEach(CHANGES * (CHANGES + 1), async (n) => {
        const [at, moment] = [n % CHANGES, Math.floor(n / CHANGES)];
        const scene = await newCopier(CUT, SETTINGS);
        const land = await dieAt(scene, at, 'withheld');
        const living = prepare(scene);
        let landed = false;
        const store = (real: BronzeStore) =>
          around(real, async (perform, number) => {
            if (number === moment) {
              landed = true;
              // What it staged may have been swept: then there is nothing to land.
              await land().catch((error: BronzeError) => expect(error.code).toBe('STAGED_GONE'));
            }
            return perform();
          });
        const where = `change ${at} of the dead one before change ${moment} of the living one`;
        const { eras } = await runInProcess(living, { store });
        expect(
          eras.map(({ failure }) => failure),
          where,
        ).toEqual([null, null]);
        const kept = who.startsWith('the same');
        if (!landed) {
          const before = everything(living).bronze;
          await land().catch((error: BronzeError) => expect(error.code).toBe('STAGED_GONE'));
          const visible = ([path]: [string, unknown]) => !path.includes('_staging/');
          expect(Object.entries(everything(living).bronze).filter(visible)).toEqual(
            Object.entries(before).filter(visible),
          );
        }
        expectWhole(living, reference, { kept: kept && landed });
        // And whoever comes after them finds nothing to do.
        const after = copyOfCopier(living);
        expect(await runInProcess(after)).toMatchObject({ outcome: 'done' });
        expectWhole(after, reference, { kept: false });
      });
    }, 300_000);
  }
});
