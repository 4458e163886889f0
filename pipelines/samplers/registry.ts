import { ddim, ddimCfgPp } from './ddim.ts';
import { ddpm } from './ddpm.ts';
import { deis } from './deis.ts';
import { dpm2 } from './dpm-2.ts';
import { dpm2Ancestral } from './dpm-2-ancestral.ts';
import { dpmAdaptive } from './dpm-adaptive.ts';
import { dpmFast } from './dpm-fast.ts';
import { dpmpp2m } from './dpmpp-2m.ts';
import { dpmpp2mSde, dpmpp2mSdeHeun } from './dpmpp-2m-sde.ts';
import { dpmpp2sAncestral } from './dpmpp-2s-ancestral.ts';
import { dpmpp3mSde } from './dpmpp-3m-sde.ts';
import { dpmppSde } from './dpmpp-sde.ts';
import { euler } from './euler.ts';
import { eulerAncestral } from './euler-ancestral.ts';
import { eulerAncestralCfgPp, eulerCfgPp } from './euler-cfg-pp.ts';
import { heun } from './heun.ts';
import { heunPp2 } from './heunpp2.ts';
import { ipndm } from './ipndm.ts';
import { ipndmV } from './ipndm-v.ts';
import { lcm } from './lcm.ts';
import { lms } from './lms.ts';
import { plms } from './plms.ts';
import { restart } from './restart.ts';
import type { Sampler } from './sampler.ts';
import { tcd } from './tcd.ts';
import { uniPc } from './uni-pc.ts';

/** Display name, as in `catalogue`, → function. */
export const SAMPLER_FUNCTIONS: Readonly<Record<string, Sampler>> = {
  'DPM++ 2M': dpmpp2m,
  'DPM++ SDE': dpmppSde,
  'DPM++ 2M SDE': dpmpp2mSde,
  'DPM++ 2M SDE Heun': dpmpp2mSdeHeun,
  'DPM++ 2S a': dpmpp2sAncestral,
  'DPM++ 3M SDE': dpmpp3mSde,
  'Euler a': eulerAncestral,
  Euler: euler,
  LMS: lms,
  Heun: heun,
  DPM2: dpm2,
  'DPM2 a': dpm2Ancestral,
  'DPM fast': dpmFast,
  'DPM adaptive': dpmAdaptive,
  Restart: restart,
  DDIM: ddim,
  'DDIM CFG++': ddimCfgPp,
  PLMS: plms,
  UniPC: uniPc,
  LCM: lcm,
  HeunPP2: heunPp2,
  IPNDM: ipndm,
  IPNDM_V: ipndmV,
  DEIS: deis,
  DDPM: ddpm,
  'Euler CFG++': eulerCfgPp,
  'Euler a CFG++': eulerAncestralCfgPp,
  TCD: tcd,
};
