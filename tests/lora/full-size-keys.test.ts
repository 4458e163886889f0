/** Whole key lists of full-size LoRAs, from diffusers' and transformers' modules, against our layers. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { layOut } from '../../benchmarks/checkpoints/write.ts';
import { listTensors } from '../../benchmarks/make-checkpoint.ts';
import { sortModules } from '../../lora/file.ts';
import { createLayerFinder } from '../../lora/keys.ts';
import { listLayers } from '../../lora/layers.ts';
import { matchModules } from '../../lora/match.ts';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import type { SafetensorsFile, TensorInfo } from '../../networks/checkpoint/safetensors.ts';

type Base = 'sd15' | 'sdxl';
interface Keys {
  unet: [name: string, original: string, shape: number[]][];
  text: Record<string, [name: string, shape: number[]][]>;
}
const packed = readFileSync(new URL('../fixtures/lora-keys/keys.json.gz', import.meta.url));
const KEYS: Record<Base, Keys> = JSON.parse(gunzipSync(packed).toString());
const RANK = 64;

/** A file's header without a file: names and shapes, no data. */
function headerOf(specs: readonly { key: string; shape: readonly number[] }[]): SafetensorsFile {
  const tensors = new Map<string, TensorInfo>(
    layOut(
      specs.map((spec) => ({ ...spec, fill: { kind: 'normal', mean: 0, std: 1 } as const })),
      'F16',
    ).map(({ key, shape, begin, end }) => [
      key,
      { name: key, dtype: 'F16', shape: [...shape], offset: begin, bytes: end - begin },
    ]),
  );
  const [path, metadata] = ['/nowhere/x.safetensors', new Map<string, string>()];
  return { path, tensors, metadata, bytes: 0 } as unknown as SafetensorsFile;
}

/** Every module's name in a naming, with its layer. */
function modulesOf(base: Base, naming: 'kohya' | 'diffusers blocks' | 'dotted') {
  const isSdxl = base === 'sdxl';
  const { unet, text } = KEYS[base];
  const low = (name: string) => name.replaceAll('.', '_');
  return [
    ...unet.map(([name, original, shape]) => {
      const plain = isSdxl && naming === 'kohya' ? original : name;
      const module = naming === 'dotted' ? `unet.${name}` : `lora_unet_${low(plain)}`;
      return { module, layer: original, shape };
    }),
    ...Object.entries(text).flatMap(([encoder, layers]) =>
      layers.map(([name, shape]) => {
        const te = isSdxl ? (encoder === 'text_encoder_2' ? 'te2' : 'te1') : 'te';
        const dotted = `${encoder}.text_model.${name}`;
        const module = naming === 'dotted' ? dotted : `lora_${te}_text_model_${low(name)}`;
        return { module, layer: null, shape };
      }),
    ),
  ];
}

describe.each(['sd15', 'sdxl'] as const)('a LoRA of rank 64 for all of %s', (base) => {
  const checkpoint = headerOf(listTensors({ arch: base }));
  const model = listLayers(checkpoint.tensors, detectCheckpoint(checkpoint));

  it.each(['kohya', 'diffusers blocks', 'dotted'] as const)(
    'maps completely, named by %s',
    (naming) => {
      const modules = modulesOf(base, naming);
      const [up, down] = naming === 'dotted' ? ['lora_B', 'lora_A'] : ['lora_up', 'lora_down'];
      const file = sortModules(
        headerOf(
          modules.flatMap(({ module, shape: [out = 1, inner = 1, ...kernel] }) => [
            { key: `${module}.${down}.weight`, shape: [RANK, inner, ...kernel] },
            { key: `${module}.${up}.weight`, shape: [out, RANK, ...kernel.map(() => 1)] },
            ...(naming === 'dotted' ? [] : [{ key: `${module}.alpha`, shape: [] }]),
          ]),
        ),
      );
      expect(file.unknownKeys).toEqual([]);
      // Sizes are compared, and no two modules may have one layer.
      const { matched, unmatched } = matchModules(file, createLayerFinder(model));
      expect(unmatched).toEqual([]);
      expect(matched).toHaveLength(modules.length);
      const wanted = new Map(modules.map(({ module, layer }) => [module, layer]));
      for (const { module, network, layer } of matched) {
        const name = wanted.get(module.name);
        if (name !== null) expect([network.role, layer.name]).toEqual(['unet', name]);
      }
      const projections = matched.filter(
        ({ network, layer }) =>
          network.role === 'unet' && /\.attn[12]\.to_(q|k|v|out\.0)$/.test(layer.name),
      );
      expect(projections).toHaveLength(base === 'sdxl' ? 560 : 128);
    },
  );
});
