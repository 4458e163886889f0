/** Previews as pictures, made once for all who ask. */
import { encodePreview } from '../images/preview.ts';
import type { ProgressSnapshot } from '../server/engine/supervisor.ts';

export type PreviewFormat = 'png' | 'jpeg' | 'webp';

/** Makes an encoder that keeps its last picture: many clients ask for the same preview. */
export function createPreviewEncoder() {
  let key = '';
  let picture: Promise<Buffer | null> = Promise.resolve(null);
  return (job: ProgressSnapshot, format: PreviewFormat): Promise<Buffer | null> => {
    if (job.preview === null) return Promise.resolve(null);
    const wanted = `${job.taskId} ${job.jobTimestamp} ${job.previewId} ${format}`;
    if (wanted !== key) {
      key = wanted;
      // A preview that cannot be made is no reason to fail the answer.
      picture = encodePreview(job.preview, format).catch(() => null);
    }
    return picture;
  };
}
