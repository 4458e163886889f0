/** `POST /sdapi/v1/img2img`: reads a request, hands over a job, shapes the answer. */
import { Router } from 'express';
import { parseRequest } from '../openapi/parse.ts';
import { Img2ImgRequest } from '../openapi/schemas/img2img.ts';
import type { Context } from '../server/context.ts';
import { answerGeneration } from './generation-answer.ts';
import { createImg2ImgJob } from './img2img-job.ts';
import { applyInfotext } from './infotext-field.ts';
import { answerJobs, type JobKind } from './job-kind.ts';
import { saveResult } from './save-images.ts';
import { planRun } from './scripts/run.ts';

export const IMG2IMG: JobKind = {
  name: 'img2img',
  async prepare(context, body) {
    const request = parseRequest(Img2ImgRequest, applyInfotext(context, body, 'img2img'), 'body');
    const prepared = await createImg2ImgJob(context, request);
    return {
      forcedId: request.force_task_id,
      outlivesClient: request.save_images,
      run: planRun(context, {
        tab: 'img2img',
        request,
        base: prepared,
        // What a script makes of a request is checked like a request from outside.
        prepare: (part) => createImg2ImgJob(context, parseRequest(Img2ImgRequest, part, 'body')),
      }),
      answer: (result) =>
        answerGeneration(context, request, result, {
          parameters: echoParameters(request),
          overrides: prepared.overrides,
          save: () => saveResult(context, prepared, result),
        }),
    };
  },
};

/** Makes the router of img2img. */
export function img2imgRoutes(context: Context): Router {
  const router = Router();
  router.post('/sdapi/v1/img2img', answerJobs(context, IMG2IMG));
  return router;
}

/** Every field of A1111's as it was read; the pictures only when the request wants them back. */
function echoParameters(request: Img2ImgRequest): Record<string, unknown> {
  const { lora: _, ...parameters } = request;
  if (request.include_init_images) return parameters;
  return { ...parameters, init_images: null, mask: null };
}
