/** `POST /sdapi/v1/png-info`: what a picture says about how it was made. */
import { Router } from 'express';
import { fillParameters, type Parameter } from '../images/infotext-defaults.ts';
import { parseInfotext } from '../images/infotext-parse.ts';
import { readInfotext } from '../images/read-infotext.ts';
import { parseRequest } from '../openapi/parse.ts';
import { PngInfoRequest } from '../openapi/schemas/extras.ts';
import { isBreak, parseAttention } from '../pipelines/prompt/attention.ts';
import type { Context } from '../server/context.ts';
import { extractStyles } from '../server/style-extract.ts';
import { readPicture } from './read-picture.ts';

/** Makes the router of png-info. */
export function pngInfoRoutes(context: Context): Router {
  const router = Router();
  router.post('/sdapi/v1/png-info', async (req, res) => {
    const { image } = parseRequest(PngInfoRequest, req.body, 'body');
    const bytes = await readPicture(image.trim(), 'image', context.options.all());
    const { infotext, items } = await readInfotext(bytes);
    res.json({
      info: infotext,
      items: Object.fromEntries(items),
      parameters: Object.fromEntries(await readParameters(context, infotext)),
    });
  });
  return router;
}

/**
 * Reads an infotext as the web UI's "Send to" buttons do: its pairs, the known styles that its prompts
 * contain, and defaults for the rest.
 */
async function readParameters(
  { styles, options }: Context,
  infotext: string,
): Promise<Map<string, Parameter>> {
  const parsed = parseInfotext(infotext);
  const { infotext_styles, infotext_skip_pasting } = options.all();
  const known = infotext_styles === 'Ignore' ? [] : (await styles.all()).values();
  const found = extractStyles(parsed, known);
  const isListed =
    infotext_styles === 'Apply' || (infotext_styles === 'Apply if any' && found.styles.length > 0);
  const prompts = infotext_styles === 'Ignore' ? parsed : found;
  const filled = fillParameters(
    { ...parsed, prompt: prompts.prompt, negativePrompt: prompts.negativePrompt },
    isListed ? found.styles : null,
    usesEmphasis(prompts.prompt) || usesEmphasis(prompts.negativePrompt),
  );
  for (const key of infotext_skip_pasting) filled.delete(key);
  return filled;
}

function usesEmphasis(prompt: string): boolean {
  return parseAttention(prompt).some((part) => part.weight !== 1 && !isBreak(part));
}
