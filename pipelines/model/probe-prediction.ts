import type { UnetConfig } from '../../networks/checkpoint/config.ts';
import { V_PROBE } from '../../networks/checkpoint/prediction.ts';
import type { Network } from '../../networks/session.ts';

/** Finds out by one run of the UNet whether it predicts eps or v; see V_PROBE. */
export async function probePrediction(unet: Network, config: UnetConfig): Promise<'eps' | 'v'> {
  const { inChannels, contextDim } = config;
  const { latentSize: side, contextTokens, sample, context, timestep, threshold } = V_PROBE;
  const filled = (length: number, value: number) => new Float32Array(length).fill(value);
  const { out } = await unet.run(
    {
      sample: {
        type: 'float32',
        data: filled(inChannels * side * side, sample),
        shape: [1, inChannels, side, side],
      },
      timesteps: { type: 'float32', data: filled(1, timestep), shape: [1] },
      context: {
        type: 'float32',
        data: filled(contextTokens * contextDim, context),
        shape: [1, contextTokens, contextDim],
      },
    },
    ['out'],
  );
  const values = out?.data as Float32Array;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return mean - sample < threshold ? 'v' : 'eps';
}
