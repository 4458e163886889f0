import { ddim } from './ddim.ts';
import { dpmpp2m } from './dpmpp-2m.ts';
import { euler } from './euler.ts';
import { eulerAncestral } from './euler-ancestral.ts';
import { heun } from './heun.ts';
import type { Sampler } from './sampler.ts';

/** Display name, as in `catalogue`, → function. */
export const SAMPLER_FUNCTIONS: Readonly<Record<string, Sampler>> = {
  'DPM++ 2M': dpmpp2m,
  'Euler a': eulerAncestral,
  Euler: euler,
  Heun: heun,
  DDIM: ddim,
};
