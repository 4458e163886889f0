/** One batch through the sampler: noise, steps, progress, previews, the line in the log. */
import { setImmediate } from 'node:timers/promises';
import type { JobNetwork } from './conditioning/network-calls.ts';
import { assertFinite } from './errors.ts';
import type { PictureSeeds } from './generation-info.ts';
import type { DrawJob, JobHooks, JobProgress } from './job.ts';
import { previewLatent } from './latent-preview.ts';
import type { Model } from './model/model.ts';
import { latentShape } from './prepare-network.ts';
import { createNoise } from './sampling/noise.ts';
import { planSteps } from './sampling/plan.ts';
import { type SampleInit, type SampleResult, sample } from './sampling/run-sampler.ts';

/** What tells one batch of a job from another. */
export interface BatchRun {
  /** Of its pictures. */
  seeds: readonly PictureSeeds[];
  /** Which iteration of how many it is, for progress. */
  position: Pick<JobProgress, 'job' | 'jobNo' | 'jobCount'>;
  /** The pictures to start from; undefined starts from noise alone. */
  init?: SampleInit | undefined;
  /** Guidance by the picture; see `GuidanceOptions`. */
  imageCfgScale?: number | undefined;
}

/**
 * Returns where an iteration is in its job.
 *
 * @param passes  times that each iteration samples; 2 with a hires pass
 */
export function positionOf(job: DrawJob, iteration: number, passes = 1): BatchRun['position'] {
  return {
    job: job.nIter > 1 ? `Batch ${iteration + 1} out of ${job.nIter}` : `scripts_${job.kind}`,
    jobNo: iteration * passes,
    jobCount: job.nIter * passes,
  };
}

/**
 * Samples one batch.
 *
 * @param job      its sampler, steps, guidance and size; a second pass hands a copy with its own
 * @param network  see `prepareNetwork`
 * @returns latents of the batch; what they had come to when the job was interrupted or skipped
 * @throws SessionError, PipelineError NON_FINITE
 */
export async function sampleBatch(
  job: DrawJob,
  model: Model,
  network: JobNetwork,
  { seeds, position, init, imageCfgScale }: BatchRun,
  hooks: JobHooks,
): Promise<SampleResult> {
  const { options } = job;
  const shape = latentShape(job, model, seeds.length);
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
  const { announcedSteps, stepsExecuted: planned } = planSteps({
    ...job,
    ...options,
    denoisingStrength: init?.denoisingStrength ?? null,
    exactSteps: init?.exactSteps ?? false,
  });
  const share = init ? ` at ${init.denoisingStrength}` : ` of ${job.sampler}`;
  const told = planned ?? 'as many as it needs';
  hooks.onLog(`${job.steps} steps${share} executes ${told}`, { sampler: job.sampler });
  const report = (samplingStep: number) =>
    hooks.onProgress({ ...position, samplingStep, samplingSteps: announcedSteps });
  report(0);
  // Loading is no part of a step's time. The prediction first: it may need the UNet without LoRAs.
  const prediction = await model.prediction();
  await network.load();
  const begin = performance.now();
  const result = await sample({
    sampler: job.sampler,
    scheduler: job.scheduler,
    steps: job.steps,
    options: { ...options, eta: job.eta, isXl: model.config.sizeEmbedding !== null },
    guidance: {
      ...options,
      cfgScale: job.cfgScale,
      imageCfgScale,
      weights: seeds.map(() => network.weights),
    },
    modelSigmas: model.sigmasFor(options),
    prediction,
    network: network.call,
    noise,
    ...(init && { init }),
    shouldStop: () => hooks.control.interrupted || hooks.control.skipped,
    async onStep({ i, denoised }, { cond, uncond }) {
      report(i);
      const { previewEverySteps: every, previewContent } = options;
      if (every > 0 && (i + 1) % every === 0) {
        const shown = { Prompt: cond, Combined: denoised, 'Negative prompt': uncond };
        hooks.onPreview(previewLatent(shown[previewContent], shape, model.config.family));
      }
      // Lets interrupt and skip in: a run of a network blocks everything else.
      await setImmediate();
    },
  });
  const seconds = (performance.now() - begin) / 1000;
  hooks.onLog(`${job.steps} steps${share} executed ${result.stepsExecuted}`, {
    checkpoint: model.checkpoint.name,
    sampler: job.sampler,
    scheduler: job.scheduler,
    size: `${job.width}x${job.height}`,
    batch: seeds.length,
    stepsExecuted: result.stepsExecuted,
    modelCalls: result.modelCalls,
    secondsPerStep: Number((seconds / Math.max(1, result.stepsExecuted)).toFixed(3)),
    interrupted: result.interrupted,
  });
  assertFinite('sampling', model.checkpoint.name, result.latent.data);
  return result;
}
