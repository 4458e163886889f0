/** Which web pages may call the API. */
import cors from 'cors';
import type { Request, RequestHandler } from 'express';
import { HttpError } from './errors.ts';

/** Seconds that a browser may remember a preflight's answer, as in A1111. */
const MAX_AGE_SECONDS = 600;
/** Headers of ours that a page may read. */
const EXPOSED = ['X-Process-Time', 'X-Task-Id', 'Retry-After'];

/**
 * Makes the check of an `Origin` header.
 *
 * @param origins  exact origins; `*` allows every one
 * @param regex    matches a whole origin; null for none
 */
export function createOriginCheck(
  origins: readonly string[],
  regex: RegExp | null,
): (origin: string) => boolean {
  const isAny = origins.includes('*');
  const listed = new Set(origins);
  return (origin) => isAny || listed.has(origin) || regex?.test(origin) === true;
}

/**
 * Answers preflights and adds the CORS headers, on every path and every status.
 *
 * @param isAllowed  see `createOriginCheck`
 */
export function allowOrigins(isAllowed: (origin: string) => boolean): RequestHandler {
  const allow = cors({
    origin: (origin, done) => done(null, origin !== undefined && isAllowed(origin)),
    credentials: true,
    methods: ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT'],
    exposedHeaders: EXPOSED,
    maxAge: MAX_AGE_SECONDS,
    optionsSuccessStatus: 200,
  });
  return (req, res, next) => {
    const { origin } = req.headers;
    const isPreflight =
      req.method === 'OPTIONS' && req.headers['access-control-request-method'] !== undefined;
    if (isPreflight && (origin === undefined || !isAllowed(origin))) {
      res.status(400).type('text/plain').vary('Origin').send('Disallowed CORS origin');
      return;
    }
    allow(req, res, next);
  };
}

/**
 * Refuses requests that change something and that a browser sends for a foreign page without
 * asking first: forms and scripts can do that to any address, and CORS only hides the answer.
 *
 * @param isAllowed  see `createOriginCheck`
 */
export function refuseCrossSite(isAllowed: (origin: string) => boolean): RequestHandler {
  return (req, _res, next) => {
    const isReading = req.method === 'GET' || req.method === 'HEAD' || req.method === 'OPTIONS';
    const { origin } = req.headers;
    if (!isReading && isForeign(req) && (origin === undefined || !isAllowed(origin))) {
      throw new HttpError('CROSS_SITE', 'Requests of this origin are not allowed.');
    }
    next();
  };
}

/**
 * Whether a request comes from another site's page. Browsers say so themselves, but not to plain
 * http addresses of a network; there the origin of what needs no preflight (a form) is compared with
 * the host that was asked.
 */
function isForeign({ headers }: Request): boolean {
  const told = headers['sec-fetch-site'];
  if (told !== undefined) return told === 'cross-site';
  const { origin } = headers;
  const needsPreflight = headers['content-type']?.startsWith('application/json') === true;
  if (needsPreflight || origin === undefined || !/^https?:/.test(origin)) return false;
  const hosts = [headers.host, headers['x-forwarded-host']];
  return URL.canParse(origin) && !hosts.includes(new URL(origin).host);
}
