/** Endpoints that the web UI has for its own page, for training and for models that we do not run. */
import { z } from 'zod';
import { MAX_NAME_CHARS } from './bounds.ts';
import { dict, text } from './coercion.ts';

/** UTF-16 units of a picture in base64 or of its address; the body has its own bound in bytes. */
const MAX_PICTURE_CHARS = 64 * 1024 * 1024;

export const FaceRestorerItem = z
  .object({
    name: z.string().describe('Name for the option `face_restoration_model`.'),
    cmd_dir: z.string().nullable().describe('Folder of its files.'),
  })
  .describe('A face restorer.');

export const HypernetworkItem = z
  .object({
    name: z.string().describe('Name for `<hypernet:name:weight>`.'),
    path: z.string().nullable().describe('Path on the server.'),
  })
  .describe('A hypernetwork.');

export const ExtensionItem = z
  .object({
    name: z.string().describe('Name of the extension.'),
    remote: z.string().describe('Where it comes from.'),
    branch: z.string().describe('Its branch.'),
    commit_hash: z.string().describe('Its commit.'),
    version: z.string().describe('Its version.'),
    commit_date: z.string().describe('Date of the commit.'),
    enabled: z.boolean().describe('Whether it is on.'),
  })
  .describe('An extension of the web UI.');

export const InterrogateRequest = z
  .object({
    image: text(MAX_PICTURE_CHARS).default('').describe('Picture in base64 or as a data URI.'),
    model: text(MAX_NAME_CHARS).default('clip').describe('`clip` or `deepdanbooru`.'),
  })
  .describe('A picture to be put into words.');

export const InterrogateResponse = z
  .object({ caption: z.string().describe('The words.') })
  .describe('What is in the picture.');

export const TrainingRequest = dict().describe(
  'Arguments of the training, as the web UI has them.',
);

export const CreateResponse = z
  .object({ info: z.string().describe('What was made, or why not.') })
  .describe('Outcome of making an embedding or a hypernetwork.');

export const TrainResponse = z
  .object({ info: z.string().describe('What came of it, or why it did not start.') })
  .describe('Outcome of a training.');

export const AppIdResponse = z
  .object({ app_id: z.number().int().describe('Another number after each start.') })
  .describe('Tells one run of the server from the next.');

export const QuicksettingsHint = z
  .object({
    name: z.string().describe('Key of the option.'),
    label: z.string().describe('What it is.'),
  })
  .describe('An option.');

export const StartupProfile = z
  .object({
    total: z.number().describe('Seconds from the start of the process until now.'),
    records: z.record(z.string(), z.number()).describe('Seconds by phase.'),
  })
  .describe('How long the start took.');

/** Names of components: A1111's own. */
export const WEB_UI_REQUESTS = { InterrogateRequest };
export const WEB_UI_ANSWERS = {
  AppIdResponse,
  CreateResponse,
  ExtensionItem,
  FaceRestorerItem,
  HypernetworkItem,
  InterrogateResponse,
  QuicksettingsHint,
  TrainResponse,
};
