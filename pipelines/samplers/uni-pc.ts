import { combine, type Term } from '../sampling/latents.ts';
import { linspace } from '../sampling/schedulers/linspace.ts';
import type { Sampler, SamplerContext } from './sampler.ts';
import { weighDifferences } from './uni-pc-weights.ts';
import { createVpTime, type VpLevel, type VpTime } from './vp-time.ts';

/** Last time; also the distance of the training timesteps. */
const LAST_TIME = 0.001;

const f32 = Math.fround;

/** The model's estimate of the clean latent at a level. */
interface Estimate {
  level: VpLevel;
  denoised: Float32Array;
}

/**
 * Steps a latent along continuous times with UniPC: a multistep predictor, whose evaluation also
 * corrects the step it was made for. As many evaluations as timesteps.
 *
 * Zhao et al. 2023, "UniPC", algorithms 5 to 8 with data prediction; grid of times as in the web UI.
 */
export const uniPc: Sampler = async (predict, start, timesteps, context) => {
  const { uniPc: options, modelSigmas } = context;
  const steps = timesteps.length;
  if (steps === 0) return start.slice();
  const order = Math.min(options.order, steps);
  const vp = createVpTime(modelSigmas.alphasCumprod);
  const times = listTimes(timesteps, context, vp);
  const history: Estimate[] = [];
  let x = start;

  /** The clean latent that the model sees in x at a level. */
  async function estimate(latent: Float32Array, level: VpLevel): Promise<Float32Array> {
    const eps = await predict(latent, f32(f32(f32(level.t) - f32(LAST_TIME)) * 1000));
    return combine(eps, [1 / level.alpha, latent], [-level.sigma / level.alpha, eps]);
  }

  const first = vp.at(times[0]!);
  history.unshift({ level: first, denoised: await estimate(x, first) });
  for (let i = 1; i <= steps; i++) {
    const level = vp.at(times[i]!);
    const isLast = i === steps;
    const final = options.lowerOrderFinal ? steps + 1 - i : order;
    const used = history.slice(0, Math.min(order, i < order ? i : final));
    const { predictor, corrector } = weighDifferences(used, level, options.variant);
    const from = used[0]!;
    const step = stepTerms(x, used, level, predictor);
    x = combine(new Float32Array(x.length), ...step);
    if (!isLast) {
      const denoised = await estimate(x, level);
      const change = level.alpha * corrector[used.length - 1]!;
      const corrected = stepTerms(step[0]![1], used, level, corrector);
      x = combine(x, ...corrected, [-change, denoised], [change, from.denoised]);
      history.unshift({ level, denoised });
      history.length = Math.min(history.length, order);
    }
    const sigma = from.level.sigma / from.level.alpha;
    await context.onStep({ i: i - 1, sigma, denoised: history[0]!.denoised, x });
  }
  return x;
};

/**
 * The terms of x_t: exponential integration of the last estimate, and weighted divided differences
 * to the estimates before it.
 */
function stepTerms(
  x: Float32Array,
  used: readonly Estimate[],
  level: VpLevel,
  weights: readonly number[],
): Term[] {
  const [last, ...earlier] = used as [Estimate, ...Estimate[]];
  const h = level.lambda - last.level.lambda;
  let lastFactor = -level.alpha * Math.expm1(-h);
  const terms = earlier.map(({ level: { lambda }, denoised }, j): Term => {
    const factor = (level.alpha * weights[j]! * h) / (lambda - last.level.lambda);
    lastFactor += factor;
    return [-factor, denoised];
  });
  return [[level.sigma / last.level.sigma, x], [lastFactor, last.denoised], ...terms];
}

/** Times from the start to 0.001, spaced by the option's rule; f32 as the reference has them. */
function listTimes(timesteps: Float32Array, context: SamplerContext, vp: VpTime): number[] {
  const { uniPc: options, isImg2Img } = context;
  const n = timesteps.length + 1;
  const from = isImg2Img ? f32(f32(timesteps[0]! / 1000) + f32(LAST_TIME)) : 1;
  switch (options.skipType) {
    case 'time_quadratic':
      return [...linspace(Math.sqrt(from), Math.sqrt(LAST_TIME), n)].map((root) => f32(root ** 2));
    case 'logSNR':
      return [...linspace(vp.at(from).lambda, vp.at(LAST_TIME).lambda, n)].map(vp.timeOf);
    default:
      return [...linspace(from, LAST_TIME, n)];
  }
}
