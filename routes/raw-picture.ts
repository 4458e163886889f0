/** Answers of one picture as its bytes, for clients whose `Accept` asks for a picture. */
import type { Request, Response } from 'express';
import { isDict } from '../openapi/schemas/coercion.ts';
import { HttpError } from '../server/errors.ts';

/** Formats that pictures can come in, as `samples_format` and as media types. */
const FORMATS = { 'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp' } as const;
type PictureType = keyof typeof FORMATS;
const TYPES = Object.keys(FORMATS) as PictureType[];

/** Returns the picture type that a client prefers to JSON; null for those that take anything. */
export function acceptedPicture(req: Request): PictureType | null {
  // A browser's address line takes pictures and anything else, but names no picture format of ours first.
  const accepted = req.accepts(['application/json', ...TYPES]);
  return TYPES.find((type) => type === accepted) ?? null;
}

/** Returns a request's body with its pictures in the format that was asked for, and sent. */
export function askForPicture(body: unknown, type: PictureType): unknown {
  if (!isDict(body)) return body;
  const settings = isDict(body.override_settings) ? body.override_settings : {};
  const override_settings = { ...settings, samples_format: FORMATS[type] };
  return { ...body, override_settings, send_images: true };
}

/**
 * Sends the first picture of an answer; a grid is not one.
 *
 * @throws HttpError NO_PICTURE when the job was interrupted before there was any
 */
export function sendPicture(
  res: Response,
  type: PictureType,
  answer: Readonly<Record<string, unknown>>,
): void {
  const images = Array.isArray(answer.images) ? answer.images : [answer.image];
  const info: unknown = typeof answer.info === 'string' ? JSON.parse(answer.info) : null;
  const first = isDict(info) && info.index_of_first_image === 1 ? 1 : 0;
  const image: unknown = images[first] ?? images[0];
  if (typeof image !== 'string' || image === '') {
    throw new HttpError('NO_PICTURE', 'The job ended before there was a picture.');
  }
  res.type(type).send(Buffer.from(image, 'base64'));
}
