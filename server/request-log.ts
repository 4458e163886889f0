/** Time, log lines and metrics of every request. */
import type { Request, RequestHandler, Response } from 'express';
import type { Logger } from './logging.ts';
import type { Metrics } from './metrics.ts';
import type { PathTable } from './path-table.ts';

const NO_KEYS: ReadonlySet<string> = new Set();

/**
 * Puts `X-Process-Time` on every answer and notes it when it is sent.
 *
 * @param log      gets one line per request at level debug, with the fields of the body that are
 *   known and short; with `apiLog` a line as A1111 prints it
 * @param metrics  gets the time by method, path and status
 * @param paths    other paths are counted as one, so that strangers cannot fill the memory
 * @param apiLog   whether to print A1111's line for `/sdapi` paths
 */
export function observeRequests(
  log: Logger,
  metrics: Metrics,
  paths: PathTable,
  apiLog: boolean,
): RequestHandler {
  return (req, res, next) => {
    const startedMs = performance.now();
    const seconds = () => (performance.now() - startedMs) / 1000;
    res.writeHead = new Proxy(res.writeHead, {
      apply(writeHead, self, args) {
        if (!res.headersSent) res.setHeader('X-Process-Time', seconds().toFixed(4));
        return Reflect.apply(writeHead, self, args);
      },
    });
    const { path } = req;
    res.once('close', () => {
      const known = paths.find(path);
      const label = known?.path ?? 'other';
      metrics.httpSeconds.observe(
        { method: req.method, path: label, status: res.statusCode },
        seconds(),
      );
      const ms = Math.round(seconds() * 1000);
      const fields = { method: req.method, path, status: res.statusCode, ms };
      // Looking through the body costs time that a silent log need not take.
      if (log.isLevelEnabled('debug')) {
        log.debug({ ...fields, ...describeBody(req.body, known?.bodyKeys ?? NO_KEYS) }, 'request');
      }
      if (apiLog && path.startsWith('/sdapi')) log.info(writeApiLine(req, res, seconds()));
    });
    next();
  };
}

/**
 * What a log may say of a body: numbers, switches and nulls of fields that the endpoint knows, the
 * length of their texts, and how many fields it does not know. Some front-ends send passwords there.
 */
function describeBody(body: unknown, keys: ReadonlySet<string>): Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return {};
  const entries = Object.entries(body);
  const known = entries.filter(([key]) => keys.has(key));
  const fields = known.map(([key, value]): [string, unknown] => [key, describeValue(value)]);
  return { body: Object.fromEntries(fields), unknownFields: entries.length - known.length };
}

function describeValue(value: unknown): unknown {
  if (typeof value === 'string') return `[${value.length} characters]`;
  if (Array.isArray(value)) return `[${value.length} items]`;
  return typeof value === 'object' && value !== null ? '[object]' : value;
}

/** A1111's line: `API <time> <status> <scheme>/<version> <method> <path> <client> <seconds>`. */
function writeApiLine(req: Request, res: Response, seconds: number): string {
  const time = new Date().toISOString().replace('T', ' ').replace('Z', '000');
  const client = req.socket.remoteAddress ?? 'unknown';
  return `API ${time} ${res.statusCode} http/${req.httpVersion} ${req.method} ${req.path} ${client} ${seconds.toFixed(4)}`;
}
