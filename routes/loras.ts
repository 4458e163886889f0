/** LoRAs: list, refresh, inspect. */
import { basename, extname } from 'node:path';
import { Router } from 'express';
import { toLoraItem } from '../lora/catalogue.ts';
import { parseRequest } from '../openapi/parse.ts';
import { InspectionQuery } from '../openapi/schemas/loras.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import type { InspectedFile } from '../server/inspections.ts';

/** Longest name that an answer repeats, in UTF-16 units. */
const MAX_SHOWN = 80;

/** Makes the router of LoRAs. */
export function loraRoutes(context: Context): Router {
  const { loras } = context;
  const router = Router();
  router.get('/sdapi/v1/loras', (_req, res) => {
    res.json(loras.entries.map(toLoraItem));
  });
  router.post('/sdapi/v1/refresh-loras', async (_req, res) => {
    await loras.refresh();
    res.json(null);
  });
  // Names may have folders in them, with plain or encoded slashes.
  router.get('/sdapi/v1/loras/*name', async (req, res) => {
    const { strength } = parseRequest(InspectionQuery, req.query, 'query');
    res.json(await inspect(context, [req.params.name].flat().join('/'), strength));
  });
  return router;
}

async function inspect(context: Context, name: string, measures: boolean) {
  const { loras, models, options } = context;
  const entry = loras.find(name);
  const file = entry ? { ...entry, name: entry.loraName, folder: 'Lora' as const } : null;
  const found = file ?? findElsewhere(context, name) ?? loras.findPickle(name);
  if (!found) {
    const shown = JSON.stringify(name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name);
    throw new HttpError('LORA_NOT_FOUND', `There is no LoRA ${shown}, nor another model.`);
  }
  const { path, bytes, mtimeMs, folder } = found;
  const told = await loras.inspections.inspect(
    { path, bytes, mtimeMs, folder, name: found.name },
    measures,
  );
  const checkpoint = models.current(options.all().sd_model_checkpoint);
  const fit =
    told.kind === 'lora' && checkpoint ? await loras.inspections.compare(found, checkpoint) : null;
  const isAlias = options.all().lora_preferred_name !== 'Filename';
  const called = isAlias ? loras.callName(entry) : entry?.loraName;
  return {
    name: found.name,
    alias: entry?.alias ?? null,
    tag: told.kind === 'lora' && called !== undefined ? `<lora:${called}:1>` : null,
    path: found.filename,
    folder,
    hashes: {
      sha256: entry?.sha256 ?? null,
      autov2: entry?.shortHash ?? null,
      addnet: entry?.infotextHash ?? null,
    },
    ...told,
    checkpoint: fit && checkpoint && { title: checkpoint.title, ...fit },
  };
}

/** Finds a file that lies in another folder than the LoRAs', by the names that list it there. */
function findElsewhere(
  { models, embeddings }: Context,
  name: string,
): (InspectedFile & { filename: string }) | null {
  const checkpoint = models.find(name);
  if (checkpoint) {
    return { ...checkpoint, name: checkpoint.baseName, folder: 'Stable-diffusion' };
  }
  const vae = models.vaes.find(({ modelName }) => [modelName, plainName(modelName)].includes(name));
  if (vae) return { ...vae, name: plainName(vae.modelName), folder: 'VAE' };
  const embedding = embeddings.find(name);
  return embedding && { ...embedding, name: embedding.embeddingName, folder: 'embeddings' };
}

function plainName(file: string): string {
  return basename(file, extname(file));
}
