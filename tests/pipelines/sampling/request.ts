/** A small run of a sampler, for tests that change one thing of it. */
import { createModelSigmas } from '../../../pipelines/sampling/model-sigmas.ts';
import { createNoise } from '../../../pipelines/sampling/noise.ts';
import type { SampleRequest } from '../../../pipelines/sampling/run-sampler.ts';
import { dummyNetwork } from './dummy-network.ts';

export const modelSigmas = createModelSigmas();
export const SHAPE = [1, 4, 2, 2] as const;

/** Five steps of Euler on one picture of 2 x 2. */
export function request(changes: Partial<SampleRequest> = {}): SampleRequest {
  return {
    sampler: 'Euler',
    scheduler: 'Automatic',
    steps: 5,
    options: {},
    guidance: { cfgScale: 2, weights: [[1]] },
    modelSigmas,
    prediction: 'eps',
    network: dummyNetwork,
    noise: createNoise({ source: 'NV', shape: SHAPE, seeds: [1] }),
    ...changes,
  };
}

/** The noise that it starts from. */
export const firstNoise = () => createNoise({ source: 'NV', shape: SHAPE, seeds: [1] }).next();
