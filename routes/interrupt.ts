/** `POST /sdapi/v1/interrupt` and `skip`. */
import { Router } from 'express';
import type { Context } from '../server/context.ts';

/** Makes the router that ends work early; without a running job both do nothing, as in A1111. */
export function interruptRoutes({ engine }: Context): Router {
  const router = Router();
  router.post('/sdapi/v1/interrupt', (_req, res) => {
    engine.interrupt();
    res.json({});
  });
  router.post('/sdapi/v1/skip', (_req, res) => {
    engine.skip();
    res.json(null);
  });
  return router;
}
