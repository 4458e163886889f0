/** Textual inversion embeddings: list and refresh. */
import { Router } from 'express';
import type { Context } from '../server/context.ts';

/** Makes the router of embeddings. */
export function embeddingRoutes({ embeddings, models, options }: Context): Router {
  const router = Router();
  router.get('/sdapi/v1/embeddings', async (_req, res) => {
    const checkpoint = models.current(options.all().sd_model_checkpoint);
    res.json(embeddings.list(checkpoint && (await models.textWidths(checkpoint))));
  });
  router.post('/sdapi/v1/refresh-embeddings', async (_req, res) => {
    await embeddings.refresh();
    res.json(null);
  });
  return router;
}
