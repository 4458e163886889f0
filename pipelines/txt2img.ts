/** Text to pictures: conditioning, noise, sampling, decoding. */
import { setImmediate } from 'node:timers/promises';
import type { RgbImage } from '../images/rgb-image.ts';
import type { JobNetwork } from './conditioning/network-calls.ts';
import { noPromptEmbeddings } from './conditioning/prompt-embeddings.ts';
import { decodeLatent } from './decode.ts';
import { finishJob } from './finish-job.ts';
import { seedsOf } from './generation-info.ts';
import type { JobHooks, JobResult, Txt2ImgJob } from './job.ts';
import type { Model } from './model/model.ts';
import { prepareLoras, prepareNetwork } from './prepare-network.ts';
import { positionOf, sampleBatch } from './sample-batch.ts';

/**
 * Makes the pictures of a txt2img job.
 *
 * An interruption ends the sampling between two steps; what the latent had come to is decoded and
 * returned, and later iterations do not start, as in the web UI.
 *
 * @throws CheckpointError, SessionError, PipelineError
 */
export async function txt2img(job: Txt2ImgJob, model: Model, hooks: JobHooks): Promise<JobResult> {
  const { control } = hooks;
  const { prompt, loras, messages } = await prepareLoras(job, model);
  for (const message of messages) hooks.onLog(message, { checkpoint: model.checkpoint.name });
  let network: JobNetwork | null = null;
  const seeds = seedsOf(job);
  const pictures: RgbImage[] = [];
  let stepsExecuted = 0;
  for (let iteration = 0; iteration < job.nIter && !control.interrupted; iteration++) {
    control.skipped = false;
    network ??= await prepareNetwork(job, prompt, model, loras);
    const batch = seeds.slice(iteration * job.batchSize, (iteration + 1) * job.batchSize);
    const position = positionOf(job, iteration);
    const result = await sampleBatch(job, model, network, { seeds: batch, position }, hooks);
    stepsExecuted += result.stepsExecuted;
    pictures.push(...(await decodeLatent(model, result.latent, { circular: job.tiling })));
    await setImmediate();
  }
  return finishJob(job, model, pictures, {
    seeds,
    stepsExecuted,
    comments: [...job.comments, ...messages],
    loras: loras.applied,
    embeddings: network?.embeddings ?? noPromptEmbeddings,
  });
}
