/** Text to pictures: conditioning, noise, sampling, decoding; with a hires fix, enlarging and a second pass. */
import { setImmediate } from 'node:timers/promises';
import { encodeImage } from '../images/encode.ts';
import type { RgbImage } from '../images/rgb-image.ts';
import type { AppliedLora, LoraPlan } from '../lora/plan.ts';
import type { JobNetwork } from './conditioning/network-calls.ts';
import { noPromptEmbeddings } from './conditioning/prompt-embeddings.ts';
import { decodeLatent } from './decode.ts';
import { finishJob } from './finish-job.ts';
import { seedsOf } from './generation-info.ts';
import { describeHires } from './hires/describe-hires.ts';
import { HIRES_PASSES, type HiresTools, type PreparedHires, runHires } from './hires/hires-pass.ts';
import { createHyperTile, type HyperTile } from './hyper-tile/hyper-tile.ts';
import type { JobHooks, JobResult, Txt2ImgJob } from './job.ts';
import type { Model } from './model/model.ts';
import { prepareLoras, prepareNetwork } from './prepare-network.ts';
import { positionOf, sampleBatch } from './sample-batch.ts';

/** A first pass that is ready to draw. */
interface PreparedFirst {
  model: Model;
  network: JobNetwork;
  loras: LoraPlan;
  messages: readonly string[];
}

/**
 * Makes the pictures of a txt2img job.
 *
 * An interruption ends the sampling between two steps; what the latent had come to is decoded and
 * returned, and neither the second pass nor later iterations start, as in the web UI.
 *
 * @param model  of the job's checkpoint
 * @param tools  opens upscalers and further checkpoints; only a hires fix needs them
 * @throws CheckpointError, SessionError, PipelineError
 */
export async function txt2img(
  job: Txt2ImgJob,
  model: Model,
  hooks: JobHooks,
  tools: HiresTools | null = null,
): Promise<JobResult> {
  const { control } = hooks;
  const { hires } = job;
  if (hires !== null && tools === null) throw new TypeError('A hires fix needs its tools.');
  const passes = hires === null ? 1 : HIRES_PASSES;
  const hyperTile = createHyperTile(job);
  const decoding = { circular: job.tiling, hyperTile };
  let first: PreparedFirst | null = null;
  let second: PreparedHires | null = null;
  let current = model;
  const messages = new Set<string>();
  const seeds = seedsOf(job);
  const pictures: RgbImage[] = [];
  const beforeHires: RgbImage[] = [];
  let stepsExecuted = 0;
  let modelCalls = 0;
  for (let iteration = 0; iteration < job.nIter && !control.interrupted; iteration++) {
    control.skipped = false;
    // The second pass may have put another checkpoint in its place.
    if (tools && first && first.model !== current)
      current = await tools.use(job.checkpoint, job.vae);
    if (first?.model !== current) first = await prepareFirst(job, current, hyperTile, hooks);
    hyperTile?.beginFirst(job);
    for (const message of first.messages) messages.add(message);
    const batch = seeds.slice(iteration * job.batchSize, (iteration + 1) * job.batchSize);
    const position = positionOf(job, iteration, passes);
    const result = await sampleBatch(
      job,
      current,
      first.network,
      { seeds: batch, position },
      hooks,
    );
    stepsExecuted += result.stepsExecuted;
    modelCalls += result.modelCalls;
    let { latent } = result;
    if (hires !== null && tools !== null && !control.interrupted && !control.skipped) {
      if (hires.keepsFirst) beforeHires.push(...(await decodeLatent(current, latent, decoding)));
      const start = { model: current, latent };
      const place = { seeds: batch, iteration, hyperTile };
      const drawn = await runHires(job, hires, start, place, second, tools, hooks);
      second = drawn.prepared;
      current = second.model;
      latent = drawn.latent;
      stepsExecuted += drawn.stepsExecuted;
      modelCalls += drawn.modelCalls;
      for (const message of second.messages) messages.add(message);
    }
    pictures.push(...(await decodeLatent(current, latent, decoding)));
    await setImmediate();
  }
  const details = describeHires(job);
  const finished = await finishJob(job, current, pictures, {
    seeds,
    stepsExecuted,
    modelCalls,
    comments: [...job.comments, ...messages],
    loras: joinLoras(first?.loras.applied ?? [], second?.loras.applied ?? []),
    embeddings: joinEmbeddings(first?.network, second?.network),
    ...(details && { details }),
  });
  if (beforeHires.length === 0) return finished;
  return { ...finished, beforeHires: await encodeFirst(job, beforeHires, finished) };
}

/** The first pass's pictures with the texts of the finished ones. */
function encodeFirst(
  { output }: Txt2ImgJob,
  pictures: readonly RgbImage[],
  { infotexts }: JobResult,
): Promise<Uint8Array[]> {
  // A grid's text comes first; what an interruption left without a second pass has none here.
  const texts = infotexts.slice(infotexts.length - pictures.length);
  return Promise.all(
    pictures.map((picture, i) =>
      encodeImage(picture, output, output.writeInfotext ? (texts[i] ?? '') : null),
    ),
  );
}

async function prepareFirst(
  job: Txt2ImgJob,
  model: Model,
  hyperTile: HyperTile | null,
  hooks: JobHooks,
): Promise<PreparedFirst> {
  const { prompt, loras, messages } = await prepareLoras(job, model);
  for (const message of messages) hooks.onLog(message, { checkpoint: model.checkpoint.name });
  const network = await prepareNetwork({ ...job, hyperTile }, prompt, model, loras);
  return { model, network, loras, messages };
}

/** Those of the first pass, then those that only the second has. */
function joinLoras(first: readonly AppliedLora[], second: readonly AppliedLora[]): AppliedLora[] {
  const names = new Set(first.map(({ name }) => name));
  return [...first, ...second.filter(({ name }) => !names.has(name))];
}

function joinEmbeddings(first: JobNetwork | undefined, second: JobNetwork | undefined) {
  const [one, other] = [first, second].map((network) => network?.embeddings ?? noPromptEmbeddings);
  const names = new Set(one?.used.map(({ name }) => name));
  return {
    used: [...(one?.used ?? []), ...(other?.used ?? []).filter(({ name }) => !names.has(name))],
    messages: [...new Set([...(one?.messages ?? []), ...(other?.messages ?? [])])],
  };
}
