// The checkpoint suite on every adapter: one line each.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChainName, checkpointFile } from '../../actors/bronze/names.ts';
import type { FileOps } from '../../actors/files.ts';
import { openCheckpoint } from '../../actors/state/checkpoint.ts';
import { tempFolder } from '../support/bronze.ts';
import { failing } from '../support/faulty-files.ts';
import { checkpointConformance } from './checkpoint.ts';

checkpointConformance('local', () => {
  const dir = join(tempFolder(), 'state', 'deep');
  const open = (chain: ChainName, files?: FileOps) =>
    openCheckpoint({ dir, chain, copierId: 'test', ...(files ? { files } : {}) });
  return {
    open,
    spoil: (chain, bytes) => writeFileSync(join(dir, checkpointFile(chain)), bytes),
    stored: (chain) => readFileSync(join(dir, checkpointFile(chain))),
    unwritable: (chain) => open(chain, failing(['write'], 'ENOSPC')),
  };
});
