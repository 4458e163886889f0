/** Pictures from http and https addresses, for servers that allow it; never from local ones. */
import type { LookupAddress, LookupOptions } from 'node:dns';
import { lookup } from 'node:dns';
import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import { BlockList, isIP } from 'node:net';
import { ImageError } from './errors.ts';

/** Bytes of a fetched picture; more than any PNG photograph of 4096 x 4096. */
export const MAX_FETCHED_BYTES = 64 * 1024 * 1024;
/** Milliseconds for one picture, as A1111 waits. */
const FETCH_TIMEOUT_MS = 30_000;

/** What no address of the public internet is in (IANA's special-purpose registries). */
const LOCAL = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  LOCAL.addSubnet(net, bits, 'ipv4');
}
/** Of IPv6 only 2000::/3 is global unicast; these parts of it are not, or hide an IPv4 address. */
const GLOBAL6 = new BlockList();
GLOBAL6.addSubnet('2000::', 3, 'ipv6');
const NOT_GLOBAL6 = new BlockList();
for (const [net, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  NOT_GLOBAL6.addSubnet(net, bits, 'ipv6');
}

/** Returns whether a request's picture is an address to fetch it from. */
export function isImageAddress(text: string): boolean {
  return /^https?:\/\//i.test(text.slice(0, 8));
}

/** Returns whether an IP address belongs to the public internet. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !LOCAL.check(address, 'ipv4');
  return family === 6 && GLOBAL6.check(address, 'ipv6') && !NOT_GLOBAL6.check(address, 'ipv6');
}

/**
 * Fetches a file over http or https. Redirects are not followed, and the address that the name
 * leads to is checked when the connection is made, so that a name cannot change its mind.
 *
 * @param address    http or https, without user name
 * @param userAgent  header to send; empty for none
 * @returns the body of a 200 answer, at most `MAX_FETCHED_BYTES`
 * @throws ImageError `LOCAL_ADDRESS` when it leads to this computer or a private network,
 *   `INVALID_ADDRESS` when nothing can be had from it, `IMAGE_TOO_LARGE`
 */
export async function fetchImage(address: string, userAgent: string): Promise<Buffer> {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null || url.username !== '' || !/^https?:$/.test(url.protocol)) {
    throw invalid('it is no http or https address');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !isPublicAddress(host)) throw local();
  const options: RequestOptions = {
    lookup: lookupPublic,
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

/** Resolves a name; refuses when any address of it is local. */
function lookupPublic(
  host: string,
  options: LookupOptions,
  done: (
    error: NodeJS.ErrnoException | null,
    address: string | LookupAddress[],
    family?: number,
  ) => void,
): void {
  lookup(host, { ...options, all: true }, (error, addresses) => {
    if (error) return done(error, []);
    if (addresses.length === 0 || addresses.some(({ address }) => !isPublicAddress(address))) {
      return done(local(), []);
    }
    const [first] = addresses as [LookupAddress];
    if (options.all === true) done(null, addresses);
    else done(null, first.address, first.family);
  });
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
