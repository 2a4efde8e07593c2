/**
 * Finds how a lake without `.config.json` is cut, from names that a backend lists. It reads as few names as settle it
 * and never an object.
 */
import type { LakeLayout } from '../ports/source.ts';
import { type LakeNumbers, parseFileName, parseFolderName } from './keys.ts';
import { configuredLayout, layoutFromNames, misconfigured, misfit, notALake } from './lake-config.ts';

/**
 * The layout of the lake whose root holds `names` (folders without their slash).
 * @param filesIn names in a partition folder of the lake
 * @param lake path or URI for messages
 * @throws LAKE_NOT_FOUND, LAKE_CONFIG_INVALID, what `filesIn` throws
 */
export async function findLayout(
  names: readonly string[],
  configured: LakeNumbers | null,
  filesIn: (folder: string) => Promise<readonly string[]>,
  lake: string,
): Promise<LakeLayout> {
  const folders = names.filter((name) => parseFolderName(name) !== null);
  const rootFiles = names.filter((name) => parseFileName(name) !== null);
  if (configured !== null) {
    const seen = folders[0] ?? rootFiles[0];
    if (seen === undefined) throw notALake(lake);
    const stray = misfit(configured, seen, folders.length > 0);
    if (stray !== null) throw misconfigured(configured, lake, stray);
    return configuredLayout(configured, parseFileName(rootFiles[0] ?? '')?.suffix ?? 'zst');
  }
  return layoutFromNames(
    {
      folders: folders.map(parseFolderName).filter((range) => range !== null),
      rootFiles,
      folderFiles: await newestFiles(folders, filesIn),
    },
    lake,
  );
}

/** Object names of the newest partition folder that has some. */
async function newestFiles(
  folders: readonly string[],
  filesIn: (folder: string) => Promise<readonly string[]>,
): Promise<string[]> {
  // Names are reversed: ascending is newest first.
  for (const folder of [...folders].sort()) {
    const files = (await filesIn(folder)).filter((name) => parseFileName(name) !== null);
    if (files.length > 0) return files;
  }
  return [];
}
