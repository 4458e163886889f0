/** A job with the API's defaults, for tests to change. */
import type { JobHooks, ModelFile, Txt2ImgJob } from '../../pipelines/job.ts';

export function makeJob(checkpoint: string, changes: Partial<Txt2ImgJob> = {}): Txt2ImgJob {
  const file: ModelFile = { path: checkpoint, name: 'tiny', hash: null };
  return {
    kind: 'txt2img',
    hires: null,
    checkpoint: file,
    vae: null,
    prompt: '',
    negativePrompt: '',
    loras: [],
    embeddings: [],
    appliesNetworks: true,
    styles: [],
    seed: 0,
    subseed: 0,
    subseedStrength: 0,
    seedResizeFromW: 0,
    seedResizeFromH: 0,
    refiner: null,
    sampler: 'Euler',
    scheduler: 'Automatic',
    steps: 20,
    cfgScale: 7,
    width: 128,
    height: 128,
    batchSize: 1,
    nIter: 1,
    eta: null,
    tiling: false,
    restoreFaces: false,
    denoisingStrength: null,
    grid: false,
    output: { format: 'png', quality: 80, writeInfotext: true },
    options: {
      noiseSource: 'NV',
      noiseName: 'GPU',
      clipSkip: 1,
      sdxlClipLSkip: false,
      emphasis: 'Original',
      commaPaddingBacktrack: 20,
      etaNoiseSeedDelta: 0,
      etaAncestral: 1,
      etaDdim: 0,
      sChurn: 0,
      sTmin: 0,
      sTmax: 0,
      sNoise: 1,
      sMinUncond: 0,
      sMinUncondAll: false,
      skipEarlyCond: 0,
      cfgRescale: 0,
      sigmaMin: 0,
      sigmaMax: 0,
      rho: 0,
      useOldKarrasSigmas: false,
      betaAlpha: 0.6,
      betaBeta: 0.6,
      noiseSchedule: 'Default',
      downcastsAlphas: false,
      quantizesTimesteps: false,
      uniPc: { variant: 'bh1', skipType: 'time_uniform', order: 3, lowerOrderFinal: true },
      useOldScheduling: false,
      alwaysDiscardNextToLastSigma: false,
      sgmNoiseMultiplier: false,
      keepsConditioning: true,
      padCondUncond: false,
      padCondUncondV0: false,
      batchCondUncond: true,
      tokenMergingRatio: 0,
      tokenMergingRatioHr: 0,
      hyperTile: {
        unet: { isEnabled: false, inSecondPass: false, maxDepth: 3, maxTile: 256, swapSize: 3 },
        vae: { isEnabled: false, maxDepth: 3, maxTile: 128, swapSize: 3 },
      },
      sdxlCropTop: 0,
      sdxlCropLeft: 0,
      sdxlRefinerLowAestheticScore: 2.5,
      sdxlRefinerHighAestheticScore: 6,
      previewEverySteps: 0,
      previewContent: 'Prompt',
      addModelName: true,
      addModelHash: true,
      addVaeName: true,
      addVaeHash: true,
      addVersion: true,
      addLoraHashes: true,
      addEmbeddingHashes: true,
      addBundledEmbeddings: true,
    },
    comments: [],
    ...changes,
  };
}

/** Hooks that note what they are told. */
export function recordHooks(): JobHooks & { steps: number[]; previews: number; logs: string[] } {
  const hooks = {
    control: { interrupted: false, skipped: false },
    steps: [] as number[],
    previews: 0,
    logs: [] as string[],
    onProgress: (progress: { samplingStep: number }) => {
      hooks.steps.push(progress.samplingStep);
    },
    onPreview: () => {
      hooks.previews++;
    },
    onLog: (message: string) => {
      hooks.logs.push(message);
    },
  };
  return hooks;
}
