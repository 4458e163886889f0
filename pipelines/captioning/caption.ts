/** The job behind `interrogate`: a picture put into words by a BLIP model (Li et al. 2022). */
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { decodeImage, dropAlpha } from '../../images/decode.ts';
import type { Raster } from '../../images/raster.ts';
import { BICUBIC, resample } from '../../images/resample.ts';
import { detectCaptioner } from '../../networks/captioner/detect.ts';
import { writeCaptionerText, writeCaptionerVision } from '../../networks/captioner/graph.ts';
import { readHeader, type SafetensorsFile } from '../../networks/checkpoint/safetensors.ts';
import type { Graph } from '../../networks/onnx/graph.ts';
import { createNetwork, type Network, type TensorData } from '../../networks/session.ts';
import { assertFinite } from '../errors.ts';
import type { CaptionJob, EngineSettings, JobHooks, JobResult } from '../job.ts';
import { refuseChanged, refuseOverwritten } from '../model/file-guard.ts';
import { findWords, joinPieces, readWordPieces } from './word-pieces.ts';

/** What the model goes on from, as the web UI begins its captions; it is not part of them. */
const PROMPT = ['a', 'picture', 'of'];
/** Below any score; a masked token's weight becomes exactly 0. */
const MASKED = -1e9;

/** What the decoder attends to of a picture, by input. */
type Seen = Record<string, TensorData>;

/**
 * Says what is in a picture: the likeliest word each time. The model is loaded for the job and given
 * back, as the web UI does it. An interruption ends the text early.
 *
 * @returns the caption as the one infotext and as `info.caption`
 * @throws ImageError, CheckpointError, SessionError, PipelineError NON_FINITE
 */
export async function caption(
  job: CaptionJob,
  settings: EngineSettings,
  hooks: JobHooks,
): Promise<JobResult> {
  const { width, height, channels, data } = await decodeImage(job.picture);
  const picture: Raster = {
    ...{ width, height, channels: 3 },
    data: channels === 4 ? dropAlpha(data) : data,
  };
  const file = await readHeader(job.path);
  const config = detectCaptioner(file);
  const words = await readWordPieces(job.vocabulary, config.text.tokens);
  const prompt = [words.begin, ...findWords(words, PROMPT, job.vocabulary)];
  const weights = { location: path.basename(file.path), tensors: file.tensors };
  const open = (graph: Graph) => openNetwork(file, graph, settings);
  const { side } = config.vision;
  const report = (samplingStep: number) => {
    const samplingSteps = job.maxTokens - prompt.length;
    hooks.onProgress({ job: 'interrogate', jobNo: 0, jobCount: 1, samplingStep, samplingSteps });
  };
  report(0);
  const image = resample(picture, side, side, BICUBIC);
  const seen = await look(await open(writeCaptionerVision(weights, config)), image, config.text);
  await setImmediate();

  const decoder = await open(writeCaptionerText(weights, config));
  const ids = [...prompt];
  const most = Math.min(job.maxTokens, config.text.positions);
  try {
    while (ids.length < most && !hooks.control.interrupted && !hooks.control.skipped) {
      const { logits } = await decoder.run({ ...seen, ...describeTokens(ids) }, ['logits']);
      const scores = logits?.data as Float32Array;
      assertFinite('captioning model', path.basename(file.path), scores);
      if (ids.length < job.minTokens) scores[words.end] = Number.NEGATIVE_INFINITY;
      const next = indexOfMax(scores);
      if (next === words.end) break;
      ids.push(next);
      report(ids.length - prompt.length - 1);
      await setImmediate();
    }
  } finally {
    await decoder.release();
  }
  refuseOverwritten(file);
  const text = joinPieces(words, ids.slice(prompt.length));
  return { images: [], infotexts: [text], info: { caption: text }, stepsExecuted: 0 };
}

async function openNetwork(
  file: SafetensorsFile,
  graph: Graph,
  { device, threads }: EngineSettings,
): Promise<Network> {
  const name = `captioning model ${path.basename(file.path)}`;
  const network = await createNetwork(name, graph, file.path, { device, threads });
  refuseChanged(file);
  return network;
}

/** Runs the vision model and gives it back. */
async function look(
  network: Network,
  { width, height, data }: Raster,
  { layers }: { layers: number },
): Promise<Seen> {
  const names = Array.from({ length: layers }, (_, n) => [`key.${n}`, `value.${n}`]).flat();
  try {
    const image = { type: 'uint8' as const, data, shape: [1, height, width, 3] };
    const outputs = await network.run({ image }, names);
    return Object.fromEntries(
      names.map((name) => {
        const { data: values, shape } = outputs[name] as (typeof outputs)[string];
        return [name, { type: 'float32' as const, data: values as Float32Array, shape }];
      }),
    );
  } finally {
    await network.release();
  }
}

/** The tokens so far, their places, and which of them each may look at: those before it. */
function describeTokens(ids: readonly number[]): Seen {
  const n = ids.length;
  const mask = Float32Array.from({ length: n * n }, (_, i) =>
    i % n > Math.floor(i / n) ? MASKED : 0,
  );
  return {
    tokens: { type: 'int64', data: BigInt64Array.from(ids, BigInt), shape: [n] },
    positions: { type: 'int64', data: BigInt64Array.from(ids, (_, i) => BigInt(i)), shape: [n] },
    mask: { type: 'float32', data: mask, shape: [1, 1, n, n] },
  };
}

function indexOfMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
