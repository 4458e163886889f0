import { findSampler, type SamplerEntry } from '../samplers/catalogue.ts';
import { SAMPLER_FUNCTIONS } from '../samplers/registry.ts';
import type { SamplerContext, UniPcOptions } from '../samplers/sampler.ts';
import type { Estimates } from './denoiser.ts';
import { Interrupted } from './interrupted.ts';
import type { Latent } from './latents.ts';
import { blend } from './mask.ts';
import { createGuidedNetwork } from './network.ts';
import { planSteps } from './plan.ts';
import type { SampleRequest, SampleResult } from './sample-request.ts';
import { latentMask, startSigmas, startTimesteps } from './start.ts';

export type {
  SampleInit,
  SampleRequest,
  SampleResult,
  SamplingOptions,
} from './sample-request.ts';

const DEFAULT_UNI_PC: UniPcOptions = {
  variant: 'bh1',
  skipType: 'time_uniform',
  order: 3,
  lowerOrderFinal: true,
};

/**
 * Makes a latent from noise, or from a picture's latent and noise.
 *
 * @param request see SampleRequest
 * @returns see SampleResult
 * @throws RangeError for an unknown sampler, and whatever network and onStep throw
 */
export async function sample(request: SampleRequest): Promise<SampleResult> {
  const { noise, init, guidance } = request;
  const entry = findSampler(request.sampler);
  const sampler = SAMPLER_FUNCTIONS[entry?.name ?? ''];
  if (!entry || !sampler) {
    throw new RangeError(`Expected a sampler but received ${request.sampler}.`);
  }
  const plan = planSteps({
    ...request,
    denoisingStrength: init?.denoisingStrength ?? null,
    exactSteps: init?.exactSteps ?? false,
    alwaysDiscardNextToLastSigma: request.options.alwaysDiscardNextToLastSigma ?? false,
  });
  const network = createGuidedNetwork({
    network: request.network,
    shape: noise.shape,
    guidance: { ...guidance, cfgScale: guidance.cfgScale * (entry.cfgFactor ?? 1) },
    totalCalls: plan.totalCalls,
    totalSteps: plan.stepsExecuted ?? plan.announcedSteps,
    keepsUncond: entry.keepsUncond ?? false,
    ...(request.shouldStop && { shouldStop: request.shouldStop }),
  });
  const run = entry.family === 'timestep' ? startTimesteps : startSigmas;
  const { x, levels, denoiser, estimates, brownian } = run(request, entry, plan, network);

  let reached = init ? init.latent.data.slice() : x;
  let stepsExecuted = 0;
  const context = createContext(request, entry, levels, {
    brownian,
    uncond: denoiser.uncond,
    async onStep(step) {
      network.step = ++stepsExecuted;
      await request.onStep?.(step, estimates() as Estimates);
    },
  });
  let interrupted = false;
  try {
    reached = await sampler(denoiser.denoise, x, levels, context);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    reached = estimates()?.cond ?? reached;
    interrupted = true;
  }
  const mask = latentMask(init);
  const latent: Latent = {
    data: mask && !mask.soft ? blend(reached, mask) : reached,
    shape: noise.shape,
  };
  return { latent, stepsExecuted, modelCalls: network.calls, interrupted };
}

/** The context of a run: options that the sampler does not take are at their neutral values. */
function createContext(
  request: SampleRequest,
  entry: SamplerEntry,
  levels: Float32Array,
  run: Pick<SamplerContext, 'brownian' | 'uncond' | 'onStep'>,
): SamplerContext {
  const { options, modelSigmas, init } = request;
  const takes = (option: SamplerEntry['takes'][number]) => entry.takes.includes(option);
  const churns = takes('churn');
  const defaultEta =
    entry.defaultEta ??
    (entry.family === 'timestep' ? (options.etaDdim ?? 0) : (options.etaAncestral ?? 1));
  return {
    ...run,
    noise: () => request.noise.next(),
    eta: takes('eta') ? (options.eta ?? defaultEta) : 0,
    sChurn: churns ? (options.sChurn ?? 0) : 0,
    sTmin: churns ? (options.sTmin ?? 0) : 0,
    sTmax: (churns && options.sTmax) || Number.POSITIVE_INFINITY,
    sNoise: churns || takes('noise') ? (options.sNoise ?? 1) : 1,
    uniPc: options.uniPc ?? DEFAULT_UNI_PC,
    sigmaMin: init ? levels[levels.length - 2]! : modelSigmas.sigmaMin,
    sigmaMax: init ? levels[0]! : modelSigmas.sigmaMax,
    steps: init ? levels.length - 1 : request.steps,
    isImg2Img: init !== undefined,
    modelSigmas,
  };
}
