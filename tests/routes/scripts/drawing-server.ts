/** A server whose engine paints the seed and the number of steps, for tests of scripts. */
import { expect } from 'vitest';
import { decodeImage } from '../../../images/decode.ts';
import { encodeImage } from '../../../images/encode.ts';
import type { GenerationJob, JobResult } from '../../../pipelines/job.ts';
import { startTestServer, type TestServer } from '../../http/test-server.ts';

export const SIDE = 64;
/** Height of one line of a legend and the room around it, at 64 x 64. */
export const LEGEND = 24;

/** Starts the server with two checkpoints and a style. */
export async function startDrawing(): Promise<TestServer> {
  const server = await startTestServer({
    checkpoints: ['a.safetensors', 'b.safetensors'],
    styles: 'name,prompt,negative_prompt\nsunny,"{prompt}, sun",\n',
  });
  server.engine.work = draw;
  return server;
}

/** Pictures whose red is the seed and whose green is the number of steps. */
async function draw(job: GenerationJob): Promise<Partial<JobResult>> {
  const seeds = Array.from({ length: job.batchSize * job.nIter }, (_, i) => job.seed + i);
  const { width, height } = job;
  const images = await Promise.all(
    seeds.map((seed) => {
      const rgb = Buffer.alloc(width * height * 3, Buffer.from([seed % 256, job.steps, 7]));
      return encodeImage({ width, height, rgb }, job.output, null);
    }),
  );
  const infotexts = seeds.map(
    (seed) =>
      `${job.prompt}\nSteps: ${job.steps}, Sampler: Euler, Seed: ${seed}, Version: sdserve 1`,
  );
  const info = {
    prompt: job.prompt,
    all_prompts: seeds.map(() => job.prompt),
    all_negative_prompts: seeds.map(() => job.negativePrompt),
    all_seeds: seeds,
    all_subseeds: seeds.map((_, i) => job.subseed + i),
    infotexts,
    index_of_first_image: 0,
    comments: job.comments,
    sd_model_name: job.checkpoint.name,
  };
  return { images, infotexts, info, stepsExecuted: job.steps };
}

export interface Answer {
  images: string[];
  info: Record<string, unknown> & { infotexts: string[]; all_seeds: number[] };
}

export async function post(server: TestServer, body: Record<string, unknown>): Promise<Answer> {
  const response = await server.post('/sdapi/v1/txt2img', {
    ...{ width: SIDE, height: SIDE, steps: 3, seed: 10, prompt: 'a boat' },
    ...body,
  });
  const json = (await response.json()) as { images: string[]; info: string };
  expect([response.status, json]).toMatchObject([200, {}]);
  return { images: json.images, info: JSON.parse(json.info) as Answer['info'] };
}

export async function refusal(server: TestServer, body: Record<string, unknown>) {
  const response = await server.post('/sdapi/v1/txt2img', { width: SIDE, height: SIDE, ...body });
  expect(server.engine.jobs).toHaveLength(0);
  return { status: response.status, ...((await response.json()) as object) };
}

export async function pixels(image: string | undefined) {
  const picture = await decodeImage(Buffer.from(image ?? '', 'base64'));
  return {
    ...picture,
    at: (x: number, y: number) => {
      const from = (y * picture.width + x) * 3;
      return [...picture.data.subarray(from, from + 3)];
    },
  };
}

/** The 18 arguments of X/Y/Z plot. */
export function plot(changes: Record<number, unknown>): Record<string, unknown> {
  const args: unknown[] = [0, '', [], 0, '', [], 0, '', []];
  args.push(true, false, false, false, false, false, false, 0, false);
  for (const [at, value] of Object.entries(changes)) args[Number(at)] = value;
  return { script_name: 'x/y/z plot', script_args: args };
}

/** Whether an area holds at least one pixel of an ink. */
export function isDrawn(
  { at }: { at(x: number, y: number): number[] },
  left: number,
  top: number,
  width: number,
  height: number,
  ink: readonly number[] = [0, 0, 0],
): boolean {
  for (let y = top; y < top + height; y++) {
    for (let x = left; x < left + width; x++) {
      if (at(x, y).join() === ink.join()) return true;
    }
  }
  return false;
}
