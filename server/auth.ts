/** HTTP Basic authentication with several users. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { RequestHandler } from 'express';
import { HttpError } from './errors.ts';

/** Wrong passwords that one address may send before its refusals are delayed. */
const FREE_FAILURES = 10;
/** Milliseconds that a refusal is then held back: 3,600 guesses an hour. */
const DELAY_MS = 1_000;
/** Milliseconds after which an address starts afresh. */
const FORGET_MS = 600_000;
/** Addresses that are remembered; the oldest is forgotten first. */
const MAX_ADDRESSES = 10_000;

interface User {
  name: string;
  password: string;
}

/**
 * Makes a check for `Authorization` headers.
 *
 * Both sides are hashed, so that the comparison takes the same time for any text; all users are
 * compared, so that it does not tell which one exists.
 *
 * @param users  name and password; names without a colon
 * @returns whether the header names one of the users with its password
 */
export function createVerifier(users: readonly User[]): (header: string) => boolean {
  const accepted = users.map(({ name, password }) => hash(`${name}:${password}`));
  return (header) => {
    const match = /^basic +([a-z0-9+/]+={0,2}) *$/i.exec(header);
    const sent = hash(Buffer.from(match?.[1] ?? '', 'base64').toString('utf8'));
    let isAccepted = false;
    for (const expected of accepted) isAccepted = timingSafeEqual(sent, expected) || isAccepted;
    return isAccepted && match !== null;
  };
}

/**
 * Refuses requests without a known user's name and password.
 *
 * @param users  nobody is refused when it is empty
 * @param open   paths that need no password
 */
export function requireUser(users: readonly User[], open: ReadonlySet<string>): RequestHandler {
  if (users.length === 0) return (_req, _res, next) => next();
  const verify = createVerifier(users);
  const failures = new Map<string, { count: number; untilMs: number }>();
  return async (req, res, next) => {
    if (open.has(req.path)) return next();
    const header = req.headers.authorization;
    const address = req.socket.remoteAddress ?? '';
    if (header !== undefined && verify(header)) {
      failures.delete(address);
      return next();
    }
    res.setHeader('WWW-Authenticate', 'Basic realm="sdserve", charset="UTF-8"');
    if (header === undefined || !/^basic\b/i.test(header)) {
      throw new HttpError('UNAUTHORIZED', 'Not authenticated');
    }
    if (countFailure(failures, address) > FREE_FAILURES) {
      await new Promise((resolve) => setTimeout(resolve, DELAY_MS));
    }
    throw new HttpError('UNAUTHORIZED', 'Incorrect username or password');
  };
}

function countFailure(
  failures: Map<string, { count: number; untilMs: number }>,
  address: string,
): number {
  const now = performance.now();
  const known = failures.get(address);
  const count = known !== undefined && known.untilMs > now ? known.count + 1 : 1;
  // Deleted first, so that the map stays in the order of the last failure.
  failures.delete(address);
  failures.set(address, { count, untilMs: now + FORGET_MS });
  const [oldest] = failures.keys();
  if (failures.size > MAX_ADDRESSES && oldest !== undefined) failures.delete(oldest);
  return count;
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}
