import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeImage } from '../../../images/decode.ts';
import { encodeImage } from '../../../images/encode.ts';
import type { Img2ImgJob } from '../../../pipelines/job.ts';
import { growPicture, planSides } from '../../../routes/scripts/outpainting-sides.ts';
import type { TestServer } from '../../http/test-server.ts';
import { type Answer, pixels, startDrawing } from './drawing-server.ts';

let server: TestServer;

beforeEach(async () => {
  server = await startDrawing();
});
afterEach(() => server.close());

async function makeBlue(width: number, height: number): Promise<string> {
  const rgb = Buffer.alloc(width * height * 3, Buffer.from([0, 0, 200]));
  const file = await encodeImage({ width, height, rgb }, { format: 'png', quality: 80 }, null);
  return file.toString('base64');
}

async function outpaint(args: unknown[], changes: Record<string, unknown> = {}) {
  const response = await server.post('/sdapi/v1/img2img', {
    ...{ width: 128, height: 128, steps: 3, seed: 10, denoising_strength: 0.8 },
    init_images: [await makeBlue(128, 96)],
    script_name: 'outpainting mk2',
    script_args: args,
    ...changes,
  });
  const json = (await response.json()) as { images: string[]; info?: string; detail: string };
  const info = JSON.parse(json.info ?? '{}') as Answer['info'];
  return { status: response.status, ...json, info, jobs: server.engine.jobs as Img2ImgJob[] };
}

describe('Outpainting mk2', () => {
  it('grows a picture at one side and keeps the rest to the bit', async () => {
    const { status, images, jobs } = await outpaint(['', 64, 8, ['left'], 1, 0.05]);
    expect(status).toBe(200);
    expect(images).toHaveLength(1);
    const picture = await pixels(images[0]);
    expect([picture.width, picture.height]).toEqual([192, 96]);
    // The stand-in engine paints all that it is given: 128 pixels from the left.
    expect(picture.at(127, 50)).toEqual([10, 3, 7]);
    expect(picture.at(128, 50)).toEqual([0, 0, 200]);
    const [job] = jobs;
    expect(job).toMatchObject({ width: 128, height: 128, batchSize: 1, resizeMode: 0 });
    expect(job?.mask).toMatchObject({ blurX: 32, blurY: 0, fill: 'original', onlyMasked: false });
    const mask = await decodeImage(job?.mask?.image as Uint8Array);
    const latent = await decodeImage(job?.mask?.latentImage as Uint8Array);
    const row = (image: typeof mask) =>
      Array.from({ length: 128 }, (_, x) => image.data[(50 * 128 + x) * 3]!);
    expect(row(mask).filter((value) => value === 255)).toHaveLength(72);
    expect(row(latent).filter((value) => value === 255)).toHaveLength(80);
    const init = await decodeImage(job?.initImages[0] as Uint8Array);
    // Noise with the picture's colours stands where something is to come.
    expect([...init.data.subarray(50 * 128 * 3, 50 * 128 * 3 + 3)]).toEqual([0, 0, 200]);
  });

  it('grows at all sides, one after the other, to multiples of 64', async () => {
    const { images, jobs } = await outpaint(['', 32, 4]);
    const picture = await pixels(images[0]);
    expect([picture.width, picture.height]).toEqual([192, 192]);
    expect(jobs).toHaveLength(4);
    expect(jobs.map(({ mask }) => [mask?.blurX, mask?.blurY])).toEqual([
      [16, 0],
      [16, 0],
      [0, 16],
      [0, 16],
    ]);
    expect(jobs.map(({ seed }) => seed)).toEqual([10, 10, 10, 10]);
  });

  it('makes variants with seeds of their own and a grid before them', async () => {
    const { images, info } = await outpaint(['', 64, 8, 'right'], { batch_size: 2 });
    expect(images).toHaveLength(3);
    expect(info.all_seeds.slice(-2)).toEqual([10, 11]);
  });

  it.each([
    ['an unknown side', ['', 64, 8, ['north']], /left, right, up or down/],
    ['no side', ['', 64, 8, []], /received none/],
    ['too many pixels', ['', 4096, 8], /8-256/],
  ])('refuses %s', async (_, args, sentence) => {
    const { status, detail, jobs } = await outpaint(args);
    expect(status).toBe(422);
    expect(detail).toMatch(sentence);
    expect(jobs).toHaveLength(0);
  });

  it('refuses a picture that would grow too large', async () => {
    const { status, detail } = await outpaint(['', 128, 8], {
      init_images: [await makeBlue(2000, 64)],
    });
    expect([status, detail]).toEqual([422, expect.stringContaining('at most 2048 pixels')]);
  });
});

describe('the sides', () => {
  const picture = { width: 100, height: 70, channels: 3, data: new Uint8Array(100 * 70 * 3) };

  it('share what the whole grows by', () => {
    expect(planSides(picture, ['left', 'right', 'up'], 32)).toMatchObject({
      width: 192,
      height: 128,
      list: [
        { direction: 'left', pixels: 46 },
        { direction: 'right', pixels: 46 },
        { direction: 'up', pixels: 58 },
      ],
    });
  });

  it.each(['left', 'right', 'up', 'down'] as const)(
    'leave no old pixel out of the mask: %s',
    (direction) => {
      const isHorizontal = direction === 'left' || direction === 'right';
      const white = { ...picture, data: picture.data.slice().fill(255) };
      const area = { width: 64, height: 64 };
      const grown = growPicture(
        white,
        { direction, pixels: isHorizontal ? 28 : 58, isHorizontal },
        4,
        area,
      );
      const { canvas, mask, kept, drawn } = grown;
      expect([canvas.width % 64, canvas.height % 64]).toEqual([0, 0]);
      expect([drawn.x2 - drawn.x1, drawn.y2 - drawn.y1]).toEqual(
        isHorizontal ? [64, canvas.height] : [canvas.width, 64],
      );
      for (let y = 0; y < kept.y2; y++) {
        for (let x = 0; x < kept.x2; x++) {
          const isNew = canvas.data[(y * canvas.width + x) * 3] === 0;
          if (isNew) expect(mask.data[y * mask.width + x]).toBe(255);
        }
      }
    },
  );
});
