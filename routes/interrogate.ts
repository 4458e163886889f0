/** `POST /sdapi/v1/interrogate`: a picture put into words, when there is a model that can. */
import { Router } from 'express';
import { parseRequest } from '../openapi/parse.ts';
import { InterrogateRequest } from '../openapi/schemas/web-ui.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { createCaptionJob } from './caption-job.ts';
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
    const picture = await readPicture(image, 'image', context.options.all());
    const job = await createCaptionJob(context, picture, 'model');
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
