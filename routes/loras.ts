/** LoRAs: list and refresh. */
import { Router } from 'express';
import { toLoraItem } from '../lora/catalogue.ts';
import type { Context } from '../server/context.ts';

/** Makes the router of LoRAs. */
export function loraRoutes({ loras }: Context): Router {
  const router = Router();
  router.get('/sdapi/v1/loras', (_req, res) => {
    res.json(loras.entries.map(toLoraItem));
  });
  router.post('/sdapi/v1/refresh-loras', async (_req, res) => {
    await loras.refresh();
    res.json(null);
  });
  return router;
}
