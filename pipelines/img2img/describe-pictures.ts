import type { InfotextField } from '../../images/infotext.ts';
import { pythonFloat } from '../../images/python-format.ts';
import type { InfotextDetails } from '../generation-info.ts';
import type { Img2ImgJob, SoftInpainting } from '../job.ts';
import type { Model } from '../model/model.ts';
import type { PreparedPictures } from './prepare-pictures.ts';

/** Returns what img2img adds to an infotext, in the web UI's order and words. */
export function describePictures(
  job: Img2ImgJob,
  model: Model,
  { mask }: PreparedPictures,
): InfotextDetails {
  const { variant } = model.config;
  const extra: InfotextField[] = [];
  if (mask !== null) {
    const { inverts, blurX, blurY, onlyMasked, padding, fill, soft } = mask.use;
    if (inverts) extra.push(['Mask mode', 'Inpaint not masked']);
    if (blurX === blurY && blurX > 0) extra.push(['Mask blur', blurX]);
    if (onlyMasked) extra.push(['Inpaint area', 'Only masked'], ['Masked area padding', padding]);
    if (fill !== 'original') extra.push(['Masked content', fill]);
    if (soft) extra.push(...describeSoft(soft));
  }
  if (job.noiseMultiplier !== 1) extra.push(['Noise multiplier', pythonFloat(job.noiseMultiplier)]);
  if (job.extraNoise > 0) extra.push(['Extra noise', pythonFloat(job.extraNoise)]);
  return {
    denoisingStrength: job.denoisingStrength,
    imageCfgScale: variant === 'instruct' ? job.imageCfgScale : null,
    conditionalMaskWeight: variant === 'inpaint' ? job.conditioningMaskWeight : null,
    extra,
  };
}

function describeSoft(soft: SoftInpainting): InfotextField[] {
  const numbers: [string, number][] = [
    ['schedule bias', soft.scheduleBias],
    ['preservation strength', soft.preservationStrength],
    ['transition contrast boost', soft.transitionContrast],
    ['mask influence', soft.maskInfluence],
    ['difference threshold', soft.differenceThreshold],
    ['difference contrast', soft.differenceContrast],
  ];
  return [
    ['Soft inpainting enabled', true],
    ...numbers.map(([name, value]) => [`Soft inpainting ${name}`, pythonFloat(value)] as const),
  ];
}
