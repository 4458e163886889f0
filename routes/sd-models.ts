/** Checkpoints and VAEs: lists, refresh, unload and reload. */
import { randomUUID } from 'node:crypto';
import { Router } from 'express';
import { toSdModel, toSdVae } from '../networks/checkpoint/catalogue.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { describeMissing } from './health.ts';

/** Makes the router of model files. */
export function sdModelRoutes(context: Context): Router {
  const { models, options, queue, engine } = context;
  const router = Router();
  router.get('/sdapi/v1/sd-models', (_req, res) => {
    // Clients want text: a hash that is still being computed is empty, not null.
    res.json(
      models.checkpoints.map(toSdModel).map((model) => ({
        ...model,
        // A1111 has no such member, but clients exist that choose checkpoints by it.
        name: model.model_name,
        hash: model.hash ?? '',
        sha256: model.sha256 ?? '',
      })),
    );
  });
  router.get('/sdapi/v1/sd-vae', (_req, res) => {
    res.json(models.vaes.map(toSdVae));
  });
  router.post(['/sdapi/v1/refresh-checkpoints', '/sdapi/v1/refresh-vae'], async (_req, res) => {
    await models.refresh();
    res.json(null);
  });
  router.post('/sdapi/v1/unload-checkpoint', async (_req, res) => {
    await queue.add(`task(unload-${randomUUID()})`, () => engine.unload());
    res.json({});
  });
  router.post('/sdapi/v1/reload-checkpoint', async (_req, res) => {
    const { sd_model_checkpoint, sd_vae } = options.all();
    await loadModel(context, sd_model_checkpoint, sd_vae);
    res.json({});
  });
  return router;
}

/**
 * Loads a checkpoint in the engine, in its turn.
 *
 * @param id   any id of a checkpoint; null for the first
 * @param vae  the option `sd_vae`
 * @throws HttpError MODEL_NOT_FOUND; EngineError when the file cannot be used
 */
export async function loadModel(context: Context, id: string | null, vae: string): Promise<void> {
  const { models, queue, engine } = context;
  const entry = models.current(id);
  if (entry === null) throw new HttpError('MODEL_NOT_FOUND', describeMissing(context));
  const checkpoint = await models.toFile(entry);
  const vaeFile = await models.vaeFile(vae, entry);
  await queue.add(`task(load-${randomUUID()})`, () => engine.load(checkpoint, vaeFile));
}
