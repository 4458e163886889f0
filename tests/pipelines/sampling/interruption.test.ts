/** Runs that are stopped: what they return, and how far they say they came. */
import { describe, expect, test } from 'vitest';
import type { Network } from '../../../pipelines/sampling/network.ts';
import { sample } from '../../../pipelines/sampling/run-sampler.ts';
import { dummyNetwork } from './dummy-network.ts';
import { expectClose } from './fixture.ts';
import { firstNoise, modelSigmas, request } from './request.ts';

describe('interruption', () => {
  // Two calls to a step of Heun: it is stopped within its second step, too.
  test.each([
    ['Euler', 'eps', 2],
    ['Euler', 'v', 3],
    ['Heun', 'eps', 3],
    ['DDIM', 'eps', 2],
    ['DDIM', 'v', 2],
  ] as const)(
    '%s of %s after %i calls returns what the prompt alone made of the last',
    async (sampler, prediction, calls) => {
      let made = 0;
      let expected = new Float32Array();
      const network: Network = async (call) => {
        made++;
        const rows = await dummyNetwork(call);
        const [size, sigma] = [rows.length / 2, call.sigma];
        const norm = Math.hypot(1, sigma);
        // Of unit variance is both families' input: the clean latent is the same function of it.
        expected = rows.slice(0, size).map((value, i) => {
          const input = call.input[i]!;
          return prediction === 'eps'
            ? input * norm - sigma * value
            : (input - sigma * value) / norm;
        });
        return rows;
      };
      const changes = { sampler, prediction, network, steps: 10, shouldStop: () => made === calls };
      const result = await sample(request(changes));
      const stepsExecuted = sampler === 'Heun' ? Math.floor(calls / 2) : calls;
      expect(result).toMatchObject({ stepsExecuted, modelCalls: calls, interrupted: true });
      expectClose(result.latent.data, expected, 1e-5);
    },
  );

  test('tells both halves of an answer with each step', async () => {
    const seen: boolean[] = [];
    await sample(
      request({
        onStep: ({ denoised }, { cond, uncond }) => {
          // cfg 2: the guided one lies as far beyond the prompt's as that beyond the other.
          expectClose(
            cond.map((value, i) => 2 * value - uncond[i]!),
            denoised,
            1e-5,
          );
          seen.push(cond.some((value, i) => value !== uncond[i]));
        },
      }),
    );
    expect(seen).toEqual(new Array(5).fill(true));
  });

  test('before the first step returns the start', async () => {
    const { latent, stepsExecuted } = await sample(request({ shouldStop: () => true }));
    expect(stepsExecuted).toBe(0);
    expectClose(
      latent.data,
      firstNoise().map((value) => value * modelSigmas.sigmaMax),
      1e-6,
    );
  });

  test('is no cover for errors', async () => {
    const network: Network = async () => {
      throw new Error('out of memory');
    };
    await expect(sample(request({ network }))).rejects.toThrow('out of memory');
    const onStep = () => {
      throw new Error('channel closed');
    };
    await expect(sample(request({ onStep }))).rejects.toThrow('channel closed');
  });
});
