/** What the web UI's page of model cards asks for. */
import { z } from 'zod';
import { int, text } from './coercion.ts';

/** Longest path that is looked for: percent-encoded, it still fits into a request line. */
const MAX_PATH_CHARS = 1_024;
/** Names of a page and of a file on it; for the same reason. */
const MAX_PAGE_CHARS = 64;
const MAX_ITEM_CHARS = 512;
/** Covers that a file is asked for; trainers write a few. */
const MAX_COVERS = 10_000;

const page = () =>
  text(MAX_PAGE_CHARS)
    .default('')
    .describe('`lora`, `checkpoints`, `textual inversion` or `hypernetworks`.');
const item = () => text(MAX_ITEM_CHARS).default('').describe('Name of a file on that page.');

export const ThumbQuery = z.object({
  filename: text(MAX_PATH_CHARS)
    .default('')
    .describe('Path of a picture in one of the folders of models.'),
});

export const MetadataQuery = z.object({ page: page(), item: item() });

export const CoverQuery = z.object({
  page: page(),
  item: item(),
  index: int(0, MAX_COVERS).default(0).describe('Which of its covers.'),
});

export const CardQuery = z.object({
  page: page(),
  tabname: text(MAX_PAGE_CHARS).default('').describe('Tab of the page; not used.'),
  name: item(),
});

export const NetworkMetadata = z
  .object({
    metadata: z.string().optional().describe('The metadata as JSON; absent where there is none.'),
  })
  .describe('What a model file says about itself.');

export const NetworkCard = z
  .object({ html: z.string().describe('The card: name and preview.') })
  .describe('A model as a card.');
