import { indexToSigma } from '../model-sigmas.ts';
import { appendZero, linspace } from './linspace.ts';
import type { Schedule } from './schedule.ts';

/** Noise levels at evenly spaced timesteps from the last to the first; ignores sigmaMin and sigmaMax. */
export const uniform: Schedule = ({ n, model }) =>
  appendZero(linspace(model.sigmas.length - 1, 0, n).map((t) => indexToSigma(model, t)));
