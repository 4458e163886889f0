import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeImage } from '../../../images/decode.ts';
import { encodeImage } from '../../../images/encode.ts';
import { resampleNearest } from '../../../images/resample-nearest.ts';
import type { Img2ImgJob, UpscaleJob } from '../../../pipelines/job.ts';
import type { TestServer } from '../../http/test-server.ts';
import { type Answer, pixels, startDrawing } from './drawing-server.ts';

/** Sides of the picture, of its tiles and how far they reach into each other. */
const [WIDTH, HEIGHT, TILE, OVERLAP] = [80, 64, 64, 16];
const BLUE = 200;

let server: TestServer;
let image: string;

/** Doubles pictures, as Nearest would. */
async function double({ pictures }: UpscaleJob): Promise<Uint8Array[]> {
  return Promise.all(
    pictures.map(async (bytes) => {
      const { width, height, channels, data } = await decodeImage(bytes);
      const large = resampleNearest({ width, height, channels, data }, 2 * width, 2 * height);
      const rgb = { width: large.width, height: large.height, rgb: large.data };
      return encodeImage(rgb, { format: 'png', quality: 80 }, null);
    }),
  );
}

beforeEach(async () => {
  server = await startDrawing();
  server.engine.enlarge = double;
  const rgb = Buffer.alloc(WIDTH * HEIGHT * 3, Buffer.from([0, 0, BLUE]));
  const format = { format: 'png', quality: 80 } as const;
  image = (await encodeImage({ width: WIDTH, height: HEIGHT, rgb }, format, null)).toString(
    'base64',
  );
});
afterEach(() => server.close());

async function run(args: unknown[], changes: Record<string, unknown> = {}) {
  const response = await server.post('/sdapi/v1/img2img', {
    ...{ width: TILE, height: TILE, steps: 3, seed: 10, denoising_strength: 0.3 },
    init_images: [image],
    script_name: 'sd upscale',
    script_args: args,
    ...changes,
  });
  const json = (await response.json()) as { images: string[]; info?: string; detail: string };
  const info = JSON.parse(json.info ?? '{}') as Answer['info'];
  const jobs = server.engine.jobs as Img2ImgJob[];
  return { status: response.status, ...json, info, jobs };
}

describe('SD upscale', () => {
  it('enlarges the picture and draws it over in tiles, each with the next seed', async () => {
    const { status, images, info, jobs } = await run([null, OVERLAP, 'Nearest', 2]);
    expect(status).toBe(200);
    expect(server.engine.upscales).toMatchObject([
      { first: { name: 'Nearest', kind: 'nearest' }, target: { factor: 2 } },
    ]);
    // 160 x 128 in tiles of 64 that share 16: three by three.
    expect(jobs.map(({ seed }) => seed)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18]);
    expect(jobs[0]).toMatchObject({ width: TILE, height: TILE, resizeMode: 0 });
    const tile = await decodeImage(jobs[0]?.initImages[0] ?? new Uint8Array());
    expect([...tile.data.slice(0, 3)]).toEqual([0, 0, BLUE]);
    expect(images).toHaveLength(1);
    const whole = await pixels(images[0]);
    expect([whole.width, whole.height]).toEqual([160, 128]);
    expect(whole.at(0, 0)).toEqual([10, 3, 7]);
    expect(whole.at(159, 127)).toEqual([18, 3, 7]);
    // Tiles start at 0, 48 and 96: each fades in over the first 16 of its pixels.
    expect(whole.at(48, 0)).toEqual([10, 3, 7]);
    expect(whole.at(64, 0)).toEqual([11, 3, 7]);
    expect(info.all_seeds).toEqual([10]);
    expect(info.infotexts).toHaveLength(1);
    expect(info.infotexts[0]).toContain('Seed: 10');
    expect(info.infotexts[0]).toContain('SD upscale overlap: 16, SD upscale upscaler: Nearest');
  });

  it('draws several tiles at once, and the whole picture several times', async () => {
    const changes = { batch_size: 4, n_iter: 2 };
    const { images, info, jobs } = await run(['', OVERLAP, 2, 2], changes);
    expect(jobs.map(({ seed, batchSize }) => [seed, batchSize])).toEqual([
      ...[10, 11, 12].map((seed) => [seed, seed === 12 ? 1 : 4]),
      ...[11, 12, 13].map((seed) => [seed, seed === 13 ? 1 : 4]),
    ]);
    expect(images).toHaveLength(2);
    expect(info.all_seeds).toEqual([10, 11]);
  });

  it('without an upscaler draws the picture at its own size', async () => {
    const { images } = await run(['', OVERLAP, 'None', 4]);
    expect(server.engine.upscales).toHaveLength(0);
    const whole = await pixels(images[0]);
    expect([whole.width, whole.height]).toEqual([WIDTH, HEIGHT]);
  });

  it('draws a picture that is smaller than a tile in one', async () => {
    const { jobs, images } = await run(['', 64, 'Nearest', 2], { width: 512, height: 512 });
    expect(jobs).toMatchObject([{ width: 160, height: 128 }]);
    expect(images).toHaveLength(1);
  });

  it.each<[unknown[], RegExp]>([
    [['', 64, 'Nearest', 2], /overlap below the tile/],
    [['', OVERLAP, 'nope', 2], /one of None, Lanczos, Nearest/],
    [['', OVERLAP, 'Nearest', 100], /number 1-8/],
  ])('refuses %j', async (args, sentence) => {
    const { status, detail, jobs } = await run(args);
    expect(status).toBe(422);
    expect(detail).toMatch(sentence);
    expect(jobs).toHaveLength(0);
  });
});
