/** HyperTile in jobs: what it changes, which pass, and what infotexts say. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Network } from '../../../networks/session.ts';
import { Options } from '../../../openapi/schemas/options.ts';
import { decodeLatent } from '../../../pipelines/decode.ts';
import {
  describeHyperTile,
  describeSecondPassTiles,
} from '../../../pipelines/hyper-tile/describe.ts';
import { HyperTile } from '../../../pipelines/hyper-tile/hyper-tile.ts';
import type { Model } from '../../../pipelines/model/model.ts';
import { txt2img } from '../../../pipelines/txt2img.ts';
import { toJobOptions } from '../../../routes/job-options.ts';
import { fixtureCheckpoint, relativeError } from '../../networks/fixture.ts';
import { makeHiresJob, makeTools } from '../hires/job.ts';
import { recordHooks } from '../job.ts';
import { openModel, sampleLatent } from '../tiny.ts';

const NO_NUMBERS = { s_min_uncond: null, s_churn: null, s_tmin: null, s_tmax: null, s_noise: null };
/** Large enough for more than one tile. */
const LARGE = { width: 256, height: 256, steps: 2 } as const;
const SEEN = 1e-4;

let model: Model;
beforeAll(async () => {
  model = await openModel(fixtureCheckpoint('sd15'));
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => model.release());

const optionsOf = (changes: Partial<Options>) =>
  toJobOptions(Options.parse({ hypertile_max_tile_unet: 128, ...changes }), { ...NO_NUMBERS });

function latentOf(changes: Partial<Options>): Promise<Float32Array> {
  return sampleLatent(model, { ...LARGE, prompt: 'a fox', options: optionsOf(changes) });
}

describe('HyperTile', () => {
  it('changes the latent, and the same way each time', async () => {
    const plain = await latentOf({});
    // The one layer of the decoder is no concern of the latent.
    expect(await latentOf({ hypertile_enable_vae: true })).toEqual(plain);
    const tiled = await latentOf({ hypertile_enable_unet: true });
    expect(relativeError(tiled, plain)).toBeGreaterThan(SEEN);
    expect(await latentOf({ hypertile_enable_unet: true })).toEqual(tiled);
  });

  it('of more sizes to choose from draws others', async () => {
    const enabled = { hypertile_enable_unet: true };
    const smallest = await latentOf({ ...enabled, hypertile_swap_size_unet: 1 });
    const drawn = await latentOf({ ...enabled, hypertile_swap_size_unet: 3 });
    expect(relativeError(drawn, smallest)).toBeGreaterThan(SEEN);
  });

  it('of the decoder changes the picture', async () => {
    const latent = { data: await latentOf({}), shape: [1, 4, 32, 32] as const };
    const { hyperTile: options } = optionsOf({
      ...{ hypertile_enable_vae: true, hypertile_swap_size_vae: 1 },
    });
    const hyperTile = new HyperTile(options, 0, LARGE);
    const [plain] = await decodeLatent(model, latent, { hyperTile: null });
    const [tiled] = await decodeLatent(model, latent, { hyperTile });
    expect(tiled?.rgb).not.toEqual(plain?.rgb);
  });

  it('says what is not usual in infotexts', () => {
    const describe = (changes: Partial<Options>) => {
      const { hyperTile } = toJobOptions(Options.parse(changes), { ...NO_NUMBERS });
      return [describeHyperTile(hyperTile), describeSecondPassTiles(hyperTile)];
    };
    expect(describe({ hypertile_max_tile_unet: 128 })).toEqual([[], []]);
    const unet = { hypertile_max_tile_unet: 128, hypertile_swap_size_unet: 2 };
    const described = [
      ['Hypertile U-Net max tile size', 128],
      ['Hypertile U-Net swap size', 2],
    ];
    expect(describe({ ...unet, hypertile_enable_unet: true })).toEqual([
      [['Hypertile U-Net', true], ...described],
      [],
    ]);
    expect(describe({ ...unet, hypertile_enable_unet_secondpass: true })).toEqual([
      [],
      [['Hypertile U-Net second pass', true], ...described],
    ]);
    expect(describe({ hypertile_enable_vae: true, hypertile_max_depth_vae: 1 })).toEqual([
      [
        ['Hypertile VAE', true],
        ['Hypertile VAE max depth', 1],
      ],
      [],
    ]);
  });
});

describe('in a hires fix', () => {
  const tools = makeTools();
  afterAll(() => tools.release());

  async function drawTwice(changes: Partial<Options>, nIter = 1) {
    const tiles: (readonly bigint[] | null)[] = [];
    const run = vi.spyOn(Network.prototype, 'run');
    const enlarged = { width: 256, height: 256 };
    const job = makeHiresJob(
      model.checkpoint.path,
      { ...LARGE, nIter, prompt: 'a fox', options: optionsOf(changes) },
      { enlarged, steps: 2 },
    );
    const first = await tools.use(job.checkpoint, null);
    const result = await txt2img(job, first, recordHooks(), tools);
    for (const [{ sample, tiles: fed }] of run.mock.calls)
      if (sample) tiles.push(fed ? Array.from(fed.data as BigInt64Array) : null);
    run.mockRestore();
    return { ...result, tiles };
  }

  /** Whether any layer has more than one tile, of each run. */
  const cuts = (tiles: (readonly bigint[] | null)[]) =>
    tiles.map((fed) => fed?.some((value, i) => i % 9 === 8 && value > 1n) ?? false);

  it('may be in the second pass alone, in the same network', async () => {
    const release = vi.spyOn(Network.prototype, 'release');
    const { tiles, infotexts } = await drawTwice({
      hypertile_enable_unet_secondpass: true,
      hypertile_swap_size_unet: 1,
    });
    expect(cuts(tiles)).toEqual([false, false, true, true]);
    expect(tiles).not.toContain(null);
    expect(release).not.toHaveBeenCalled();
    expect(infotexts[0]).toContain('Hypertile U-Net second pass: True');
    expect(infotexts[0]).not.toContain('Hypertile U-Net:');
  });

  it('is in both passes when it is in the first', async () => {
    const { tiles, infotexts } = await drawTwice({
      hypertile_enable_unet: true,
      hypertile_swap_size_unet: 1,
    });
    expect(cuts(tiles)).toEqual([true, true, true, true]);
    expect(infotexts[0]).not.toContain('second pass');
  });

  it('draws the tiles of every second pass anew, and none of a plain first pass', async () => {
    const only = { hypertile_enable_unet_secondpass: true };
    const { tiles } = await drawTwice(only, 2);
    expect(cuts(tiles).filter((_, i) => i % 4 < 2)).toEqual([false, false, false, false]);
    expect(tiles.slice(6, 8)).toEqual(tiles.slice(2, 4));
  });

  it('a plain job has no tiles in its network', async () => {
    const { tiles } = await drawTwice({});
    expect(tiles).toEqual([null, null, null, null]);
  });

  it('merged tokens of one pass alone make no other network either', async () => {
    const release = vi.spyOn(Network.prototype, 'release');
    await drawTwice({ token_merging_ratio_hr: 0.5 });
    // The network that the test before left.
    expect(release).toHaveBeenCalledTimes(1);
  });
});
