/** `POST /sdapi/v1/loras` and `DELETE /sdapi/v1/loras/{name}`: only with `--lora-upload`. */
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { type Request, type RequestHandler, Router } from 'express';
import multer from 'multer';
import { MAX_LORA_BYTES, toLoraItem } from '../lora/catalogue.ts';
import { parseRequest } from '../openapi/parse.ts';
import { LoraUpload } from '../openapi/schemas/loras.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { checkFileName, createPartPath, publishLora, removeLora } from '../server/lora-files.ts';

/** Uploads at a time: each may fill 4 GiB of disk before it is looked at. */
const MAX_UPLOADS = 2;
/** Fields beside the file: `name` and `overwrite`, and a few that are ignored. */
const MAX_FIELDS = 8;
const MAX_FIELD_BYTES = 4_096;

const REFUSAL =
  'LoRA files can only be sent in and removed when the server was started with --lora-upload.';

/** Makes the router of uploads. */
export function loraUploadRoutes(context: Context): Router {
  const { settings, loras, log } = context;
  const router = Router();
  const refuseUnlessAllowed: RequestHandler = (_req, _res, next) => {
    if (!settings.loraUpload) throw new HttpError('UPLOAD_DISABLED', REFUSAL);
    next();
  };
  let running = 0;
  const limitUploads: RequestHandler = (_req, res, next) => {
    if (running >= MAX_UPLOADS) {
      throw new HttpError('QUEUE_FULL', `${MAX_UPLOADS} uploads are running; try again later.`);
    }
    running += 1;
    res.once('close', () => {
      running -= 1;
    });
    next();
  };

  router.post(
    '/sdapi/v1/loras',
    refuseUnlessAllowed,
    limitUploads,
    receiveFile(settings.loraDir),
    async (req, res) => {
      const { file } = req;
      if (!file) {
        throw new HttpError('BAD_REQUEST', 'Expected a file in the multipart field "file".');
      }
      try {
        const fields = parseRequest(LoraUpload, { ...req.query, ...req.body }, 'body');
        const name = checkFileName(fields.name || file.originalname);
        const path = await publishLora(file.path, settings.loraDir, name, fields.overwrite);
        log.info({ file: name, bytes: file.size }, 'LoRA received');
        await loras.refresh();
        const entry = loras.entries.find(({ filename }) => filename === path);
        if (!entry) throw new HttpError('LORA_NOT_FOUND', 'The file was removed meanwhile.');
        res.json(toLoraItem(entry));
      } finally {
        await rm(file.path, { force: true });
      }
    },
  );

  router.delete('/sdapi/v1/loras/*name', refuseUnlessAllowed, async (req, res) => {
    const name = [req.params.name].flat().join('/');
    const entry = loras.findFile(name);
    if (!entry) throw new HttpError('LORA_NOT_FOUND', `There is no LoRA ${quote(name)}.`);
    await removeLora(entry, settings.loraDir);
    log.info({ file: entry.name }, 'LoRA removed');
    await loras.refresh();
    res.json({ name: entry.loraName });
  });
  return router;
}

function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

/** Writes the file of a multipart body beside its later place; refuses other bodies. */
function receiveFile(loraDir: string): RequestHandler {
  const upload = multer({
    storage: {
      _handleFile: (req, file, done) => void store(req, file, loraDir, done),
      _removeFile,
    },
    limits: {
      fileSize: MAX_LORA_BYTES,
      files: 1,
      fields: MAX_FIELDS,
      fieldSize: MAX_FIELD_BYTES,
      fieldNameSize: 64,
      parts: MAX_FIELDS + 1,
      headerPairs: 32,
    },
    // A name with folders in it is refused, and not cut down to its last part.
    preservePath: true,
    defParamCharset: 'utf8',
  }).single('file');
  return (req, res, next) => {
    if (!req.is('multipart/form-data')) {
      throw new HttpError('UNSUPPORTED_MEDIA_TYPE', 'Expected a body of type multipart/form-data.');
    }
    upload(req, res, (error: unknown) => next(toUploadError(error)));
  };
}

type Done = (error?: unknown, info?: Partial<Express.Multer.File>) => void;

async function store(
  req: Request,
  file: Express.Multer.File,
  loraDir: string,
  done: Done,
): Promise<void> {
  let path: string | null = null;
  try {
    path = await createPartPath(loraDir, Number(req.headers['content-length'] ?? 0));
    const target = createWriteStream(path, { flags: 'wx' });
    await pipeline(file.stream, target);
    done(null, { path, size: target.bytesWritten });
  } catch (error) {
    if (path !== null) await rm(path, { force: true }).catch(() => undefined);
    done(error);
  }
}

function _removeFile(_req: Request, file: Express.Multer.File, done: (error: null) => void): void {
  rm(file.path, { force: true }).then(
    () => done(null),
    () => done(null),
  );
}

/** The reader's errors under codes of ours; null stays null. */
function toUploadError(error: unknown): unknown {
  if (error instanceof multer.MulterError) {
    if (error.code === 'LIMIT_FILE_SIZE') {
      return new HttpError('BODY_TOO_LARGE', `Expected a file of at most ${MAX_LORA_BYTES} bytes.`);
    }
    if (error.code === 'LIMIT_UNEXPECTED_FILE') {
      return new HttpError('BAD_REQUEST', 'Expected one file, in the multipart field "file".');
    }
    return new HttpError('BAD_REQUEST', `The multipart body is refused: ${error.message}.`);
  }
  if (error instanceof Error && !(error instanceof HttpError)) {
    const code = 'code' in error ? error.code : '';
    if (code === 'ENOSPC') return new HttpError('DISK_FULL', 'The disk is full.');
    if (code === undefined || code === '' || code === 'ERR_STREAM_PREMATURE_CLOSE') {
      return new HttpError('BAD_REQUEST', 'The multipart body cannot be read.');
    }
  }
  return error;
}
