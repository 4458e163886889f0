/** What a LoRA costs beside the runs: its first load, its memory, and a change of its weight. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { planLoras } from '../../lora/plan.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import type { LoraPort } from '../../networks/onnx/graph.ts';
import { portFeeds } from '../../networks/onnx/lora-feeds.ts';
import { writeTextEncoder } from '../../networks/text-encoder.ts';
import { writeUnet } from '../../networks/unet.ts';
import type { Model } from '../../pipelines/model/model.ts';
import type { TensorSpec } from '../checkpoints/tensors.ts';
import { writeTensors } from '../checkpoints/write.ts';
import { loraLabel } from '../labels.ts';
import { openModel, type Subject } from '../subject.ts';
import { type Measured, peakBytes, timed } from '../timing.ts';

/** The layers that trainers choose by default: attention, feed-forward and what frames them. */
const TRAINED =
  /(^|\.)(to_[qkv]|to_out\.0|proj|net\.2|proj_in|proj_out|[qkv]_proj|out_proj|fc[12]|c_fc|c_proj)$/;

/** Weights in turns; what each of them costs is the same. */
const WEIGHTS = [1, 1.5, -1, 8, 0.5, 3];

/** Writes a LoRA in f16 for the checkpoint's UNet and text encoders, once; returns its path. */
function findLora(model: Model, rank: number): { file: string; modules: number } {
  const folder = path.join(os.tmpdir(), 'sdserve-benchmarks');
  fs.mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${model.checkpoint.name}-lora-${rank}.safetensors`);
  const starts = { unet: 'lora_unet_', L: 'lora_te1_', G: 'lora_te2_', H: 'lora_te_' };
  const isSdxl = model.config.textEncoders.length > 1;
  const layers = model.layers().flatMap(({ role, layers: all }) => {
    const start = role === 'L' && !isSdxl ? 'lora_te_' : starts[role];
    return [...all.values()]
      .filter(({ name, hasPort }) => hasPort && TRAINED.test(name))
      .map((layer) => ({ ...layer, module: start + layer.name.replaceAll('.', '_') }));
  });
  if (!fs.existsSync(file)) {
    const tensors = layers.flatMap(({ module, out, in: inner, kernel }): TensorSpec[] => [
      { key: `${module}.alpha`, shape: [], fill: { kind: 'normal', mean: rank, std: 0 } },
      {
        key: `${module}.lora_down.weight`,
        shape: [rank, inner, ...kernel],
        fill: { kind: 'fan-in', gain: 1 },
      },
      {
        key: `${module}.lora_up.weight`,
        shape: [out, rank, ...kernel.map(() => 1)],
        fill: { kind: 'normal', mean: 0, std: 0.01 },
      },
    ]);
    writeTensors(file, tensors, { dtype: 'F16', seed: 1, norms: 'ones', metadata: {} });
  }
  return { file, modules: layers.length };
}

async function listPorts(model: Model, file: string): Promise<Map<string, LoraPort[]>> {
  const { tensors } = await readHeader(file);
  const weights = { location: path.basename(file), tensors };
  const { unet, textEncoders } = model.config;
  return new Map([
    [unet.prefix, writeUnet(weights, unet).loraPorts],
    ...textEncoders.map((config): [string, LoraPort[]] => [
      config.prefix,
      writeTextEncoder(weights, config).loraPorts,
    ]),
  ]);
}

/**
 * Times a LoRA from its tags to the arrays that the sessions are fed with: first with everything to
 * read, then with nothing but another weight. No session is needed for either, none is made.
 *
 * @param runs  changes of the weight per rank
 */
export async function measureLora(options: {
  subject: Subject;
  ranks: number[];
  runs: number;
}): Promise<Measured> {
  const measured: Measured = { timings: [], peaks: {} };
  const model = await openModel(options.subject);
  const ports = await listPorts(model, options.subject.file);
  for (const rank of options.ranks) {
    const { file, modules } = findLora(model, rank);
    const apply = async (weight: number): Promise<void> => {
      const request = { name: 'lora', te: weight, unet: weight, dyn: null };
      const ref = { name: 'lora', path: file, hash: null };
      const plan = await planLoras([request], () => ref, model.layers(), model.loras);
      let fed = 0;
      for (const [prefix, own] of ports) {
        const feeds = plan.feeds(prefix) ?? new Map();
        portFeeds(own, feeds);
        fed += feeds.size;
      }
      // A layer of two names would be fed once and hide a module that is not.
      if (fed !== modules) throw new Error(`${fed} of ${modules} modules are fed.`);
    };
    const bytes = fs.statSync(file).size;
    const label = loraLabel(rank, modules, bytes);
    const first = await timed(() => apply(1));
    measured.peaks[`${label}, and nothing else`] = peakBytes();
    measured.timings.push({ label: `${label}, first load`, first: null, runs: [first] });
    const changes: number[] = [];
    for (let run = 0; run < Math.max(options.runs, WEIGHTS.length); run++)
      changes.push(await timed(() => apply(WEIGHTS[run % WEIGHTS.length] as number)));
    measured.timings.push({ label: `${label}, another weight`, first: null, runs: changes });
    model.loras.clear();
  }
  return measured;
}
