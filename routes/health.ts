/** Whether the server lives and works: `/health`, `/metrics`, `/queue/status` and ping. */
import { Router } from 'express';
import type { Context } from '../server/context.ts';

/** Makes the router of everything that watches the server. */
export function healthRoutes(context: Context): Router {
  const { engine, queue, metrics, models } = context;
  const router = Router();
  router.get('/health', (_req, res) => {
    res.json({ status: 'ok' });
  });
  router.get('/health/ready', (_req, res) => {
    const { state, reason, restarts } = engine.status();
    const noModel = models.checkpoints.length === 0 ? describeMissing(context) : null;
    const isReady = state === 'ready' && noModel === null;
    res.status(isReady ? 200 : 503).json({
      ready: isReady,
      reason: noModel ?? reason,
      engine: state,
      restarts,
      running: queue.running === null ? 0 : 1,
      waiting: queue.waiting.length,
    });
  });
  router.get('/metrics', async (_req, res) => {
    res.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  router.get('/queue/status', (_req, res) => {
    res.json({
      msg: 'estimation',
      rank: null,
      queue_size: queue.waiting.length + (queue.running === null ? 0 : 1),
      queue_limit: queue.limit,
      avg_event_process_time: queue.averageSeconds,
    });
  });
  router.get('/internal/ping', (_req, res) => {
    res.json({});
  });
  return router;
}

/** The sentence for a server without any checkpoint. */
export function describeMissing({ settings }: Context): string {
  return `No checkpoint was found: put a .safetensors file into ${settings.checkpointDirs[0]}.`;
}
