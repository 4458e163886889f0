import { decodeBase64Image } from '../images/base64.ts';
import { isImageAddress } from '../images/fetch-image.ts';
import type { Options } from '../openapi/schemas/options.ts';
import { fetchPicture } from './fetch-picture.ts';

/**
 * Returns the file that a request carries, as base64 or a data URL, or names by its address.
 *
 * @param field  name of the request field, for the error
 * @throws ImageError INVALID_BASE64 and those of `fetchImage`; HttpError REQUESTS_NOT_ALLOWED
 */
export async function readPicture(
  text: string,
  field: string,
  options: Options,
): Promise<Uint8Array> {
  return isImageAddress(text) ? fetchPicture(text, options) : decodeBase64Image(text, field);
}
