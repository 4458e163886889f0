import { indexToSigma, sigmaToIndex } from '../model-sigmas.ts';
import { appendZero, linspace } from './linspace.ts';
import type { Schedule } from './schedule.ts';

/** Noise levels at evenly spaced timesteps between those of sigmaMax and sigmaMin. */
export const normal: Schedule = ({ n, sigmaMin, sigmaMax, model }) =>
  appendZero(
    linspace(sigmaToIndex(model, sigmaMax), sigmaToIndex(model, sigmaMin), n).map((t) =>
      indexToSigma(model, t),
    ),
  );
