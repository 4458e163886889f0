import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Img2ImgJob } from '../../../pipelines/job.ts';
import type { TestServer } from '../../http/test-server.ts';
import { readFixture } from '../../images/fixture.ts';
import { CAPTIONER_FOLDER } from '../../networks/captioner/fixture.ts';
import { type Answer, pixels, SIDE, startDrawing } from './drawing-server.ts';

let server: TestServer;

beforeEach(async () => {
  server = await startDrawing();
});
afterEach(() => server.close());

async function loop(args: unknown[], changes: Record<string, unknown> = {}) {
  const response = await server.post('/sdapi/v1/img2img', {
    ...{ width: SIDE, height: SIDE, steps: 3, seed: 10, denoising_strength: 0.8 },
    init_images: [readFixture('rgb.png').toString('base64')],
    script_name: 'loopback',
    script_args: args,
    ...changes,
  });
  const json = (await response.json()) as { images: string[]; info?: string; detail: string };
  const info = JSON.parse(json.info ?? '{}') as Answer['info'];
  const jobs = server.engine.jobs as Img2ImgJob[];
  return { status: response.status, ...json, info, jobs };
}

describe('Loopback', () => {
  it('draws each picture from the one before, along the curve', async () => {
    const { status, images, info, jobs } = await loop([3, 0.2, 'Linear', 'None']);
    expect(status).toBe(200);
    const strengths = jobs.map(({ denoisingStrength }) => denoisingStrength);
    expect(strengths.map((strength) => strength.toFixed(6))).toEqual([
      ...['0.800000', '0.500000', '0.200000'],
    ]);
    expect(jobs.map(({ seed }) => seed)).toEqual([10, 11, 12]);
    // A grid of one row, then what each loop came to.
    expect(images).toHaveLength(4);
    const grid = await pixels(images[0]);
    expect([grid.width, grid.height]).toEqual([3 * SIDE, SIDE]);
    const second = await pixels(Buffer.from(jobs[2]?.initImages[0] ?? []).toString('base64'));
    expect(second.at(0, 0)).toEqual([11, 3, 7]);
    expect(info.infotexts[1]).toContain('Final denoising strength: 0.2, Denoising curve: Linear');
  });

  it.each([
    ['Aggressive', 0.3757],
    ['Lazy', 0.6243],
  ])('bends the way as %s', async (curve, middle) => {
    const { jobs } = await loop([3, 0.2, curve]);
    expect(jobs[1]?.denoisingStrength).toBeCloseTo(middle, 4);
  });

  it('answers the last picture of each batch', async () => {
    const { images, jobs } = await loop([2], {
      n_iter: 2,
      mask: readFixture('rgb.png').toString('base64'),
    });
    expect(images).toHaveLength(3);
    expect(jobs.map(({ mask }) => mask?.fill)).toEqual(['fill', 'original', 'fill', 'original']);
    expect(jobs[2]?.initImages[0]).toEqual(jobs[0]?.initImages[0]);
  });

  it('appends what a captioning model says of each picture to the prompt', async () => {
    const folder = join(server.folder, 'models', 'BLIP');
    mkdirSync(folder, { recursive: true });
    for (const name of ['model.safetensors', 'vocab.txt']) {
      copyFileSync(join(CAPTIONER_FOLDER, name), join(folder, name));
    }
    const args = [2, 0.5, 'Linear', 'CLIP'];
    const { status, jobs } = await loop(args, { prompt: 'ink' });
    expect(status).toBe(200);
    expect(jobs.map(({ prompt }) => prompt)).toEqual(['ink, a red boat', 'ink, a red boat']);
    const [first, second] = server.engine.captions;
    expect(Buffer.from(first?.picture ?? [])).toEqual(readFixture('rgb.png'));
    expect(second?.picture).toEqual(jobs[1]?.initImages[0]);
    await loop(args);
    expect(jobs.at(-1)?.prompt).toBe('a red boat');
  });

  it('is a script of img2img only, and says which files captions need', async () => {
    const response = await server.post('/sdapi/v1/txt2img', { script_name: 'loopback' });
    expect(response.status).toBe(422);
    const { status, detail } = await loop([2, 0.5, 'Linear', 'CLIP']);
    expect([status, detail]).toEqual([422, expect.stringMatching(/^script_args: .*vocab\.txt/)]);
    expect((await loop([2, 0.5, 'Linear', 'DeepBooru'])).status).toBe(422);
  });
});
