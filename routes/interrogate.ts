/** `POST /sdapi/v1/interrogate`: a picture put into words, when there is a model that can. */
import { Router } from 'express';
import { measureImage } from '../images/measure.ts';
import { findCaptioner } from '../networks/captioner/catalogue.ts';
import { parseRequest } from '../openapi/parse.ts';
import { InterrogateRequest } from '../openapi/schemas/web-ui.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { answerJobs, type JobKind } from './job-kind.ts';
import { readPicture } from './read-picture.ts';

/** Models that the web UI knows. */
const MODELS: readonly string[] = ['clip', 'deepdanbooru'];

export const INTERROGATE: JobKind = {
  name: 'interrogate',
  async prepare(context, body) {
    const { image, model } = parseRequest(InterrogateRequest, body, 'body');
    if (!MODELS.includes(model)) throw new HttpError('MODEL_NOT_FOUND', 'Model not found');
    if (model !== 'clip') {
      throw new HttpError('UNSUPPORTED_FEATURE', `model: ${model} cannot be run here; send clip.`);
    }
    const files = await findCaptioner(context.settings.captionerDir);
    if (typeof files === 'string') throw new HttpError('UNSUPPORTED_FEATURE', `model: ${files}`);
    const options = context.options.all();
    const picture = await readPicture(image, 'image', options);
    await measureImage(picture);
    const job = {
      kind: 'caption' as const,
      picture,
      ...files,
      minTokens: options.interrogate_clip_min_length,
      maxTokens: options.interrogate_clip_max_length,
    };
    return {
      forcedId: null,
      outlivesClient: false,
      run: (taskId, signal) => context.engine.run(job, taskId, signal),
      answer: async ({ infotexts }) => ({ caption: infotexts[0] ?? '' }),
    };
  },
};

/** Makes the router of interrogate. */
export function interrogateRoutes(context: Context): Router {
  const router = Router();
  router.post('/sdapi/v1/interrogate', answerJobs(context, INTERROGATE));
  return router;
}
