import type { UniPcOptions } from './sampler.ts';
import type { VpLevel } from './vp-time.ts';

/** Weights of one UniPC step on the divided differences of the model's estimates. */
export interface UniPcWeights {
  /** One per earlier estimate. */
  predictor: number[];
  /** One per earlier estimate, then one for the new estimate at the step's end. */
  corrector: number[];
}

/**
 * Returns the weights of UniPC's predictor and corrector, without the common factor alpha.
 *
 * Zhao et al. 2023, equations 5 to 9; variants B1(h) = h and B2(h) = e^h - 1, and the one with
 * varying coefficients (appendix C). h is negated for data prediction.
 *
 * @param used    levels of the estimates in use, latest first; their number is the order
 * @param level   level the step goes to
 * @param variant which B(h)
 */
export function weighDifferences(
  used: readonly { level: VpLevel }[],
  level: VpLevel,
  variant: UniPcOptions['variant'],
): UniPcWeights {
  const order = used.length;
  const last = used[0]!.level.lambda;
  const h = level.lambda - last;
  const nodes = [...used.slice(1).map((past) => (past.level.lambda - last) / h), 1];
  return variant === 'vary_coeff'
    ? weighVarying(nodes, -h, order)
    : weighUnified(nodes, -h, order, variant);
}

/** h^k phi_k(h) for k = 1 … count, by the recurrence phi_(k+1) = (phi_k − 1/k!)/h. */
function listPhis(h: number, count: number): number[] {
  const phis: number[] = [];
  let phi = Math.expm1(h);
  let factorial = 1;
  for (let k = 1; k <= count; k++) {
    phis.push(phi);
    phi = phi / h - 1 / factorial;
    factorial *= k + 1;
  }
  return phis;
}

function weighUnified(
  nodes: number[],
  h: number,
  order: number,
  variant: 'bh1' | 'bh2',
): UniPcWeights {
  const scale = variant === 'bh1' ? h : Math.expm1(h);
  const powers = nodes.map((_, i) => nodes.map((node) => node ** i));
  let factorial = 1;
  const right = listPhis(h, order + 1)
    .slice(1)
    .map((phi, i) => {
      factorial *= i + 1;
      return (phi * factorial) / scale;
    });
  const smaller = powers.slice(0, -1).map((row) => row.slice(0, -1));
  // The lowest orders are fixed at ½, the limit for small steps.
  const predictor = order === 2 ? [0.5] : solve(smaller, right.slice(0, -1));
  const corrector = order === 1 ? [0.5] : solve(powers, right);
  return {
    predictor: predictor.map((rho) => rho * scale),
    corrector: corrector.map((rho) => rho * scale),
  };
}

function weighVarying(nodes: number[], h: number, order: number): UniPcWeights {
  const phis = listPhis(h, order + 1);
  let factorial = 1;
  // Transposed: row k is nodes^k / (k + 1)!, so that a solution is a row of the inverse.
  const transposed = nodes.map((_, k) => {
    factorial *= k + 1;
    return nodes.map((node) => node ** k / factorial);
  });
  const weigh = (matrix: number[][]) => {
    const weights = matrix.map(() => 0);
    for (let k = 0; k < order - 1; k++) {
      const row = inverseRow(matrix, k);
      for (const [j, value] of row.entries()) weights[j] = weights[j]! + phis[k + 1]! * value;
    }
    return weights;
  };
  const corrector = weigh(transposed);
  // The reference takes this from the row before the last; so do its pictures.
  const newest = inverseRow(transposed, Math.max(order - 2, 0))[order - 1]!;
  corrector[order - 1] = phis[order]! * newest;
  return { predictor: weigh(transposed.slice(0, -1).map((row) => row.slice(0, -1))), corrector };
}

/** Row k of the inverse of the matrix whose transpose is given. */
function inverseRow(transposed: number[][], k: number): number[] {
  return solve(
    transposed,
    transposed.map((_, i) => (i === k ? 1 : 0)),
  );
}

/** Solution of a small linear system, by elimination with pivoting. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const n = right.length;
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  for (let column = 0; column < n; column++) {
    const rest = rows.slice(column).map((row) => Math.abs(row[column]!));
    const pivot = column + rest.indexOf(Math.max(...rest));
    const row = rows[pivot]!;
    rows[pivot] = rows[column]!;
    rows[column] = row;
    for (const [i, other] of rows.entries()) {
      if (i === column) continue;
      const factor = other[column]! / row[column]!;
      for (let j = column; j <= n; j++) other[j] = other[j]! - factor * row[j]!;
    }
  }
  return rows.map((row, i) => row[n]! / row[i]!);
}
