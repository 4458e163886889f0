/** The schedule buffers LatentDiffusion saves beside its weights; a loader has to step over them. */
import type { TensorSpec } from './tensors.ts';

const TRAINING_STEPS = 1000;

/** Lists the 12 float32 [1000] buffers of the scaled-linear schedule and two scalars of the EMA. */
export function scheduleBuffers(): TensorSpec[] {
  const first = Math.sqrt(0.00085);
  const last = Math.sqrt(0.012);
  const betas = Array.from({ length: TRAINING_STEPS }, (_, i) => {
    const root = first + ((last - first) * i) / (TRAINING_STEPS - 1);
    return root * root;
  });
  let product = 1;
  const alphasCumprod = betas.map((beta) => {
    product *= 1 - beta;
    return product;
  });
  const previous = [1, ...alphasCumprod.slice(0, -1)];
  const rows = betas.map((beta, i) => {
    const alpha = alphasCumprod[i] ?? 1;
    const before = previous[i] ?? 1;
    const variance = (beta * (1 - before)) / (1 - alpha);
    return {
      betas: beta,
      alphas_cumprod: alpha,
      alphas_cumprod_prev: before,
      sqrt_alphas_cumprod: Math.sqrt(alpha),
      sqrt_one_minus_alphas_cumprod: Math.sqrt(1 - alpha),
      log_one_minus_alphas_cumprod: Math.log(1 - alpha),
      sqrt_recip_alphas_cumprod: Math.sqrt(1 / alpha),
      sqrt_recipm1_alphas_cumprod: Math.sqrt(1 / alpha - 1),
      posterior_variance: variance,
      posterior_log_variance_clipped: Math.log(Math.max(variance, 1e-20)),
      posterior_mean_coef1: (beta * Math.sqrt(before)) / (1 - alpha),
      posterior_mean_coef2: ((1 - before) * Math.sqrt(1 - beta)) / (1 - alpha),
    };
  });
  const names = Object.keys(rows[0] ?? {}) as (keyof (typeof rows)[number])[];
  return [
    ...names.map(
      (key): TensorSpec => ({
        key,
        shape: [TRAINING_STEPS],
        fill: { kind: 'data', dtype: 'F32', values: rows.map((row) => row[key]) },
      }),
    ),
    { key: 'model_ema.decay', shape: [], fill: { kind: 'data', dtype: 'F32', values: [0.9999] } },
    { key: 'model_ema.num_updates', shape: [], fill: { kind: 'data', dtype: 'I32', values: [0] } },
  ];
}
