import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Network } from '../../networks/session.ts';
import { noPromptEmbeddings } from '../../pipelines/conditioning/prompt-embeddings.ts';
import type { RefinerSwitch } from '../../pipelines/job.ts';
import { type Predictor, type SwitchRule, switchNetworks } from '../../pipelines/refiner.ts';
import { createRunner } from '../../pipelines/runner.ts';
import { createModelSigmas } from '../../pipelines/sampling/model-sigmas.ts';
import type { NetworkCall } from '../../pipelines/sampling/network.ts';
import { fixtureCheckpoint } from '../networks/fixture.ts';
import { makeHiresJob } from './hires/job.ts';
import { makeJob, recordHooks } from './job.ts';
import { SETTINGS, SMALL, toFile } from './tiny.ts';

const modelSigmas = createModelSigmas();
const rule: SwitchRule = { sampler: 'Euler', switchAt: 0.8, bySteps: false, modelSigmas };

/** A network that answers one number. */
function predictor(answer: number, prediction: 'eps' | 'v' = 'eps'): Predictor {
  const call = async ({ input }: NetworkCall) => new Float32Array(input.length).fill(answer);
  return {
    network: { call, load: async () => {}, weights: [1], embeddings: noPromptEmbeddings },
    prediction,
  };
}

const callAt = (changes: Partial<NetworkCall>): NetworkCall => ({
  input: Float32Array.of(2),
  shape: [1, 1, 1, 1],
  rows: [],
  timestep: 0,
  sigma: 1,
  step: 0,
  call: 1,
  totalCalls: 10,
  totalSteps: 10,
  ...changes,
});

describe('the switch', () => {
  const answers = async (changes: Partial<SwitchRule>, calls: Partial<NetworkCall>[]) => {
    const open = vi.fn(async () => predictor(2));
    const { call } = switchNetworks(predictor(1), { ...rule, ...changes }, open);
    const found: (number | undefined)[] = [];
    for (const one of calls) found.push((await call(callAt(one)))[0]);
    expect(open.mock.calls.length).toBe(found.includes(2) ? 1 : 0);
    return found;
  };
  const sigmaAt = (index: number) => modelSigmas.sigmas[index] as number;

  it('is at the first call whose noise level has the share behind it', async () => {
    const sigmas = [999, 300, 200, 199, 198, 0].map((index) => ({ sigma: sigmaAt(index) }));
    expect(await answers({}, sigmas)).toEqual([1, 1, 1, 2, 2, 2]);
  });

  it('counts timesteps for samplers that step along them', async () => {
    const calls = [951, 201, 199.9, 1].map((timestep) => ({ timestep }));
    expect(await answers({ sampler: 'DDIM' }, calls)).toEqual([1, 1, 2, 2]);
  });

  it('counts model calls where the option says so', async () => {
    const calls = [0, 4, 5, 6].map((call) => ({ call }));
    expect(await answers({ bySteps: true, switchAt: 0.5 }, calls)).toEqual([1, 1, 2, 2]);
  });

  it('stays until the end of a run, and the next run begins with the first again', async () => {
    const low = { sigma: sigmaAt(10) };
    const high = { sigma: sigmaAt(999) };
    const calls = [high, low, high, { ...high, call: 0 }, low];
    expect(await answers({}, calls)).toEqual([1, 2, 2, 1, 2]);
  });

  it('is at once for a share of 0, and never for 1', async () => {
    const calls = [{ call: 0, sigma: sigmaAt(999) }, { sigma: sigmaAt(0) }];
    expect(await answers({ switchAt: 0 }, calls)).toEqual([2, 2]);
    expect(await answers({ switchAt: 1 }, calls)).toEqual([1, 1]);
  });

  it('turns what the refiner predicts into what the run expects', async () => {
    // denoised = x − σ · eps = x / (σ² + 1) − v · σ / √(σ² + 1), x = input · √(σ² + 1).
    const sigma = 3;
    const [input, v] = [2, 0.7];
    const scale = Math.sqrt(sigma ** 2 + 1);
    const denoised = (input * scale) / scale ** 2 - (v * sigma) / scale;
    const now = { ...rule, switchAt: 0 };
    const asEps = switchNetworks(predictor(0), now, async () => predictor(v, 'v'));
    const [eps] = await asEps.call(callAt({ sigma }));
    expect(input * scale - sigma * (eps as number)).toBeCloseTo(denoised, 5);
    const asV = switchNetworks(predictor(0, 'v'), now, async () => predictor(eps as number));
    expect((await asV.call(callAt({ sigma })))[0]).toBeCloseTo(v, 5);
  });
});

describe('a job with a refiner', () => {
  let alive: Set<Network>;
  let most: number;
  beforeEach(() => {
    alive = new Set();
    most = 0;
    const { run, release } = Network.prototype;
    vi.spyOn(Network.prototype, 'run').mockImplementation(function (this: Network, ...args) {
      alive.add(this);
      most = Math.max(most, alive.size);
      return run.apply(this, args);
    });
    vi.spyOn(Network.prototype, 'release').mockImplementation(function (this: Network) {
      alive.delete(this);
      return release.call(this);
    });
  });
  afterEach(() => vi.restoreAllMocks());

  const job = () =>
    makeJob(fixtureCheckpoint('sdxl'), {
      ...SMALL,
      prompt: 'a fox',
      nIter: 2,
      refiner: {
        checkpoint: { ...toFile(fixtureCheckpoint('refiner'), 'fine'), hash: '0123456789' },
        switchAt: 0.5,
        bySteps: false,
        pass: 'second pass',
      },
    });

  it('tells its name and when it took over', async () => {
    const runner = createRunner(SETTINGS);
    const { infotexts } = await runner.run(job(), recordHooks());
    expect(infotexts[0]).toContain('Refiner: fine [0123456789], Refiner switch at: 0.5');
    await runner.unload();
    expect(alive.size).toBe(0);
  });

  it.each([
    // Text encoders (two and one), UNets, the decoder.
    ['normal', 6],
    ['medvram', 2],
  ] as const)('%s keeps at most %i networks, and draws the same', async (memoryMode, kept) => {
    const plain = createRunner(SETTINGS);
    const { images } = await plain.run(job(), recordHooks());
    await plain.unload();
    most = 0;
    const runner = createRunner({ ...SETTINGS, memoryMode });
    expect((await runner.run(job(), recordHooks())).images).toEqual(images);
    expect(most).toBeLessThanOrEqual(kept);
    await runner.unload();
    expect(alive.size).toBe(0);
  });

  it('draws the pass of a hires fix that the option names', async () => {
    const runner = createRunner(SETTINGS);
    const draw = async (pass: RefinerSwitch['pass'] | null) => {
      const refiner = pass === null ? null : { ...job().refiner!, switchAt: 0, pass };
      const output = { ...job().output, writeInfotext: false };
      const one = makeHiresJob(fixtureCheckpoint('sdxl'), { ...SMALL, refiner, output });
      const { images, infotexts } = await runner.run(one, recordHooks());
      return { image: Buffer.from(images[0] as Uint8Array).toString('base64'), infotexts };
    };
    const drawn = [
      await draw(null),
      await draw('first pass'),
      await draw('second pass'),
      await draw('both passes'),
    ];
    expect(new Set(drawn.map(({ image }) => image)).size).toBe(4);
    const told = drawn.map(
      ({ infotexts }) => /Hires refiner: [a-z ]*/.exec(infotexts[0] as string)?.[0],
    );
    expect(told).toEqual([
      undefined,
      'Hires refiner: first pass',
      undefined,
      'Hires refiner: both passes',
    ]);
    await runner.unload();
  });

  it('that works on other latents is refused', async () => {
    const runner = createRunner(SETTINGS);
    const refiner = { ...job().refiner!, checkpoint: toFile(fixtureCheckpoint('sd15'), 'other') };
    await expect(runner.run({ ...job(), refiner }, recordHooks())).rejects.toMatchObject({
      code: 'VAE_MISMATCH',
    });
    await runner.unload();
  });

  it('that is the checkpoint itself changes nothing', async () => {
    const runner = createRunner(SETTINGS);
    const own = { ...job().refiner!, checkpoint: job().checkpoint };
    const { images, infotexts } = await runner.run({ ...job(), refiner: own }, recordHooks());
    expect(images).toEqual((await runner.run({ ...job(), refiner: null }, recordHooks())).images);
    expect(infotexts[0]).not.toContain('Refiner');
    await runner.unload();
  });
});
