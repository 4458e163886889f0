/** The texts of a request as a job has them. */
import type { Options } from '../openapi/schemas/options.ts';
import type { Txt2ImgRequest } from '../openapi/schemas/txt2img.ts';
import { stripComments } from '../pipelines/prompt/comments.ts';
import type { Context } from '../server/context.ts';
import { applyStylesByName } from '../server/styles.ts';
import { addLoraTags } from './lora-field.ts';

/** What prompts are written from. */
export type PromptFields = Pick<Txt2ImgRequest, 'prompt' | 'negative_prompt' | 'styles' | 'lora'>;

/** A request's prompts with its LoRA field, styles and the removal of comments applied. */
export async function writePrompts(
  { styles, loras }: Context,
  request: PromptFields,
  { enable_prompt_comments }: Options,
): Promise<{ prompt: string; negativePrompt: string }> {
  const own = {
    prompt: addLoraTags(loras, request.prompt ?? '', request.lora ?? []),
    negativePrompt: request.negative_prompt ?? '',
  };
  const names = request.styles ?? [];
  const styled = names.length === 0 ? own : applyStylesByName(own, names, await styles.all());
  if (!enable_prompt_comments) return styled;
  return {
    prompt: stripComments(styled.prompt),
    negativePrompt: stripComments(styled.negativePrompt),
  };
}
