/** One prompt of 77 tokens through every text encoder of the checkpoint. */
import type { TextEncoderConfig } from '../../networks/checkpoint/config.ts';
import type { Network } from '../../networks/session.ts';
import { TEXT_LABEL } from '../labels.ts';
import { openModel, type Subject, textFeeds } from '../subject.ts';
import { type Measured, peakBytes, timeInTurns } from '../timing.ts';

export async function measureText(options: { subject: Subject; runs: number }): Promise<Measured> {
  const model = await openModel(options.subject);
  const encoders: { network: Network; config: TextEncoderConfig }[] = [];
  for (const config of model.config.textEncoders)
    encoders.push({ network: await model.textEncoder(config), config });
  const encode = async () => {
    for (const { network, config } of encoders)
      await network.run(textFeeds(config), [`hidden.${config.layers}`, 'pooled']);
  };
  const timings = await timeInTurns({ [TEXT_LABEL]: encode }, options.runs);
  return { timings, peaks: { 'text encoders alone': peakBytes() } };
}
