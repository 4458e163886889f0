/** LoRA files: sending in, inspecting, removing. */
import { z } from 'zod';
import { bool, text } from './coercion.ts';

/** Longer ones are refused by the rules for names anyway. */
const MAX_NAME_CHARS = 4_096;

export const LoraName = z.object({
  name: z.string().describe('File name without extension, or with its folder; case matters.'),
});

export const LoraUpload = z
  .object({
    name: text(MAX_NAME_CHARS)
      .default('')
      .describe('File name to store it under; default: its own.'),
    overwrite: bool().default(false).describe('Replace a file of that name.'),
  })
  .describe('The fields beside `file`.');

export const DeletedLora = z
  .object({ name: z.string().describe('Name of the LoRA that is gone.') })
  .describe('A removed LoRA.');

export const InspectionQuery = z.object({
  strength: bool()
    .default(true)
    .describe('Whether to read the tensors: seconds for a large file, once.'),
});

const Range = {
  min: z.number().describe('Least.'),
  max: z.number().describe('Greatest.'),
};

const Counted = z.object({
  alpha: z.number().describe('Network alpha.'),
  modules: z.number().int().describe('Modules that have it.'),
});

export const LoraInspection = z
  .object({
    name: z.string().describe('What tags call it; for other files the file name.'),
    alias: z.string().nullable().describe('What its trainer called it.'),
    tag: z
      .string()
      .nullable()
      .describe('Tag for a prompt, by file name or alias as `lora_preferred_name` says.'),
    path: z.string().describe('Path on the server.'),
    folder: z.string().describe('Folder it lies in: Lora, Stable-diffusion, VAE or embeddings.'),
    kind: z
      .string()
      .describe(
        'lora, checkpoint, vae, embedding, hypernetwork, upscaler, controlnet, text encoder, other model, pickle (never opened, so nothing else is known), damaged.',
      ),
    says: z.string().describe('What it is, in a sentence.'),
    advice: z.string().nullable().describe('What to do when it lies in the wrong folder.'),
    base_model: z.string().nullable().describe('Base model, from names and sizes of tensors.'),
    stated_base: z.string().nullable().describe('Base model as its trainer wrote it.'),
    checkpoint: z
      .object({
        title: z.string().describe('The checkpoint in use.'),
        fits: z.boolean().describe('Whether the LoRA can be applied to it.'),
        says: z.string().describe('Why, in a sentence.'),
      })
      .nullable()
      .describe('Whether a LoRA is made for the checkpoint in use; null for other files.'),
    bytes: z.number().int().nullable().describe('Size of the file.'),
    hashes: z
      .object({
        sha256: z.string().nullable().describe('SHA-256 of the file.'),
        autov2: z.string().nullable().describe('Its first ten digits, which sites search by.'),
        addnet: z
          .string()
          .nullable()
          .describe('12 digits of the SHA-256 of the data alone, as in `Lora hashes`.'),
      })
      .describe('Hashes; null while they are being computed.'),
    modules: z.record(z.string(), z.number().int()).describe('Modules by kind.'),
    ranks: z
      .array(
        z.object({
          rank: z.number().int().describe('Rank (dim).'),
          modules: z.number().int().describe('Modules that have it.'),
        }),
      )
      .describe('Ranks, most frequent first.'),
    network_alpha: z.array(Counted).describe('Alphas, most frequent first; empty: alpha = rank.'),
    parts: z
      .array(
        z.object({
          network: z.string().describe('unet, text encoder or text encoder 2.'),
          block: z.string().nullable().describe('down, mid, up or other; null in text encoders.'),
          layers: z.string().describe('Kind of layer.'),
          modules: z.number().int().describe('Layers it changes there.'),
          norm: z.number().nullable().describe('Frobenius norm of their changes at weight 1.'),
          share: z.number().nullable().describe('Share of the whole change, 0 to 1.'),
        }),
      )
      .describe('Which parts it changes and how strongly.'),
    average_module_norm: z
      .number()
      .nullable()
      .describe('Mean norm of a module at weight 1, as trainers print it.'),
    rms_change: z.number().nullable().describe('Root mean square of the change of one weight.'),
    embeddings: z.array(z.string()).describe('Embeddings that it carries.'),
    trigger_words: z
      .array(
        z.object({
          word: z.string().describe('Word for the prompt.'),
          source: z.string().describe('Where that is said.'),
        }),
      )
      .describe('Words it was trained to; empty: none stated.'),
    tags: z
      .array(
        z.object({
          tag: z.string().describe('Tag of the training captions.'),
          count: z.number().describe('Pictures that have it.'),
        }),
      )
      .describe('Most frequent tags of its training.'),
    training: z.record(z.string(), z.string()).describe('What is stated of its training.'),
    licence: z.string().nullable().describe('Licence; null: not stated.'),
    suggested_weights: z
      .object({
        rule: z.string().describe('How the weights were found.'),
        txt2img: z.object(Range).describe('Weights for txt2img.'),
        img2img: z
          .array(
            z.object({
              denoising_strength: z.number().describe('denoising_strength of the request.'),
              ...Range,
              steps: z.object(Range).describe('`steps` of which 10 to 16 are executed.'),
            }),
          )
          .describe('Weights for img2img by denoising strength.'),
      })
      .nullable()
      .describe('Weights to try; null when its tensors were not read, and for other files.'),
    notes: z.array(z.string()).describe('What else was found.'),
  })
  .describe('What a file is and what it does.');
