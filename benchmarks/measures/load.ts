/** A fresh process's way to its first picture: all sessions, then one run of each. */
import { CELL_PIXELS, decodeLatent } from '../../pipelines/decode.ts';
import { LOAD_LABEL, pictureLabel } from '../labels.ts';
import { openModel, randomLatent, type Subject, textFeeds, unetFeeds } from '../subject.ts';
import { type Measured, peakBytes, type Timing, timed } from '../timing.ts';

/**
 * Times what makes a checkpoint ready (text encoders, UNet, VAE decoder) and, with all of them in
 * memory, one run of each with cond and uncond in one batch: the memory of a picture.
 *
 * @param size  pixels a side
 */
export async function measureLoad(options: { subject: Subject; size: number }): Promise<Measured> {
  const { size, subject } = options;
  const single = (label: string, seconds: number): Timing => ({
    label,
    first: null,
    runs: [seconds],
  });
  const start = performance.now();
  const model = await openModel(subject);
  const texts = model.config.textEncoders;
  const timings = [
    single(
      'load, text encoders',
      await timed(async () => {
        for (const config of texts) await model.textEncoder(config);
      }),
    ),
    single('load, UNet', await timed(() => model.unet(false))),
    single('load, VAE decoder', await timed(() => model.decoder(false))),
    single(LOAD_LABEL, (performance.now() - start) / 1000),
  ];
  const peaks: Record<string, number> = { [LOAD_LABEL]: peakBytes() };
  for (const config of texts)
    await (await model.textEncoder(config)).run(textFeeds(config), ['pooled']);
  const cells = size / CELL_PIXELS;
  const feeds = unetFeeds(model.config.unet, { batch: 2, height: cells, width: cells });
  await (await model.unet(false)).run(feeds, ['out']);
  peaks['all networks loaded, text encoded, UNet run with cond and uncond'] = peakBytes();
  await decodeLatent(model, randomLatent(model, cells));
  peaks[pictureLabel(size)] = peakBytes();
  return { timings, peaks };
}
