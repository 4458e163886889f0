/** Every kind of job there is: what the job API takes. */
import { IMG2IMG } from './img2img.ts';
import type { JobKind } from './job-kind.ts';
import { SPARKLE } from './sparkle.ts';
import { TXT2IMG } from './txt2img.ts';

export const JOB_KINDS: readonly JobKind[] = [TXT2IMG, IMG2IMG, SPARKLE];
