/** Everything one run of the benchmarks found out, and the figures that follow from it. */
import { decodeLabel, unetLabel } from './labels.ts';
import type { Ceiling } from './measures/ceiling.ts';
import type { Flops } from './measures/flops.ts';
import type { Measured } from './timing.ts';

export interface Results {
  machine: { cpu: string; threads: number; memoryBytes: number; node: string; onnxruntime: string };
  checkpoint: { name: string; bytes: number };
  ceiling: Ceiling | null;
  /** Operations of one run, by the label of its timing. */
  flops: Record<string, Flops>;
  ours: Measured;
  peer: Measured | null;
}

/** Of the fastest shape, in GFLOP/s. */
export function bestRates({ conv, gemm }: Ceiling): { conv: number; gemm: number } {
  const best = (rates: Ceiling['conv']) => Math.max(...rates.map(({ gflops }) => gflops));
  return { conv: best(conv), gemm: best(gemm) };
}

export function totalFlops({ conv, gemm, attention }: Flops): number {
  return conv + gemm + attention;
}

/** Seconds that the counted operations take at the ceiling: Conv at its rate, the rest as Gemm. */
export function secondsAtCeiling(flops: Flops, ceiling: Ceiling): number {
  const rates = bestRates(ceiling);
  return (flops.conv / rates.conv + (flops.gemm + flops.attention) / rates.gemm) / 1e9;
}

/** Labels the counts of `countFlops`; a batch of n is n times the work of one. */
export function labelFlops(
  counted: { unet: Flops[]; vae: Flops[] },
  { size, batches, vaeSizes }: { size: number; batches: number[]; vaeSizes: number[] },
): Record<string, Flops> {
  const labelled: Record<string, Flops> = {};
  const [one] = counted.unet;
  for (const batch of batches)
    if (one)
      labelled[unetLabel(batch, size)] = {
        conv: batch * one.conv,
        gemm: batch * one.gemm,
        attention: batch * one.attention,
      };
  counted.vae.forEach((flops, i) => {
    labelled[decodeLabel(vaeSizes[i] as number)] = flops;
  });
  return labelled;
}
