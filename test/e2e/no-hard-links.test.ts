// S45: Bronze, state or copies on a file system without hard links, a real exFAT: said before and while, and nothing is left.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { tempFolder } from '../support/bronze.ts';
import { namesIn } from '../support/estate.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import { canMount, itWhere, works } from '../support/starving.ts';

/** Not of every kernel. Where there are none nothing can be mounted that has no hard links. */
const hasDevices = existsSync('/dev/fuse') && works('losetup', '--find');
const hasTools = works('sh', '-c', 'command -v mkfs.exfat && command -v mount.exfat-fuse && command -v losetup');
const itOnExfat = itWhere(hasTools && canMount(), 'exfat-fuse, exfatprogs and the right to mount');

const keepers: ReturnType<typeof spawn>[] = [];
afterAll(() => {
  for (const keeper of keepers) keeper.kill('SIGKILL');
});

/** An exFAT in a file, mounted where only those see it who are started under what is answered. */
async function exfatAt(folder: string): Promise<readonly string[]> {
  const image = join(tempFolder(), 'exfat');
  writeFileSync(image, '');
  truncateSync(image, 64 * 1024 * 1024);
  execFileSync('mkfs.exfat', [image], { stdio: 'pipe' });
  // The mount ends with its namespace, and that with this process; the loop device is given back with the mount.
  const script =
    'loop=$(losetup -f --show "$1") && mount.exfat-fuse "$loop" "$2" >&2 && losetup -d "$loop" && echo mounted && exec cat';
  const keeper = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', image, folder]);
  keepers.push(keeper);
  await new Promise((mounted, reject) => {
    keeper.stdout.once('data', mounted);
    keeper.once('exit', () => reject(new Error('the exFAT was not mounted')));
  });
  return ['nsenter', `--mount=/proc/${keeper.pid}/ns/mnt`];
}

describe('S45: no hard links', () => {
  it('are tried, where there are some, and nothing of the try is left', async () => {
    const scene = await sampleScene(sampleEra({ ledger_end: 29 }));
    expect((await scene.start('validate', { args: ['--online'] }).done).code).toBe(0);
    expect([...namesIn(scene.data), ...namesIn(scene.state), ...namesIn(scene.backup)]).toEqual([]);
  });

  for (const where of hasDevices ? (['data', 'state', 'pas-backup'] as const) : []) {
    itOnExfat(where, async () => {
      const scene = await sampleScene(sampleEra({ ledger_end: 29 }));
      const folder = tempFolder();
      const under = await exfatAt(folder);
      if (where === 'data') scene.change({ storage: { local_dir: join(folder, 'data') } });
      if (where === 'state') scene.change({ checkpoint: { dir: folder } });
      if (where === 'pas-backup') scene.change({ pas: { backup_dir: folder } });
      const code = where === 'data' ? 'STORE_IO' : 'STATE_IO';

      const validated = await scene.start('validate', { args: ['--online'], under }).done;
      expect(validated.code, validated.stderr).toBe(1);
      expect(validated.stderr).toContain(code);
      expect(validated.stderr).toContain('the file system has no hard links (exFAT, FAT');

      const run = await scene.run({ under });
      expect(run.code, run.stderr).toBe(1);
      expect(run.summary?.eras[0]?.error).toMatchObject({ code, hint: expect.stringContaining('no hard links') });
    });
  }
});
