/** Lists of what can be chosen: checkpoints, VAEs, samplers, schedulers, styles. */
import { z } from 'zod';

export const SDModelItem = z
  .object({
    title: z.string().describe('File name and short hash; the id for `sd_model_checkpoint`.'),
    model_name: z.string().describe('File name without extension.'),
    name: z.string().describe('The same; two clients read this member.'),
    hash: z.string().nullable().describe('First ten hex digits of the SHA-256.'),
    sha256: z.string().nullable().describe('SHA-256 of the file.'),
    filename: z.string().describe('Path on the server.'),
    config: z.string().nullable().describe('YAML file beside the checkpoint.'),
  })
  .describe('A checkpoint.');

export const SDVaeItem = z
  .object({
    model_name: z.string().describe('File name; the id for `sd_vae`.'),
    filename: z.string().describe('Path on the server.'),
  })
  .describe('A separate VAE.');

export const LoraItem = z
  .object({
    name: z.string().describe('Name for `<lora:name:weight>`.'),
    alias: z.string().describe('What its trainer called it (`ss_output_name`); accepted, too.'),
    path: z.string().describe('Path on the server.'),
    metadata: z
      .record(z.string(), z.unknown())
      .describe('Its `__metadata__`, JSON objects decoded; base model, rank, tags, ...'),
  })
  .describe('A LoRA.');

export const EmbeddingItem = z
  .object({
    step: z
      .number()
      .int()
      .nullable()
      .describe('Steps it was trained; null: the file does not say.'),
    sd_checkpoint: z.string().nullable().describe('Hash of the checkpoint it was trained on.'),
    sd_checkpoint_name: z.string().nullable().describe('Name of that checkpoint.'),
    shape: z.number().int().describe('Numbers in one vector; for SDXL of both text encoders.'),
    vectors: z.number().int().describe('Tokens that it takes in a prompt.'),
  })
  .describe('A textual inversion embedding.');

export const EmbeddingsResponse = z
  .object({
    loaded: z.record(z.string(), EmbeddingItem).describe('Those that fit the checkpoint, by name.'),
    skipped: z.record(z.string(), EmbeddingItem).describe('Those for another base model, by name.'),
  })
  .describe('Embeddings; a name in a prompt stands for its vectors.');

export const SamplerItem = z
  .object({
    name: z.string().describe('Name for `sampler_name`.'),
    aliases: z.array(z.string()).describe('Other names that are accepted.'),
    options: z.record(z.string(), z.string()).describe('Its traits, as text.'),
  })
  .describe('A sampler.');

export const SchedulerItem = z
  .object({
    name: z.string().describe('Name for `scheduler`.'),
    label: z.string().describe('Name for people; accepted, too.'),
    aliases: z.array(z.string()).nullable().describe('Other names that are accepted.'),
    default_rho: z.number().describe('rho; -1 when it has none.'),
    need_inner_model: z.boolean().describe('Whether it reads the model’s own sigmas.'),
  })
  .describe('A scheduler.');

export const PromptStyleItem = z
  .object({
    name: z.string().describe('Name for `styles`.'),
    prompt: z.string().nullable().describe('Text that joins the prompt.'),
    negative_prompt: z.string().nullable().describe('Text that joins the negative prompt.'),
  })
  .describe('A style.');

export const ScriptsList = z
  .object({
    txt2img: z.array(z.string()).describe('Titles of txt2img in lower case.'),
    img2img: z.array(z.string()).describe('Titles of img2img in lower case.'),
  })
  .describe('What `script_name` and `alwayson_scripts` may name.');

const choices = z.array(z.string());

export const ScriptArg = z
  .object({
    label: z.string().describe('Caption of the input.'),
    value: z.unknown().describe('Used when the list of arguments is too short.'),
    minimum: z.number().nullable().describe('Smallest number.'),
    maximum: z.number().nullable().describe('Largest number.'),
    step: z.number().nullable().describe('Step of the slider.'),
    choices: choices.nullable().describe('Texts to choose from.'),
  })
  .describe('One input; its place in the list is its place in `script_args`.');

export const ScriptInfo = z
  .object({
    name: z.string().describe('Title in lower case.'),
    is_alwayson: z.boolean().describe('Whether it is named in `alwayson_scripts`.'),
    is_img2img: z.boolean().describe('Whether this is its form for img2img.'),
    args: z.array(ScriptArg).describe('Its inputs.'),
  })
  .describe('One script.');
