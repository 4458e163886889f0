/** The engine's work: one model in memory, one job at a time. */
import { caption } from './captioning/caption.ts';
import type { HiresTools } from './hires/hires-pass.ts';
import { img2img } from './img2img/img2img.ts';
import type {
  EngineSettings,
  GenerationJob,
  JobHooks,
  JobResult,
  ModelFile,
  Runner,
} from './job.ts';
import { Model } from './model/model.ts';
import { txt2img } from './txt2img.ts';
import { upscale } from './upscaling/upscale.ts';
import { UpscalerStore } from './upscaling/upscalers.ts';

function draw(
  job: GenerationJob,
  model: Model,
  hooks: JobHooks,
  tools: HiresTools,
): Promise<JobResult> {
  return job.kind === 'txt2img'
    ? txt2img(job, model, hooks, tools)
    : img2img(job, model, hooks, tools.upscalers);
}

/** Returns the runner of an engine process. No model is loaded yet. */
export function createRunner(settings: EngineSettings): Runner {
  let model: Model | null = null;
  const upscalers = new UpscalerStore(settings);

  async function use(checkpoint: ModelFile, vae: ModelFile | null): Promise<Model> {
    if (model?.matches(checkpoint)) {
      await model.useVae(vae);
      return model;
    }
    await releaseModel();
    model = await Model.open(checkpoint, vae, settings);
    return model;
  }

  async function releaseModel(): Promise<void> {
    const old = model;
    model = null;
    await old?.release();
  }

  return {
    async run(job, hooks) {
      if (job.kind === 'upscale') {
        if (settings.memoryMode !== 'normal') await releaseModel();
        return upscale(job, upscalers, hooks).finally(() => upscalers.refuseOverwritten());
      }
      if (job.kind === 'caption') {
        if (settings.memoryMode !== 'normal') await releaseModel();
        return caption(job, settings, hooks);
      }
      const ready = await use(job.checkpoint, job.vae);
      // Whatever came of it: a picture of mixed weights, or the error that they led to.
      return draw(job, ready, hooks, { upscalers, use }).finally(async () => {
        upscalers.refuseOverwritten();
        model?.refuseOverwritten();
        if (settings.memoryMode !== 'normal') await upscalers.release();
      });
    },
    async load(checkpoint, vae) {
      const ready = await use(checkpoint, vae);
      await ready.unet(false);
    },
    async unload() {
      await upscalers.release();
      await releaseModel();
    },
    memory() {
      const { rss, arrayBuffers } = process.memoryUsage();
      return { rss, arrayBuffers };
    },
  };
}
