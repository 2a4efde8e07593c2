/** Name, version and commit of this program, for `--version`, manifests and events. */
import { readFileSync } from 'node:fs';

interface Package {
  readonly name: string;
  readonly version: string;
}

function readPackage(): Package {
  // From dist/bin/ and from runtime/ alike the package lies one or two folders up.
  for (const up of ['../package.json', '../../package.json']) {
    try {
      const found = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as Package;
      if (found.name === 'bronze-copier') return found;
    } catch {
      // Not here: one folder further up.
    }
  }
  return { name: 'bronze-copier', version: 'unknown' };
}

/** The build leaves it beside the program; code that runs as TypeScript was not built. */
function readCommit(): string {
  try {
    return readFileSync(new URL('./commit.txt', import.meta.url), 'utf8').trim() || 'unknown';
  } catch {
    return 'unknown';
  }
}

const { name, version } = readPackage();

export const PRODUCER = {
  name,
  version,
  /** Of the commit that was built; `…-dirty` where the code differed from it, "unknown" where nobody could tell. */
  git_sha: readCommit(),
} as const;
