/** Pictures from http and https addresses, for servers that allow it; never from local ones. */
import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { ImageError } from './errors.ts';
import { createPublicLookup, isPublicAddress } from './public-address.ts';

/** Bytes of a fetched picture; more than any PNG photograph of 4096 x 4096. */
export const MAX_FETCHED_BYTES = 64 * 1024 * 1024;
/** Milliseconds for one picture, as A1111 waits. */
const FETCH_TIMEOUT_MS = 30_000;

/** Returns whether a request's picture is an address to fetch it from. */
export function isImageAddress(text: string): boolean {
  return /^https?:\/\//i.test(text.slice(0, 8));
}

/**
 * Fetches a file over http or https. Redirects are not followed, and the address that the name
 * leads to is checked when the connection is made, so that a name cannot change its mind.
 *
 * @param address    http or https, without user name
 * @param userAgent  header to send; empty for none
 * @param isAllowed  which IP addresses may be asked
 * @returns the body of a 200 answer, at most `MAX_FETCHED_BYTES`
 * @throws ImageError `LOCAL_ADDRESS` when it leads to this computer or a private network,
 *   `INVALID_ADDRESS` when nothing can be had from it, `IMAGE_TOO_LARGE`
 */
export async function fetchImage(
  address: string,
  userAgent: string,
  isAllowed: (ip: string) => boolean = isPublicAddress,
): Promise<Buffer> {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null || url.username !== '' || !/^https?:$/.test(url.protocol)) {
    throw invalid('it is no http or https address');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !isAllowed(host)) throw local();
  const options: RequestOptions = {
    lookup: createPublicLookup(local),
    agent: false,
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    headers: userAgent === '' ? {} : { 'User-Agent': userAgent },
  };
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      const client = url.protocol === 'https:' ? https : http;
      const request = client.get(url, options, (response) => {
        readBody(response).then(resolve, (error: unknown) => {
          request.destroy();
          reject(error);
        });
      });
      request.on('error', reject);
    });
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw invalid(error instanceof Error ? error.message : String(error));
  }
}

async function readBody(response: IncomingMessage): Promise<Buffer> {
  if (response.statusCode !== 200) throw invalid(`the answer is ${response.statusCode}`);
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response) {
    bytes += (part as Buffer).length;
    if (bytes > MAX_FETCHED_BYTES) {
      throw new ImageError(
        'IMAGE_TOO_LARGE',
        `Expected a picture of at most ${MAX_FETCHED_BYTES} bytes but received a larger one.`,
      );
    }
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts);
}

function invalid(reason: string): ImageError {
  return new ImageError('INVALID_ADDRESS', `Invalid image url: ${reason}`);
}

function local(): ImageError {
  return new ImageError('LOCAL_ADDRESS', 'Request to local resource not allowed');
}
