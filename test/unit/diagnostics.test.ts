// A dump of all machines can be read again; what is no dump of this release is refused.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createActor } from 'xstate';
import { supervisorMachine } from '../../machines/supervisor.ts';
import { execute } from '../../runtime/cli/machines.ts';
import { activePaths, Diagnostics, parseDump } from '../../runtime/diagnostics.ts';
import { eraSpec } from '../support/pure.ts';
import { taken } from '../support/said.ts';

vi.mock('../../runtime/streams.ts', async (original) => (await import('../support/said.ts')).quietly(original));

const folders: string[] = [];
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'bronze-dump-'));
  folders.push(made);
  return made;
};
afterEach(() => {
  for (const each of folders.splice(0)) rmSync(each, { recursive: true, force: true });
});

function dumpOfARun(): string {
  const diagnostics = new Diagnostics(folder());
  const actor = createActor(supervisorMachine, {
    id: 'supervisor',
    input: { eras: [eraSpec()] },
    inspect: diagnostics.inspect,
  });
  actor.subscribe({ error: () => {} });
  diagnostics.watch(actor);
  actor.start();
  const written = diagnostics.dump('a test');
  actor.stop();
  if (!('path' in written)) throw new Error(written.problem);
  return written.path;
}

describe('diagnostics', () => {
  it('writes the state of every actor and the last events', () => {
    const path = dumpOfARun();
    const dump = parseDump(readFileSync(path, 'utf8'), path);
    expect(dump.reason).toBe('a test');
    const era = dump.actors.find((actor) => actor.id === 'era:a');
    expect(era).toMatchObject({ machine: 'era', status: 'active', active: ['recovering', 'recovering.opening'] });
    expect(dump.events.some(({ to }) => to === 'era:a')).toBe(true);
  });

  it('is printed by `machines --snapshot` with active states marked', async () => {
    const path = dumpOfARun();
    taken();
    expect(await execute({ args: ['era'], options: { snapshot: path } })).toBe(0);
    expect(taken()).toContain('class recovering_opening active');
  });

  it('says why there is no dump rather than failing the run', () => {
    const blocked = join(folder(), 'file');
    writeFileSync(blocked, '');
    expect(new Diagnostics(join(blocked, 'below')).dump('x')).toHaveProperty('problem');
  });

  it.each([
    ['not JSON', '{'],
    ['of another version', '{"version": 99}'],
    ['of another form', '{"version": 1, "actors": 3}'],
  ])('refuses a file that is %s', (_, text) => {
    expect(() => parseDump(text, 'dump.json')).toThrow(/dump\.json/);
  });

  it('names nested states', () => {
    expect(activePaths({ draining: 'closing' })).toEqual(['draining', 'draining.closing']);
  });
});
