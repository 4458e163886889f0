import { describe, expect, test } from 'vitest';
import { findSampler, SAMPLERS } from '../../../pipelines/samplers/catalogue.ts';
import { type Network, type NetworkCall, UNCOND } from '../../../pipelines/sampling/network.ts';
import { createNoise } from '../../../pipelines/sampling/noise.ts';
import { planSteps } from '../../../pipelines/sampling/plan.ts';
import { type SampleRequest, sample } from '../../../pipelines/sampling/run-sampler.ts';
import { buildSigmas } from '../../../pipelines/sampling/sigmas.ts';
import { expectClose } from './fixture.ts';
import { firstNoise, modelSigmas, request, SHAPE } from './request.ts';

const SIZE = 16;

/** A network that predicts nothing, so that the latent stays what it was, and its calls. */
function recordCalls(): { network: Network; calls: (NetworkCall & { copy: Float32Array })[] } {
  const calls: (NetworkCall & { copy: Float32Array })[] = [];
  return {
    calls,
    network: async (call) => {
      calls.push({ ...call, copy: call.input.slice() });
      return new Float32Array(call.input.length);
    },
  };
}

describe('network calls', () => {
  test('carry cond and uncond of every image in one batch', async () => {
    const { network, calls } = recordCalls();
    const noise = createNoise({ source: 'NV', shape: [2, 4, 2, 2], seeds: [1, 2] });
    const guidance = { cfgScale: 7, weights: [[1, 0.5], [1]] };
    await sample(request({ network, noise, guidance, steps: 1 }));
    expect(calls).toHaveLength(1);
    const [call] = calls;
    expect(call!.rows).toEqual([
      { image: 0, part: 0 },
      { image: 0, part: 1 },
      { image: 1, part: 0 },
      { image: 0, part: UNCOND },
      { image: 1, part: UNCOND },
    ]);
    expect(call!.shape).toEqual([5, 4, 2, 2]);
    const row = (i: number) => call!.copy.subarray(i * SIZE, (i + 1) * SIZE);
    expect(row(1)).toEqual(row(0));
    expect(row(3)).toEqual(row(0));
    expect(row(4)).toEqual(row(2));
    expect(row(2)).not.toEqual(row(0));
  });

  test('leave uncond out at cfg 1', async () => {
    const { network, calls } = recordCalls();
    await sample(request({ network, guidance: { cfgScale: 1, weights: [[1]] } }));
    for (const call of calls) expect(call.rows).toEqual([{ image: 0, part: 0 }]);
  });

  test('leave uncond out where s_min_uncond says so', async () => {
    const { network, calls } = recordCalls();
    const guidance = { cfgScale: 7, weights: [[1]], sMinUncond: 4 };
    await sample(request({ network, guidance, steps: 6 }));
    expect(calls.map((call) => call.rows.length)).toEqual([2, 2, 2, 1, 2, 1]);
    expect(calls[2]!.sigma).toBeLessThan(4);
  });

  test('tell level, step and call', async () => {
    const { network, calls } = recordCalls();
    await sample(request({ network, sampler: 'Heun', steps: 3 }));
    const sigmas = buildSigmas(findSampler('Heun')!, 'Automatic', 3, modelSigmas);
    expect(calls.map(({ step, call, totalCalls }) => [step, call, totalCalls])).toEqual([
      [0, 0, 6],
      [0, 1, 6],
      [1, 2, 6],
      [1, 3, 6],
      [2, 4, 6],
    ]);
    expectClose(
      calls.map(({ sigma }) => sigma),
      [0, 1, 1, 2, 2].map((i) => sigmas[i]!),
      1e-7,
    );
    expectClose(
      calls.map(({ timestep }) => timestep),
      [999, 499.5, 499.5, 0, 0],
      1e-4,
    );
  });

  test('get latents scaled to unit variance', async () => {
    const { network, calls } = recordCalls();
    await sample(request({ network, steps: 1 }));
    const sigma = modelSigmas.sigmaMax;
    expectClose(
      calls[0]!.copy.subarray(0, SIZE),
      firstNoise().map((value) => (value * sigma) / Math.hypot(1, sigma)),
      1e-6,
    );
  });
});

describe('start', () => {
  const start = async (changes: Partial<SampleRequest>) => {
    // Nothing predicted: an eps sampler keeps its start.
    const { network } = recordCalls();
    return (await sample(request({ network, ...changes }))).latent.data;
  };

  test('is noise · sigma, with sgm_noise_multiplier noise · √(1 + sigma²)', async () => {
    const sigma = modelSigmas.sigmaMax;
    expectClose(
      await start({}),
      firstNoise().map((value) => value * sigma),
      1e-6,
    );
    expectClose(
      await start({ options: { sgmNoiseMultiplier: true } }),
      firstNoise().map((value) => value * Math.sqrt(1 + sigma * sigma)),
      1e-6,
    );
  });

  const init = {
    latent: { data: Float32Array.from({ length: SIZE }, (_, i) => i / 4), shape: SHAPE },
    denoisingStrength: 0.5,
  };

  test('of img2img is the picture plus noise at the first level of the slice', async () => {
    const sigma = buildSigmas(findSampler('Euler')!, 'Karras', 10, modelSigmas)[4]!;
    const expected = firstNoise().map((value, i) => i / 4 + value * sigma);
    expectClose(await start({ steps: 10, scheduler: 'Karras', init }), expected, 1e-6);
    // sgm_noise_multiplier is for txt2img alone.
    const options = { sgmNoiseMultiplier: true };
    expectClose(await start({ steps: 10, scheduler: 'Karras', init, options }), expected, 1e-6);
  });

  test('of img2img takes noise multiplier and extra noise', async () => {
    const more = { ...init, noiseMultiplier: 0.5, extraNoise: 0.25 };
    const sigma = buildSigmas(findSampler('Euler')!, 'Karras', 10, modelSigmas)[4]!;
    expectClose(
      await start({ steps: 10, scheduler: 'Karras', init: more }),
      firstNoise().map((value, i) => i / 4 + value * 0.5 * (sigma + 0.25)),
      1e-6,
    );
  });

  test('of a timestep sampler in img2img is one level above the first evaluated one', async () => {
    const { network, calls } = recordCalls();
    await sample(request({ network, sampler: 'DDIM', steps: 20, init }));
    const alpha = modelSigmas.alphasCumprod[501]!;
    expect(calls[0]!.timestep).toBe(451);
    expectClose(
      calls[0]!.copy.subarray(0, SIZE),
      firstNoise().map((value, i) => (Math.sqrt(alpha) * i) / 4 + Math.sqrt(1 - alpha) * value),
      1e-6,
    );
  });

  test.each(SAMPLERS.map(({ name }) => name))(
    '%s gives the picture back at strength 0 with exact steps',
    async (sampler) => {
      const { network, calls } = recordCalls();
      const still = { ...init, denoisingStrength: 0, exactSteps: true };
      const { latent, stepsExecuted } = await sample(request({ network, sampler, init: still }));
      expectClose(latent.data, init.latent.data, 1e-7);
      expect([calls.length, stepsExecuted]).toEqual([0, 0]);
    },
  );
});

describe('mask', () => {
  const latent = { data: Float32Array.from({ length: SIZE }, (_, i) => i / 4), shape: SHAPE };
  const mask = { data: Float32Array.of(1, 0, 0.5, 1), shape: [1, 1, 2, 2] as const };

  test.each(['Euler', 'DDIM', 'Heun'])('%s keeps the picture where the mask is 0', async (name) => {
    const init = { latent, denoisingStrength: 0.7, mask };
    const masked = await sample(request({ sampler: name, init }));
    const free = await sample(request({ sampler: name, init: { ...init, mask: undefined } }));
    for (let i = 1; i < SIZE; i += 4) expect(masked.latent.data[i]).toBe(latent.data[i]);
    expect(masked.latent.data[0]).not.toBe(latent.data[0]);
    expect(masked.latent.data[2]).not.toBe(free.latent.data[2]);
  });

  test('sigma samplers see the picture in what the model answers', async () => {
    const answers: number[] = [];
    await sample(
      request({
        init: { latent, denoisingStrength: 0.7, mask },
        onStep: ({ denoised }) => {
          answers.push(denoised[1]!);
        },
      }),
    );
    for (const answer of answers) expect(answer).toBe(latent.data[1]);
  });

  test('timestep samplers show the model the clean picture', async () => {
    const { network, calls } = recordCalls();
    const init = { latent, denoisingStrength: 0.7, mask };
    await sample(request({ sampler: 'DDIM', steps: 10, network, init }));
    for (const call of calls) expect(call.copy[1]).toBe(latent.data[1]);
  });

  test('may differ between the images of a batch', async () => {
    const shape = [2, 4, 2, 2] as const;
    const data = new Float32Array(2 * SIZE).fill(0.25);
    const planes = { data: Float32Array.of(0, 0, 0, 0, 1, 1, 1, 1), shape: [2, 1, 2, 2] as const };
    const { latent: result } = await sample(
      request({
        guidance: { cfgScale: 2, weights: [[1], [1]] },
        noise: createNoise({ source: 'NV', shape, seeds: [1, 2] }),
        init: { latent: { data, shape }, denoisingStrength: 0.7, mask: planes },
      }),
    );
    expect([...result.data.subarray(0, SIZE)]).toEqual([...data.subarray(0, SIZE)]);
    expect(result.data.subarray(SIZE)).not.toContain(0.25);
  });
});

describe('batches and options', () => {
  // DPM adaptive chooses its steps by the error of the whole batch, there as here.
  const independent = SAMPLERS.filter(({ calls }) => calls !== 'adaptive').map(({ name }) => name);

  test.each(independent)('%s: an image is the same in a batch', async (name) => {
    const options = { sChurn: 2, eta: 0.7 };
    const alone = await sample(
      request({
        sampler: name,
        options,
        noise: createNoise({ source: 'NV', shape: SHAPE, seeds: [2] }),
      }),
    );
    const batch = await sample(
      request({
        sampler: name,
        options,
        guidance: { cfgScale: 2, weights: [[1], [1]] },
        noise: createNoise({ source: 'NV', shape: [2, 4, 2, 2], seeds: [1, 2] }),
      }),
    );
    expectClose(batch.latent.data.subarray(SIZE), alone.latent.data, 1e-5);
  });

  test.each(SAMPLERS)('$name listens to the options it takes only', async ({ name, takes }) => {
    const run = async (options: SampleRequest['options']) =>
      (await sample(request({ sampler: name, options, scheduler: 'Karras' }))).latent.data;
    const plain = await run({});
    const differs = async (options: SampleRequest['options']) =>
      (await run(options)).some((value, i) => value !== plain[i]);
    expect(await differs({ eta: 0.45 })).toBe(takes.includes('eta'));
    expect(await differs({ sChurn: 3 })).toBe(takes.includes('churn'));
    expect(await differs({ sChurn: 3, sTmin: 100 })).toBe(false);
    expect(await differs({ sNoise: 1.1 })).toBe(takes.includes('noise'));
  });

  test('eta of the request wins over the options of its family', async () => {
    const run = async (sampler: string, options: SampleRequest['options']) =>
      (await sample(request({ sampler, options }))).latent.data;
    expect(await run('Euler a', { etaAncestral: 0, etaDdim: 1 })).toEqual(
      await run('Euler a', { eta: 0 }),
    );
    expect(await run('Euler a', { eta: 0.5, etaAncestral: 0 })).toEqual(
      await run('Euler a', { eta: 0.5 }),
    );
    expect(await run('DDIM', { etaDdim: 0.5, etaAncestral: 0 })).toEqual(
      await run('DDIM', { eta: 0.5 }),
    );
  });

  test('s_tmax 0 is infinity', async () => {
    const run = async (sTmax: number) =>
      (await sample(request({ options: { sChurn: 2, sTmax } }))).latent.data;
    expect(await run(0)).toEqual(await run(1e9));
    expect(await run(0)).not.toEqual(await run(1));
  });
});

describe('plan', () => {
  const latent = { data: new Float32Array(SIZE), shape: SHAPE };
  const planned = SAMPLERS.filter(({ calls }) => calls !== 'adaptive').map(({ name }) => name);

  test.each(planned)('%s runs what is planned', async (sampler) => {
    for (const steps of [1, 2, 3, 7, 21]) {
      for (const denoisingStrength of [null, 0, 0.1, 0.45, 1]) {
        // Noise this low leaves nothing to restart to; see below.
        if (sampler === 'Restart' && denoisingStrength === 0.1) continue;
        for (const exactSteps of [false, true]) {
          for (const scheduler of ['Karras', 'DDIM', 'KL Optimal']) {
            const plan = planSteps({ sampler, scheduler, steps, denoisingStrength, exactSteps });
            const init =
              denoisingStrength === null ? undefined : { latent, denoisingStrength, exactSteps };
            const result = await sample(request({ sampler, scheduler, steps, init }));
            expect([plan, result.modelCalls, result.stepsExecuted]).toEqual([
              plan,
              plan.modelCalls,
              plan.stepsExecuted,
            ]);
            expect(result.latent.data.every(Number.isFinite)).toBe(true);
          }
        }
      }
    }
  });
});

test('Restart leaves its loop out where the noise starts below it', async () => {
  const latent = { data: new Float32Array(SIZE), shape: SHAPE };
  const init = { latent, denoisingStrength: 0.1, exactSteps: true };
  const { stepsExecuted } = await sample(
    request({ sampler: 'Restart', scheduler: 'Karras', steps: 21, init }),
  );
  expect(stepsExecuted).toBe(21 - 9);
});

test('an unknown sampler is an error', async () => {
  await expect(sample(request({ sampler: 'nope' }))).rejects.toThrow(RangeError);
});

test('a finished run says so', async () => {
  const steps: number[] = [];
  const result = await sample(
    request({
      onStep: async ({ i }) => {
        steps.push(i);
      },
    }),
  );
  expect(steps).toEqual([0, 1, 2, 3, 4]);
  expect(result).toMatchObject({ stepsExecuted: 5, modelCalls: 5, interrupted: false });
  expect(result.latent.shape).toEqual(SHAPE);
});
