/** Requests that the server sends to addresses that clients name: bounded, and not into its own network. */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import { createPublicLookup, isPublicAddress } from '../../images/public-address.ts';

/** Milliseconds for the whole exchange; agent-scheduler gives 5 s. */
const TIMEOUT_MS = 10_000;
/** UTF-16 units of an address; browsers end near 2,000. */
const MAX_URL_CHARS = 2_048;

/** An address that is not called. `code` is stable. */
export class OutgoingError extends Error {
  readonly code: 'INVALID_ADDRESS' | 'LOCAL_ADDRESS' | 'NO_ANSWER';

  constructor(code: OutgoingError['code'], message: string) {
    super(message);
    this.name = 'OutgoingError';
    this.code = code;
  }
}

/**
 * Reads an address to call.
 *
 * @throws OutgoingError INVALID_ADDRESS: not http or https, with a user name, or too long; LOCAL_ADDRESS
 *   when it names an address that is not public
 */
export function readUrl(text: string, allowsLocal: boolean): URL {
  const url = text.length <= MAX_URL_CHARS && URL.canParse(text) ? new URL(text) : null;
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (url === null || !isHttp || url.username !== '' || url.password !== '') {
    throw new OutgoingError(
      'INVALID_ADDRESS',
      'Expected an http or https address without a user name.',
    );
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (!allowsLocal && (host === 'localhost' || (isIP(host) !== 0 && !isPublicAddress(host)))) {
    throw refuseLocal();
  }
  return url;
}

/**
 * Posts a body; redirects are not followed, and what comes back is not read.
 *
 * @param allowsLocal  whether addresses of the server's own network may be called
 * @returns the status
 * @throws OutgoingError; every address that a name stands for is checked when the connection is
 *   made, so that a name cannot change its mind in between
 */
export function post(
  text: string,
  { type, body, allowsLocal }: { type: string; body: Buffer; allowsLocal: boolean },
): Promise<number> {
  const url = readUrl(text, allowsLocal);
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const client = request(url, {
      method: 'POST',
      headers: { 'Content-Type': type, 'Content-Length': body.length, 'User-Agent': 'sdserve' },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      agent: false,
      ...(allowsLocal ? {} : { lookup: createPublicLookup(refuseLocal) }),
    });
    client.once('response', (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    client.once('error', (error) => {
      if (error instanceof OutgoingError) reject(error);
      else reject(new OutgoingError('NO_ANSWER', error.message));
    });
    client.end(body);
  });
}

function refuseLocal(): OutgoingError {
  return new OutgoingError('LOCAL_ADDRESS', 'Expected an address that is not a local one.');
}
