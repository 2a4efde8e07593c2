// Deaths at random moments (S5, S8, S11, S13) of copiers with a real PostgreSQL and an HTTP endpoint that fails at random
// and loses answers. One copier in three loses its state folder with every death, and with it the place of delivery.
// Afterwards rows, manifests, events and delivered events are the same, in the same order, once each.
// BRONZE_KILL_SEED repeats the choices, though not the moments.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AuditServer, startAuditServer, unreliable } from '../support/audit-endpoint.ts';
import { type Cut, expectDone, newCopier, said } from '../support/copier.ts';
import { expectNothingHalfVisible, expectWhole, type Reference, referenceOf } from '../support/outcome.ts';
import { expectDelivered, postgresRows, rowsOf } from '../support/outside.ts';
import { describePostgres, freshDatabase } from '../support/postgres.ts';
import type { Scene } from '../support/program.ts';
import { writeResults } from '../support/results.ts';
import { makeRng } from '../support/xdr-random.ts';

/** BRONZE_KILLS: more for a night, fewer for a look. */
const DEATHS = Number(process.env.BRONZE_KILLS ?? 100);
const AT_A_TIME = 2;
const CUT: Cut = { start: 2, end: 127, size: 8 };
const seed = Number(process.env.BRONZE_KILL_SEED ?? Date.now() % 1_000_000);

describePostgres(
  'S5, S11, S13: killed at random moments, beside a PostgreSQL and an endpoint in trouble',
  (postgres) => {
    const rng = makeRng(seed);
    const servers: AuditServer[] = [];
    let reference: Reference;
    /** Of a run that nothing disturbs, ms. */
    let duration: number;
    const tally = { deaths: 0, again: 0, copiers: 0, completed: 0 };

    afterAll(async () => {
      for (const server of servers) await server.stop();
    });

    /** A copier with a database and an endpoint of its own. */
    async function outsideCopier(percent: number): Promise<{ copier: Scene; dsn: string; server: AuditServer }> {
      const server = await startAuditServer();
      servers.push(server);
      server.behave = unreliable(rng.below(1_000_000), percent);
      const dsn = await freshDatabase(postgres);
      const strict = rng.below(2) === 0;
      const copier = await newCopier(CUT, {
        catalog: { backend: 'postgres', postgres_dsn: dsn, strict },
        pas: { endpoint: server.url, strict },
      });
      return { copier, dsn, server };
    }

    beforeAll(async () => {
      const { copier } = await outsideCopier(0);
      const run = await copier.run();
      expect(run.code, said(run)).toBe(0);
      duration = run.summary?.duration_ms as number;
      reference = referenceOf(copier);
    });

    /** Whether it came to that. */
    async function dies(copier: Scene, moment: number): Promise<boolean> {
      const running = copier.start('run');
      await running.until((it) => it.isOver || it.logs.some(({ msg }) => msg === 'run started'), 'it began');
      await Promise.race([sleep(moment), running.done]);
      running.kill('SIGKILL');
      const run = await running.done;
      if (run.signal === 'SIGKILL') return true;
      expect(run.code, said(run)).toBe(0);
      return false;
    }

    /** One copier from its birth to the run that gets through. */
    async function live(kept: boolean): Promise<void> {
      const { copier, dsn, server } = await outsideCopier(40);
      for (let deaths = 0; tally.deaths < DEATHS; deaths++) {
        const within = duration * (rng.below(2) === 0 ? 0.3 : 1) * (1 + deaths / 5);
        if (!(await dies(copier, rng.below(1_000) * (within / 1_000)))) break;
        tally.deaths += 1;
        if (deaths > 0) tally.again += 1;
        expectNothingHalfVisible(copier, reference);
        if (!kept) copier.lose('state');
      }
      server.behave = () => null;
      await expectDone(copier);
      expectWhole(copier, reference, { kept });
      const rows = await postgresRows(dsn);
      expect(rows).toEqual(rowsOf(copier));
      expectDelivered(copier, server);
      // What lenient left is this or the next run's; here nothing fails any more, so nothing may be left.
      const again = await copier.run();
      expect(again.summary?.eras.map((era) => [era.pending_rows, era.undelivered_events])).toEqual([
        [0, 0],
        [0, 0],
      ]);
      expect(await postgresRows(dsn)).toEqual(rows);
      tally.completed += 1;
    }

    it(`${DEATHS} deaths, seed ${seed}: rows = manifests = events = delivered events, in order`, async () => {
      const lane = async (): Promise<void> => {
        while (tally.deaths < DEATHS) await live(++tally.copiers % 3 !== 0);
      };
      await Promise.all(Array.from({ length: AT_A_TIME }, lane));
      console.info(
        `seed ${seed}: ${tally.deaths} deaths (${tally.again} of runs that recovered) of ${tally.copiers} copiers`,
      );
      expect(tally.completed).toBe(tally.copiers);
      expect(tally.deaths).toBeGreaterThanOrEqual(DEATHS);
      expect(tally.again).toBeGreaterThan(DEATHS / 10);
      writeResults('random-kills-outside', { deaths: tally.deaths, recovering: tally.again, estates: tally.copiers });
    }, 1_500_000);
  },
);
