import { fetchImage } from '../images/fetch-image.ts';
import type { Options } from '../openapi/schemas/options.ts';
import { HttpError } from '../server/errors.ts';

/**
 * Fetches a picture that a request names by its address, where the server allows that.
 *
 * @throws HttpError REQUESTS_NOT_ALLOWED; ImageError as `fetchImage`
 */
export async function fetchPicture(address: string, options: Options): Promise<Uint8Array> {
  if (!options.api_enable_requests) {
    throw new HttpError('REQUESTS_NOT_ALLOWED', 'Requests not allowed');
  }
  return fetchImage(address, options.api_useragent);
}
