/** The second pass of a hires fix: the first pass's latents enlarged and drawn over. */
import type { LoraPlan } from '../../lora/plan.ts';
import type { JobNetwork } from '../conditioning/network-calls.ts';
import { CELL_PIXELS } from '../decode.ts';
import type { PictureSeeds } from '../generation-info.ts';
import type { HyperTile } from '../hyper-tile/hyper-tile.ts';
import type { DrawJob, HiresPass, JobHooks, ModelFile, Txt2ImgJob } from '../job.ts';
import { concatConditioning } from '../model/concat-conditioning.ts';
import type { Model } from '../model/model.ts';
import { prepareLoras, prepareNetwork } from '../prepare-network.ts';
import { type BatchRun, positionOf, sampleBatch } from '../sample-batch.ts';
import type { Latent } from '../sampling/latents.ts';
import { planSteps } from '../sampling/plan.ts';
import type { UpscalerStore } from '../upscaling/upscalers.ts';
import { enlargeLatent } from './enlarge-latent.ts';

/** Passes of a job with a hires fix. */
export const HIRES_PASSES = 2;

/** What the engine lends to a job that needs more than one model. */
export interface HiresTools {
  upscalers: UpscalerStore;
  /** Opens a checkpoint; the one before it is given back unless it is the same. */
  use(checkpoint: ModelFile, vae: ModelFile | null): Promise<Model>;
}

/** A second pass that is ready to draw: made for the first batch, kept while its model stays. */
export interface PreparedHires {
  model: Model;
  network: JobNetwork;
  loras: LoraPlan;
  messages: readonly string[];
}

/** What a second pass comes to. */
export interface HiresResult {
  latent: Latent;
  stepsExecuted: number;
  modelCalls: number;
  prepared: PreparedHires;
}

/**
 * Draws the second pass of one batch. Its noise comes from fresh generators with the same seeds.
 *
 * @param first     latents of the first pass and the checkpoint that drew them
 * @param batch     `hyperTile`: of the job; null for none
 * @param prepared  of the batch before; null makes it
 * @throws CheckpointError, SessionError, PipelineError
 */
export async function runHires(
  job: Txt2ImgJob,
  hires: HiresPass,
  first: { model: Model; latent: Latent },
  batch: { seeds: readonly PictureSeeds[]; iteration: number; hyperTile: HyperTile | null },
  prepared: PreparedHires | null,
  tools: HiresTools,
  hooks: JobHooks,
): Promise<HiresResult> {
  const position = secondPosition(job, batch.iteration);
  const shouldStop = () => hooks.control.interrupted || hooks.control.skipped;
  const onTile = () =>
    hooks.onProgress({ ...position, samplingStep: 0, samplingSteps: hires.steps });
  let model = first.model;
  const latent = await enlargeLatent(first.latent, hires, {
    first: first.model,
    async second() {
      if (hires.model) {
        // What is given back now cannot be looked at when the job is done.
        model.refuseOverwritten();
        model = await tools.use(hires.model.checkpoint, hires.model.vae);
      }
      return model;
    },
    circular: job.tiling,
    open: (path) => tools.upscalers.open(path),
    tiles: hires.tiles,
    hyperTile: batch.hyperTile,
    watch: { onTile, shouldStop },
  });
  const { hyperTile } = batch;
  const second = { ...secondJob(job, hires, latent), hyperTile };
  const ready =
    prepared?.model === model ? prepared : await prepare(job, hires, second, model, latent);
  hyperTile?.beginSecond(hires.enlarged);
  // A strength of 0 leaves the picture as it was enlarged.
  if (hires.denoisingStrength === 0) {
    return { latent, stepsExecuted: 0, modelCalls: 0, prepared: ready };
  }
  const { denoisingStrength, extraNoise } = hires;
  const init = { latent, denoisingStrength, exactSteps: true, extraNoise };
  const run = { seeds: batch.seeds, position, init };
  const { latent: drawn, ...counts } = await sampleBatch(second, model, ready.network, run, hooks);
  const { stepsExecuted, modelCalls } = counts;
  return { latent: drawn, stepsExecuted, modelCalls, prepared: ready };
}

function secondPosition(job: Txt2ImgJob, iteration: number): BatchRun['position'] {
  const position = positionOf(job, iteration, HIRES_PASSES);
  return { ...position, jobNo: position.jobNo + 1 };
}

/** The job as its second pass sees it, at the size of its latents. */
function secondJob(job: Txt2ImgJob, hires: HiresPass, { shape }: Latent): DrawJob {
  const { prompt, negativePrompt, loras, embeddings, sampler, scheduler, steps, cfgScale } = hires;
  return {
    ...job,
    ...{ prompt, negativePrompt, loras, embeddings, sampler, scheduler, steps, cfgScale },
    width: shape[3] * CELL_PIXELS,
    height: shape[2] * CELL_PIXELS,
  };
}

async function prepare(
  job: Txt2ImgJob,
  hires: HiresPass,
  second: DrawJob & { hyperTile: HyperTile | null },
  model: Model,
  latent: Latent,
): Promise<PreparedHires> {
  const { totalCalls: firstPassCalls } = planSteps({
    ...job,
    ...job.options,
    denoisingStrength: null,
  });
  const { prompt, loras, messages } = await prepareLoras(second, model, 'hires');
  // SDXL is told the size before it is cut.
  const described = { ...second, ...hires.enlarged, firstPassCalls };
  const extra = await concatConditioning(model, latent.shape, job.tiling);
  const network = await prepareNetwork(described, prompt, model, loras, extra);
  return { model, network, loras, messages };
}
