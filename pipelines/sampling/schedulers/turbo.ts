import { TRAIN_TIMESTEPS, timestepToSigma } from '../model-sigmas.ts';
import { appendZero } from './linspace.ts';
import type { Schedule } from './schedule.ts';

const f32 = Math.fround;

/** Trained noise levels at timesteps 999, 999 - 1000/n …, for models distilled to few steps. */
export const turbo: Schedule = ({ n, model }) => {
  const stride = f32(TRAIN_TIMESTEPS / n);
  return appendZero(
    Array.from({ length: n }, (_, k) => {
      const timestep = roundHalfToEven(f32((n - k) * stride) - 1);
      return timestepToSigma(model, Math.max(timestep, 0));
    }),
  );
};

function roundHalfToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
