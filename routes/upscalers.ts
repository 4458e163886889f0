/** `GET /sdapi/v1/upscalers`, `latent-upscale-modes`, `realesrgan-models`: what enlarges pictures. */
import { Router } from 'express';
import { toUpscalerRow } from '../networks/upscaler/catalogue.ts';
import { LATENT_UPSCALE_MODES } from '../pipelines/hires/latent-modes.ts';
import type { Context } from '../server/context.ts';

/** Makes the router of the lists. */
export function upscalerRoutes({ upscalers }: Context): Router {
  const router = Router();
  router.get('/sdapi/v1/upscalers', (_req, res) => {
    res.json(upscalers.entries.map(toUpscalerRow));
  });
  router.get('/sdapi/v1/latent-upscale-modes', (_req, res) => {
    res.json(LATENT_UPSCALE_MODES.map(({ name }) => ({ name })));
  });
  router.get('/sdapi/v1/realesrgan-models', (_req, res) => {
    res.json(
      upscalers.entries
        .filter(({ family }) => family === 'realesrgan')
        .map(({ name, filename, scale }) => ({ name, path: filename, scale })),
    );
  });
  return router;
}
