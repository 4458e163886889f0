import type { InfotextField } from '../../images/infotext.ts';
import { pythonFloat } from '../../images/python-format.ts';
import { type InfotextDetails, scheduleLabel } from '../generation-info.ts';
import type { Txt2ImgJob } from '../job.ts';

/** Returns what a hires fix adds to an infotext, in the web UI's order and words; nothing without one. */
export function describeHires(job: Txt2ImgJob): InfotextDetails | undefined {
  const { hires } = job;
  if (hires === null) return undefined;
  const { asked, model } = hires;
  const extra: InfotextField[] = [];
  if (model !== null) {
    const { name, hash } = model.checkpoint;
    extra.push(['Hires checkpoint', hash === null ? name : `${name} [${hash}]`]);
  }
  if (hires.sampler !== job.sampler) extra.push(['Hires sampler', hires.sampler]);
  if (hires.prompt !== job.prompt) extra.push(['Hires prompt', hires.prompt]);
  if (hires.negativePrompt !== job.negativePrompt)
    extra.push(['Hires negative prompt', hires.negativePrompt]);
  const label = scheduleLabel(hires);
  if (label !== scheduleLabel(job)) extra.push(['Hires schedule type', label]);
  if (hires.cfgScale !== job.cfgScale) extra.push(['Hires CFG Scale', pythonFloat(hires.cfgScale)]);
  extra.push(
    typeof asked.size === 'number'
      ? ['Hires upscale', pythonFloat(asked.size)]
      : ['Hires resize', `${asked.size.x}x${asked.size.y}`],
  );
  if (asked.steps !== 0) extra.push(['Hires steps', asked.steps]);
  if (asked.upscaler !== null) extra.push(['Hires upscaler', asked.upscaler]);
  if (job.refiner && job.refiner.switchAt < 1 && job.refiner.pass !== 'second pass')
    extra.push(['Hires refiner', job.refiner.pass]);
  const { tokenMergingRatioHr } = job.options;
  const { denoisingStrength } = hires;
  return { denoisingStrength, tokenMergingRatioHr, hasSecondPass: true, extra };
}
