// The suite of file operations on the real file system, and on the stand-ins that other tests trust while they are idle.
import { realFiles } from '../../actors/files.ts';
import { tempFolder } from '../support/bronze.ts';
import { dyingAfter, failing } from '../support/faulty-files.ts';
import { fileOpsConformance } from './file-ops.ts';

fileOpsConformance('real', () => ({ files: realFiles, folder: tempFolder() }));
fileOpsConformance('failing, nothing fails', () => ({ files: failing(['write'], 'EIO', 0), folder: tempFolder() }));
fileOpsConformance('dying, long before it dies', () => ({
  files: dyingAfter(Number.POSITIVE_INFINITY).files,
  folder: tempFolder(),
}));
