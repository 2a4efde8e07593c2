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

const { name, version } = readPackage();

export const PRODUCER = {
  name,
  version,
  /** Set by whoever builds a release; the manifest says "unknown" otherwise. */
  git_sha: process.env.BRONZE_GIT_SHA ?? 'unknown',
} as const;
