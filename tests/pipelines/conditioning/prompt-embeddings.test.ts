/** Textual inversion embeddings through real (tiny) text encoders. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLoraFile } from '../../../lora/file.ts';
import { readFloat32, readHeader } from '../../../networks/checkpoint/safetensors.ts';
import {
  type EncodedText,
  type EncodeOptions,
  encodePlan,
  refKey,
} from '../../../pipelines/conditioning/encode.ts';
import {
  candidatesIn,
  candidatesOf,
  type EmbeddingCandidate,
  preparePromptEmbeddings,
} from '../../../pipelines/conditioning/prompt-embeddings.ts';
import type { EmbeddingRef } from '../../../pipelines/job.ts';
import type { Model } from '../../../pipelines/model/model.ts';
import { planConditioning } from '../../../pipelines/prompt/conditioning-plan.ts';
import {
  type EmbeddedCheckpoint,
  PROMPT,
  recordedEmbeddings,
  recordedOutput,
} from '../../fixtures/embeddings/recorded.ts';
import { writeTensorFile } from '../../lora/write-tensors.ts';
import { fixtureCheckpoint, relativeError } from '../../networks/fixture.ts';
import { openModel } from '../tiny.ts';

const OPTIONS: EncodeOptions = {
  clipSkip: 1,
  sdxlClipLSkip: false,
  emphasis: 'Original',
  commaPaddingBacktrack: 20,
  keepsConditioning: true,
};
const CHECKPOINTS: EmbeddedCheckpoint[] = ['sd15', 'sd2', 'sdxl'];

let folder: string;
const models = new Map<EmbeddedCheckpoint, Model>();
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sdserve-embeddings-'));
  for (const name of CHECKPOINTS) models.set(name, await openModel(fixtureCheckpoint(name)));
});
afterAll(async () => {
  for (const model of models.values()) await model.release();
  rmSync(folder, { recursive: true });
});

async function encode(
  checkpoint: EmbeddedCheckpoint,
  prompt: string,
  candidates: EmbeddingCandidate[] = [],
) {
  const model = models.get(checkpoint) as Model;
  const plan = planConditioning({ prompt, negativePrompt: '', steps: 20 });
  const { textEncoders } = model.config;
  const embeddings = await preparePromptEmbeddings(candidates, plan.texts, textEncoders, OPTIONS);
  const { texts } = await encodePlan(model, plan, OPTIONS, undefined, embeddings);
  const [{ group, schedule } = plan.negative] = plan.positive;
  const text = texts.get(refKey({ group, text: schedule[0]?.text ?? 0 })) as EncodedText;
  return { ...text, embeddings };
}

const refsOf = async (checkpoint: EmbeddedCheckpoint, changes: Partial<EmbeddingRef> = {}) =>
  (await recordedEmbeddings(checkpoint)).map((ref) => ({ ...ref, ...changes }));

describe('the conditioning of the reference', () => {
  it.each(CHECKPOINTS)('of %s, whatever the case of the names', async (checkpoint) => {
    const { context, pooled, embeddings } = await encode(
      checkpoint,
      PROMPT,
      candidatesOf(await refsOf(checkpoint)),
    );
    const expected = (await recordedOutput(`${checkpoint}.context`)) as Float32Array;
    expect(relativeError(context, expected)).toBeLessThan(1e-4);
    const expectedPooled = await recordedOutput(`${checkpoint}.pooled`);
    expect(pooled === null).toBe(expectedPooled === null);
    if (pooled && expectedPooled) expect(relativeError(pooled, expectedPooled)).toBeLessThan(1e-4);
    expect(embeddings.used.map(({ name, vectors }) => [name, vectors])).toEqual([
      ['zorplex', 3],
      ['quibble quartz', 2],
      ['quibble', 1],
    ]);
    const plain = await encode(checkpoint, PROMPT);
    expect(relativeError(plain.context, expected)).toBeGreaterThan(0.01);
  });
});

describe('a prompt that names none', () => {
  it.each(CHECKPOINTS)('is bit-identical to a server without them, %s', async (checkpoint) => {
    const candidates = candidatesOf(await refsOf(checkpoint));
    const { context, pooled, embeddings } = await encode(checkpoint, 'a red fox', candidates);
    const plain = await encode(checkpoint, 'a red fox');
    expect(context).toEqual(plain.context);
    expect(pooled).toEqual(plain.pooled);
    expect([embeddings.used, embeddings.messages]).toEqual([[], []]);
  });
});

describe('an embedding that cannot be used', () => {
  it('for another base model stays text, and a message says so', async () => {
    const candidates = candidatesOf(await refsOf('sdxl'));
    const { context, embeddings } = await encode('sd15', 'a zorplex', candidates);
    expect(context).toEqual((await encode('sd15', 'a zorplex')).context);
    expect(embeddings.used).toEqual([]);
    expect(embeddings.messages).toEqual([
      expect.stringMatching(
        /^embedding "zorplex" was not applied: it is made for another base model: .* have 128 \+ 64 numbers/,
      ),
    ]);
    const back = await encode('sdxl', 'a zorplex', candidatesOf(await refsOf('sd15')));
    expect(back.embeddings.messages).toHaveLength(1);
  });

  it('by a fault that the catalogue found', async () => {
    const refs = await refsOf('sd15', { fault: 'a pickle can run code', vectors: 0 });
    const { embeddings } = await encode('sd15', 'a zorplex', candidatesOf(refs));
    expect(embeddings.messages).toEqual([
      'embedding "zorplex" was not applied: a pickle can run code',
    ]);
  });

  it('makes room for a shorter name', async () => {
    const refs = (await refsOf('sd15')).map((ref) =>
      ref.name === 'quibble quartz' ? { ...ref, fault: 'broken' } : ref,
    );
    const { embeddings } = await encode('sd15', 'quibble quartz', candidatesOf(refs));
    expect(embeddings.used.map(({ name }) => name)).toEqual(['quibble']);
    expect(embeddings.messages).toEqual(['embedding "quibble quartz" was not applied: broken']);
  });

  it('because its file is gone, changed or holds NaN', async () => {
    const path = join(folder, 'broken.safetensors');
    const width = models.get('sd15')?.config.textEncoders[0]?.width ?? 0;
    const ref = { name: 'broken', path, vectors: 1, widths: { single: width }, hash: null };
    const candidates = candidatesOf([{ ...ref, fault: null }]);
    const message = async () => (await encode('sd15', 'broken', candidates)).embeddings.messages[0];
    expect(await message()).toContain('There is no such file');
    writeTensorFile(path, { emb_params: { shape: [2, width] } });
    expect(await message()).toContain('its file changed');
    writeTensorFile(path, { emb_params: { shape: [1, width], values: [Number.NaN] } });
    expect(await message()).toContain('NaN');
  });
});

describe('an embedding in a LoRA file', () => {
  it.each(CHECKPOINTS)('works as its own file does, %s', async (checkpoint) => {
    const [ref] = await refsOf(checkpoint);
    const source = await readHeader(ref?.path ?? '');
    const tensors = [...source.tensors.values()].map((info) => {
      const name = info.name === 'emb_params' ? 'string_to_param.*' : info.name;
      return [
        `bundle_emb.zorplex.${name}`,
        { shape: info.shape, values: [...readFloat32(source, info)] },
      ] as const;
    });
    const path = writeTensorFile(join(folder, `${checkpoint}.safetensors`), {
      ...Object.fromEntries(tensors),
      'lora_unet_x.lora_up.weight': { shape: [2, 1] },
      'lora_unet_x.lora_down.weight': { shape: [1, 2] },
    });
    const bundled = candidatesIn(await readLoraFile(path), 'spo');
    const { context, embeddings } = await encode(checkpoint, 'a zorplex', bundled);
    const own = await encode(checkpoint, 'a zorplex', candidatesOf(await refsOf(checkpoint)));
    expect(context).toEqual(own.context);
    expect(embeddings.used).toEqual([{ name: 'zorplex', vectors: 3, hash: 'spo' }]);
  });
});
