import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
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

beforeEach(async () => {
  server = await startDrawing();
});
afterEach(() => server.close());

describe('the lists', () => {
  it('name scripts in lower case', async () => {
    const lists = (await (await server.get('/sdapi/v1/scripts')).json()) as Record<
      string,
      string[]
    >;
    for (const tab of ['txt2img', 'img2img']) {
      expect(lists[tab]).toEqual(
        expect.arrayContaining(['prompt matrix', 'prompts from file or textbox', 'x/y/z plot']),
      );
      // The one title that A1111 does not lower.
      expect(lists[tab]).toContain('Hypertile');
    }
  });

  it('describe the arguments', async () => {
    const infos = (await (await server.get('/sdapi/v1/script-info')).json()) as {
      name: string;
      is_alwayson: boolean;
      is_img2img: boolean;
      args: { label: string; value: unknown; choices: string[] | null }[];
    }[];
    const xyz = infos.find(({ name, is_img2img }) => name === 'x/y/z plot' && !is_img2img);
    expect(xyz?.args).toHaveLength(18);
    expect(xyz?.args[0]).toMatchObject({ label: 'X type', value: 'Seed' });
    const axes = xyz?.args[0]?.choices ?? [];
    // The indices that clients send, from A1111's list.
    expect([axes[4], axes[6], axes[9], axes[17], axes[29], axes[41]]).toEqual([
      ...['Steps', 'CFG Scale', 'Sampler', 'Schedule type', 'VAE', 'Size'],
    ]);
    expect([axes[42], axes[46], axes[47], axes[50]]).toEqual([
      ...['[Hypertile] Unet First pass Enabled', '[Hypertile] Unet Swap Size'],
      ...['[Hypertile] VAE Enabled', '[Hypertile] VAE Swap Size'],
    ]);
    const other = infos.find(({ name, is_img2img }) => name === 'x/y/z plot' && is_img2img);
    const others = other?.args[0]?.choices ?? [];
    expect([others[5], others[6], others[9], others[24], others[40], others[49]]).toEqual([
      ...['CFG Scale', 'Image CFG Scale', 'Sampler', 'Denoising', 'Size'],
      '[Hypertile] VAE Swap Size',
    ]);
    expect(infos.find(({ name }) => name === 'refiner')).toMatchObject({ is_alwayson: true });
  });
});

describe('Prompt matrix', () => {
  const matrix = (args: unknown[]) => ({ script_name: 'Prompt Matrix', script_args: args });

  it('combines the parts and strikes out what is missing', async () => {
    const { images, info } = await post(server, {
      ...matrix([false, true, 'positive', 'comma', 0]),
      prompt: 'a boat|red|at night',
    });
    expect(server.engine.jobs.map(({ prompt }) => prompt)).toEqual([
      ...['a boat', 'a boat, red', 'a boat, at night', 'a boat, red, at night'],
    ]);
    expect(info.all_seeds).toEqual([10, 11, 12, 13]);
    expect(info.index_of_first_image).toBe(1);
    expect(images).toHaveLength(5);
    const grid = await pixels(images[0]);
    expect([grid.width, grid.height]).toEqual([SIDE * 2 + 48, SIDE * 2 + LEGEND]);
    // The struck captions are grey.
    expect(isDrawn(grid, 48, 0, SIDE, LEGEND, [153, 153, 153])).toBe(true);
    expect(isDrawn(grid, 48 + SIDE, 0, SIDE, LEGEND, [0, 0, 0])).toBe(true);
  });

  it('puts parts in front, in the negative prompt, with blanks', async () => {
    await post(server, {
      ...matrix([true, false, 'negative', 'space', 4]),
      negative_prompt: 'low quality|dark',
    });
    expect(server.engine.jobs.map(({ negativePrompt }) => negativePrompt)).toEqual([
      ...['low quality', 'dark low quality'],
    ]);
    expect(server.engine.jobs.map(({ seed }) => seed)).toEqual([10, 10]);
  });

  it('takes a prompt without parts', async () => {
    expect((await post(server, matrix([]))).images).toHaveLength(2);
  });

  it('refuses too many parts', async () => {
    const body = await refusal(server, { ...matrix([]), prompt: 'a|b|c|d|e|f|g|h|i|j' });
    expect(body).toMatchObject({ status: 422, code: 'SCRIPT_ARGUMENT' });
  });
});

describe('Prompts from file or textbox', () => {
  const file = (text: string, iterate = false, same = false, place = 'start') => ({
    script_name: 'prompts from file or textbox',
    script_args: [iterate, same, place, text],
  });

  it('runs every line with its own options', async () => {
    const { images, info } = await post(server, {
      ...file('at night\n\n--prompt by day --steps 5 --width 128\r\n--batch_size 2', true),
    });
    expect(server.engine.jobs.map(({ prompt, steps, width }) => [prompt, steps, width])).toEqual([
      ['at night a boat', 3, 64],
      ['by day a boat', 5, 128],
      ['a boat', 3, 64],
    ]);
    expect(images).toHaveLength(4);
    expect(info.all_seeds).toEqual([10, 11, 12, 13]);
    expect(info.infotexts[1]).toContain('by day a boat');
  });

  it('draws a seed per line, or one for all', async () => {
    await post(server, { ...file('a\nb'), seed: -1 });
    const [one, two] = server.engine.jobs.splice(0).map(({ seed }) => seed);
    expect(one).not.toBe(two);
    await post(server, { ...file('a\nb', false, true, 'end'), seed: -1 });
    const [three, four] = server.engine.jobs.map(({ seed }) => seed);
    expect(three).toBe(four);
    expect(server.engine.jobs[0]?.prompt).toBe('a boat a');
  });

  it('answers without pictures when there are no lines', async () => {
    expect((await post(server, file(''))).images).toEqual([]);
  });

  it('refuses a line that it cannot read', async () => {
    const body = await refusal(server, file('a\n--stops 3'));
    expect(body).toMatchObject({ status: 422, code: 'SCRIPT_ARGUMENT' });
  });
});

describe('any script', () => {
  it('is refused in A1111’s words when it is unknown', async () => {
    const body = await refusal(server, { script_name: 'Nope' });
    expect(body).toMatchObject({
      status: 422,
      error: 'HTTPException',
      detail: "Script 'Nope' not found",
    });
  });

  it('saves its grids and pictures apart', async () => {
    await post(server, { ...plot({ 0: 1, 1: '10,20', 10: true }), save_images: true });
    const saved = readdirSync(join(server.folder, 'outputs'), { recursive: true })
      .map(String)
      .filter((name) => name.endsWith('.png'))
      .map((name) => name.replace(/^.*[\\/]/, ''))
      .sort();
    expect(saved).toEqual(['00000-10.png', '00001-20.png', 'grid-0000.png']);
  });
});
