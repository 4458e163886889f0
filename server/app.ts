/** The express application: middleware order and mounted routers; opens no port. */
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { listOperations } from '../openapi/operations.ts';
import { agentSchedulerRoutes } from '../routes/agent-scheduler/routes.ts';
import { controlNetRoutes } from '../routes/controlnet.ts';
import { docsRoutes } from '../routes/docs.ts';
import { embeddingRoutes } from '../routes/embeddings.ts';
import { extraNetworkRoutes } from '../routes/extra-networks.ts';
import { extraRoutes } from '../routes/extras.ts';
import { healthRoutes } from '../routes/health.ts';
import { homeRoutes } from '../routes/home.ts';
import { img2imgRoutes } from '../routes/img2img.ts';
import { interrogateRoutes } from '../routes/interrogate.ts';
import { interruptRoutes } from '../routes/interrupt.ts';
import { jobRoutes } from '../routes/jobs.ts';
import { loraUploadRoutes } from '../routes/lora-upload.ts';
import { loraRoutes } from '../routes/loras.ts';
import { memoryRoutes } from '../routes/memory.ts';
import { optionRoutes } from '../routes/options.ts';
import { pngInfoRoutes } from '../routes/png-info.ts';
import { progressRoutes } from '../routes/progress.ts';
import { samplerRoutes } from '../routes/samplers.ts';
import { scriptRoutes } from '../routes/scripts.ts';
import { sdModelRoutes } from '../routes/sd-models.ts';
import { serverControlRoutes } from '../routes/server-control.ts';
import { sparkleRoutes } from '../routes/sparkle.ts';
import { stepsPlanRoutes } from '../routes/steps-plan.ts';
import { txt2imgRoutes } from '../routes/txt2img.ts';
import { upscalerRoutes } from '../routes/upscalers.ts';
import { webUiRoutes } from '../routes/web-ui.ts';
import { requireUser } from './auth.ts';
import { readJsonBody } from './body.ts';
import { compressAnswers } from './compress.ts';
import type { Context } from './context.ts';
import { allowOrigins, createOriginCheck, refuseCrossSite } from './cross-origin.ts';
import { toErrorAnswer } from './errors.ts';
import type { Logger } from './logging.ts';
import { readForm } from './multipart.ts';
import { PathTable } from './path-table.ts';
import { observeRequests } from './request-log.ts';

/** Answered without a password: whether the process lives, which is no secret. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/health']);
/** Answers hold data only: nothing in them may run or load anything. */
const DATA_POLICY = "default-src 'none'; frame-ancestors 'none'";

/** Makes the application of one server. */
export function createApp(context: Context): Express {
  const { settings, log, metrics, queue } = context;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  metrics.watchQueue(() => ({
    running: queue.running === null ? 0 : 1,
    waiting: queue.waiting.length,
  }));
  const paths = new PathTable(listOperations(settings.apiServerStop));
  const isAllowed = createOriginCheck(settings.corsOrigins, settings.corsOriginsRegex);

  app.use(tidyPath());
  app.use(observeRequests(log, metrics, paths, settings.apiLog));
  app.use(protectAnswers());
  app.use(compressAnswers());
  app.use(allowOrigins(isAllowed));
  app.use(requireUser(settings.users, OPEN_PATHS));
  app.use(refuseCrossSite(isAllowed));
  app.use(readForm());
  app.use(readJsonBody());
  for (const routes of [
    txt2imgRoutes,
    extraRoutes,
    pngInfoRoutes,
    upscalerRoutes,
    img2imgRoutes,
    sparkleRoutes,
    stepsPlanRoutes,
    interrogateRoutes,
    jobRoutes,
    agentSchedulerRoutes,
    progressRoutes,
    interruptRoutes,
    optionRoutes,
    sdModelRoutes,
    loraRoutes,
    loraUploadRoutes,
    controlNetRoutes,
    embeddingRoutes,
    extraNetworkRoutes,
    samplerRoutes,
    scriptRoutes,
    memoryRoutes,
    healthRoutes,
    homeRoutes,
    webUiRoutes,
    serverControlRoutes,
    docsRoutes,
  ]) {
    app.use(routes(context));
  }
  app.use(answerUnknown(paths));
  app.use(answerErrors(log));
  return app;
}

/**
 * Collapses repeated slashes, which come from users who end the server's address with one, and
 * drops the last one, which some clients add.
 */
function tidyPath(): RequestHandler {
  return (req, _res, next) => {
    const mark = req.url.indexOf('?');
    const path = mark === -1 ? req.url : req.url.slice(0, mark);
    const query = mark === -1 ? '' : req.url.slice(mark);
    const single = path.replace(/\/{2,}/g, '/');
    const isDocs = single === '/docs/';
    req.url = (single.length > 1 && !isDocs ? single.replace(/\/$/, '') : single) + query;
    next();
  };
}

function protectAnswers(): RequestHandler {
  return (_req, res, next) => {
    res.setHeader('X-Content-Type-Options', 'nosniff');
    res.setHeader('Content-Security-Policy', DATA_POLICY);
    res.setHeader('Referrer-Policy', 'no-referrer');
    next();
  };
}

/** 404 for unknown paths, 405 for known ones with another method, both as FastAPI words them. */
function answerUnknown(paths: PathTable): RequestHandler {
  return (req, res) => {
    const known = paths.find(req.path);
    if (known === null) {
      res.status(404).json({ detail: 'Not Found' });
      return;
    }
    res.setHeader('Allow', known.methods.map((method) => method.toUpperCase()).join(', '));
    res.status(405).json({ detail: 'Method Not Allowed' });
  };
}

function answerErrors(log: Logger): ErrorRequestHandler {
  // Express tells error handlers by their four parameters.
  return (error: unknown, req, res, _next) => {
    const { status, headers, body } = toErrorAnswer(error);
    const fields = { method: req.method, path: req.path, status, error: body.message };
    if (status >= 500) {
      const stack = error instanceof Error ? error.stack : undefined;
      log.error({ ...fields, stack }, 'request failed');
    } else {
      log.debug(fields, 'request refused');
    }
    if (res.headersSent || res.destroyed) {
      res.destroy();
      return;
    }
    res.set(headers).status(status).json(body);
  };
}
