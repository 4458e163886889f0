/** The answer of txt2img and img2img: `{images, parameters, info}`. */
import type { Options } from '../openapi/schemas/options.ts';
import type { JobResult } from '../pipelines/job.ts';
import type { Context } from '../server/context.ts';
import type { Answer } from './job-kind.ts';

/** The fields of a request that decide how it is answered. */
export interface AnswerFields {
  send_images: boolean;
  save_images: boolean;
  override_settings_restore_afterwards: boolean | null;
}

/**
 * Shapes the answer of a generation and does what the request wants done afterwards.
 *
 * @param parameters  every field of the request as A1111 echoes it
 * @param overrides   options that `override_settings` changed; kept when the request says so
 * @param save        saves the pictures; returns comments for `info`
 */
export async function answerGeneration(
  { options, log }: Context,
  request: AnswerFields,
  result: JobResult,
  {
    parameters,
    overrides,
    save,
  }: { parameters: Answer; overrides: Partial<Options>; save(): Promise<string[]> },
): Promise<Answer> {
  const comments = request.save_images ? await save() : [];
  if (request.override_settings_restore_afterwards === false) {
    // The pictures are finished: a full disk is no reason to withhold them.
    await options
      .set(overrides)
      .catch((error: unknown) => log.warn({ error }, 'options not saved'));
  }
  return {
    images: request.send_images ? result.images.map(toBase64) : [],
    parameters,
    info: JSON.stringify(addComments(result.info, comments)),
  };
}

function addComments(info: Answer, comments: readonly string[]): Answer {
  if (comments.length === 0) return info;
  const known = Array.isArray(info.comments) ? info.comments : [];
  return { ...info, comments: [...known, ...comments] };
}

/** A file as answers carry it: base64 without a data URI prefix. */
export function toBase64(image: Uint8Array): string {
  return Buffer.from(image.buffer, image.byteOffset, image.byteLength).toString('base64');
}
