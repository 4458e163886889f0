import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeImage } from '../../../images/encode.ts';
import { parseInfotext } from '../../../images/infotext-parse.ts';
import { readInfotext } from '../../../images/read-infotext.ts';
import type { GenerationJob } from '../../../pipelines/job.ts';
import type { TestServer } from '../../http/test-server.ts';
import {
  isDrawn,
  LEGEND,
  pixels,
  plot,
  post,
  refusal,
  SIDE,
  startDrawing,
} from './drawing-server.ts';

let server: TestServer;

const tiles = (job: GenerationJob) => job.options.hyperTile.unet;

beforeEach(async () => {
  server = await startDrawing();
});
afterEach(() => server.close());

describe('X/Y/Z plot', () => {
  it('draws every combination into one grid with a legend', async () => {
    const { images, info } = await post(server, plot({ 0: 4, 1: '3-5', 3: 1, 4: '10, 20' }));
    expect(images).toHaveLength(1);
    const grid = await pixels(images[0]);
    // Room for the captions: beside the rows three quarters of a picture, above them two lines.
    expect([grid.width, grid.height]).toEqual([SIDE * 3 + 48, SIDE * 2 + LEGEND]);
    for (const [row, seed] of [10, 20].entries()) {
      for (const [column, steps] of [3, 4, 5].entries()) {
        const at = [48 + column * SIDE + 5, LEGEND + row * SIDE + 5] as const;
        expect(grid.at(...at)).toEqual([seed, steps, 7]);
      }
    }
    expect(isDrawn(grid, 48, 0, SIDE * 3, LEGEND)).toBe(true);
    expect(isDrawn(grid, 0, LEGEND, 48, SIDE)).toBe(true);
    expect(isDrawn(grid, 0, 0, 48, LEGEND)).toBe(false);
    const { parameters } = parseInfotext(info.infotexts[0] ?? '');
    expect(Object.fromEntries(parameters)).toMatchObject({
      Script: 'X/Y/Z plot',
      'X Type': 'Steps',
      'X Values': '3-5',
      'Y Type': 'Seed',
      'Y Values': '10, 20',
      Version: 'sdserve 1',
    });
    const text = await readInfotext(Buffer.from(images[0] ?? '', 'base64'));
    expect(JSON.stringify(text)).toContain('X/Y/Z plot');
  });

  it('adds one grid per z and the pictures when they are asked for', async () => {
    const { images, info } = await post(
      server,
      plot({ 0: 4, 1: '3,4', 6: 1, 7: '10,20', 9: false, 10: true, 11: true }),
    );
    const sizes = await Promise.all(images.map(pixels));
    expect(sizes.map(({ width, height }) => `${width}x${height}`)).toEqual([
      ...['256x64', '128x64', '128x64', '64x64', '64x64', '64x64', '64x64'],
    ]);
    expect(sizes.slice(3).map(({ at }) => at(0, 0).slice(0, 2))).toEqual([
      ...[
        [10, 3],
        [10, 4],
        [20, 3],
        [20, 4],
      ],
    ]);
    // Lists and pictures have the same order and length, as in A1111.
    expect(info.all_seeds).toEqual([10, 10, 20, 10, 10, 20, 20]);
    expect(info.infotexts).toHaveLength(7);
    expect(info.index_of_first_image).toBe(0);
  });

  it.each<[string, Record<number, unknown>, (job: GenerationJob) => unknown, unknown[]]>([
    ['Var. seed', { 0: 2, 1: '7,8' }, (job) => job.subseed, [7, 8]],
    ['Var. strength', { 0: 3, 1: '0-1 [3]' }, (job) => job.subseedStrength, [0, 0.5, 1]],
    ['CFG Scale', { 0: 6, 1: '1-3 (+0.5)' }, (job) => job.cfgScale, [1, 1.5, 2, 2.5, 3]],
    ['Prompt S/R', { 0: 7, 1: 'boat,"car, red"' }, (job) => job.prompt, ['a boat', 'a car, red']],
    ['Prompt order', { 0: 8, 1: 'a,boat' }, (job) => job.prompt, ['a boat', 'boat a']],
    ['Sampler', { 0: 9, 2: ['Euler', 'DDIM'] }, (job) => job.sampler, ['Euler', 'DDIM']],
    ['Sampler by text', { 0: 9, 1: 'Euler,DDIM' }, (job) => job.sampler, ['Euler', 'DDIM']],
    ['Sampler, csv', { 0: 9, 1: 'Heun', 2: ['x'], 17: true }, (job) => job.sampler, ['Heun']],
    ['Checkpoint', { 0: 11, 2: ['b', 'a'] }, (job) => job.checkpoint.name, ['b', 'a']],
    ['NGMS', { 0: 12, 1: '0,1' }, (job) => job.options.sMinUncond, [0, 1]],
    ['Sigma Churn', { 0: 13, 1: '1,2' }, (job) => job.options.sChurn, [1, 2]],
    ['Sigma noise', { 0: 16, 1: '0.5' }, (job) => job.options.sNoise, [0.5]],
    ['Schedule type', { 0: 17, 2: ['Karras'] }, (job) => job.scheduler, ['Karras']],
    ['Schedule rho', { 0: 20, 1: '5' }, (job) => job.options.rho, [5]],
    ['Eta', { 0: 23, 1: '0,0.5' }, (job) => job.eta, [0, 0.5]],
    ['Clip skip', { 0: 24, 1: '1,2' }, (job) => job.options.clipSkip, [1, 2]],
    ['Denoising', { 0: 25, 1: '0.5' }, (job) => job.denoisingStrength, [0.5]],
    [
      'Token merging ratio',
      { 0: 33, 1: '0,0.5' },
      (job) => job.options.tokenMergingRatio,
      [0, 0.5],
    ],
    [
      'Token merging ratio high-res',
      { 0: 34, 1: '0.25' },
      (job) => job.options.tokenMergingRatioHr,
      [0.25],
    ],
    ['Styles', { 0: 30, 2: ['sunny'] }, (job) => job.prompt, ['a boat, sun']],
    [
      'Always discard',
      { 0: 35, 2: ['Yes', 'No'] },
      (job) => job.options.alwaysDiscardNextToLastSigma,
      [true, false],
    ],
    ['RNG source', { 0: 39, 2: ['CPU', 'NV'] }, (job) => job.options.noiseSource, ['CPU', 'NV']],
    [
      'Hypertile first pass',
      { 0: 42, 2: ['Yes', 'No'] },
      (job) => job.options.hyperTile.unet.isEnabled,
      [true, false],
    ],
    [
      'Hypertile second pass',
      { 0: 43, 1: 'yes' },
      (job) => job.options.hyperTile.unet.inSecondPass,
      [true],
    ],
    ['Hypertile depth', { 0: 44, 1: '0-3' }, (job) => tiles(job).maxDepth, [0, 1, 2, 3]],
    ['Hypertile tile', { 0: 45, 1: '128,512' }, (job) => tiles(job).maxTile, [128, 512]],
    ['Hypertile swap', { 0: 46, 1: '0,64' }, (job) => tiles(job).swapSize, [0, 64]],
    [
      'Hypertile VAE',
      { 0: 47, 2: ['Yes', 'No'] },
      (job) => job.options.hyperTile.vae.isEnabled,
      [true, false],
    ],
    ['VAE depth', { 0: 48, 1: '1' }, (job) => job.options.hyperTile.vae.maxDepth, [1]],
    ['VAE tile', { 0: 49, 1: '256' }, (job) => job.options.hyperTile.vae.maxTile, [256]],
    ['VAE swap', { 0: 50, 1: '2' }, (job) => job.options.hyperTile.vae.swapSize, [2]],
    ['Size', { 0: 41, 1: '64x128,128x64' }, (job) => job.height, [128, 64]],
    ['an axis by its label', { 0: 'steps', 1: '2' }, (job) => job.steps, [2]],
  ])('varies %s', async (_name, args, read, expected) => {
    await post(server, plot(args));
    expect(server.engine.jobs.map(read)).toEqual(expected);
  });

  it('changes the checkpoint as seldom as it can', async () => {
    await post(server, plot({ 0: 11, 2: ['a', 'b'], 3: 4, 4: '2,3' }));
    expect(server.engine.jobs.map((job) => job.checkpoint.name)).toEqual(['a', 'a', 'b', 'b']);
    expect(server.engine.jobs.map((job) => job.steps)).toEqual([2, 3, 2, 3]);
  });

  it('draws one seed for all, and for -1 among the values', async () => {
    const { info } = await post(server, { ...plot({ 0: 4, 1: '2,3', 3: 1, 4: '-1,5' }), seed: -1 });
    const [first, , third] = server.engine.jobs.map(({ seed }) => seed);
    expect(first).toBeGreaterThanOrEqual(0);
    expect(server.engine.jobs.map(({ seed }) => seed)).toEqual([first, first, 5, 5]);
    expect(third).toBe(5);
    expect(info.infotexts[0]).toContain(`Fixed Y Values: "${first}, 5"`);
  });

  it('keeps seeds random when told so', async () => {
    await post(server, { ...plot({ 0: 4, 1: '2-9', 12: true }), seed: -1 });
    expect(new Set(server.engine.jobs.map(({ seed }) => seed)).size).toBe(8);
  });

  it('counts seeds up along axes', async () => {
    await post(server, plot({ 0: 4, 1: '2,3', 3: 6, 4: '1,2', 13: true, 14: true }));
    expect(server.engine.jobs.map(({ seed }) => seed)).toEqual([10, 11, 12, 13]);
  });

  it('leaves cells white that an interruption left out', async () => {
    server.engine.runSeries = (taskId, signal, work) =>
      work((job, { index }) =>
        index === 1 ? Promise.resolve(null) : server.engine.run(job, taskId, signal),
      );
    const { images } = await post(server, plot({ 0: 4, 1: '3,4', 9: false }));
    const grid = await pixels(images[0]);
    expect([grid.at(0, 0), grid.at(SIDE, 0)]).toEqual([
      [10, 3, 7],
      [255, 255, 255],
    ]);
  });

  it.each<[string, Record<number, unknown>, string]>([
    ['an unknown axis', { 0: 99, 1: '1' }, 'axis 0-50 for X type'],
    ['an axis that is not here', { 0: 40, 2: ['x'] }, 'FP8 mode is not available'],
    ['values that are no numbers', { 0: 4, 1: 'many' }, 'axis Steps'],
    ['no values', { 0: 4, 1: '' }, '1-200 values for the axis Steps'],
    ['an unknown sampler', { 0: 9, 2: ['Nope'] }, 'Unknown sampler: Nope'],
    ['an unknown checkpoint', { 0: 11, 2: ['nope'] }, 'Unknown checkpoint: nope'],
    ['a depth that is none', { 0: 44, 1: '2-4' }, 'integer 0-3 for the axis'],
    ['a text that the prompt lacks', { 0: 7, 1: 'cat,dog' }, 'did not find cat'],
    ['a margin that is too wide', { 0: 4, 1: '1', 16: 501 }, 'number 0-500'],
    ['too many pictures', { 0: 4, 1: '1-150', 3: 1, 4: '1-150' }, 'at most 1000 pictures'],
  ])('refuses %s before anything runs', async (_name, args, sentence) => {
    const { status, ...body } = await refusal(server, plot(args));
    expect([status, body]).toEqual([422, expect.objectContaining({ code: 'SCRIPT_ARGUMENT' })]);
    expect(JSON.stringify(body)).toContain(sentence);
  });

  it('refuses values outside a field’s bounds as the field itself would', async () => {
    const body = await refusal(server, plot({ 0: 4, 1: '3, 9999' }));
    expect(body).toMatchObject({ status: 422, detail: [{ loc: ['body', 'steps'] }] });
  });
});

describe('X/Y/Z plot in img2img', () => {
  async function replot(args: Record<number, unknown>) {
    const rgb = Buffer.alloc(SIDE * SIDE * 3, 9);
    const output = { format: 'png', quality: 80 } as const;
    const png = await encodeImage({ width: SIDE, height: SIDE, rgb }, output, null);
    return server.post('/sdapi/v1/img2img', {
      ...{ width: SIDE, height: SIDE, steps: 3, init_images: [png.toString('base64')] },
      ...plot(args),
    });
  }

  it('varies the guidance by the picture', async () => {
    expect((await replot({ 0: 6, 1: '1,1.5' })).status).toBe(200);
    expect(server.engine.jobs.map((job) => job.kind === 'img2img' && job.imageCfgScale)).toEqual([
      1, 1.5,
    ]);
  });

  it('knows the axes by their places there', async () => {
    const response = await replot({ 0: 24, 1: '0.2,0.6' });
    expect(response.status).toBe(200);
    expect(
      server.engine.jobs.map(({ kind, denoisingStrength }) => [kind, denoisingStrength]),
    ).toEqual([
      ['img2img', 0.2],
      ['img2img', 0.6],
    ]);
    const { images } = (await response.json()) as { images: string[] };
    expect((await pixels(images[0])).width).toBe(SIDE * 2);
  });
});
