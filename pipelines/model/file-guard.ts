/**
 * Weights files that change while they are in use. The runtime maps them: an overwritten file
 * changes a loaded network silently, and one replaced between two loads mixes two checkpoints.
 */
import fs from 'node:fs';
import { CheckpointError } from '../../networks/checkpoint/errors.ts';
import { isUnchanged, type SafetensorsFile } from '../../networks/checkpoint/safetensors.ts';

/**
 * Checks that a path still leads to the file whose header was read. Call around every load.
 *
 * @throws CheckpointError FILE_CHANGED
 */
export function refuseChanged(file: SafetensorsFile): void {
  if (isUnchanged(file)) return;
  throw new CheckpointError(
    'FILE_CHANGED',
    file.path,
    'The file changed on disk while it was in use. The next request reads it anew.',
  );
}

/**
 * Checks that loaded networks still have the bytes they were made from. Call after a run.
 *
 * A file that was deleted or replaced by rename does no harm here: the old one lives on while it is
 * mapped.
 *
 * @throws CheckpointError FILE_CHANGED when the file was written to in place
 */
export function refuseOverwritten(file: SafetensorsFile): void {
  const stats = fs.statSync(file.path, { throwIfNoEntry: false });
  if (stats?.ino === file.inode) refuseChanged(file);
}
