/** Runs a script: its requests become jobs of one task, its pictures one answer. */
import { decodeImage } from '../../images/decode.ts';
import { encodeImage } from '../../images/encode.ts';
import type { RgbImage } from '../../images/rgb-image.ts';
import type { GenerationJob, JobResult } from '../../pipelines/job.ts';
import type { Context } from '../../server/context.ts';
import type { RunPart } from '../../server/engine/supervisor.ts';
import { HttpError } from '../../server/errors.ts';
import { MAX_REQUEST_PIXELS } from '../../server/limits.ts';
import { createCaptionJob } from '../caption-job.ts';
import type { PreparedJob } from '../txt2img-job.ts';
import { enlargeInit } from './enlarge-init.ts';
import { findScript } from './registry.ts';
import type {
  MadePictures,
  Script,
  ScriptNames,
  ScriptPicture,
  ScriptRequest,
  ScriptTab,
} from './script.ts';

/** Longest side that the containers other than PNG hold, pixels. */
const MAX_FORMAT_SIDE = { jpeg: 65_535, webp: 16_383 } as const;

/** What a script's run needs besides the server. */
export interface ScriptRun<R extends ScriptRequest> {
  tab: ScriptTab;
  request: R;
  /** The job of the request without its script: options, output, and seeds come from it. */
  base: PreparedJob;
  /** Checks a request and makes its job. */
  prepare(request: R): Promise<PreparedJob>;
}

/**
 * Returns what does the engine's work for a request: its script when it names one, else its job.
 *
 * @throws HttpError SCRIPT_NOT_FOUND in A1111's words
 */
export function planRun<R extends ScriptRequest>(
  context: Context,
  run: ScriptRun<R>,
): (taskId: string, signal?: AbortSignal) => Promise<JobResult> {
  const script = findScript(run.tab, run.request.script_name);
  if (script === null) {
    return (taskId, signal) => context.engine.run(run.base.job, taskId, signal);
  }
  return (taskId, signal) => runScript(context, script, run, taskId, signal);
}

/**
 * Runs a script as one task of the engine.
 *
 * @throws HttpError SCRIPT_ARGUMENT, LIMIT_EXCEEDED; what preparing and running a job throws
 */
function runScript<R extends ScriptRequest>(
  context: Context,
  script: Script,
  run: ScriptRun<R>,
  taskId: string,
  signal: AbortSignal | undefined,
): Promise<JobResult> {
  return context.engine.runSeries(taskId, signal, async (runPart) => {
    const maker = new Maker(run.prepare, runPart);
    const { request, base } = run;
    const { pictures, grids, indexOfFirstImage } = await script.run<R>({
      tab: run.tab,
      request: withoutScript(request, base.job),
      askedSeed: request.seed ?? -1,
      args: request.script_args,
      names: await listNames(context),
      make: (requests, place) => maker.make(requests, place),
      async caption(file, place) {
        const init = base.job.kind === 'img2img' ? base.job.initImages[0] : undefined;
        const picture = file ?? init ?? new Uint8Array();
        const job = await createCaptionJob(context, picture, 'script_args');
        return (await runPart(job, place))?.infotexts[0] ?? null;
      },
      enlarge: (upscaler, factor) => enlargeInit(context, base.job, upscaler, factor, runPart),
    });
    const images: Buffer[] = [];
    for (const { image, infotext } of pictures) images.push(await encode(image, infotext, base));
    const [first] = pictures;
    return {
      images,
      infotexts: pictures.map(({ infotext }) => infotext),
      info: {
        ...maker.info,
        prompt: first?.prompt ?? base.job.prompt,
        all_prompts: listed(pictures, indexOfFirstImage, ({ prompt }) => prompt),
        negative_prompt: first?.negativePrompt ?? base.job.negativePrompt,
        all_negative_prompts: listed(
          pictures,
          indexOfFirstImage,
          ({ negativePrompt }) => negativePrompt,
        ),
        seed: first?.seed ?? base.job.seed,
        all_seeds: listed(pictures, indexOfFirstImage, ({ seed }) => seed),
        subseed: first?.subseed ?? base.job.subseed,
        all_subseeds: listed(pictures, indexOfFirstImage, ({ subseed }) => subseed),
        index_of_first_image: indexOfFirstImage,
        infotexts: pictures.map(({ infotext }) => infotext),
        steps_executed: maker.steps,
        model_calls: maker.calls,
        comments: [...maker.comments],
      },
      stepsExecuted: maker.steps,
      grids,
    };
  });
}

/** Collects the names that arguments may choose from. */
export async function listNames({ models, styles, upscalers }: Context): Promise<ScriptNames> {
  return {
    checkpoints: models.checkpoints.map(({ title }) => title),
    vaes: models.vaes.map(({ modelName }) => modelName),
    styles: [...(await styles.all()).keys()],
    upscalers: upscalers.entries.map(({ name }) => name),
    knowsCheckpoint: (id) => models.find(id) !== null,
  };
}

/** Turns requests into pictures and keeps what the whole answer tells. */
class Maker<R extends ScriptRequest> {
  readonly #prepare: (request: R) => Promise<PreparedJob>;
  readonly #run: RunPart;
  #pixels = 0;
  steps = 0;
  calls = 0;
  info: Record<string, unknown> = {};
  readonly comments = new Set<unknown>();

  constructor(prepare: (request: R) => Promise<PreparedJob>, run: RunPart) {
    this.#prepare = prepare;
    this.#run = run;
  }

  async make(
    requests: readonly R[],
    place: { index: number; count: number } = { index: 0, count: requests.length },
  ): Promise<MadePictures[]> {
    const jobs: GenerationJob[] = [];
    for (const request of requests) {
      const { job } = await this.#prepare(request);
      this.#count(job);
      const output = { ...job.output, format: 'png', writeInfotext: false } as const;
      jobs.push({ ...job, output, grid: false });
    }
    const made: MadePictures[] = [];
    for (const [i, job] of jobs.entries()) {
      const result = await this.#run(job, { index: place.index + i, count: place.count });
      if (result === null) break;
      this.steps += result.stepsExecuted;
      this.calls += Number(result.info.model_calls ?? 0);
      if (made.length === 0) this.info = { ...result.info, ...this.info };
      const { comments } = result.info;
      for (const comment of Array.isArray(comments) ? comments : []) this.comments.add(comment);
      made.push({ pictures: await readPictures(result), info: result.info });
    }
    return made;
  }

  /** Refuses before anything runs what the answer could not hold. */
  #count(job: GenerationJob): void {
    const { batchSize, nIter } = job;
    const { width, height } = job.kind === 'txt2img' && job.hires ? job.hires.enlarged : job;
    this.#pixels += width * height * batchSize * nIter;
    if (this.#pixels <= MAX_REQUEST_PIXELS) return;
    throw new HttpError(
      'LIMIT_EXCEEDED',
      `Expected at most ${MAX_REQUEST_PIXELS} pixels for all pictures of a script but received more.`,
    );
  }
}

async function readPictures({ images, infotexts, info }: JobResult): Promise<ScriptPicture[]> {
  const at = (list: unknown, i: number): unknown => (Array.isArray(list) ? list[i] : undefined);
  return Promise.all(
    images.map(async (bytes, i) => {
      const { width, height, data } = await decodeImage(bytes);
      return {
        image: { width, height, rgb: data },
        infotext: infotexts[i] ?? '',
        prompt: String(at(info.all_prompts, i) ?? ''),
        negativePrompt: String(at(info.all_negative_prompts, i) ?? ''),
        seed: Number(at(info.all_seeds, i) ?? 0),
        subseed: Number(at(info.all_subseeds, i) ?? 0),
      };
    }),
  );
}

/** The request that scripts vary: seeds drawn, no script, nothing saved on the way. */
function withoutScript<R extends ScriptRequest>(request: R, { seed, subseed }: GenerationJob): R {
  const nothing = { script_name: null, script_args: [], save_images: false };
  return { ...request, ...nothing, seed, subseed };
}

/** A list of one entry per picture, or without those of grids that it does not count. */
function listed<T>(
  pictures: readonly ScriptPicture[],
  skip: number,
  read: (picture: ScriptPicture) => T,
): T[] {
  return pictures.slice(skip).map(read);
}

async function encode(image: RgbImage, infotext: string, { job }: PreparedJob): Promise<Buffer> {
  const { format } = job.output;
  const longest = Math.max(image.width, image.height);
  const fits = format === 'png' || longest <= MAX_FORMAT_SIDE[format];
  const output = fits ? job.output : { ...job.output, format: 'png' as const };
  return encodeImage(image, output, job.output.writeInfotext ? infotext : null);
}
