/** Rows of latents with their conditioning through a real (tiny) UNet. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Txt2ImgJob } from '../../../pipelines/job.ts';
import type { Model } from '../../../pipelines/model/model.ts';
import { prepareNetwork } from '../../../pipelines/prepare-network.ts';
import type { NetworkRow } from '../../../pipelines/sampling/network.ts';
import { UNCOND } from '../../../pipelines/sampling/network.ts';
import { fixtureCheckpoint } from '../../networks/fixture.ts';
import { makeJob } from '../job.ts';
import { maxDifference, openModel, SMALL, sampleLatent } from '../tiny.ts';

/** Values of one row: 4 x 8 x 8. */
const SIZE = 256;
/** What another batch size or another order of sums may change. */
const ROUNDING = 2e-5;
const LONG = 'a tall ship BREAK on a green sea BREAK under two moons';

let sd15: Model;
let sdxl: Model;

beforeAll(async () => {
  sd15 = await openModel(fixtureCheckpoint('sd15'));
  sdxl = await openModel(fixtureCheckpoint('sdxl'));
});
afterAll(async () => {
  await sd15.release();
  await sdxl.release();
});

type Changes = Omit<Partial<Txt2ImgJob>, 'options'> & { options?: Partial<Txt2ImgJob['options']> };

/** Calls the network of a job once; all rows have the same latent. */
async function call(
  model: Model,
  rows: NetworkRow[],
  changes: Changes,
  at = 0,
): Promise<Float32Array[]> {
  const job = makeJob(model.checkpoint.path, { ...SMALL, steps: 20 });
  Object.assign(job, changes, { options: { ...job.options, ...changes.options } });
  const network = await prepareNetwork(job, job.prompt, model);
  const latent = Float32Array.from({ length: SIZE }, (_, i) => Math.sin(i * 1.7));
  const input = new Float32Array(rows.length * SIZE);
  for (let row = 0; row < rows.length; row++) input.set(latent, row * SIZE);
  const out = await network.call({
    input,
    shape: [rows.length, 4, 8, 8],
    rows,
    timestep: 500,
    sigma: 1,
    step: at,
    call: at,
    totalCalls: 20,
    totalSteps: 20,
  });
  return rows.map((_, i) => out.slice(i * SIZE, (i + 1) * SIZE));
}

const COND: NetworkRow = { image: 0, part: 0 };
const NEGATIVE: NetworkRow = { image: 0, part: UNCOND };

/** The prediction for one text alone, as a positive prompt. */
async function alone(model: Model, prompt: string): Promise<Float32Array> {
  const [out] = await call(model, [COND], { prompt });
  return out as Float32Array;
}

function expectSame(actual: Float32Array | undefined, expected: Float32Array, limit = ROUNDING) {
  expect(maxDifference(actual as Float32Array, expected)).toBeLessThan(limit);
}

function expectOther(actual: Float32Array | undefined, other: Float32Array) {
  expect(maxDifference(actual as Float32Array, other)).toBeGreaterThan(1e-3);
}

describe('cond and uncond of unequal length', () => {
  it.each([
    [LONG, 'blurry'],
    ['a fox', LONG],
  ])('are evaluated as if each were alone: %s against %s', async (prompt, negativePrompt) => {
    const [cond, uncond] = await call(sd15, [COND, NEGATIVE], { prompt, negativePrompt });
    expectSame(cond, await alone(sd15, prompt));
    expectSame(uncond, await alone(sd15, negativePrompt));
    expectOther(cond, uncond as Float32Array);
  });

  it('are padded with empty prompts by pad_cond_uncond', async () => {
    const options = { padCondUncond: true };
    const texts = { prompt: LONG, negativePrompt: 'blurry' };
    const [cond, uncond] = await call(sd15, [COND, NEGATIVE], { ...texts, options });
    expectSame(cond, await alone(sd15, LONG));
    expectOther(uncond, await alone(sd15, 'blurry'));
    // A BREAK without text after it ends a chunk; the third of three ends an empty one.
    expectSame(uncond, await alone(sd15, 'blurry BREAK BREAK BREAK'));
  });

  it('changes nothing where the lengths are equal', async () => {
    const texts = { prompt: 'a fox', negativePrompt: 'blurry' };
    const [cond, uncond] = await call(sd15, [COND, NEGATIVE], texts);
    const padded = await call(sd15, [COND, NEGATIVE], {
      ...texts,
      options: { padCondUncond: true },
    });
    expectSame(padded[0], cond as Float32Array);
    expectSame(padded[1], uncond as Float32Array);
  });
});

describe('batch_cond_uncond', () => {
  it.each(['sd15', 'sdxl'] as const)('off gives the same on %s', async (kind) => {
    const model = kind === 'sd15' ? sd15 : sdxl;
    const texts = { prompt: 'a fox', negativePrompt: 'blurry' };
    const both = await call(model, [COND, NEGATIVE], texts);
    const apart = await call(model, [COND, NEGATIVE], {
      ...texts,
      options: { batchCondUncond: false },
    });
    expectSame(apart[0], both[0] as Float32Array);
    expectSame(apart[1], both[1] as Float32Array);
    expectOther(both[0], both[1] as Float32Array);
  });
});

describe('AND', () => {
  const PARTS: NetworkRow[] = [COND, { image: 0, part: 1 }, NEGATIVE];
  const TEXTS = { prompt: 'a fox AND a tall ship :0.6', negativePrompt: 'blurry' };

  it('evaluates each part as if it were alone', async () => {
    const [first, second, uncond] = await call(sd15, PARTS, TEXTS);
    expectSame(first, await alone(sd15, 'a fox'));
    expectSame(second, await alone(sd15, ' a tall ship'));
    expectSame(uncond, await alone(sd15, 'blurry'));
  });

  it('weighs the parts: the picture follows u + sum of weight * scale * (c - u)', async () => {
    const job = { steps: 1, cfgScale: 5, negativePrompt: 'blurry', prompt: TEXTS.prompt };
    // One Euler step to sigma 0 is linear in the prediction.
    const mixed = await sampleLatent(sd15, job);
    const guided = async (prompt: string) =>
      sampleLatent(sd15, { ...job, prompt, cfgScale: 1, negativePrompt: '' });
    const [u, a, b] = [await guided('blurry'), await guided('a fox'), await guided(' a tall ship')];
    const expected = u.map(
      (value, i) => value + 5 * ((a[i] as number) - value) + 5 * 0.6 * ((b[i] as number) - value),
    );
    expectSame(mixed, expected, 2e-3);
    expectOther(mixed, a);
  });

  it('brings parts of unequal length to the longest by repeating the last vector', async () => {
    const texts = { prompt: `a fox AND ${LONG}`, negativePrompt: 'blurry' };
    const [first, second, uncond] = await call(sd15, PARTS, texts);
    expectOther(first, await alone(sd15, 'a fox'));
    expectSame(second, await alone(sd15, ` ${LONG}`));
    expectSame(uncond, await alone(sd15, 'blurry'));
  });

  it('does so before pad_cond_uncond adds empty prompts', async () => {
    const rows = PARTS.slice(0, 2);
    const prompt = 'a fox AND a ship BREAK on a sea';
    const options = { padCondUncond: true };
    const [plain] = await call(sd15, rows, { prompt });
    const [padded] = await call(sd15, rows, { prompt, options });
    expectSame(padded, plain as Float32Array);
    // The uncond of three chunks makes both parts one empty prompt longer.
    const [longer] = await call(sd15, PARTS, { prompt, negativePrompt: LONG, options });
    expectOther(longer, plain as Float32Array);
  });
});

describe('prompt editing', () => {
  it.each([
    ['a [fox:ship:10]', 10, 'a fox', 'a ship'],
    ['a [fox:ship:0.25]', 5, 'a fox', 'a ship'],
  ])('%s switches after call %i', async (prompt, last, from, to) => {
    const [before] = await call(sd15, [COND], { prompt }, last);
    const [after] = await call(sd15, [COND], { prompt }, last + 1);
    expectSame(before, await alone(sd15, from));
    expectSame(after, await alone(sd15, to));
    expectOther(after, before as Float32Array);
  });

  it('comes back to a text that it left', async () => {
    const prompt = 'a [fox|ship]';
    // The web UI counts steps from 1 and takes the entry that ends at or after the call's number.
    const outs = [];
    for (const at of [1, 2, 3, 4]) outs.push((await call(sd15, [COND], { prompt }, at))[0]);
    expectSame(outs[0], await alone(sd15, 'a fox'));
    expectSame(outs[1], await alone(sd15, 'a ship'));
    expectSame(outs[2], outs[0] as Float32Array);
    expectSame(outs[3], outs[1] as Float32Array);
  });

  it('counts twice the steps for second-order samplers', async () => {
    const job = { prompt: 'a [fox:ship:0.5]', sampler: 'Heun', steps: 10 };
    const [before] = await call(sd15, [COND], job, 10);
    const [after] = await call(sd15, [COND], job, 11);
    expectSame(before, await alone(sd15, 'a fox'));
    expectSame(after, await alone(sd15, 'a ship'));
  });

  it('shows in a picture, and not in its first half', async () => {
    const whole = await sampleLatent(sd15, { prompt: 'a fox', steps: 6 });
    const edited = await sampleLatent(sd15, { prompt: 'a [fox:ship:3]', steps: 6 });
    const never = await sampleLatent(sd15, { prompt: 'a [fox:ship:6]', steps: 6 });
    expectOther(edited, whole);
    expectSame(never, whole);
  });
});

describe('SDXL', () => {
  it('tells the network size and crop', async () => {
    const prompt = 'a fox';
    const [plain] = await call(sdxl, [COND], { prompt });
    const [cropped] = await call(sdxl, [COND], { prompt, options: { sdxlCropTop: 512 } });
    const [other] = await call(sdxl, [COND], { prompt, width: 1024 });
    expectOther(cropped, plain as Float32Array);
    expectOther(other, plain as Float32Array);
  });

  it('tells the refiner a score that differs between cond and uncond', async () => {
    const refiner = await openModel(fixtureCheckpoint('refiner'));
    const texts = { prompt: 'a fox', negativePrompt: 'a fox' };
    const [cond, uncond] = await call(refiner, [COND, NEGATIVE], texts);
    const options = { sdxlRefinerLowAestheticScore: 6 };
    const [, equal] = await call(refiner, [COND, NEGATIVE], { ...texts, options });
    await refiner.release();
    expectOther(uncond, cond as Float32Array);
    expectSame(equal, cond as Float32Array);
  });
});
