/**
 * Which commit is being built: git's, with `-dirty` where what is built differs from it; without a repository that which
 * `git archive` wrote below; else BRONZE_GIT_SHA; else "unknown". Only builds call it, and what they found stays in
 * dist/bin/commit.txt: a program tells which code it was built from, not what lies around it when it runs.
 */
import { execFileSync } from 'node:child_process';
import { realpathSync } from 'node:fs';

/** `git archive` replaces what is between the dollar signs (.gitattributes). */
const ARCHIVED = '$Format:%H$';

/** What goes into a build. */
const BUILT = ['machines', 'actors', 'config', 'runtime', '*.json', '*.mjs', '.npmrc'];

/** `root`: folder of package.json. */
export function commitOf(root) {
  const git = (...args) =>
    execFileSync('git', ['-C', root, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    // A package that lies in somebody else's repository is none of its commits.
    if (realpathSync(git('rev-parse', '--show-toplevel')) === realpathSync(root)) {
      const commit = git('rev-parse', 'HEAD');
      return git('status', '--porcelain', '--', ...BUILT) === '' ? commit : `${commit}-dirty`;
    }
  } catch {
    // No git, or no repository.
  }
  if (/^[0-9a-f]{40,64}$/.test(ARCHIVED)) return ARCHIVED;
  return process.env.BRONZE_GIT_SHA || 'unknown';
}
