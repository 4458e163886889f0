import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildInfotext, generationFields } from '../../images/infotext.ts';
import { pythonFloat, pythonText } from '../../images/python-format.ts';
import { readFixture } from './fixture.ts';

describe('Python floats', () => {
  const rows: [hex: string, text: string][] = JSON.parse(
    readFixture('python-floats.json').toString(),
  );

  it('print as Python 3 prints them', () => {
    expect(rows.length).toBeGreaterThan(400);
    for (const [hex, text] of rows) {
      expect(pythonFloat(Buffer.from(hex, 'hex').readDoubleBE(0))).toBe(text);
    }
  });

  it.each([
    [Number.NaN, 'nan'],
    [Number.POSITIVE_INFINITY, 'inf'],
    [Number.NEGATIVE_INFINITY, '-inf'],
  ])('%s prints as %s', (value, text) => {
    expect(pythonFloat(value)).toBe(text);
  });

  it('other values print as `str` prints them', () => {
    expect([true, false, 20, 0.5, 'text'].map(pythonText)).toEqual([
      'True',
      'False',
      '20',
      '0.5',
      'text',
    ]);
  });
});

describe('the text', () => {
  it('is the recorded one of a hires picture', () => {
    const fields = generationFields({
      steps: 20,
      sampler: 'DPM++ 2M',
      scheduleType: 'Karras',
      cfgScale: 7,
      seed: 5,
      width: 512,
      height: 512,
      modelHash: '0123456789',
      model: 'sd15',
      vaeHash: 'abcdef0123',
      vae: 'vae.pt',
      denoisingStrength: 0.7,
      extra: [
        ['Hires prompt', 'other, prompt'],
        ['Hires upscale', pythonFloat(2)],
        ['Hires steps', 10],
        ['Hires upscaler', 'Latent'],
      ],
      version: 'v1.10.1',
    });
    expect(buildInfotext({ prompt: 'a cat', negativePrompt: 'blurry', fields })).toBe(
      'a cat\nNegative prompt: blurry\n' +
        'Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.0, Seed: 5, Size: 512x512, ' +
        'Model hash: 0123456789, Model: sd15, VAE hash: abcdef0123, VAE: vae.pt, Denoising strength: 0.7, ' +
        'Hires prompt: "other, prompt", Hires upscale: 2.0, Hires steps: 10, Hires upscaler: Latent, Version: v1.10.1',
    );
  });

  it('leaves out an empty negative prompt, and outer white space', () => {
    expect(buildInfotext({ prompt: ' a ', negativePrompt: '', fields: [['Steps', 1]] })).toBe(
      'a \nSteps: 1',
    );
    expect(buildInfotext({ prompt: '', negativePrompt: '', fields: [['Steps', 1]] })).toBe(
      'Steps: 1',
    );
    expect(buildInfotext({ prompt: 'a', negativePrompt: '', fields: [] })).toBe('a');
  });

  it.each([
    ['a,b', '"a,b"'],
    ['a:b', '"a:b"'],
    ['a\nb', '"a\\nb"'],
    ['say "hi"', 'say "hi"'],
    ['"a", \\', '"\\"a\\", \\\\"'],
    ['日本, é', '"日本, é"'],
  ])('quotes %j as %s', (value, quoted) => {
    expect(buildInfotext({ prompt: 'p', negativePrompt: '', fields: [['Key', value]] })).toBe(
      `p\nKey: ${quoted}`,
    );
  });

  it('prints a value that equals its key once, and null not at all', () => {
    const fields = [
      ['Hypertile', 'Hypertile'],
      ['A b', null],
      ['C d', undefined],
      ['E f', false],
    ] as const;
    expect(buildInfotext({ prompt: 'p', negativePrompt: '', fields })).toBe(
      'p\nHypertile, E f: False',
    );
  });
});

describe('which pairs are there', () => {
  it('all of them, in the order of the web UI', () => {
    const keys = generationFields({
      user: 'u',
      version: 'v',
      tiling: true,
      rng: 'NV',
      initImageHash: 'h',
      tokenMergingRatioHr: 0.5,
      tokenMergingRatio: 0.5,
      ensd: 31337,
      clipSkip: 2,
      conditionalMaskWeight: 1,
      denoisingStrength: 0.5,
      seedResizeFromH: 8,
      seedResizeFromW: 8,
      variationSeedStrength: 0.1,
      variationSeed: 9,
      vae: 'v',
      vaeHash: 'h',
      model: 'm',
      modelHash: 'h',
      height: 8,
      width: 8,
      faceRestoration: 'GFPGAN',
      seed: 1,
      imageCfgScale: 1.5,
      cfgScale: 7,
      scheduleType: 'Karras',
      sampler: 'Euler',
      steps: 1,
      extra: [['Eta', '0.5']],
    }).map(([key]) => key);
    expect(keys).toEqual([
      'Steps',
      'Sampler',
      'Schedule type',
      'CFG scale',
      'Image CFG scale',
      'Seed',
      'Face restoration',
      'Size',
      'Model hash',
      'Model',
      'VAE hash',
      'VAE',
      'Variation seed',
      'Variation seed strength',
      'Seed resize from',
      'Denoising strength',
      'Conditional mask weight',
      'Clip skip',
      'ENSD',
      'Token merging ratio',
      'Token merging ratio hr',
      'Init image hash',
      'RNG',
      'Tiling',
      'Eta',
      'Version',
      'User',
    ]);
  });

  it('none that stand for a default', () => {
    expect(
      generationFields({
        variationSeed: 7,
        variationSeedStrength: 0,
        clipSkip: 1,
        ensd: 0,
        rng: 'GPU',
        tiling: false,
        tokenMergingRatio: 0,
        seedResizeFromW: 0,
        seedResizeFromH: 512,
        vae: null,
      }),
    ).toEqual([]);
    expect(generationFields({ seedResizeFromW: -1, seedResizeFromH: -1 })).toEqual([]);
  });

  it('keep their place when an extra pair names one of them', () => {
    const extra = [
      ['Eta', '0.5'],
      ['Schedule type', 'Beta'],
    ] as const;
    expect(generationFields({ steps: 1, scheduleType: 'Karras', seed: 0, extra })).toEqual([
      ['Steps', 1],
      ['Schedule type', 'Beta'],
      ['Seed', 0],
      ['Eta', '0.5'],
    ]);
  });

  it('print floats where the API has floats, whatever the client sent', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), (cfgScale) => {
        expect(generationFields({ cfgScale })).toEqual([['CFG scale', `${cfgScale}.0`]]);
      }),
    );
  });
});
