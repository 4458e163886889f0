import { indexToSigma, sigmaToIndex } from '../model-sigmas.ts';
import { appendZero, linspace } from './linspace.ts';
import type { Schedule } from './schedule.ts';

/** Noise levels at evenly spaced timesteps with sigmaMin left out, as Stability's SGM steps them. */
export const sgmUniform: Schedule = ({ n, sigmaMin, sigmaMax, model }) =>
  appendZero(
    linspace(sigmaToIndex(model, sigmaMax), sigmaToIndex(model, sigmaMin), n + 1)
      .subarray(0, n)
      .map((t) => indexToSigma(model, t)),
  );
