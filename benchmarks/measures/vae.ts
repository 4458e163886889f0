/** A latent to a picture. */
import { CELL_PIXELS, decodeLatent } from '../../pipelines/decode.ts';
import { decodeLabel } from '../labels.ts';
import { openModel, randomLatent, type Subject } from '../subject.ts';
import { type Measured, peakBytes, type Timing, timed, timeInTurns } from '../timing.ts';

/**
 * Times the decode of one picture per size (pixels a side), the first size `runs` times after a
 * first run, each further one once.
 */
export async function measureVae(options: {
  subject: Subject;
  sizes: number[];
  runs: number;
}): Promise<Measured> {
  const model = await openModel(options.subject);
  const decode = (size: number) => {
    const latent = randomLatent(model, size / CELL_PIXELS);
    return () => decodeLatent(model, latent);
  };
  await model.decoder(false);
  const peaks: Record<string, number> = {};
  const timings: Timing[] = [];
  for (const [index, size] of options.sizes.entries()) {
    const label = decodeLabel(size);
    if (index === 0) timings.push(...(await timeInTurns({ [label]: decode(size) }, options.runs)));
    else timings.push({ label, first: null, runs: [await timed(decode(size))] });
    peaks[`${label}, alone`] = peakBytes();
  }
  return { timings, peaks };
}
