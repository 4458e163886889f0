/** Prompts through real (tiny) text encoders: which layer, which weights, which zeros. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TextEncoderConfig } from '../../../networks/checkpoint/config.ts';
import {
  type EncodedText,
  type EncodeOptions,
  encodePlan,
  refKey,
} from '../../../pipelines/conditioning/encode.ts';
import type { Model } from '../../../pipelines/model/model.ts';
import { chunkPrompt, padForOpenClip } from '../../../pipelines/prompt/chunks.ts';
import { planConditioning } from '../../../pipelines/prompt/conditioning-plan.ts';
import { fixtureCheckpoint, fixtureTensor, relativeError } from '../../networks/fixture.ts';
import { maxDifference, openModel } from '../tiny.ts';

const PROMPT = 'a red fox in deep snow at dawn, oil painting';
const NEGATIVE = 'blurry, low quality';
const OPTIONS: EncodeOptions = {
  clipSkip: 1,
  sdxlClipLSkip: false,
  emphasis: 'Original',
  commaPaddingBacktrack: 20,
  keepsConditioning: false,
};

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

/** Encodes a prompt of one part and one text. */
async function encode(
  model: Model,
  prompt: string,
  changes: Partial<EncodeOptions> = {},
  negativePrompt = NEGATIVE,
): Promise<{ cond: EncodedText; uncond: EncodedText }> {
  const plan = planConditioning({ prompt, negativePrompt, steps: 20 });
  const { texts } = await encodePlan(model, plan, { ...OPTIONS, ...changes });
  const find = ({ group, schedule }: (typeof plan)['negative']) =>
    texts.get(refKey({ group, text: schedule[0]?.text as number })) as EncodedText;
  return { cond: find(plan.positive[0] as (typeof plan)['negative']), uncond: find(plan.negative) };
}

/** One output of a text encoder for one prompt, asked of the network directly. */
async function ask(model: Model, config: TextEncoderConfig, prompt: string, output: string) {
  const network = await model.textEncoder(config);
  const ids = chunkPrompt(prompt).chunks.flatMap(({ tokens }) => [
    ...(config.kind === 'open-clip' ? padForOpenClip(tokens) : tokens),
  ]);
  const result = await network.run(
    {
      tokens: {
        type: 'int64',
        data: BigInt64Array.from(ids, BigInt),
        shape: [ids.length / config.tokens, config.tokens],
      },
      override: {
        type: 'float32',
        data: new Float32Array(config.width),
        shape: [1, 1, config.width],
      },
      is_overridden: { type: 'bool', data: new Uint8Array(1), shape: [1, 1, 1] },
    },
    [output],
  );
  return result[output]?.data as Float32Array;
}

/** The columns [from, from + width) of a context of `total` columns. */
function columns(context: Float32Array, from: number, width: number, total: number): Float32Array {
  return context.filter((_, i) => i % total >= from && i % total < from + width);
}

describe('the conditioning of the reference', () => {
  it('of SD 1', async () => {
    const { cond, uncond } = await encode(sd15, PROMPT);
    expect(cond.tokens).toBe(77);
    expect(cond.pooled).toBeNull();
    const expected = fixtureTensor('txt2img', 'sd15.cond').data;
    expect(relativeError(cond.context, expected)).toBeLessThan(1e-4);
    const negative = fixtureTensor('txt2img', 'sd15.uncond').data;
    expect(relativeError(uncond.context, negative)).toBeLessThan(1e-4);
    expect(relativeError(cond.context, negative)).toBeGreaterThan(0.1);
  });

  it('of SDXL, with the pooled vector', async () => {
    const { cond } = await encode(sdxl, PROMPT);
    const expected = fixtureTensor('txt2img', 'sdxl.cond').data;
    expect(relativeError(cond.context, expected)).toBeLessThan(1e-4);
    const pooled = fixtureTensor('txt2img', 'sdxl.cond.pooled').data;
    expect(relativeError(cond.pooled as Float32Array, pooled)).toBeLessThan(1e-4);
  });
});

describe('clip skip', () => {
  // The tiny encoder has 4 layers; what asks for fewer than one layer gets one.
  it.each([
    [1, 'normed.4'],
    [2, 'normed.3'],
    [3, 'normed.2'],
    [4, 'normed.1'],
    [12, 'normed.1'],
  ])('%i on SD 1 takes %s', async (clipSkip, output) => {
    const { cond } = await encode(sd15, PROMPT, { clipSkip });
    const [config] = sd15.config.textEncoders as [TextEncoderConfig];
    expect(maxDifference(cond.context, await ask(sd15, config, PROMPT, output))).toBeLessThan(1e-5);
  });

  it('changes nothing on SDXL', async () => {
    const one = await encode(sdxl, PROMPT);
    const two = await encode(sdxl, PROMPT, { clipSkip: 2 });
    expect(maxDifference(two.cond.context, one.cond.context)).toBe(0);
  });

  // The tiny CLIP-L has 3 layers, 2 of which its conditioning comes from.
  it.each([
    [1, 'hidden.3'],
    [2, 'hidden.2'],
    [3, 'hidden.1'],
  ])('%i on SDXL with sdxl_clip_l_skip takes %s of CLIP-L alone', async (clipSkip, output) => {
    const [l, g] = sdxl.config.textEncoders as [TextEncoderConfig, TextEncoderConfig];
    const total = l.width + g.width;
    const plain = await encode(sdxl, PROMPT);
    const { cond } = await encode(sdxl, PROMPT, { clipSkip, sdxlClipLSkip: true });
    const expected = await ask(sdxl, l, PROMPT, output);
    expect(maxDifference(columns(cond.context, 0, l.width, total), expected)).toBeLessThan(1e-5);
    const [ofG, before] = [cond, plain.cond].map(({ context }) =>
      columns(context, l.width, g.width, total),
    ) as [Float32Array, Float32Array];
    expect(maxDifference(ofG, before)).toBe(0);
    expect(cond.pooled).toEqual(plain.cond.pooled);
  });
});

describe('an empty negative prompt', () => {
  it('is zeros on SDXL, pooled vector included, and only when it is exactly empty', async () => {
    const empty = await encode(sdxl, PROMPT, {}, '');
    expect(empty.uncond.context.every((value) => value === 0)).toBe(true);
    expect(empty.uncond.pooled?.every((value) => value === 0)).toBe(true);
    const space = await encode(sdxl, PROMPT, {}, ' ');
    expect(space.uncond.context.some((value) => value !== 0)).toBe(true);
  });

  it('does not make an empty positive prompt zeros', async () => {
    const { cond } = await encode(sdxl, '', {}, '');
    expect(cond.context.some((value) => value !== 0)).toBe(true);
    expect(cond.pooled?.some((value) => value !== 0)).toBe(true);
  });

  it('is encoded on SD 1', async () => {
    const { uncond } = await encode(sd15, PROMPT, {}, '');
    expect(uncond.context.some((value) => value !== 0)).toBe(true);
  });
});

describe('attention weights', () => {
  const width = () => sd15.config.unet.contextDim;
  const mean = (values: Float32Array) => values.reduce((a, b) => a + b, 0) / values.length;

  it('multiply the vectors of their tokens alone ("No norm")', async () => {
    const plain = await encode(sd15, 'a red fox', { emphasis: 'No norm' });
    const { cond } = await encode(sd15, 'a (red:1.5) fox', { emphasis: 'No norm' });
    // Start is token 0, "a" token 1, "red" token 2.
    const expected = plain.cond.context.map((value, i) =>
      Math.floor(i / width()) === 2 ? value * 1.5 : value,
    );
    expect(maxDifference(cond.context, expected)).toBeLessThan(1e-5);
  });

  it('keep the mean of the chunk ("Original")', async () => {
    const plain = await encode(sd15, 'a red fox');
    const { cond } = await encode(sd15, 'a (red:1.5) fox');
    const factor = (cond.context[0] as number) / (plain.cond.context[0] as number);
    expect(mean(cond.context)).toBeCloseTo(mean(plain.cond.context), 6);
    expect(factor).not.toBeCloseTo(1, 4);
    const expected = plain.cond.context.map(
      (value, i) => value * factor * (Math.floor(i / width()) === 2 ? 1.5 : 1),
    );
    expect(relativeError(cond.context, expected)).toBeLessThan(1e-5);
  });

  it.each(['Ignore', 'None'] as const)('do nothing with %s', async (emphasis) => {
    // "None" takes brackets as text, which a prompt of the other kinds writes with backslashes.
    const asText = emphasis === 'None' ? 'a \\(red:1.5\\) fox' : 'a red fox';
    const { cond } = await encode(sd15, 'a (red:1.5) fox', { emphasis });
    const [config] = sd15.config.textEncoders as [TextEncoderConfig];
    const expected = await ask(sd15, config, asText, 'normed.4');
    expect(maxDifference(cond.context, expected)).toBeLessThan(1e-5);
  });
});

describe('long and many texts', () => {
  it('are the chunks side by side, each encoded on its own', async () => {
    const { cond } = await encode(sd15, 'a fox BREAK a ship');
    const [first, second] = [await encode(sd15, 'a fox'), await encode(sd15, 'a ship')];
    expect(cond.tokens).toBe(154);
    const expected = new Float32Array([...first.cond.context, ...second.cond.context]);
    expect(maxDifference(cond.context, expected)).toBeLessThan(1e-5);
  });

  it('take the pooled vector of the first chunk', async () => {
    const { cond } = await encode(sdxl, 'a fox BREAK a ship');
    const first = await encode(sdxl, 'a fox');
    expect(
      maxDifference(cond.pooled as Float32Array, first.cond.pooled as Float32Array),
    ).toBeLessThan(1e-5);
  });

  it('give the same vectors when they are more than one run of the encoder holds', async () => {
    const words = Array.from({ length: 40 }, (_, i) => `fox ${i}`);
    const { cond } = await encode(sd15, words.join(' BREAK '));
    expect(cond.tokens).toBe(40 * 77);
    for (const i of [0, 15, 16, 39]) {
      const alone = await encode(sd15, words[i] as string);
      const size = alone.cond.context.length;
      const part = cond.context.subarray(i * size, (i + 1) * size);
      expect(maxDifference(part, alone.cond.context), words[i]).toBeLessThan(1e-5);
    }
  });
});
