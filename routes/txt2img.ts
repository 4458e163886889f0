/** `POST /sdapi/v1/txt2img`: reads a request, hands over a job, shapes the answer. */
import { Router } from 'express';
import { parseRequest } from '../openapi/parse.ts';
import { Txt2ImgRequest } from '../openapi/schemas/txt2img.ts';
import type { Context } from '../server/context.ts';
import { answerGeneration } from './generation-answer.ts';
import { applyInfotext } from './infotext-field.ts';
import { answerJobs, type JobKind } from './job-kind.ts';
import { saveResult } from './save-images.ts';
import { planRun } from './scripts/run.ts';
import { createTxt2ImgJob } from './txt2img-job.ts';

export const TXT2IMG: JobKind = {
  name: 'txt2img',
  async prepare(context, body) {
    const request = parseRequest(Txt2ImgRequest, applyInfotext(context, body, 'txt2img'), 'body');
    const prepared = await createTxt2ImgJob(context, request);
    return {
      forcedId: request.force_task_id,
      outlivesClient: request.save_images,
      run: planRun(context, {
        tab: 'txt2img',
        request,
        base: prepared,
        // What a script makes of a request is checked like a request from outside.
        prepare: (part) => createTxt2ImgJob(context, parseRequest(Txt2ImgRequest, part, 'body')),
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

/** Makes the router of txt2img. */
export function txt2imgRoutes(context: Context): Router {
  const router = Router();
  router.post('/sdapi/v1/txt2img', answerJobs(context, TXT2IMG));
  return router;
}

/** Every field of the request as it was read; those that A1111 does not have are left out. */
function echoParameters(request: Txt2ImgRequest): Record<string, unknown> {
  const { lora: _, hr_cfg: __, ...parameters } = request;
  return parameters;
}
