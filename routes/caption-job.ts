/** Turns a picture into the job that puts it into words. */
import { measureImage } from '../images/measure.ts';
import { findCaptioner } from '../networks/captioner/catalogue.ts';
import type { CaptionJob } from '../pipelines/job.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';

/**
 * Prepares a job that says what is in a picture.
 *
 * @param picture  file as it was sent; its header is checked
 * @param field    of the request that asks for words, for the refusal
 * @throws HttpError UNSUPPORTED_FEATURE that names the missing files; ImageError
 */
export async function createCaptionJob(
  { settings, options }: Context,
  picture: Uint8Array,
  field: string,
): Promise<CaptionJob> {
  const files = await findCaptioner(settings.captionerDir);
  if (typeof files === 'string') throw new HttpError('UNSUPPORTED_FEATURE', `${field}: ${files}`);
  await measureImage(picture);
  const { interrogate_clip_min_length, interrogate_clip_max_length } = options.all();
  return {
    kind: 'caption',
    picture,
    ...files,
    minTokens: interrogate_clip_min_length,
    maxTokens: interrogate_clip_max_length,
  };
}
