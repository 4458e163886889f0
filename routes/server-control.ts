/** `POST /sdapi/v1/server-stop`, `server-kill`, `server-restart`; only with `--api-server-stop`. */
import { Router } from 'express';
import type { Context } from '../server/context.ts';

/** Makes the router that lets clients end the server. */
export function serverControlRoutes({ settings, stop }: Context): Router {
  const router = Router();
  if (!settings.apiServerStop) return router;
  router.post('/sdapi/v1/server-stop', (_req, res) => {
    res.type('text/plain').send('Stopping.');
    stop('asked over HTTP', false);
  });
  router.post('/sdapi/v1/server-kill', (_req, res) => {
    res.json({});
    stop('asked over HTTP', true);
  });
  router.post('/sdapi/v1/server-restart', (_req, res) => {
    // Starting again is the business of whoever started the server.
    res.status(501).json({});
  });
  return router;
}
