/** `GET` and `POST /sdapi/v1/options`, `GET /sdapi/v1/cmd-flags`. */
import { Router } from 'express';
import { parseRequest } from '../openapi/parse.ts';
import { dict } from '../openapi/schemas/coercion.ts';
import type { Options } from '../openapi/schemas/options.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { loadModel } from './sd-models.ts';

const OptionsBody = dict();

/** Makes the router of the options. */
export function optionRoutes(context: Context): Router {
  const { options, models } = context;
  const router = Router();

  router.get('/sdapi/v1/options', (_req, res) => {
    res.json(readOptions(context));
  });

  router.post('/sdapi/v1/options', async (req, res) => {
    const changes = options.parse(parseRequest(OptionsBody, req.body, 'body'));
    const before = options.all();
    const wanted = changes.sd_model_checkpoint;
    if (typeof wanted === 'string' && models.find(wanted) === null) {
      // A title that was in use when the file was there comes back with the whole object.
      if (wanted === before.sd_model_checkpoint) delete changes.sd_model_checkpoint;
      else throw new HttpError('MODEL_NOT_FOUND', `model '${wanted}' not found`);
    }
    const vae = changes.sd_vae ?? before.sd_vae;
    if (changes.sd_vae !== undefined && vae !== before.sd_vae && !models.knowsVae(vae)) {
      throw new HttpError('MODEL_NOT_FOUND', `VAE '${vae}' not found`);
    }
    const current = models.current(before.sd_model_checkpoint);
    const next = models.current(changes.sd_model_checkpoint ?? before.sd_model_checkpoint);
    const isFailed = context.engine.status().state === 'failed';
    if (next !== null && (next.path !== current?.path || vae !== before.sd_vae || isFailed)) {
      await loadModel(context, next.title, vae);
    }
    await options.set(changes);
    res.json(null);
  });

  router.get('/sdapi/v1/cmd-flags', (_req, res) => {
    res.json(describeFlags(context));
  });
  return router;
}

/** The options with those that follow the checkpoint in use: its title and its hash. */
export function readOptions({ options, models, output }: Context): Options {
  const all = options.all();
  const entry = models.current(all.sd_model_checkpoint);
  return {
    ...all,
    sd_model_checkpoint: entry?.title ?? null,
    sd_checkpoint_hash: entry?.sha256 ?? '',
    outdir_txt2img_samples: output.folder('txt2img', false),
    outdir_txt2img_grids: output.folder('txt2img', true),
    outdir_img2img_samples: output.folder('img2img', false),
    outdir_img2img_grids: output.folder('img2img', true),
  };
}

/** Flags under A1111's names; the passwords are not among them. */
export function describeFlags({ settings }: Context): Record<string, unknown> {
  return {
    api: true,
    nowebui: true,
    port: settings.port,
    listen: settings.host === '0.0.0.0',
    server_name: settings.host,
    api_auth: null,
    api_log: settings.apiLog,
    api_server_stop: settings.apiServerStop,
    cors_allow_origins: settings.corsOrigins.join(',') || null,
    cors_allow_origins_regex: settings.corsOriginsRegex?.source ?? null,
    data_dir: settings.dataDir,
    models_dir: settings.modelsDir,
    ckpt: settings.checkpoint,
    ckpt_dir: settings.checkpointDirs[1] ?? null,
    lora_dir: settings.loraDir,
    lora_upload: settings.loraUpload,
    vae_dir: settings.vaeDirs[1] ?? null,
    embeddings_dir: settings.embeddingsDir,
    styles_file: [settings.stylesFile],
    medvram: settings.memoryMode === 'medvram',
    lowvram: settings.memoryMode === 'lowvram',
    device: settings.device,
    threads: settings.threads,
    queue_size: settings.queueSize,
  };
}
