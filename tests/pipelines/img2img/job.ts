/** An img2img job with the API's defaults, and pictures for it. */
import { encodeImage } from '../../../images/encode.ts';
import type { Img2ImgJob, MaskUse } from '../../../pipelines/job.ts';
import { makeJob } from '../job.ts';

/** A picture whose pixels all differ from their neighbours, as PNG. */
export async function makePicture(width = 64, height = 64, shift = 0): Promise<Uint8Array> {
  const rgb = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => (i * 7 + Math.floor(i / (3 * width)) * 13 + shift) % 256,
  );
  return encodeImage({ width, height, rgb }, { format: 'png', quality: 80 }, null);
}

/** A mask that is white inside a box and black outside, as PNG. */
export async function makeMask(
  width: number,
  height: number,
  [x1, y1, x2, y2]: readonly [number, number, number, number],
): Promise<Uint8Array> {
  const rgb = new Uint8Array(width * height * 3);
  for (let y = y1; y < y2; y++) rgb.fill(255, (y * width + x1) * 3, (y * width + x2) * 3);
  return encodeImage({ width, height, rgb }, { format: 'png', quality: 80 }, null);
}

export function makeMaskUse(image: Uint8Array, changes: Partial<MaskUse> = {}): MaskUse {
  return {
    image,
    latentImage: null,
    inverts: false,
    rounds: true,
    blurX: 0,
    blurY: 0,
    fill: 'original',
    onlyMasked: false,
    padding: 0,
    overlays: true,
    returnsMask: false,
    returnsComposite: false,
    soft: null,
    ...changes,
  };
}

export function makeImg2ImgJob(
  checkpoint: string,
  initImages: readonly Uint8Array[],
  changes: Partial<Img2ImgJob> = {},
): Img2ImgJob {
  return {
    ...makeJob(checkpoint, { width: 64, height: 64, steps: 4 }),
    kind: 'img2img',
    denoisingStrength: 0.75,
    initImages,
    resizeMode: 0,
    upscaler: null,
    exactSteps: false,
    noiseMultiplier: 1,
    extraNoise: 0,
    background: [255, 255, 255],
    correctsColors: false,
    conditioningMaskWeight: 1,
    imageCfgScale: null,
    mask: null,
    ...changes,
  };
}
