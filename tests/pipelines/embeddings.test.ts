/** Embeddings in whole runs on a tiny checkpoint: what the answer tells of them. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EmbeddingRef, Txt2ImgJob } from '../../pipelines/job.ts';
import type { Model } from '../../pipelines/model/model.ts';
import { txt2img } from '../../pipelines/txt2img.ts';
import { recordedEmbeddings } from '../fixtures/embeddings/recorded.ts';
import { fixtureCheckpoint } from '../networks/fixture.ts';
import { makeJob, recordHooks } from './job.ts';
import { openModel } from './tiny.ts';

let model: Model;
let embeddings: EmbeddingRef[];
beforeAll(async () => {
  model = await openModel(fixtureCheckpoint('sd15'));
  embeddings = await recordedEmbeddings('sd15');
});
afterAll(() => model.release());

const run = (changes: Partial<Txt2ImgJob>) =>
  txt2img(
    makeJob(model.checkpoint.path, { steps: 1, width: 64, height: 64, embeddings, ...changes }),
    model,
    recordHooks(),
  );

it('tells the embeddings of both prompts in infotext and info', async () => {
  const { infotexts, info } = await run({ prompt: 'a Zorplex', negativePrompt: 'quibble' });
  expect(infotexts[0]).toContain('TI hashes: "zorplex: 0123456789ab, quibble: 0123456789ab"');
  expect(info.embeddings).toEqual([
    { name: 'zorplex', hash: '0123456789ab', vectors: 3 },
    { name: 'quibble', hash: '0123456789ab', vectors: 1 },
  ]);
  expect(info.extra_generation_params).toMatchObject({ 'TI hashes': expect.any(String) });
  expect(info.comments).toEqual([]);
});

it('prints no hashes when the option says so, nor for a prompt without', async () => {
  const { options } = makeJob('');
  const quiet = await run({
    prompt: 'zorplex',
    options: { ...options, addEmbeddingHashes: false },
  });
  expect(quiet.infotexts[0]).not.toContain('TI hashes');
  expect((await run({ prompt: 'fox' })).infotexts[0]).not.toContain('TI hashes');
});

it('tells of one that could not be used', async () => {
  const faulty = embeddings.map((ref) => ({ ...ref, fault: 'broken' }));
  const { info } = await run({ prompt: 'zorplex', embeddings: faulty });
  expect(info.comments).toEqual(['embedding "zorplex" was not applied: broken']);
});
