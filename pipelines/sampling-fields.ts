import type { InfotextField } from '../images/infotext.ts';
import { pythonFloat } from '../images/python-format.ts';
import type { DrawJob } from './job.ts';
import { scheduleText } from './prompt/schedule.ts';
import { findSampler, findScheduler, type SamplerEntry } from './samplers/catalogue.ts';
import { planSteps } from './sampling/plan.ts';

/**
 * Returns the infotext's pairs for what a job's sampler and schedule do that is not usual, in the
 * words of the web UI. An option that does not reach the job's sampler has no pair.
 */
export function samplingFields(job: DrawJob): InfotextField[] {
  const entry = findSampler(job.sampler);
  if (entry === null) return [];
  return [
    ...modelFields(job),
    ...(entry.family === 'sigma' ? scheduleFields(job, entry) : []),
    ...discardField(job, entry),
    ...samplerFields(job, entry),
    ...guidanceFields(job),
  ];
}

/** A pair unless the value is the usual one; numbers print as Python's floats. */
function pair(key: string, value: number | string | boolean, usual: unknown): InfotextField[] {
  if (value === usual) return [];
  return [[key, typeof value === 'number' ? pythonFloat(value) : value]];
}

function modelFields({ options, ...job }: DrawJob): InfotextField[] {
  const fields: InfotextField[] = [];
  if (options.useOldScheduling) {
    const { totalCalls: steps } = planSteps({ ...job, ...options });
    const isRead = [job.prompt, job.negativePrompt].some((prompt) => {
      const [now, old] = [false, true].map((useOldScheduling) =>
        JSON.stringify(scheduleText(prompt, { steps, useOldScheduling })),
      );
      return now !== old;
    });
    if (isRead) fields.push(['Old prompt editing timelines', true]);
  }
  fields.push(...pair('Downcast alphas_cumprod', options.downcastsAlphas, false));
  fields.push(...pair('Noise Schedule', options.noiseSchedule, 'Default'));
  return fields;
}

function scheduleFields({ options, scheduler }: DrawJob, entry: SamplerEntry): InfotextField[] {
  const asked = findScheduler(scheduler)?.name ?? 'automatic';
  const name = asked === 'automatic' ? entry.options.scheduler : asked;
  return [
    ...(name === 'beta'
      ? ([
          ['Beta schedule alpha', pythonFloat(options.betaAlpha)],
          ['Beta schedule beta', pythonFloat(options.betaBeta)],
        ] satisfies InfotextField[])
      : []),
    ...pair('Schedule min sigma', options.sigmaMin, 0),
    ...pair('Schedule max sigma', options.sigmaMax, 0),
    ...pair('Schedule rho', options.rho, 0),
    ...pair('SGM noise multiplier', options.sgmNoiseMultiplier, false),
  ];
}

/** Samplers that discard the level in any case do not say so. */
function discardField({ options }: DrawJob, entry: SamplerEntry): InfotextField[] {
  const always = 'discard_next_to_last_sigma' in entry.options;
  return always
    ? []
    : pair('Discard penultimate sigma', options.alwaysDiscardNextToLastSigma, false);
}

function samplerFields({ options, eta }: DrawJob, entry: SamplerEntry): InfotextField[] {
  const fields: InfotextField[] = [];
  if (entry.takes.includes('eta')) {
    if (entry.family === 'timestep') fields.push(...pair('Eta DDIM', eta ?? options.etaDdim, 0));
    else fields.push(...pair('Eta', eta ?? options.etaAncestral, 1));
  }
  if (entry.takes.includes('churn')) {
    fields.push(
      ...pair('Sigma churn', options.sChurn, 0),
      ...pair('Sigma tmin', options.sTmin, 0),
      ...pair('Sigma tmax', options.sTmax, 0),
    );
  }
  if (entry.takes.includes('churn') || entry.takes.includes('noise'))
    fields.push(...pair('Sigma noise', options.sNoise, 1));
  if (entry.name === 'UniPC') {
    // The web UI's options read these pairs back: without them the picture cannot be made again.
    const { variant, skipType, order, lowerOrderFinal } = options.uniPc;
    fields.push(
      ...pair('UniPC variant', variant, 'bh1'),
      ...pair('UniPC skip type', skipType, 'time_uniform'),
      ...pair('UniPC order', String(order), '3'),
      ...pair('UniPC lower order final', lowerOrderFinal, true),
    );
  }
  return fields;
}

/** A refiner that no call reaches is not told; nor is one that is the checkpoint itself. */
export function refinerFields({ refiner, checkpoint }: DrawJob): InfotextField[] {
  if (refiner === null || refiner.switchAt >= 1) return [];
  const { path, name, hash } = refiner.checkpoint;
  if (path === checkpoint.path) return [];
  return [
    ...(refiner.bySteps ? pair('Refiner switch by sampling steps', true, false) : []),
    ['Refiner', hash === null ? name : `${name} [${hash}]`],
    ['Refiner switch at', pythonFloat(refiner.switchAt)],
  ];
}

function guidanceFields({ options }: DrawJob): InfotextField[] {
  return [
    ...pair('Skip Early CFG', options.skipEarlyCond, 0),
    ...pair('NGMS', options.sMinUncond, 0),
    ...(options.sMinUncond === 0 ? [] : pair('NGMS all steps', options.sMinUncondAll, false)),
    ...pair('CFG Rescale', options.cfgRescale, 0),
    ...(options.padCondUncondV0
      ? pair('Pad conds v0', true, false)
      : pair('Pad conds', options.padCondUncond, false)),
  ];
}
