/** Every kind of job there is: what the job API takes. */
import type { JobKind } from './job-kind.ts';
import { TXT2IMG } from './txt2img.ts';

export const JOB_KINDS: readonly JobKind[] = [TXT2IMG];
