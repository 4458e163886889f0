/** `GET /sdapi/v1/memory`. */
import { totalmem } from 'node:os';
import { Router } from 'express';
import type { Context } from '../server/context.ts';

/** Makes the router of the memory report. */
export function memoryRoutes({ engine, settings }: Context): Router {
  const router = Router();
  router.get('/sdapi/v1/memory', async (_req, res) => {
    const memory = await engine.memory();
    const used = process.memoryUsage.rss() + (memory?.rss ?? 0);
    const total = readTotal();
    res.json({
      ram: { free: Math.max(total - used, 0), used, total },
      cuda: { error: `no numbers for the device ${settings.device}` },
      engine: memory === null ? null : { rss: memory.rss, array_buffers: memory.arrayBuffers },
    });
  });
  return router;
}

/** Bytes of the container's limit, or of the machine where there is none. */
function readTotal(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}
