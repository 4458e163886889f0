/** A txt2img job as the HTTP side would send it, for tests of the engine process. */
import type { Txt2ImgJob } from '../../pipelines/job.ts';
import { makeJob } from '../pipelines/job.ts';

/** Makes a job of 3 steps at 64 x 64; `changes` replace its members. */
export function createJob(changes: Partial<Txt2ImgJob> = {}): Txt2ImgJob {
  return {
    kind: 'txt2img',
    hires: null,
    checkpoint: { path: '/models/tiny.safetensors', name: 'tiny', hash: '0123456789' },
    vae: null,
    prompt: '',
    negativePrompt: '',
    loras: [],
    embeddings: [],
    appliesNetworks: true,
    styles: [],
    seed: 1,
    subseed: 2,
    subseedStrength: 0,
    seedResizeFromW: 0,
    seedResizeFromH: 0,
    refiner: null,
    sampler: 'Euler',
    scheduler: 'Automatic',
    steps: 3,
    cfgScale: 7,
    width: 64,
    height: 64,
    batchSize: 1,
    nIter: 1,
    eta: null,
    tiling: false,
    restoreFaces: false,
    denoisingStrength: null,
    grid: false,
    output: { format: 'png', quality: 80, writeInfotext: true },
    options: { ...makeJob('').options, previewEverySteps: 1 },
    comments: [],
    ...changes,
  };
}
