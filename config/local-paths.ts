/**
 * Folders of this machine that are written as something else: `~/lake` and `${HOME}/lake` are a shell's to replace, and
 * `s3://…` names a bucket. Taken as written, each would be a folder of that name below the working directory.
 */
import type { Draft } from './draft.ts';
import { quote } from './problems.ts';

interface LocalPath {
  readonly key: string;
  /** Counts only where this key has this value. */
  readonly when?: readonly [chooser: string, chosen: string];
  /** What to write for a bucket; null where there is no such thing. */
  readonly inBucket: string | null;
}

const PATHS: readonly LocalPath[] = [
  {
    key: 'source.local_path',
    when: ['source.mode', 'local'],
    inBucket: 'source.mode s3 or gcs, with s3_bucket and s3_prefix, or gcs_bucket and gcs_prefix',
  },
  {
    key: 'storage.local_dir',
    when: ['storage.backend', 'local'],
    inBucket: 'storage.backend s3 or gcs, with s3_bucket or gcs_bucket, and prefix',
  },
  { key: 'catalog.dir', inBucket: null },
  { key: 'pas.backup_dir', inBucket: null },
  { key: 'pas.signing_key', inBucket: null },
  { key: 'checkpoint.dir', inBucket: null },
  { key: 'perf.queue_password_file', inBucket: null },
];

const HOME = /^~/;
const VARIABLE = /\$\{|^\$[A-Za-z_]\w*(?:\/|$)/;
const URL_LIKE = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//;

/** What is wrong with a path, and what to write instead; null where nothing is. */
function judgePath(path: string, inBucket: string | null): { message: string; expected: string } | null {
  if (HOME.test(path)) {
    const expected = 'the whole path, such as /home/you/lake (./~ for a folder that is really called so)';
    return { message: '~ stands for a home folder in a shell only', expected };
  }
  if (VARIABLE.test(path)) {
    const expected = 'the whole path; or leave the key out and set its variable, where it has one';
    return { message: 'variables are not replaced within a value', expected };
  }
  const scheme = URL_LIKE.exec(path)?.[1]?.toLowerCase();
  if (scheme === undefined) return null;
  if (scheme === 'file') return { message: 'a URL instead of a path', expected: 'the path alone, without file://' };
  const folder = 'a folder of this machine';
  return {
    message: `${scheme}:// is no folder of this machine`,
    expected: inBucket === null ? folder : `${folder}; for a bucket: ${inBucket}`,
  };
}

export function checkLocalPaths(draft: Draft): void {
  for (const { key, when, inBucket } of PATHS) {
    if (when !== undefined && draft.text(when[0]) !== when[1]) continue;
    const path = draft.text(key) ?? '';
    const verdict = judgePath(path, inBucket);
    if (verdict !== null) draft.complain(key, { ...verdict, found: quote(path) });
  }
}
