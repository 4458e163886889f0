/** `GET /sdapi/v1/samplers`, `schedulers`, `prompt-styles`: what generation fields may name. */
import { Router } from 'express';
import { SAMPLERS, SCHEDULERS } from '../pipelines/samplers/catalogue.ts';
import type { Context } from '../server/context.ts';

/** Makes the router of the lists. */
export function samplerRoutes({ styles }: Context): Router {
  const router = Router();
  router.get('/sdapi/v1/samplers', (_req, res) => {
    res.json(SAMPLERS.map(({ name, aliases, options }) => ({ name, aliases, options })));
  });
  router.get('/sdapi/v1/schedulers', (_req, res) => {
    res.json(SCHEDULERS);
  });
  router.get('/sdapi/v1/prompt-styles', async (_req, res) => {
    const list = [...(await styles.all()).values()];
    res.json(
      list.map(({ name, prompt, negativePrompt }) => ({
        name,
        prompt,
        negative_prompt: negativePrompt,
      })),
    );
  });
  return router;
}
