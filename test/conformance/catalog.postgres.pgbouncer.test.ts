// The catalog through PgBouncer, which says everything under one SQLSTATE, 08P01: a wrong password and an unknown database
// are not an outage, and an outage is not a refusal.
import { beforeAll, expect, it } from 'vitest';
import { describePgBouncer, startPgBouncer } from '../support/pgbouncer.ts';
import { dsnWith, freshDatabase } from '../support/postgres.ts';
import { catalogAt, closeCatalogs, dataset, partition } from '../support/postgres-catalog.ts';

closeCatalogs();

describePgBouncer('the catalog', (server) => {
  let through: string;
  beforeAll(async () => {
    through = await startPgBouncer(await freshDatabase(server));
  });

  it('is made, and rows are written, in transaction mode', async () => {
    const catalog = catalogAt(through);
    expect(await catalog.prepare()).toBe('ready');
    expect(await catalog.record(dataset(), [partition(10, 19)])).toBe('recorded');
    expect(await catalog.rows(dataset())).toHaveLength(1);
  });

  it.each<[string, Parameters<typeof dsnWith>[1], string, boolean, RegExp]>([
    ['a wrong password', { password: 'wrong-one' }, 'CATALOG_DENIED', false, /authentication failed/],
    ['an unknown user', { user: 'stranger' }, 'CATALOG_DENIED', false, /authentication failed/],
    ['an unknown database', { database: 'nowhere' }, 'CATALOG_DENIED', false, /no such database: nowhere/],
    [
      'a parameter that it does not take',
      { parameters: { options: '-cwork_mem=8MB' } },
      'CATALOG_DENIED',
      false,
      /unsupported startup parameter: options/,
    ],
    ['a server behind it that is away', { database: 'dead' }, 'CATALOG_UNAVAILABLE', true, /08P01/],
  ])('%s', async (_, change, code, retryable, words) => {
    const error: unknown = await catalogAt(dsnWith(through, change))
      .probe()
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, retryable, message: expect.stringMatching(words) });
  });
});
