/** The three shapes of an error. */
import { z } from 'zod';

export const ApiError = z
  .object({
    error: z.string().describe('Class of the error.'),
    detail: z.string().describe('One sentence for people; empty for unexpected errors.'),
    body: z.string().describe('Always empty.'),
    errors: z.string().describe('Text of an unexpected error.'),
    message: z.string().describe('`detail` or `errors`, whichever has text.'),
    code: z.string().describe('Stable code of the error.'),
  })
  .describe('Any error but a field that cannot be read and an unknown path.');

export const ValidationError = z
  .object({
    loc: z.array(z.union([z.string(), z.int()])).describe('Where: `["body", "steps"]`.'),
    msg: z.string().describe('What was expected and what came.'),
    type: z.string().describe('Kind of the fault.'),
  })
  .describe('One field that cannot be read.');

export const HTTPValidationError = z
  .object({
    detail: z.array(ValidationError).describe('All faults of the request.'),
    message: z.string().describe('The first fault as a sentence.'),
  })
  .describe('A request that cannot be read.');
