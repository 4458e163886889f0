/** Every kind of job there is: what the job API takes. */

import { EXTRA_BATCH_IMAGES, EXTRA_SINGLE_IMAGE } from './extras.ts';
import { IMG2IMG } from './img2img.ts';
import { INTERROGATE } from './interrogate.ts';
import type { JobKind } from './job-kind.ts';
import { SPARKLE } from './sparkle.ts';
import { TXT2IMG } from './txt2img.ts';

export const JOB_KINDS: readonly JobKind[] = [
  TXT2IMG,
  IMG2IMG,
  SPARKLE,
  EXTRA_SINGLE_IMAGE,
  EXTRA_BATCH_IMAGES,
  INTERROGATE,
];
