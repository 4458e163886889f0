/** Entry of a child process: takes one measurement, so that its peak of memory is its own. */
import { measureCeiling } from './measures/ceiling.ts';
import { countFlops } from './measures/flops.ts';
import { measureLoad } from './measures/load.ts';
import { measureLora } from './measures/lora.ts';
import { measureText } from './measures/text.ts';
import { measureUnet } from './measures/unet.ts';
import { measureVae } from './measures/vae.ts';

const MEASURES = {
  ceiling: measureCeiling,
  flops: countFlops,
  load: measureLoad,
  lora: measureLora,
  text: measureText,
  unet: measureUnet,
  vae: measureVae,
};
export type Measures = typeof MEASURES;

/** What the parent sends, once. */
export type Request = {
  [Name in keyof Measures]: { name: Name; options: Parameters<Measures[Name]>[0] };
}[keyof Measures];

process.once('message', async ({ name, options }: Request) => {
  const measure = MEASURES[name] as (options: unknown) => Promise<unknown>;
  const result = await measure(options);
  process.send?.(result, () => process.disconnect());
});
