/** Time, log lines and metrics of every request. */
import type { Request, RequestHandler, Response } from 'express';
import type { Logger } from './logging.ts';
import type { Metrics } from './metrics.ts';

/**
 * Puts `X-Process-Time` on every answer and notes it when it is sent.
 *
 * @param log        gets one line per request at level debug; with `apiLog` a line as A1111 prints it
 * @param metrics    gets the time by method, path and status
 * @param knownPaths other paths are counted as one, so that strangers cannot fill the memory
 * @param apiLog     whether to print A1111's line for `/sdapi` paths
 */
export function observeRequests(
  log: Logger,
  metrics: Metrics,
  knownPaths: ReadonlySet<string>,
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
      const label = knownPaths.has(path) ? path : 'other';
      metrics.httpSeconds.observe(
        { method: req.method, path: label, status: res.statusCode },
        seconds(),
      );
      const ms = Math.round(seconds() * 1000);
      log.debug({ method: req.method, path, status: res.statusCode, ms }, 'request');
      if (apiLog && path.startsWith('/sdapi')) log.info(writeApiLine(req, res, seconds()));
    });
    next();
  };
}

/** A1111's line: `API <time> <status> <scheme>/<version> <method> <path> <client> <seconds>`. */
function writeApiLine(req: Request, res: Response, seconds: number): string {
  const time = new Date().toISOString().replace('T', ' ').replace('Z', '000');
  const client = req.socket.remoteAddress ?? 'unknown';
  return `API ${time} ${res.statusCode} http/${req.httpVersion} ${req.method} ${req.path} ${client} ${seconds.toFixed(4)}`;
}
