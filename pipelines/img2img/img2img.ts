/** Pictures to pictures: encode, add noise, sample, decode, and put back what is not to change. */
import { setImmediate } from 'node:timers/promises';
import type { JobNetwork } from '../conditioning/network-calls.ts';
import { noPromptEmbeddings } from '../conditioning/prompt-embeddings.ts';
import { decodeLatent } from '../decode.ts';
import { finishJob } from '../finish-job.ts';
import { seedsOf } from '../generation-info.ts';
import { createHyperTile } from '../hyper-tile/hyper-tile.ts';
import type { Img2ImgJob, JobHooks, JobResult } from '../job.ts';
import type { Model } from '../model/model.ts';
import { prepareLoras, prepareNetwork } from '../prepare-network.ts';
import { positionOf, sampleBatch } from '../sample-batch.ts';
import type { SampleInit } from '../sampling/sample-request.ts';
import type { UpscalerStore } from '../upscaling/upscalers.ts';
import { pictureConditioning } from './conditioning.ts';
import { describePictures } from './describe-pictures.ts';
import { createFit } from './fit-picture.ts';
import { createInit } from './init-latent.ts';
import { type PlacedResult, placeResult } from './place-result.ts';
import { preparePictures } from './prepare-pictures.ts';
import { softOverlay } from './soft-overlay.ts';

/**
 * Makes the pictures of an img2img job. An interruption works as in txt2img.
 *
 * @param upscalers  opens the upscaler of the job; only a job that has one needs it
 * @throws ImageError, CheckpointError, SessionError, PipelineError
 */
export async function img2img(
  job: Img2ImgJob,
  model: Model,
  hooks: JobHooks,
  upscalers: UpscalerStore | null = null,
): Promise<JobResult> {
  const { control } = hooks;
  const pictures = await preparePictures(job, createFit(job, upscalers, hooks));
  const { prompt, loras, messages } = await prepareLoras(job, model);
  for (const message of messages) hooks.onLog(message, { checkpoint: model.checkpoint.name });
  const hyperTile = createHyperTile(job);
  const seeds = seedsOf(job);
  let ready: { network: JobNetwork; init: SampleInit } | null = null;
  const results: PlacedResult[] = [];
  let stepsExecuted = 0;
  let modelCalls = 0;
  for (let iteration = 0; iteration < job.nIter && !control.interrupted; iteration++) {
    control.skipped = false;
    const batch = seeds.slice(iteration * job.batchSize, (iteration + 1) * job.batchSize);
    if (ready === null) {
      const init = await createInit(
        job,
        model,
        pictures,
        batch.map(({ seed }) => seed),
      );
      const extra = await pictureConditioning(job, model, pictures);
      const network = await prepareNetwork({ ...job, hyperTile }, prompt, model, loras, extra);
      ready = { network, init };
    }
    const run = {
      seeds: batch,
      position: positionOf(job, iteration),
      init: ready.init,
      imageCfgScale: imageGuidance(job, model),
    };
    const result = await sampleBatch(job, model, ready.network, run, hooks);
    stepsExecuted += result.stepsExecuted;
    modelCalls += result.modelCalls;
    const decoding = { circular: job.tiling, hyperTile };
    const decoded = await decodeLatent(model, result.latent, decoding);
    decoded.forEach((image, i) => {
      const overlay = softOverlay(job, pictures, ready?.init as SampleInit, result.latent, i);
      results.push(placeResult(image, job, pictures, i % pictures.images.length, overlay));
    });
    await setImmediate();
  }
  const comments = [...job.comments, ...pictures.comments, ...messages];
  const details = describePictures(job, model, pictures);
  const finished = results.map(({ picture }) => picture);
  const extras = results.map((result) => result.extras);
  const facts = {
    seeds,
    stepsExecuted,
    modelCalls,
    comments,
    loras: loras.applied,
    embeddings: ready?.network.embeddings ?? noPromptEmbeddings,
    details,
  };
  return finishJob(job, model, finished, facts, extras);
}

/** Guidance by the picture, where the checkpoint knows it and it does something. */
function imageGuidance({ imageCfgScale }: Img2ImgJob, model: Model): number | undefined {
  if (model.config.variant !== 'instruct' || imageCfgScale === null) return undefined;
  return imageCfgScale === 1 ? undefined : imageCfgScale;
}
