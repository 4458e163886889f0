/**
 * Synthetic Stable Diffusion checkpoints, VAEs and LoRAs in the single-file layout (LDM and sgm key
 * names, real shapes, safetensors) with seeded random weights: for timing, memory, loader and
 * parity work where no real weights may be had.
 *
 *   npx tsx benchmarks/make-checkpoint.ts --arch tiny-sd15 --out model.safetensors
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import {
  ARCHITECTURES,
  architecture,
  checkpointTensors,
  separateVaeTensors,
} from './checkpoints/architectures.ts';
import { loraTensors } from './checkpoints/kohya-lora.ts';
import type { WeightDtype } from './checkpoints/random.ts';
import type { TensorSpec } from './checkpoints/tensors.ts';
import { layOut, writeTensors } from './checkpoints/write.ts';

const DTYPES: Record<string, WeightDtype> = { f16: 'F16', bf16: 'BF16', f32: 'F32' };

const USAGE = `make-checkpoint --arch NAME --out FILE [options]

  --arch NAME        ${Object.keys(ARCHITECTURES).join(', ')}
  --seed N           base seed (1); a tensor's values depend on (seed, key, shape) alone
  --dtype T          f16 (default), bf16, f32
  --norms T          ones (default), or random: norms with random weights and biases
  --in-channels N    UNet input channels: 4 (default), 9 inpainting, 8 instruct
  --text-layers N    layers of the open_clip encoder (SD 2 files have 24 or 23)
  --v-pred           add the marker tensor of v-prediction
  --ztsnr            add the marker tensor of a zero-terminal-SNR schedule
  --no-vae           leave the VAE out
  --no-buffers       leave out schedule buffers, position_ids and logit_scale
  --only vae         write the VAE alone, as a separate VAE file
  --lora kohya       write a matching LoRA instead; --rank N (16), --alpha N (= rank),
                     --strength F (0.1), --no-te (UNet only)
  --list             print keys, shapes and dtypes; write nothing
`;

/** What to make; everything but `arch` and `out` has a default. */
export interface MakeOptions {
  arch: string;
  out: string;
  seed?: number;
  dtype?: 'f16' | 'bf16' | 'f32';
  norms?: 'ones' | 'random';
  inChannels?: number;
  textLayers?: number;
  vPred?: boolean;
  ztsnr?: boolean;
  vae?: boolean;
  buffers?: boolean;
  only?: 'vae';
  /** A LoRA for the architecture instead of a checkpoint. */
  lora?: { rank?: number; alpha?: number; strength?: number; textEncoder?: boolean };
}

/** Lists the tensors that `makeCheckpoint` would write for the same options. */
export function listTensors(options: Omit<MakeOptions, 'out'>): TensorSpec[] {
  if (options.lora) {
    const { rank = 16, alpha = rank, strength = 0.1, textEncoder = true } = options.lora;
    return loraTensors(options.arch, { rank, alpha, strength, textEncoder });
  }
  if (options.only === 'vae') return separateVaeTensors(options.arch);
  return checkpointTensors(options.arch, {
    inChannels: options.inChannels ?? 4,
    buffers: options.buffers ?? true,
    vae: options.vae ?? true,
    vPred: options.vPred ?? false,
    ztsnr: options.ztsnr ?? false,
    textLayers: options.textLayers,
  });
}

function describe(options: MakeOptions): Record<string, string> {
  const { arch, out, seed = 1, dtype = 'f16', norms = 'ones', lora } = options;
  const { inChannels = 4, textLayers, vPred = false, ztsnr = false, vae = true } = options;
  const { buffers = true, only } = options;
  // Defaults filled in, so that saying one aloud does not change the file.
  const common = { arch, seed, dtype, norms, lora };
  const parts = { inChannels, textLayers, vPred, ztsnr, vae, buffers, only };
  const synthetic = JSON.stringify(lora ? common : { ...common, ...parts });
  if (!lora) return { format: 'pt', synthetic };
  const { rank = 16, alpha = rank } = lora;
  const versions = { sd1: 'sd_v1', sd2: 'sd_v2', sdxl: 'sdxl_base_v1-0', refiner: 'sdxl_refiner' };
  return {
    ss_network_module: 'networks.lora',
    ss_network_dim: String(rank),
    ss_network_alpha: String(alpha),
    ss_base_model_version: versions[architecture(arch).family],
    ss_output_name: path.basename(out, '.safetensors'),
    synthetic,
  };
}

/**
 * Writes a synthetic file; the same options give the same bytes on every machine.
 *
 * @returns number of tensors and size of the file in bytes
 * @throws RangeError for an unknown architecture or dtype
 */
export function makeCheckpoint(options: MakeOptions): { tensors: number; bytes: number } {
  const dtype = DTYPES[options.dtype ?? 'f16'];
  if (!dtype) {
    throw new RangeError(
      `Expected one of f16, bf16, f32 for dtype but received ${options.dtype} of type string.`,
    );
  }
  const tensors = listTensors(options);
  const bytes = writeTensors(options.out, tensors, {
    dtype,
    seed: options.seed ?? 1,
    norms: options.norms ?? 'ones',
    metadata: describe(options),
  });
  return { tensors: tensors.length, bytes };
}

function readCommandLine(): { options: MakeOptions; list: boolean } | undefined {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const { values } = parseArgs({
    options: {
      ...{ arch: text, out: text, seed: text, dtype: text, norms: text, only: text },
      ...{ 'in-channels': text, 'text-layers': text, 'v-pred': flag, ztsnr: flag },
      ...{ 'no-vae': flag, 'no-buffers': flag, list: flag, help: flag },
      ...{ lora: text, rank: text, alpha: text, strength: text, 'no-te': flag },
    },
  });
  if (values.help || !values.arch || !(values.out || values.list)) return undefined;
  const number = (name: 'seed' | 'in-channels' | 'text-layers' | 'rank' | 'alpha' | 'strength') => {
    const given = values[name];
    if (given !== undefined && !Number.isFinite(Number(given))) {
      throw new RangeError(`Expected number for ${name} but received ${given} of type string.`);
    }
    return given === undefined ? undefined : Number(given);
  };
  const choice = <T extends string>(name: 'dtype' | 'norms' | 'only' | 'lora', allowed: T[]) => {
    const given = values[name];
    const found = allowed.find((value) => value === given);
    if (given !== undefined && !found) {
      throw new RangeError(
        `Expected one of ${allowed.join(', ')} for ${name} but received ${given} of type string.`,
      );
    }
    return found;
  };
  const options: MakeOptions = {
    arch: values.arch,
    out: values.out ?? '',
    seed: number('seed'),
    dtype: choice('dtype', ['f16', 'bf16', 'f32']),
    norms: choice('norms', ['ones', 'random']),
    only: choice('only', ['vae']),
    inChannels: number('in-channels'),
    textLayers: number('text-layers'),
    vPred: values['v-pred'],
    ztsnr: values.ztsnr,
    vae: !values['no-vae'],
    buffers: !values['no-buffers'],
  };
  if (choice('lora', ['kohya'])) {
    options.lora = {
      rank: number('rank'),
      alpha: number('alpha'),
      strength: number('strength'),
      textEncoder: !values['no-te'],
    };
  }
  return { options, list: values.list ?? false };
}

function main(): void {
  const command = readCommandLine();
  if (!command) {
    process.stderr.write(USAGE);
    process.exitCode = 2;
    return;
  }
  const { options, list } = command;
  if (list) {
    for (const { key, shape, dtype } of layOut(
      listTensors(options),
      DTYPES[options.dtype ?? 'f16'] ?? 'F16',
    )) {
      process.stdout.write(`${key} [${shape.join(',')}] ${dtype}\n`);
    }
    return;
  }
  const start = performance.now();
  const { tensors, bytes } = makeCheckpoint(options);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  process.stderr.write(
    `${options.out}: ${tensors} tensors, ${(bytes / 1e6).toFixed(1)} MB, ${seconds} s\n`,
  );
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    main();
  } catch (error) {
    process.stderr.write(
      `make-checkpoint: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = 2;
  }
}
