/** Whole img2img jobs on a tiny checkpoint. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeImage } from '../../../images/decode.ts';
import { readInfotext } from '../../../images/read-infotext.ts';
import { decodeLatent } from '../../../pipelines/decode.ts';
import { encodePixels, toPixels } from '../../../pipelines/img2img/encode-pixels.ts';
import { createFit } from '../../../pipelines/img2img/fit-picture.ts';
import { preparePictures } from '../../../pipelines/img2img/prepare-pictures.ts';
import { createRunner } from '../../../pipelines/runner.ts';
import { planSteps } from '../../../pipelines/sampling/plan.ts';
import { UpscalerStore } from '../../../pipelines/upscaling/upscalers.ts';
import { fixtureCheckpoint } from '../../networks/fixture.ts';
import { recordHooks } from '../job.ts';
import { openModel, SETTINGS } from '../tiny.ts';
import { makeImg2ImgJob, makeMask, makeMaskUse, makePicture } from './job.ts';

const runner = createRunner(SETTINGS);
const checkpoint = fixtureCheckpoint('sd15');
let picture: Uint8Array;

beforeAll(async () => {
  picture = await makePicture();
});
afterAll(() => runner.unload());

async function draw(
  changes: Parameters<typeof makeImg2ImgJob>[2] = {},
  pictures: readonly Uint8Array[] = [picture],
) {
  const hooks = recordHooks();
  const result = await runner.run(makeImg2ImgJob(checkpoint, pictures, changes), hooks);
  return { ...result, hooks };
}

const pixels = async (bytes: Uint8Array) => (await decodeImage(bytes)).data;

/** Returns how many pixels of a box, or of all but the box, differ. */
function countChanges(
  before: Uint8Array,
  after: Uint8Array,
  width: number,
  [x1, y1, x2, y2]: readonly [number, number, number, number],
  inside: boolean,
): number {
  let changed = 0;
  for (let i = 0; i < before.length; i += 3) {
    const [x, y] = [(i / 3) % width, Math.floor(i / 3 / width)];
    const isInside = x >= x1 && x < x2 && y >= y1 && y < y2;
    const differs = [0, 1, 2].some((c) => before[i + c] !== after[i + c]);
    if (isInside === inside && differs) changed++;
  }
  return changed;
}

describe('steps', () => {
  it.each([
    ['Euler', 0.22, false],
    ['Euler', 1, false],
    ['DPM++ 2M', 0.5, true],
    ['Heun', 0.5, false],
    ['DDIM', 0.5, false],
    ['PLMS', 0.75, false],
    ['UniPC', 0.5, false],
  ] as const)('%s at %f (exact %s) run as planned', async (sampler, strength, exactSteps) => {
    const steps = 18;
    const plan = planSteps({ sampler, steps, denoisingStrength: strength, exactSteps });
    const { stepsExecuted, info, hooks } = await draw({
      sampler,
      steps,
      denoisingStrength: strength,
      exactSteps,
    });
    expect(stepsExecuted).toBe(plan.stepsExecuted);
    expect(info.steps_executed).toBe(plan.stepsExecuted);
    expect(info.model_calls).toBe(plan.modelCalls);
    expect(hooks.logs).toEqual([
      `18 steps at ${strength} executes ${plan.stepsExecuted}`,
      `18 steps at ${strength} executed ${plan.stepsExecuted}`,
    ]);
  });

  it('at strength 0 are one, or none at all: the picture as the VAE gives it back', async () => {
    const still = await draw({ denoisingStrength: 0 });
    const none = await draw({ denoisingStrength: 0, exactSteps: true });
    expect([still.stepsExecuted, none.stepsExecuted]).toEqual([1, 0]);
    const model = await openModel(checkpoint);
    const raster = await decodeImage(picture);
    const latent = await encodePixels(model, [toPixels(raster)]);
    const [back] = await decodeLatent(model, latent);
    await model.release();
    expect(await pixels(none.images[0]!)).toEqual(back?.rgb);
  });
});

describe('pictures', () => {
  it('are redrawn the same for the same seed, and in a batch as alone', async () => {
    const batch = await draw({ batchSize: 2, nIter: 2, seed: 5 });
    const alone = await draw({ seed: 7 });
    expect(batch.images).toHaveLength(4);
    expect(batch.info.all_seeds).toEqual([5, 6, 7, 8]);
    expect(await pixels(batch.images[2]!)).toEqual(await pixels(alone.images[0]!));
    expect(await pixels(batch.images[0]!)).not.toEqual(await pixels(batch.images[1]!));
  });

  it('of several init images each come from their own', async () => {
    const other = await makePicture(64, 64, 99);
    const both = await draw({ batchSize: 2, subseedStrength: 0 }, [picture, other]);
    const second = await draw({ seed: 1 }, [other]);
    expect(await pixels(both.images[1]!)).toEqual(await pixels(second.images[0]!));
  });

  it.each([0, 1, 2, 3] as const)('of another shape fit with resize_mode %i', async (resizeMode) => {
    const { images } = await draw({ resizeMode }, [await makePicture(90, 40)]);
    const { width, height } = await decodeImage(images[0]!);
    expect([width, height]).toEqual([64, 64]);
  });

  it('grow by the upscaler of the job, and shrink without it', async () => {
    const upscaler = {
      ref: { name: 'Nearest', kind: 'nearest', path: null },
      tiles: { size: 192, overlap: 8 },
    } as const;
    const prepare = async (width: number, height: number) => {
      const job = makeImg2ImgJob(checkpoint, [await makePicture(width, height)], { upscaler });
      const fit = createFit(job, new UpscalerStore(SETTINGS), recordHooks());
      const [{ images }, plain] = [await preparePictures(job, fit), await preparePictures(job)];
      return [images[0]!.data, plain.images[0]!.data] as const;
    };
    const [grown, plain] = await prepare(32, 32);
    expect(grown).not.toEqual(plain);
    // Every pixel of the small picture is a square of four.
    expect([...grown.subarray(0, 3)]).toEqual([...grown.subarray(3, 6)]);
    const [shrunk, same] = await prepare(128, 96);
    expect(shrunk).toEqual(same);
  });

  it.each([0, 1, 2, 3] as const)(
    'of one pixel are drawn with resize_mode %i',
    async (resizeMode) => {
      const { images } = await draw({ resizeMode }, [await makePicture(1, 1)]);
      expect(images).toHaveLength(1);
    },
  );

  it('take noise multiplier, extra noise and colour correction', async () => {
    const plain = await pixels((await draw()).images[0]!);
    for (const changes of [{ noiseMultiplier: 1.2 }, { extraNoise: 0.3 }, { correctsColors: true }])
      expect(await pixels((await draw(changes)).images[0]!), JSON.stringify(changes)).not.toEqual(
        plain,
      );
  });

  it('take variation seeds and tile as in txt2img', async () => {
    const plain = await pixels((await draw()).images[0]!);
    const tiled = await draw({ tiling: true });
    expect(await pixels(tiled.images[0]!)).not.toEqual(plain);
    expect(tiled.infotexts[0]).toContain('Tiling: True');
    const varied = await draw({ batchSize: 2, subseed: 9, subseedStrength: 0.5 });
    expect(varied.info.all_seeds).toEqual([0, 0]);
    expect(varied.info.all_subseeds).toEqual([9, 10]);
    const second = await draw({ subseed: 10, subseedStrength: 0.5 });
    expect(await pixels(varied.images[1]!)).toEqual(await pixels(second.images[0]!));
  });

  it('stop at an interruption with what they have come to', async () => {
    const hooks = recordHooks();
    hooks.onProgress = ({ samplingStep }) => {
      if (samplingStep === 1) hooks.control.interrupted = true;
    };
    const job = makeImg2ImgJob(checkpoint, [picture], { steps: 12, nIter: 3 });
    const { images, stepsExecuted } = await runner.run(job, hooks);
    expect(images).toHaveLength(1);
    expect(stepsExecuted).toBe(2);
  });

  it('are encoded in SDXL as well', async () => {
    const sdxl = fixtureCheckpoint('sdxl');
    const result = await runner.run(makeImg2ImgJob(sdxl, [picture]), recordHooks());
    expect(result.stepsExecuted).toBe(4);
  });
});

describe('the infotext', () => {
  it('has what img2img adds, in the order of the web UI', async () => {
    const image = await makeMask(64, 64, [16, 16, 48, 48]);
    const { images, infotexts } = await draw({
      noiseMultiplier: 1.1,
      mask: makeMaskUse(image, {
        inverts: true,
        blurX: 4,
        blurY: 4,
        onlyMasked: true,
        padding: 32,
        fill: 'fill',
      }),
    });
    expect(infotexts[0]).toContain(
      'Denoising strength: 0.75, Mask mode: Inpaint not masked, Mask blur: 4, ' +
        'Inpaint area: Only masked, Masked area padding: 32, Masked content: fill, ' +
        'Noise multiplier: 1.1, Version: ',
    );
    expect((await readInfotext(images[0]!)).infotext).toBe(infotexts[0]);
  });
});

describe('a hard mask', () => {
  const box = [24, 16, 40, 48] as const;

  it.each([
    ['whole picture', { onlyMasked: false }],
    ['only masked', { onlyMasked: true, padding: 8 }],
  ] as const)('leaves every pixel outside it as it was: %s', async (_, changes) => {
    const mask = makeMaskUse(await makeMask(64, 64, box), changes);
    const { images } = await draw({ mask, denoisingStrength: 1 });
    const [before, after] = await Promise.all([pixels(picture), pixels(images[0]!)]);
    expect(countChanges(before, after, 64, box, false)).toBe(0);
    expect(countChanges(before, after, 64, box, true)).toBeGreaterThan(400);
  });

  it('inverted leaves every pixel inside it as it was', async () => {
    const mask = makeMaskUse(await makeMask(64, 64, box), { inverts: true });
    const { images } = await draw({ mask, denoisingStrength: 1 });
    const [before, after] = await Promise.all([pixels(picture), pixels(images[0]!)]);
    expect(countChanges(before, after, 64, box, true)).toBe(0);
    expect(countChanges(before, after, 64, box, false)).toBeGreaterThan(3000);
  });

  it('of the only masked area gives a result of the size of the picture', async () => {
    const large = await makePicture(160, 96);
    const place = [100, 20, 140, 60] as const;
    const mask = makeMaskUse(await makeMask(160, 96, place), { onlyMasked: true, padding: 4 });
    const { images } = await draw({ mask }, [large]);
    const result = await decodeImage(images[0]!);
    expect([result.width, result.height]).toEqual([160, 96]);
    expect(countChanges(await pixels(large), result.data, 160, place, false)).toBe(0);
    expect(countChanges(await pixels(large), result.data, 160, place, true)).toBeGreaterThan(1000);
  });

  it('of another size is stretched over the picture', async () => {
    const mask = makeMaskUse(await makeMask(32, 32, [12, 8, 20, 24]), { onlyMasked: true });
    const { images } = await draw({ mask, denoisingStrength: 1 });
    const [before, after] = await Promise.all([pixels(picture), pixels(images[0]!)]);
    // Lanczos rings for three pixels around an edge.
    expect(countChanges(before, after, 64, [18, 10, 46, 54], false)).toBe(0);
  });

  it('that is black draws the whole picture and says so', async () => {
    const image = await makeMask(64, 64, [0, 0, 0, 0]);
    const { images, info, infotexts } = await draw({
      mask: makeMaskUse(image, { onlyMasked: true }),
    });
    expect(await pixels(images[0]!)).toEqual(await pixels((await draw()).images[0]!));
    expect(info.comments).toEqual(['mask: nothing is white, so the whole picture was drawn.']);
    expect(infotexts[0]).not.toContain('Inpaint area');
  });

  it('starts from another latent with each of the four fills', async () => {
    const image = await makeMask(64, 64, box);
    const drawn = new Set<string>();
    for (const fill of ['original', 'fill', 'latent noise', 'latent nothing'] as const) {
      const { images, infotexts } = await draw({ mask: makeMaskUse(image, { fill }) });
      drawn.add(Buffer.from(await pixels(images[0]!)).toString('base64'));
      expect(infotexts[0]?.includes(`Masked content: ${fill}`)).toBe(fill !== 'original');
    }
    expect(drawn.size).toBe(4);
  });

  it('is answered with its composite when the options say so', async () => {
    const mask = makeMaskUse(await makeMask(64, 64, box), {
      returnsMask: true,
      returnsComposite: true,
    });
    const { images, infotexts } = await draw({ mask, batchSize: 2 });
    expect(images).toHaveLength(6);
    expect(infotexts).toHaveLength(2);
    const composite = await decodeImage(images[2]!);
    expect(composite.channels).toBe(4);
    expect(composite.data[3]).toBe(0);
    expect(composite.data[(30 * 64 + 30) * 4 + 3]).toBe(255);
  });
});

describe('soft inpainting', () => {
  const soft = {
    scheduleBias: 1,
    preservationStrength: 0.5,
    transitionContrast: 4,
    maskInfluence: 0,
    differenceThreshold: 0.5,
    differenceContrast: 2,
  };

  it('draws another picture than a hard mask and says how', async () => {
    const use = makeMaskUse(await makeMask(64, 64, [16, 16, 48, 48]), {
      rounds: false,
      blurX: 8,
      blurY: 8,
    });
    const hard = await draw({ mask: use });
    const mask = { ...use, soft };
    const mixed = await draw({ mask });
    expect(await pixels(mixed.images[0]!)).not.toEqual(await pixels(hard.images[0]!));
    expect(mixed.infotexts[0]).toContain(
      'Mask blur: 8, Soft inpainting enabled: True, Soft inpainting schedule bias: 1.0, ' +
        'Soft inpainting preservation strength: 0.5, Soft inpainting transition contrast boost: 4.0',
    );
    const nothing = await draw({
      mask: { ...mask, soft: { ...soft, differenceThreshold: 8, differenceContrast: 8 } },
    });
    // Few cells differ by 8: the rest of the picture stays.
    const [before, after] = await Promise.all([pixels(picture), pixels(nothing.images[0]!)]);
    const outside = countChanges(before, after, 64, [16, 16, 48, 48], false);
    const soFar = countChanges(before, await pixels(mixed.images[0]!), 64, [16, 16, 48, 48], false);
    expect(outside).toBeLessThan(soFar);
  });
});

describe('an inpainting checkpoint', () => {
  it('sees mask and picture, and its weight is in the infotext', async () => {
    const inpainting = fixtureCheckpoint('sd15-inpainting');
    const mask = makeMaskUse(await makeMask(64, 64, [24, 16, 40, 48]));
    const run = (conditioningMaskWeight: number) =>
      runner.run(
        makeImg2ImgJob(inpainting, [picture], { mask, conditioningMaskWeight }),
        recordHooks(),
      );
    const [hidden, shown] = [await run(1), await run(0)];
    expect(hidden.infotexts[0]).toContain('Conditional mask weight: 1.0');
    expect(hidden.info.is_using_inpainting_conditioning).toBe(true);
    expect(await pixels(hidden.images[0]!)).not.toEqual(await pixels(shown.images[0]!));
  });
});
