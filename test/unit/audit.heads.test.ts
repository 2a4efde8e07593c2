import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { realFiles } from '../../actors/files.ts';
import { HEADS_FILE, writeHead } from '../../actors/state/heads.ts';

const chain = (eraId: string) => ({ network: 'sample', eraId, versionLabel: 'v1' });
const hash = (digit: number): string => `sha256:${String(digit).repeat(64)}`;

it('eras that find what a dead process left, at the same time, all keep their heads', async () => {
  const places = Array.from({ length: 20 }, () => mkdtempSync(join(tmpdir(), 'heads-')));
  await Promise.all(
    places.map(async (dir) => {
      const left = join(dir, `${HEADS_FILE}.tmp`);
      writeFileSync(left, '{');
      utimesSync(left, 1_700_000_000, 1_700_000_000);
      await Promise.all([1, 2, 3, 4].map((n) => writeHead(realFiles, dir, chain(`era_${n}`), hash(n))));
      const heads = JSON.parse(readFileSync(join(dir, HEADS_FILE), 'utf8'));
      expect(heads).toEqual(Object.fromEntries([1, 2, 3, 4].map((n) => [`sample/era_${n}/v1`, hash(n)])));
      rmSync(dir, { recursive: true });
    }),
  );
});
