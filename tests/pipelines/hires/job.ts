/** Hires jobs on tiny checkpoints, and the tools that the engine would lend them. */
import type { HiresTools } from '../../../pipelines/hires/hires-pass.ts';
import type { HiresPass, Txt2ImgJob } from '../../../pipelines/job.ts';
import { Model } from '../../../pipelines/model/model.ts';
import { UpscalerStore } from '../../../pipelines/upscaling/upscalers.ts';
import { makeJob } from '../job.ts';
import { SETTINGS, SMALL } from '../tiny.ts';

export const LATENT = { latentMode: 'Latent' } as const;

/** A second pass at 128 x 128 that is like the first one. */
export function makePass(job: Txt2ImgJob, changes: Partial<HiresPass> = {}): HiresPass {
  const { prompt, negativePrompt, sampler, scheduler, steps, cfgScale } = job;
  return {
    ...{ prompt, negativePrompt, sampler, scheduler, steps, cfgScale },
    enlarged: { width: 128, height: 128 },
    cut: { width: 0, height: 0 },
    upscaler: LATENT,
    tiles: { size: 192, overlap: 8 },
    denoisingStrength: 0.5,
    loras: [],
    embeddings: [],
    model: null,
    extraNoise: 0,
    keepsFirst: false,
    asked: { upscaler: 'Latent', steps: 0, size: 2 },
    ...changes,
  };
}

/** A small job with such a pass. */
export function makeHiresJob(
  checkpoint: string,
  changes: Partial<Txt2ImgJob> = {},
  pass: Partial<HiresPass> = {},
): Txt2ImgJob {
  const job = makeJob(checkpoint, { ...SMALL, denoisingStrength: 0.5, ...changes });
  return { ...job, hires: makePass(job, pass) };
}

/** Tools that know one model at a time, and a way to give it back. */
export function makeTools(): HiresTools & { opened: string[]; release(): Promise<void> } {
  let model: Model | null = null;
  const upscalers = new UpscalerStore(SETTINGS);
  const opened: string[] = [];
  return {
    upscalers,
    opened,
    async use(checkpoint, vae) {
      if (model?.matches(checkpoint)) return model;
      await model?.release();
      opened.push(checkpoint.name);
      model = await Model.open(checkpoint, vae, SETTINGS);
      return model;
    },
    async release() {
      await model?.release();
      await upscalers.release();
    },
  };
}
