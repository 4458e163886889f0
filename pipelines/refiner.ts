/** A second checkpoint that takes over part of the way down the noise levels. */
import type { JobNetwork } from './conditioning/network-calls.ts';
import type { RefinerSwitch } from './job.ts';
import { findSampler } from './samplers/catalogue.ts';
import type { Prediction } from './sampling/denoiser.ts';
import type { ModelSigmas } from './sampling/model-sigmas.ts';
import type { NetworkCall } from './sampling/network.ts';

/** A network and what it predicts. */
export interface Predictor {
  network: JobNetwork;
  prediction: Prediction;
}

/** What decides when the refiner takes over. */
export interface SwitchRule extends Pick<RefinerSwitch, 'switchAt' | 'bySteps'> {
  /** Display name. */
  sampler: string;
  /** Of the checkpoint that begins. */
  modelSigmas: ModelSigmas;
}

/**
 * Returns how far a model call is, as the web UI counts for its refiner: the share of the trained
 * noise levels that lie behind it, or of the calls.
 *
 * @returns 0 … 0.999 by noise levels, 0 … 1 by calls
 */
export function completedShare(
  call: Pick<NetworkCall, 'sigma' | 'timestep' | 'call' | 'totalCalls'>,
  { sampler, modelSigmas, bySteps }: SwitchRule,
): number {
  if (bySteps) return call.call / call.totalCalls;
  const { sigmas } = modelSigmas;
  const isTimestep = findSampler(sampler)?.family === 'timestep';
  const level = isTimestep ? Math.trunc(call.timestep) : nearest(sigmas, call.sigma);
  return (sigmas.length - 1 - level) / sigmas.length;
}

/** Index of the value closest to another; the first of two. */
function nearest(values: Float32Array, wanted: number): number {
  let best = 0;
  values.forEach((value, i) => {
    if (Math.abs(value - wanted) < Math.abs((values[best] as number) - wanted)) best = i;
  });
  return best;
}

/**
 * Returns a network that is the first one's until a call reaches the switch, and the refiner's from
 * there to the end of the run. Every run begins with the first.
 *
 * @param base  the first
 * @param rule  when to switch
 * @param open  makes the refiner ready; asked for when a run first reaches the switch
 */
export function switchNetworks(
  base: Predictor,
  rule: SwitchRule,
  open: () => Promise<Predictor>,
): JobNetwork {
  let refiner: Promise<Predictor> | null = null;
  let isSwitched = false;
  return {
    ...base.network,
    async call(call) {
      if (call.call === 0) isSwitched = false;
      isSwitched ||= completedShare(call, rule) >= rule.switchAt;
      if (!isSwitched) return base.network.call(call);
      refiner ??= open();
      const { network, prediction } = await refiner;
      return convert(await network.call(call), call, prediction, base.prediction);
    },
  };
}

/**
 * Turns what one network predicts into what the run expects. For an input that is scaled as networks
 * see it, v = √(σ² + 1) · eps − σ · input.
 */
function convert(
  predicted: Float32Array,
  { input, sigma }: NetworkCall,
  from: Prediction,
  to: Prediction,
): Float32Array {
  if (from === to) return predicted;
  const scale = Math.sqrt(sigma * sigma + 1);
  const toV = (eps: number, x: number) => eps * scale - sigma * x;
  const toEps = (v: number, x: number) => (v + sigma * x) / scale;
  const change = to === 'v' ? toV : toEps;
  return predicted.map((value, i) => change(value, input[i] as number));
}
