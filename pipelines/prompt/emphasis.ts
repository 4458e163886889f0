import type { JobOptions } from '../job.ts';
import { CHUNK_LENGTH } from './chunks.ts';

/** How the weights of a prompt change its encoding (the option `emphasis`). */
export type Emphasis = JobOptions['emphasis'];

/** One chunk of each text that was encoded together. */
export interface EncodedChunk {
  /** Output of a text encoder; f32 [texts, 77, width]. */
  encoded: Float32Array;
  /** Factor per token; f32 [texts, 77]. */
  weights: Float32Array;
  /** Numbers per token: 768, 1024 or 1280, or a tiny model's. */
  width: number;
  /** How often each text counts in the mean; absent: once. */
  counts?: readonly number[];
}

/**
 * Applies the attention weights to one chunk of encoded texts, in place.
 *
 * 'No norm' multiplies each token's vector by its weight. 'Original' then scales the whole tensor
 * so that its mean is what it was before. 'Ignore' and 'None' change nothing. The mean goes over
 * all texts of the call: the web UI encodes the texts of one prompt's schedule together, a text
 * that the schedule repeats as often as it stands there (`counts`).
 *
 * @param chunk  `encoded` is changed in place; call once per chunk and per encoder
 */
export function applyEmphasis(chunk: EncodedChunk, emphasis: Emphasis): void {
  if (emphasis === 'Ignore' || emphasis === 'None') return;
  if (chunk.weights.every((weight) => weight === 1)) return;
  const { encoded, weights, width } = chunk;
  const before = sumOf(chunk);
  for (let token = 0; token < weights.length; token++) {
    scale(encoded.subarray(token * width, (token + 1) * width), weights[token]!);
  }
  if (emphasis === 'No norm') return;
  const after = sumOf(chunk);
  // Both sums run over as many numbers, so their ratio is that of the means.
  if (after !== 0 && Number.isFinite(before / after)) scale(encoded, before / after);
}

/** Sum over all texts, each as often as it counts; in float64. */
function sumOf({ encoded, width, counts }: EncodedChunk): number {
  const perText = CHUNK_LENGTH * width;
  let total = 0;
  for (let text = 0; text * perText < encoded.length; text++) {
    let sum = 0;
    for (const value of encoded.subarray(text * perText, (text + 1) * perText)) sum += value;
    total += sum * (counts?.[text] ?? 1);
  }
  return total;
}

function scale(values: Float32Array, factor: number): void {
  const rounded = Math.fround(factor);
  for (let i = 0; i < values.length; i++) values[i]! *= rounded;
}
