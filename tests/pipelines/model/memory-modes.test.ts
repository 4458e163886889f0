/** What the memory modes keep, and that the pictures do not depend on them. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RgbImage } from '../../../images/rgb-image.ts';
import { Network } from '../../../networks/session.ts';
import { decodeLatent } from '../../../pipelines/decode.ts';
import { createRunner } from '../../../pipelines/runner.ts';
import { fixtureCheckpoint } from '../../networks/fixture.ts';
import { makeJob, recordHooks } from '../job.ts';
import { maxDifference, openModel, SETTINGS, SMALL, sampleLatent, toFile } from '../tiny.ts';

const PROMPT = { prompt: 'a fox', negativePrompt: 'blurry' };

let alive: Set<Network>;

/** Keeps the set of the networks that ran and were not released. */
function watch(): void {
  alive = new Set();
  const { run, release } = Network.prototype;
  vi.spyOn(Network.prototype, 'run').mockImplementation(function (this: Network, ...args) {
    alive.add(this);
    return run.apply(this, args);
  });
  vi.spyOn(Network.prototype, 'release').mockImplementation(function (this: Network) {
    alive.delete(this);
    return release.call(this);
  });
}
beforeEach(watch);
afterEach(() => vi.restoreAllMocks());

describe('a memory mode', () => {
  const pictures: RgbImage[] = [];

  it.each([
    // Two text encoders, the UNet, the decoder.
    ['normal', 4],
    ['medvram', 1],
    ['lowvram', 1],
  ] as const)('%s keeps %i networks of SDXL, and draws the same', async (memoryMode, kept) => {
    const model = await openModel(fixtureCheckpoint('sdxl'), { memoryMode });
    const data = await sampleLatent(model, PROMPT);
    pictures.push(...(await decodeLatent(model, { data, shape: [1, 4, 8, 8] })));
    expect(alive.size).toBe(kept);
    await model.release();
    expect(alive.size).toBe(0);
    const [normal] = pictures as [RgbImage];
    // The conversion of weights moves to another place, which may round a pixel the other way.
    expect(maxDifference((pictures.at(-1) as RgbImage).rgb, normal.rgb)).toBeLessThanOrEqual(1);
  });
});

describe('a runner', () => {
  const job = () => makeJob(fixtureCheckpoint('sd15'), { ...SMALL, ...PROMPT, steps: 1 });

  it('never keeps both forms of a network, plain and for pictures that tile', async () => {
    const runner = createRunner(SETTINGS);
    const plain = await runner.run(job(), recordHooks());
    const tiling = await runner.run({ ...job(), tiling: true }, recordHooks());
    expect(alive.size).toBe(3);
    expect(tiling.images).not.toEqual(plain.images);
    await runner.unload();
    expect(alive.size).toBe(0);
  });

  it('releases the decoder for another VAE, and all networks for another checkpoint, also a broken one', async () => {
    const runner = createRunner(SETTINGS);
    await runner.run(job(), recordHooks());
    const before = [...alive];
    expect(before).toHaveLength(3);
    await runner.run({ ...job(), vae: toFile(fixtureCheckpoint('sdxl'), 'xl') }, recordHooks());
    expect(before.filter((network) => alive.has(network))).toHaveLength(2);
    expect(alive.size).toBe(3);
    const missing = { ...job(), checkpoint: toFile('/nowhere/missing.safetensors') };
    await expect(runner.run(missing, recordHooks())).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(alive.size).toBe(0);
  });
});

describe('30 checkpoints in turn', () => {
  it('leave no memory behind', async () => {
    // Mostly text encoders and decoders: the graph of a UNet takes far longer to load.
    const kinds = ['sd15', 'sdxl', 'sd2'] as const;
    const megabytes: number[] = [];
    for (let i = 0; i < 30; i++) {
      const model = await openModel(fixtureCheckpoint(kinds[i % 3] ?? 'sd15'));
      for (const config of model.config.textEncoders) await model.textEncoder(config);
      await model.decoder(false);
      if (i % 10 === 9) await model.unet(false);
      await model.release();
      megabytes.push(Math.round(process.memoryUsage().rss / 2 ** 20));
    }
    // One set of these networks takes about 60 MB; the first third is warm-up.
    const [warm, last] = [megabytes[9] as number, megabytes[29] as number];
    expect(last - warm, megabytes.join()).toBeLessThan(60);
  });
});
