/** How every generator ends: it writes its file, or with `--check` only says whether the file is current. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** @param path of the file  @param wanted all that should stand in it */
export function writeGenerated(path: string, wanted: string): void {
  if (!process.argv.includes('--check')) {
    writeFileSync(path, wanted);
  } else if (!existsSync(path) || readFileSync(path, 'utf8') !== wanted) {
    console.error(`${path} is not current: npm run generate`);
    process.exitCode = 1;
  }
}
