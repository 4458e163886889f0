/** UNet evaluations, with and without a LoRA on every attention layer. */
import { CELL_PIXELS } from '../../pipelines/decode.ts';
import { unetLabel } from '../labels.ts';
import { attentionLora, openModel, type Subject, unetFeeds } from '../subject.ts';
import { type Measured, peakBytes, timeInTurns } from '../timing.ts';

/**
 * Times one evaluation per batch size, then one of the first batch size per LoRA rank.
 *
 * @param size  pixels a side
 */
export async function measureUnet(options: {
  subject: Subject;
  size: number;
  batches: number[];
  ranks: number[];
  runs: number;
}): Promise<Measured> {
  const { size, batches, ranks } = options;
  const model = await openModel(options.subject);
  const unet = await model.unet(false);
  const [height, width] = [size / CELL_PIXELS, size / CELL_PIXELS];
  const variants: Record<string, () => Promise<unknown>> = {};
  for (const batch of batches) {
    const feeds = unetFeeds(model.config.unet, { batch, height, width });
    variants[unetLabel(batch, size)] = () => unet.run(feeds, ['out']);
  }
  const batch = batches[0] ?? 1;
  const feeds = unetFeeds(model.config.unet, { batch, height, width });
  for (const rank of ranks) {
    const lora = attentionLora(unet.ports, rank);
    variants[unetLabel(batch, size, rank)] = () => unet.run(feeds, ['out'], lora);
  }
  const peaks: Record<string, number> = {};
  const timings = await timeInTurns(variants, options.runs, (label) => {
    peaks[`${label}, alone`] = peakBytes();
  });
  return { timings, peaks };
}
