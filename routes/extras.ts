/** `POST /sdapi/v1/extra-single-image` and `extra-batch-images`: pictures enlarged. */
import { Router } from 'express';
import { parseRequest } from '../openapi/parse.ts';
import { isDict } from '../openapi/schemas/coercion.ts';
import { ExtrasBatchImagesRequest, ExtrasSingleImageRequest } from '../openapi/schemas/extras.ts';
import type { JobResult, UpscaleJob } from '../pipelines/job.ts';
import type { Context } from '../server/context.ts';
import { createUpscaleJob } from './extras-job.ts';
import { toBase64 } from './generation-answer.ts';
import { type Answer, answerJobs, type JobKind, type PreparedRequest } from './job-kind.ts';
import { readPicture } from './read-picture.ts';

export const EXTRA_SINGLE_IMAGE: JobKind = {
  name: 'extra-single-image',
  async prepare(context, body) {
    const request = parseRequest(ExtrasSingleImageRequest, body, 'body');
    const picture = await readPicture(request.image, 'image', context.options.all());
    const job = await createUpscaleJob(context, request, [picture], sentFields(body));
    return prepareUpscale(context, job, ({ images }) => ({
      html_info: toHtml(job.postprocessing),
      image: images.map(toBase64)[0] ?? '',
    }));
  },
};

export const EXTRA_BATCH_IMAGES: JobKind = {
  name: 'extra-batch-images',
  async prepare(context, body) {
    const request = parseRequest(ExtrasBatchImagesRequest, readImageList(body), 'body');
    const options = context.options.all();
    const pictures = await Promise.all(
      request.imageList.map(({ data }, i) => readPicture(data, `imageList[${i}].data`, options)),
    );
    const job = await createUpscaleJob(context, request, pictures, sentFields(body));
    return prepareUpscale(context, job, ({ images }) => ({
      html_info: toHtml(job.postprocessing),
      images: images.map(toBase64),
    }));
  },
};

/** Makes the router of the extras endpoints. */
export function extraRoutes(context: Context): Router {
  const router = Router();
  router.post('/sdapi/v1/extra-single-image', answerJobs(context, EXTRA_SINGLE_IMAGE));
  router.post('/sdapi/v1/extra-batch-images', answerJobs(context, EXTRA_BATCH_IMAGES));
  return router;
}

function prepareUpscale(
  { engine }: Context,
  job: UpscaleJob,
  shape: (result: JobResult) => Answer,
): PreparedRequest {
  return {
    forcedId: null,
    outlivesClient: false,
    run: (taskId, signal) => engine.run(job, taskId, signal),
    answer: async (result) => shape(result),
  };
}

/** Two npm packages say `image_list` with `image` where A1111 wants `imageList` with `data`. */
function readImageList(body: unknown): unknown {
  if (!isDict(body) || body.imageList !== undefined || !Array.isArray(body.image_list)) return body;
  const items: unknown[] = body.image_list;
  return {
    ...body,
    imageList: items.map((item) =>
      isDict(item) ? { ...item, data: item.data ?? item.image } : item,
    ),
  };
}

function sentFields(body: unknown): ReadonlySet<string> {
  return new Set(isDict(body) ? Object.keys(body) : []);
}

/** A1111's `html_info`: one paragraph of text. */
function toHtml(text: string): string {
  const escaped = text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#x27;');
  return `<p>${escaped}</p>`;
}
