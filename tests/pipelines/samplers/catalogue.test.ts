import fc from 'fast-check';
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

const karras = { scheduler: 'karras' };
const exponential = { scheduler: 'exponential' };
const second = { second_order: 'True' };
const brownian = { brownian_noise: 'True' };
const ensd = { uses_ensd: 'True' };
const discard = { discard_next_to_last_sigma: 'True' };

/** What `GET /sdapi/v1/samplers` of the web UI answers. */
const WEB_UI_SAMPLERS: [name: string, aliases: string, options: Record<string, string>][] = [
  ['DPM++ 2M', 'k_dpmpp_2m', karras],
  ['DPM++ SDE', 'k_dpmpp_sde', { ...karras, ...second, ...brownian }],
  ['DPM++ 2M SDE', 'k_dpmpp_2m_sde', { ...exponential, ...brownian }],
  [
    'DPM++ 2M SDE Heun',
    'k_dpmpp_2m_sde_heun',
    { ...exponential, ...brownian, solver_type: 'heun' },
  ],
  ['DPM++ 2S a', 'k_dpmpp_2s_a', { ...karras, ...ensd, ...second }],
  ['DPM++ 3M SDE', 'k_dpmpp_3m_sde', { ...exponential, ...discard, ...brownian }],
  ['Euler a', 'k_euler_a k_euler_ancestral', ensd],
  ['Euler', 'k_euler', {}],
  ['LMS', 'k_lms', {}],
  ['Heun', 'k_heun', second],
  ['DPM2', 'k_dpm_2', { ...karras, ...discard, ...second }],
  ['DPM2 a', 'k_dpm_2_a', { ...karras, ...discard, ...ensd, ...second }],
  ['DPM fast', 'k_dpm_fast', ensd],
  ['DPM adaptive', 'k_dpm_ad', ensd],
  ['Restart', 'restart', { ...karras, ...second }],
  ['DDIM', 'ddim', {}],
  ['DDIM CFG++', 'ddim_cfgpp', {}],
  ['PLMS', 'plms', {}],
  ['UniPC', 'unipc', {}],
  ['LCM', 'k_lcm', {}],
];

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

  test('samplers are those of the web UI, in its order and with its options, then others', () => {
    const entries = SAMPLERS.map(({ name, aliases, options }) => ({ name, aliases, options }));
    expect(entries.slice(0, WEB_UI_SAMPLERS.length)).toEqual(
      WEB_UI_SAMPLERS.map(([name, aliases, options]) => ({
        name,
        aliases: aliases.split(' '),
        options,
      })),
    );
    // The order of keys shows in the answer.
    expect(JSON.stringify(entries[5]!.options)).toBe(
      '{"scheduler":"exponential","discard_next_to_last_sigma":"True","brownian_noise":"True"}',
    );
    expect(entries.slice(WEB_UI_SAMPLERS.length).map(({ name }) => name)).toEqual([
      'HeunPP2',
      'IPNDM',
      'IPNDM_V',
      'DEIS',
      'DDPM',
      'Euler CFG++',
      'Euler a CFG++',
      'TCD',
    ]);
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
    ['DPM++ 2M SDE Heun Karras', null, 'DPM++ 2M SDE Heun', 'Karras'],
    ['DPM++ 2M SDE Heun Exponential', null, 'DPM++ 2M SDE Heun', 'Automatic'],
    ['k_dpmpp_2m_sde_ka', null, 'DPM++ 2M SDE', 'Karras'],
    ['LMS Karras', null, 'LMS', 'Karras'],
    ['k_dpm_2_a_ka', null, 'DPM2 a', 'Automatic'],
    ['Euler a CFG++ Beta', null, 'Euler a CFG++', 'Beta'],
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

  test('every sampler takes every scheduler as an ending, in any spelling', () => {
    const sampler = fc.constantFrom(...SAMPLERS);
    const scheduler = fc.constantFrom(...SCHEDULERS.slice(1));
    fc.assert(
      fc.property(sampler, scheduler, fc.boolean(), fc.boolean(), (entry, ending, low, named) => {
        const text = `${entry.name} ${named ? ending.name : ending.label}`;
        expect(resolveSampler(low ? text.toLowerCase() : text)).toEqual({
          sampler: entry.name,
          scheduler: entry.options.scheduler === ending.name ? 'Automatic' : ending.label,
        });
      }),
    );
  });

  test('any text is a sampler of the list or none', () => {
    const known = new Set(SAMPLERS.map(({ name }) => name));
    fc.assert(
      fc.property(fc.string(), fc.option(fc.string()), (name, scheduler) => {
        const found = resolveSampler(name, scheduler);
        expect(found === null || known.has(found.sampler)).toBe(true);
      }),
    );
  });

  test('an unknown scheduler can be told from Automatic', () => {
    expect(findScheduler('no such scheduler')).toBeNull();
    expect(findScheduler(null)?.name).toBe('automatic');
    expect(findScheduler('')?.name).toBe('automatic');
  });
});
