import type { Network } from '../../../pipelines/sampling/network.ts';
import { UNCOND } from '../../../pipelines/sampling/network.ts';

/** The network of `reference_model.py`: smooth, bounded, different for cond and uncond. */
export const dummyNetwork: Network = async ({ input, rows, timestep }) => {
  const size = input.length / rows.length;
  return input.map((x, i) => {
    const wave = Math.sin((i % size) + timestep / 100);
    return rows[Math.floor(i / size)]!.part === UNCOND
      ? 0.8 * Math.tanh(x) - 0.15 * wave
      : 0.9 * Math.tanh(x) + 0.1 * wave;
  });
};
