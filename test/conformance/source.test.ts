// The source suite on every adapter: one line each.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openSource } from '../../actors/source/index.ts';
import { tempFolder } from '../support/bronze.ts';
import { type LakeUnderTest, sourceConformance } from './source.ts';

sourceConformance('local', (): LakeUnderTest => {
  const path = join(tempFolder(), 'lake');
  // A name that no file system takes: every call on it is an error, and none is "not there".
  const broken = join(tempFolder(), 'x'.repeat(300));
  return {
    put: (key, bytes) => {
      mkdirSync(dirname(join(path, key)), { recursive: true });
      writeFileSync(join(path, key), bytes);
    },
    source: (configured) => openSource({ mode: 'local', path, configured: configured ?? null }),
    unreadable: () => openSource({ mode: 'local', path: broken, configured: null }),
  };
});
