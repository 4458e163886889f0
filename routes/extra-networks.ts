/** `/sd_extra_networks`: previews, covers and metadata of model files, as the web UI's cards show them. */
import { access, realpath } from 'node:fs/promises';
import { extname, resolve, sep } from 'node:path';
import { Router } from 'express';
import { decodeBase64Image } from '../images/base64.ts';
import { ImageError } from '../images/errors.ts';
import { measureImage } from '../images/measure.ts';
import { decodeMetadata } from '../lora/catalogue.ts';
import { readModelMetadata } from '../networks/checkpoint/catalogue.ts';
import { parseRequest } from '../openapi/parse.ts';
import {
  CardQuery,
  CoverQuery,
  MetadataQuery,
  ThumbQuery,
} from '../openapi/schemas/extra-networks.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { escapeHtml } from './escape-html.ts';

/** Endings of the pictures that may lie beside a model. */
const PREVIEWS = ['.jpg', '.jpeg', '.png', '.webp', '.gif'];
/** Key of a LoRA's metadata with its covers: a JSON list of pictures in base64. */
const COVERS = 'ssmd_cover_images';

/** A model file on one of the pages. */
interface Card {
  name: string;
  /** Path as found, with the file's own name. */
  filename: string;
  metadata(): Promise<ReadonlyMap<string, string>>;
}

/** Makes the router of model cards. */
export function extraNetworkRoutes(context: Context): Router {
  const router = Router();

  router.get('/sd_extra_networks/thumb', async (req, res, next) => {
    const { filename } = parseRequest(ThumbQuery, req.query, 'query');
    const path = await findPreview(context, filename);
    res.type(extname(path)).sendFile(path, { dotfiles: 'allow' }, (error) => error && next(error));
  });

  router.get('/sd_extra_networks/cover-images', async (req, res) => {
    const { page, item, index } = parseRequest(CoverQuery, req.query, 'query');
    const metadata = await findCard(context, page, item)?.metadata();
    const text = readCovers(metadata?.get(COVERS) ?? '')[index];
    const picture = text === undefined ? null : await readCover(text);
    if (picture === null) throw notFound();
    res.type(`image/${picture.format}`).send(picture.bytes);
  });

  router.get('/sd_extra_networks/metadata', async (req, res) => {
    const { page, item } = parseRequest(MetadataQuery, req.query, 'query');
    const metadata = await findCard(context, page, item)?.metadata();
    const { [COVERS]: _, ...shown } = decodeMetadata(metadata ?? new Map());
    const isEmpty = Object.keys(shown).length === 0;
    res.json(isEmpty ? {} : { metadata: JSON.stringify(shown, null, 4) });
  });

  router.get('/sd_extra_networks/get-single-card', async (req, res) => {
    const { page, name } = parseRequest(CardQuery, req.query, 'query');
    const card = findCard(context, page, name);
    if (card === null) throw notFound();
    res.json({ html: await writeCard(card, page) });
  });
  return router;
}

function notFound(): HttpError {
  return new HttpError('FILE_NOT_FOUND', 'File not found');
}

/** Finds a file on a page by the name that its card has; null when there is none. */
function findCard({ models, loras, embeddings }: Context, page: string, name: string): Card | null {
  switch (page.toLowerCase()) {
    case 'lora': {
      const entry = loras.entries.find(({ loraName }) => loraName === name);
      return entry ? toCard(name, entry.filename, async () => entry.metadata) : null;
    }
    case 'checkpoints': {
      const entry = models.find(name);
      return entry && toCard(name, entry.filename, () => readModelMetadata(entry.path));
    }
    case 'textual inversion': {
      const entry = embeddings.find(name);
      return entry && toCard(name, entry.filename, async () => new Map());
    }
    default:
      return null;
  }
}

function toCard(name: string, filename: string, metadata: Card['metadata']): Card {
  return { name, filename, metadata };
}

/**
 * Returns the real path of a picture that may be shown: nothing but pictures, and those only from
 * the folders of models, whatever links lie there.
 *
 * @throws HttpError FILE_NOT_FOUND, the same for what is not there and what may not be shown
 */
async function findPreview({ settings }: Context, filename: string): Promise<string> {
  const isPicture = (path: string) => PREVIEWS.includes(extname(path).toLowerCase());
  if (filename === '' || filename.includes('\0') || !isPicture(filename)) throw notFound();
  const { checkpointDirs, loraDir, embeddingsDir } = settings;
  const real = (path: string) => realpath(path).catch(() => null);
  const path = await real(resolve(filename));
  const folders = await Promise.all([...checkpointDirs, loraDir, embeddingsDir].map(real));
  const isInside = folders.some((folder) => folder !== null && path?.startsWith(folder + sep));
  if (path === null || !isInside || !isPicture(path)) throw notFound();
  return path;
}

/** The covers as texts in base64; empty for what is no such list. */
function readCovers(text: string): string[] {
  try {
    const covers: unknown = JSON.parse(text);
    return Array.isArray(covers) ? covers.filter((cover) => typeof cover === 'string') : [];
  } catch {
    return [];
  }
}

/** A stranger's base64 and the format of the picture in it; null when it is none. */
async function readCover(text: string): Promise<{ bytes: Buffer; format: string } | null> {
  try {
    const bytes = decodeBase64Image(text, COVERS);
    return { bytes, format: (await measureImage(bytes)).format };
  } catch (error) {
    if (error instanceof ImageError) return null;
    throw error;
  }
}

async function writeCard(card: Card, page: string): Promise<string> {
  const address = await findAddress(card, page);
  const picture =
    address === null ? '' : `<img src="${escapeHtml(address)}" class="preview" alt="">`;
  const name = escapeHtml(card.name);
  return `<div class="card" data-name="${name}">${picture}<span class="name">${name}</span></div>`;
}

/** Where the picture of a card is: beside its file, or in its metadata; null when there is none. */
async function findAddress(card: Card, page: string): Promise<string | null> {
  const stem = card.filename.slice(0, -extname(card.filename).length);
  for (const ending of PREVIEWS.flatMap((one) => [one, `.preview${one}`])) {
    const path = stem + ending;
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return `./sd_extra_networks/thumb?${new URLSearchParams({ filename: path })}`;
  }
  const covers = readCovers((await card.metadata()).get(COVERS) ?? '');
  const query = new URLSearchParams({ page: page.toLowerCase(), item: card.name });
  return covers.length > 0 ? `./sd_extra_networks/cover-images?${query}` : null;
}
