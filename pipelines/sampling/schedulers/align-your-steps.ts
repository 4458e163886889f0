import { appendZero } from './linspace.ts';
import type { Schedule } from './schedule.ts';

/** Sabour et al. 2024, "Align Your Steps": the published ten-step schedules. */
const AYS_SD1 = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029];
const AYS_SDXL = [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.38, 0.234, 0.113, 0.029];

/** The same from the GITS search (Chen et al. 2024). */
const GITS_SD1 = [14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.24, 0.156, 0.104, 0.094, 0.029];
const GITS_SDXL = [14.615, 4.734, 2.567, 1.529, 0.987, 0.652, 0.418, 0.268, 0.179, 0.127, 0.029];

/** The authors' 31-step schedules. */
const AYS_32_SD1 = [
  14.615, 11.23951352, 8.64363081, 6.64729424, 5.57250862, 4.71648546, 3.99196065, 3.5195609,
  3.13490466, 2.79228788, 2.48773628, 2.21663865, 1.97508351, 1.7793172, 1.61475335, 1.46540953,
  1.314849, 1.16642497, 1.03475547, 0.91573744, 0.80748169, 0.71202361, 0.621739, 0.53065202,
  0.4529096, 0.37491455, 0.27461819, 0.2011529, 0.14105873, 0.06682881, 0.03166121, 0.015,
];
const AYS_32_SDXL = [
  14.615, 11.1491618, 8.50522127, 6.48827151, 5.43707402, 4.60398619, 3.89854704, 3.27407457,
  2.74396527, 2.29968659, 1.95448514, 1.67108715, 1.42878152, 1.23181009, 1.06789649, 0.92579443,
  0.80290886, 0.69660121, 0.60436903, 0.52852552, 0.46773344, 0.41393379, 0.36258186, 0.31008517,
  0.26518925, 0.22326461, 0.17653877, 0.13959192, 0.10587381, 0.05519369, 0.02877334, 0.015,
];

/** Log-linear resampling of a table to n values, then 0. */
function resample(table: readonly number[], n: number): Float32Array {
  if (n === table.length) return appendZero(table);
  // Positions count from the small end, where a single step (n = 1) then lands.
  const logs = table.map(Math.log).reverse();
  const sigmas = Array.from({ length: n }, (_, i) => {
    const position = n === 1 ? 0 : (i / (n - 1)) * (logs.length - 1);
    const low = Math.min(Math.floor(position), logs.length - 2);
    const share = position - low;
    return Math.exp(logs[low]! + (logs[low + 1]! - logs[low]!) * share);
  });
  return appendZero(sigmas.reverse());
}

/** Align Your Steps. */
export const alignYourSteps: Schedule = ({ n, isXl }) => resample(isXl ? AYS_SDXL : AYS_SD1, n);

/** Align Your Steps GITS. */
export const alignYourStepsGits: Schedule = ({ n, isXl }) =>
  resample(isXl ? GITS_SDXL : GITS_SD1, n);

/** Align Your Steps 32. */
export const alignYourSteps32: Schedule = ({ n, isXl }) =>
  resample(isXl ? AYS_32_SDXL : AYS_32_SD1, n);
