/** Text to pictures: conditioning, noise, sampling, decoding. */
import { setImmediate } from 'node:timers/promises';
import { encodeImage } from '../images/encode.ts';
import { makeGrid } from '../images/grid.ts';
import type { RgbImage } from '../images/rgb-image.ts';
import { type LoraPlan, planLoras } from '../lora/plan.ts';
import { extractNetworkTags } from '../lora/syntax.ts';
import { readLoraTags } from '../lora/tags.ts';
import { encodePlan } from './conditioning/encode.ts';
import { createNetworkCalls, type JobNetwork } from './conditioning/network-calls.ts';
import { embedSizes } from './conditioning/size-embedding.ts';
import { CELL_PIXELS, decodeLatent } from './decode.ts';
import { assertFinite } from './errors.ts';
import { describeJob, describePicture, type RunFacts, seedsOf } from './generation-info.ts';
import type { JobHooks, JobResult, Txt2ImgJob } from './job.ts';
import { previewLatent } from './latent-preview.ts';
import { concatConditioning } from './model/concat-conditioning.ts';
import type { Model } from './model/model.ts';
import { planConditioning } from './prompt/conditioning-plan.ts';
import type { LatentShape } from './sampling/latents.ts';
import { createNoise } from './sampling/noise.ts';
import { planSteps } from './sampling/plan.ts';
import { type SampleResult, sample } from './sampling/run-sampler.ts';

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
    const result = await sampleBatch(job, model, network, batch, iteration, hooks);
    stepsExecuted += result.stepsExecuted;
    assertFinite('sampling', model.checkpoint.name, result.latent.data);
    pictures.push(...(await decodeLatent(model, result.latent, { circular: job.tiling })));
    await setImmediate();
  }
  const comments = [...job.comments, ...messages];
  return finish(job, model, pictures, { seeds, stepsExecuted, comments, loras: loras.applied });
}

/** Takes the tags out of the prompt and reads the files that they name. */
export async function prepareLoras(
  job: Txt2ImgJob,
  model: Model,
): Promise<{ prompt: string; loras: LoraPlan; messages: string[] }> {
  const { text: prompt, tags } = extractNetworkTags(job.prompt);
  const { requests, messages } = readLoraTags(job.appliesNetworks ? tags : []);
  const refs = new Map(job.loras.map((ref) => [ref.name, ref]));
  const find = (name: string) => refs.get(name) ?? null;
  const loras = await planLoras(requests, find, model.layers(), model.loras);
  return { prompt, loras, messages: [...messages, ...loras.messages] };
}

/** Encodes the prompts and returns the UNet as the sampler will call it. */
export async function prepareNetwork(
  job: Txt2ImgJob,
  prompt: string,
  model: Model,
  loras?: LoraPlan,
): Promise<JobNetwork> {
  const { options } = job;
  const { totalCalls } = planSteps({
    sampler: job.sampler,
    scheduler: job.scheduler,
    steps: job.steps,
    alwaysDiscardNextToLastSigma: options.alwaysDiscardNextToLastSigma,
  });
  const plan = planConditioning({ prompt, negativePrompt: job.negativePrompt, steps: totalCalls });
  return createNetworkCalls(model, {
    plan,
    encoded: await encodePlan(model, plan, options, (prefix) => loras?.feeds(prefix)),
    sizes: describeSizes(job, model),
    extraChannels: await concatConditioning(model, latentShape(job, model, 1), job.tiling),
    padCondUncond: options.padCondUncond,
    batchCondUncond: options.batchCondUncond,
    circular: job.tiling,
    lora: loras?.feeds(model.config.unet.prefix),
  });
}

function latentShape(job: Txt2ImgJob, model: Model, batch: number): LatentShape {
  const [height, width] = [job.height, job.width].map((side) => Math.floor(side / CELL_PIXELS)) as [
    number,
    number,
  ];
  return [batch, model.vae.zChannels, height, width];
}

/** SDXL: original size, crop, and target size or (refiner) aesthetic score. */
function describeSizes(job: Txt2ImgJob, model: Model) {
  const { sizeEmbedding, family } = model.config;
  if (!sizeEmbedding) return null;
  const { options } = job;
  const first = [job.height, job.width, options.sdxlCropTop, options.sdxlCropLeft];
  const isRefiner = family === 'sdxl-refiner';
  const cond = isRefiner ? [options.sdxlRefinerHighAestheticScore] : [job.height, job.width];
  const uncond = isRefiner ? [options.sdxlRefinerLowAestheticScore] : [job.height, job.width];
  return {
    cond: embedSizes([...first, ...cond], sizeEmbedding.width),
    uncond: embedSizes([...first, ...uncond], sizeEmbedding.width),
  };
}

/** Samples one batch: the latents of one iteration. */
export async function sampleBatch(
  job: Txt2ImgJob,
  model: Model,
  network: JobNetwork,
  seeds: readonly { seed: number; subseed: number }[],
  iteration: number,
  hooks: JobHooks,
): Promise<SampleResult> {
  const { options } = job;
  const shape = latentShape(job, model, job.batchSize);
  const noise = createNoise({
    source: options.noiseSource,
    shape,
    seeds: seeds.map(({ seed }) => seed),
    subseeds: seeds.map(({ subseed }) => subseed),
    subseedStrength: job.subseedStrength,
    seedResizeFromH: job.seedResizeFromH,
    seedResizeFromW: job.seedResizeFromW,
    etaNoiseSeedDelta: options.etaNoiseSeedDelta,
  });
  const { announcedSteps } = planSteps({ ...job, ...options });
  const report = (samplingStep: number) =>
    hooks.onProgress({
      job: job.nIter > 1 ? `Batch ${iteration + 1} out of ${job.nIter}` : 'scripts_txt2img',
      jobNo: iteration,
      jobCount: job.nIter,
      samplingStep,
      samplingSteps: announcedSteps,
    });
  report(0);
  // Loading is no part of a step's time.
  await model.unet(job.tiling);
  const begin = performance.now();
  const result = await sample({
    sampler: job.sampler,
    scheduler: job.scheduler,
    steps: job.steps,
    options: { ...options, eta: job.eta, isXl: model.config.sizeEmbedding !== null },
    guidance: {
      cfgScale: job.cfgScale,
      weights: seeds.map(() => network.weights),
      sMinUncond: options.sMinUncond,
    },
    modelSigmas: model.sigmas,
    prediction: await model.prediction(),
    network: network.call,
    noise,
    shouldStop: () => hooks.control.interrupted || hooks.control.skipped,
    async onStep({ i, denoised }) {
      report(i);
      const { previewEverySteps: every } = options;
      if (every > 0 && (i + 1) % every === 0)
        hooks.onPreview(previewLatent(denoised, shape, model.config.family));
      // Lets interrupt and skip in: a run of a network blocks everything else.
      await setImmediate();
    },
  });
  const seconds = (performance.now() - begin) / 1000;
  hooks.onLog(`${job.steps} steps of ${job.sampler} executed ${result.stepsExecuted}`, {
    checkpoint: model.checkpoint.name,
    sampler: job.sampler,
    scheduler: job.scheduler,
    size: `${job.width}x${job.height}`,
    batch: job.batchSize,
    stepsExecuted: result.stepsExecuted,
    modelCalls: result.modelCalls,
    secondsPerStep: Number((seconds / Math.max(1, result.stepsExecuted)).toFixed(3)),
    interrupted: result.interrupted,
  });
  return result;
}

async function finish(
  job: Txt2ImgJob,
  model: Model,
  pictures: RgbImage[],
  run: Omit<RunFacts, 'infotexts' | 'indexOfFirstImage'>,
): Promise<JobResult> {
  const texts = pictures.map((_, i) => describePicture(job, run.seeds[i] ?? job, run.loras));
  const hasGrid = job.grid && pictures.length > 1;
  const all = hasGrid ? [makeGrid(pictures), ...pictures] : pictures;
  const infotexts = hasGrid ? [texts[0] as string, ...texts] : texts;
  const images = await Promise.all(
    all.map((picture, i) =>
      encodeImage(picture, job.output, job.output.writeInfotext ? (infotexts[i] as string) : null),
    ),
  );
  const info = describeJob(job, model, { ...run, infotexts, indexOfFirstImage: hasGrid ? 1 : 0 });
  return { images, infotexts, info, stepsExecuted: run.stepsExecuted };
}
