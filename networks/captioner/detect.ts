import { CheckpointError } from '../checkpoint/errors.ts';
import type { SafetensorsFile } from '../checkpoint/safetensors.ts';
import { checkTensors, type ExpectedTensors, hasTensor, shapeOf } from '../checkpoint/shapes.ts';
import { type CaptionerConfig, HEAD, TEXT, VISION } from './config.ts';

/** Channels of a head, in every published size of the model. */
const HEAD_WIDTH = 64;
/** Tokens of a picture: 48 patches each way. Published models have 24. */
const MAX_PATCHES = 48 * 48;

/**
 * Reads the structure of a BLIP captioning model (Li et al. 2022) in Hugging Face's layout from tensor
 * names and shapes, and checks that all of it is there.
 *
 * @throws CheckpointError NOT_A_CAPTIONER, CAPTIONER_INCOMPLETE, SHAPE_CONTRADICTION, QUANTIZED or
 *   DTYPE_UNSUPPORTED, with file and tensor
 */
export function detectCaptioner(file: SafetensorsFile): CaptionerConfig {
  const patches = `${VISION}.embeddings.patch_embedding.weight`;
  const words = `${TEXT}.embeddings.word_embeddings.weight`;
  if (!hasTensor(file, patches) || !hasTensor(file, words)) {
    throw new CheckpointError(
      'NOT_A_CAPTIONER',
      file.path,
      'Expected a BLIP captioning model in the layout of Hugging Face.',
    );
  }
  const [width = 0, , patch = 0] = shapeOf(file, patches, 4, 'CAPTIONER_INCOMPLETE');
  const position = `${VISION}.embeddings.position_embedding`;
  const [, count = 0] = shapeOf(file, position, 3, 'CAPTIONER_INCOMPLETE');
  const across = Math.sqrt(count - 1);
  const [tokens = 0, textWidth = 0] = shapeOf(file, words, 2, 'CAPTIONER_INCOMPLETE');
  const places = `${TEXT}.embeddings.position_embeddings.weight`;
  const [positions = 0] = shapeOf(file, places, 2, 'CAPTIONER_INCOMPLETE');
  const isSound =
    Number.isInteger(across) &&
    across >= 1 &&
    across ** 2 <= MAX_PATCHES &&
    [width, textWidth].every((side) => side > 0 && side % HEAD_WIDTH === 0);
  if (!isSound) {
    throw new CheckpointError(
      'SHAPE_CONTRADICTION',
      file.path,
      `Expected a square of patches and widths of a multiple of ${HEAD_WIDTH} but the shapes say ` +
        `${count - 1} patches and widths of ${width} and ${textWidth}.`,
      position,
    );
  }
  const own = `${HEAD}.decoder.weight`;
  const config: CaptionerConfig = {
    vision: {
      width,
      layers: countLayers(file, `${VISION}.encoder.layers.`),
      heads: width / HEAD_WIDTH,
      side: across * patch,
    },
    text: {
      width: textWidth,
      layers: countLayers(file, `${TEXT}.encoder.layer.`),
      heads: textWidth / HEAD_WIDTH,
      tokens,
      positions,
      head: hasTensor(file, own) ? own : words,
      headBias: hasTensor(file, `${HEAD}.decoder.bias`) ? `${HEAD}.decoder.bias` : `${HEAD}.bias`,
    },
  };
  const all = expectTensors(file, config, patch);
  checkTensors(file, all, 'CAPTIONER_INCOMPLETE', 'the captioning model');
  return config;
}

/** One more than the highest number that follows a prefix. */
function countLayers(file: SafetensorsFile, prefix: string): number {
  const numbers = [...file.tensors.keys()].flatMap((name) =>
    name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : [],
  );
  return numbers.reduce((most, number) => Math.max(most, number + 1), 0);
}

function expectTensors(
  file: SafetensorsFile,
  { vision, text }: CaptionerConfig,
  patch: number,
): ExpectedTensors {
  const expected: ExpectedTensors = new Map();
  const layer = (name: string, out: number, inner?: number) => {
    expected.set(`${name}.weight`, inner === undefined ? [out] : [out, inner]);
    expected.set(`${name}.bias`, [out]);
  };
  const rowsOf = (name: string) => file.tensors.get(`${name}.weight`)?.shape[0] ?? 0;
  const mlp = (first: string, second: string, width: number) => {
    const wide = rowsOf(first);
    layer(first, wide, width);
    layer(second, width, wide);
  };
  const patches = (vision.side / patch) ** 2;
  expected.set(`${VISION}.embeddings.class_embedding`, [1, 1, vision.width]);
  expected.set(`${VISION}.embeddings.position_embedding`, [1, patches + 1, vision.width]);
  expected.set(`${VISION}.embeddings.patch_embedding.weight`, [vision.width, 3, patch, patch]);
  expected.set(`${VISION}.embeddings.patch_embedding.bias`, [vision.width]);
  for (let n = 0; n < vision.layers; n++) {
    const block = `${VISION}.encoder.layers.${n}`;
    layer(`${block}.layer_norm1`, vision.width);
    layer(`${block}.layer_norm2`, vision.width);
    layer(`${block}.self_attn.qkv`, 3 * vision.width, vision.width);
    layer(`${block}.self_attn.projection`, vision.width, vision.width);
    mlp(`${block}.mlp.fc1`, `${block}.mlp.fc2`, vision.width);
  }
  layer(`${VISION}.post_layernorm`, vision.width);
  layer(`${TEXT}.embeddings.LayerNorm`, text.width);
  expected.set(`${TEXT}.embeddings.position_embeddings.weight`, [text.positions, text.width]);
  for (let n = 0; n < text.layers; n++) {
    const block = `${TEXT}.encoder.layer.${n}`;
    for (const [part, inner] of [
      ['attention', text.width],
      ['crossattention', vision.width],
    ] as const) {
      layer(`${block}.${part}.self.query`, text.width, text.width);
      layer(`${block}.${part}.self.key`, text.width, inner);
      layer(`${block}.${part}.self.value`, text.width, inner);
      layer(`${block}.${part}.output.dense`, text.width, text.width);
      layer(`${block}.${part}.output.LayerNorm`, text.width);
    }
    mlp(`${block}.intermediate.dense`, `${block}.output.dense`, text.width);
    layer(`${block}.output.LayerNorm`, text.width);
  }
  layer(`${HEAD}.transform.dense`, text.width, text.width);
  layer(`${HEAD}.transform.LayerNorm`, text.width);
  expected.set(text.head, [text.tokens, text.width]);
  expected.set(text.headBias, [text.tokens]);
  return expected;
}
