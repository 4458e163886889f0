import { describe, expect, test } from 'vitest';
import {
  findSampler,
  findScheduler,
  resolveSampler,
  SAMPLERS,
  SCHEDULERS,
} from '../../../pipelines/samplers/catalogue.ts';
import { SAMPLER_FUNCTIONS } from '../../../pipelines/samplers/registry.ts';
import { SCHEDULES } from '../../../pipelines/sampling/schedulers/table.ts';

describe('lists', () => {
  test('every sampler has a function and every function a sampler', () => {
    expect(Object.keys(SAMPLER_FUNCTIONS).sort()).toEqual(SAMPLERS.map(({ name }) => name).sort());
  });

  test('every scheduler has a function and every function a scheduler', () => {
    expect(Object.keys(SCHEDULES)).toEqual(SCHEDULERS.map(({ name }) => name));
  });

  test('names and aliases are unique regardless of case', () => {
    const samplers = SAMPLERS.flatMap(({ name, aliases }) => [name, ...aliases]);
    const spellings = samplers.map((name) => name.toLowerCase());
    // An alias may repeat its own sampler's name in lower case.
    for (const { name, aliases } of SAMPLERS) {
      for (const alias of new Set([name.toLowerCase(), ...aliases])) {
        expect(findSampler(alias)?.name).toBe(name);
      }
    }
    expect(new Set(samplers).size).toBe(samplers.length);
    expect(spellings.length - new Set(spellings).size).toBeLessThan(SAMPLERS.length);
  });

  test('option values are strings and name existing schedulers', () => {
    for (const { options } of SAMPLERS) {
      for (const value of Object.values(options)) expect(typeof value).toBe('string');
      if (options.scheduler) expect(findScheduler(options.scheduler)).not.toBeNull();
    }
  });

  test('schedulers are those of the web UI, then those of Forge', () => {
    expect(SCHEDULERS.map(({ label }) => label)).toEqual([
      'Automatic',
      'Uniform',
      'Karras',
      'Exponential',
      'Polyexponential',
      'SGM Uniform',
      'KL Optimal',
      'Align Your Steps',
      'Simple',
      'Normal',
      'DDIM',
      'Beta',
      'Turbo',
      'Align Your Steps GITS',
      'Align Your Steps 11',
      'Align Your Steps 32',
    ]);
    expect(SCHEDULERS[5]).toEqual({
      name: 'sgm_uniform',
      label: 'SGM Uniform',
      aliases: ['SGMUniform'],
      default_rho: -1,
      need_inner_model: true,
    });
  });
});

describe('resolveSampler', () => {
  test.each([
    ['Euler a', null, 'Euler a', 'Automatic'],
    ['k_euler_a', undefined, 'Euler a', 'Automatic'],
    ['k_euler_ancestral', '', 'Euler a', 'Automatic'],
    ['euler A', null, 'Euler a', 'Automatic'],
    ['Euler Karras', null, 'Euler', 'Karras'],
    ['Euler a Karras', null, 'Euler a', 'Karras'],
    // A suffix that is the sampler's own default says nothing …
    ['DPM++ 2M Karras', null, 'DPM++ 2M', 'Automatic'],
    ['k_dpmpp_2m_ka', null, 'DPM++ 2M', 'Automatic'],
    // … a scheduler field says what it says.
    ['DPM++ 2M', 'karras', 'DPM++ 2M', 'Karras'],
    ['DPM++ 2M Exponential', null, 'DPM++ 2M', 'Exponential'],
    ['k_dpmpp_2m_exp', null, 'DPM++ 2M', 'Exponential'],
    ['DPM++ 2M Karras', 'Exponential', 'DPM++ 2M', 'Exponential'],
    ['DPM++ 2M Karras', 'automatic', 'DPM++ 2M', 'Automatic'],
    ['DPM++ 2M SGM Uniform', null, 'DPM++ 2M', 'SGM Uniform'],
    ['DPM++ 2M SGMUniform', null, 'DPM++ 2M', 'SGM Uniform'],
    ['DPM++ 2M Uniform', null, 'DPM++ 2M', 'Uniform'],
    ['DPM++ 2M sgm_uniform', null, 'DPM++ 2M', 'SGM Uniform'],
    ['Euler align_your_steps_GITS', null, 'Euler', 'Align Your Steps GITS'],
    ['DDIM', null, 'DDIM', 'Automatic'],
    ['ddim', 'ALIGN YOUR STEPS', 'DDIM', 'Align Your Steps'],
    ['Euler DDIM', null, 'Euler', 'DDIM'],
    ['Euler', 'kl_optimal', 'Euler', 'KL Optimal'],
    ['Euler', 'no such scheduler', 'Euler', 'Automatic'],
    [' Euler ', null, 'Euler', 'Automatic'],
  ])('%s + %s', (name, scheduler, sampler, label) => {
    expect(resolveSampler(name, scheduler)).toEqual({ sampler, scheduler: label });
  });

  test.each(['', 'Karras', 'DPM++ 9M', 'Euler  Karras b', 'constructor', 'EulerKarras'])(
    '%j is no sampler',
    (name) => {
      expect(resolveSampler(name)).toBeNull();
    },
  );

  test('an unknown scheduler can be told from Automatic', () => {
    expect(findScheduler('no such scheduler')).toBeNull();
    expect(findScheduler(null)?.name).toBe('automatic');
    expect(findScheduler('')?.name).toBe('automatic');
  });
});
