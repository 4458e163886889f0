import { describe, expect, it } from 'vitest';
import type { JobOptions, Txt2ImgJob } from '../../pipelines/job.ts';
import { samplingFields } from '../../pipelines/sampling-fields.ts';
import { makeJob } from './job.ts';

function fieldsOf(options: Partial<JobOptions>, changes: Partial<Txt2ImgJob> = {}) {
  const job = makeJob('tiny', changes);
  return samplingFields({ ...job, options: { ...job.options, ...options } });
}

describe('pairs of the infotext about sampling', () => {
  it('there are none for a usual job', () => {
    for (const sampler of ['Euler', 'Euler a', 'UniPC', 'DDIM', 'DPM2', 'LCM'])
      expect(fieldsOf({}, { sampler })).toEqual([]);
  });

  it.each<[Partial<JobOptions>, [string, unknown][]]>([
    [{ sMinUncond: 4 }, [['NGMS', '4.0']]],
    [
      { sMinUncond: 4, sMinUncondAll: true },
      [
        ['NGMS', '4.0'],
        ['NGMS all steps', true],
      ],
    ],
    [{ sMinUncondAll: true }, []],
    [{ skipEarlyCond: 0.2 }, [['Skip Early CFG', '0.2']]],
    [{ cfgRescale: 0.7 }, [['CFG Rescale', '0.7']]],
    [
      { sigmaMin: 0.1, sigmaMax: 10, rho: 5 },
      [
        ['Schedule min sigma', '0.1'],
        ['Schedule max sigma', '10.0'],
        ['Schedule rho', '5.0'],
      ],
    ],
    [{ sgmNoiseMultiplier: true }, [['SGM noise multiplier', true]]],
    [{ alwaysDiscardNextToLastSigma: true }, [['Discard penultimate sigma', true]]],
    [{ noiseSchedule: 'Zero Terminal SNR' }, [['Noise Schedule', 'Zero Terminal SNR']]],
    [{ downcastsAlphas: true }, [['Downcast alphas_cumprod', true]]],
    [{ padCondUncond: true }, [['Pad conds', true]]],
    [{ padCondUncond: true, padCondUncondV0: true }, [['Pad conds v0', true]]],
    [
      { sChurn: 2, sNoise: 1.1 },
      [
        ['Sigma churn', '2.0'],
        ['Sigma noise', '1.1'],
      ],
    ],
  ])('%j', (options, expected) => {
    expect(fieldsOf(options)).toEqual(expected);
  });

  it('the Beta scheduler always tells its shape', () => {
    expect(fieldsOf({}, { scheduler: 'Beta' })).toEqual([
      ['Beta schedule alpha', '0.6'],
      ['Beta schedule beta', '0.6'],
    ]);
    expect(fieldsOf({ betaAlpha: 1 }, { scheduler: 'Karras' })).toEqual([]);
  });

  it('what a sampler does in any case is not told', () => {
    expect(fieldsOf({ alwaysDiscardNextToLastSigma: true }, { sampler: 'DPM2 a' })).toEqual([]);
  });

  it('options that do not reach the sampler are not told', () => {
    const options = { sigmaMin: 0.1, sgmNoiseMultiplier: true, sChurn: 2 };
    expect(fieldsOf(options, { sampler: 'DDIM' })).toEqual([]);
    expect(fieldsOf({ sChurn: 2, sNoise: 1.1 }, { sampler: 'DPM++ SDE' })).toEqual([
      ['Sigma noise', '1.1'],
    ]);
  });

  it('UniPC tells what differs', () => {
    const uniPc = {
      variant: 'bh2',
      skipType: 'logSNR',
      order: 2,
      lowerOrderFinal: false,
    } as const;
    expect(fieldsOf({ uniPc }, { sampler: 'UniPC' })).toEqual([
      ['UniPC variant', 'bh2'],
      ['UniPC skip type', 'logSNR'],
      ['UniPC order', '2'],
      ['UniPC lower order final', false],
    ]);
    expect(fieldsOf({ uniPc })).toEqual([]);
  });

  it('old scheduling is told where it reads a prompt otherwise', () => {
    const old = { useOldScheduling: true };
    expect(fieldsOf(old, { prompt: '[a:b:0.5]' })).toEqual([]);
    const told = [['Old prompt editing timelines', true]];
    expect(fieldsOf(old, { prompt: '[a:b:1.0]' })).toEqual(told);
    expect(fieldsOf(old, { negativePrompt: '[a:b:1.5]' })).toEqual(told);
  });
});
