/** `GET /sdapi/v1/steps-plan`. */
import { z } from 'zod';
import { MAX_NAME_CHARS, MAX_STEPS } from './bounds.ts';
import { bool, float, int, text } from './coercion.ts';

export const StepsPlanQuery = z
  .object({
    steps: int(1, MAX_STEPS).optional().describe('Steps as a request says them.'),
    executed: int(1, MAX_STEPS)
      .optional()
      .describe('Steps that are to run; asks for the `steps` that make it so.'),
    denoising_strength: float(0, 1)
      .optional()
      .describe('As in img2img; without it the plan is that of txt2img.'),
    sampler: text(MAX_NAME_CHARS)
      .default('Euler')
      .describe('Name or alias; a scheduler may follow, as in `DPM++ 2M Karras`.'),
    scheduler: text(MAX_NAME_CHARS).default('').describe('Name or label.'),
    fix_steps: bool()
      .optional()
      .describe('Whether `steps` run whatever the strength; absent takes `img2img_fix_steps`.'),
  })
  .describe('Either `steps` or `executed`.');

export const StepsPlanResponse = z
  .object({
    sampler: z.string().describe('Sampler of the plan.'),
    scheduler: z.string().describe('Label of its scheduler.'),
    steps: z.int().describe('Steps to ask for.'),
    denoising_strength: z.number().nullable().describe('Null for txt2img.'),
    fix_steps: z.boolean().describe('Whether `steps` run whatever the strength.'),
    steps_executed: z
      .int()
      .nullable()
      .describe('Steps that run; null where the sampler decides while it runs.'),
    model_calls: z.int().nullable().describe('Runs of the UNet; null as `steps_executed`.'),
    announced_steps: z.int().describe('What `GET /sdapi/v1/progress` counts to.'),
    schedule_steps: z.int().describe('Steps that the whole schedule is built for.'),
    slice_start: z.int().describe('First entry of the schedule that is used.'),
    sigmas: z
      .array(z.number())
      .describe('Noise levels of the part that is used, of an SD 1.x model, high to low.'),
    first_sigma: z
      .number()
      .nullable()
      .describe(
        'Noise level that the picture is brought to; of `noise_timestep` for those samplers.',
      ),
    timesteps: z
      .array(z.int())
      .describe('Timesteps of DDIM, PLMS and UniPC, high to low; empty for the others.'),
    noise_timestep: z
      .int()
      .nullable()
      .describe('Timestep that the picture is noised to by those; else null.'),
  })
  .describe('How many steps run and which.');
