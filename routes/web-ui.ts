/** What the web UI's page and its training ask for: lists of what we have none of, and reports. */
import { randomInt } from 'node:crypto';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { Router } from 'express';
import { parseRequest } from '../openapi/parse.ts';
import { Options } from '../openapi/schemas/options.ts';
import { TrainingRequest } from '../openapi/schemas/web-ui.ts';
import type { Context } from '../server/context.ts';
import { describeFlags, readOptions } from './options.ts';

/** Largest id: beyond it JavaScript's own JSON would round. */
const MAX_APP_ID = 2 ** 48 - 1;

/** Makes the router of everything that exists for the web UI's own sake. */
export function webUiRoutes(context: Context): Router {
  const router = Router();
  router.get(
    ['/sdapi/v1/face-restorers', '/sdapi/v1/hypernetworks', '/sdapi/v1/extensions'],
    (_req, res) => {
      res.json([]);
    },
  );

  for (const verb of ['create', 'train']) {
    for (const what of ['embedding', 'hypernetwork']) {
      router.post(`/sdapi/v1/${verb}/${what}`, (req, res) => {
        parseRequest(TrainingRequest, req.body, 'body');
        // A1111 reports faults of training in `info`, too, with status 200.
        res.json({ info: `${verb} ${what} error: sdserve draws pictures and trains nothing` });
      });
    }
  }

  router.get('/internal/quicksettings-hint', (_req, res) => {
    const hints = Object.entries(Options.shape);
    res.json(hints.map(([name, { description = name }]) => ({ name, label: description })));
  });
  const startSeconds = process.uptime();
  router.get('/internal/profile-startup', (_req, res) => {
    res.json({ total: process.uptime(), records: { 'until the routes': startSeconds } });
  });
  router.get('/internal/sysinfo', (_req, res) => {
    res.type('text/plain').setHeader('Content-Disposition', `inline; filename="${fileName()}"`);
    res.send(describeSystem(context));
  });
  router.get('/internal/sysinfo-download', (_req, res) => {
    res.type('text/plain').setHeader('Content-Disposition', `attachment; filename="${fileName()}"`);
    res.send(describeSystem(context));
  });

  const appId = randomInt(MAX_APP_ID);
  router.get('/app_id', (_req, res) => {
    res.json({ app_id: appId });
  });
  return router;
}

/** `sysinfo-YYYY-MM-DD-HH-MM.json`, UTC. */
function fileName(): string {
  return `sysinfo-${new Date().toISOString().slice(0, 16).replace(/[T:]/g, '-')}.json`;
}

/** Machine, server and options as JSON; without passwords and environment. */
function describeSystem(context: Context): string {
  const { settings, engine, models, loras } = context;
  const processors = cpus();
  return JSON.stringify(
    {
      Platform: `${platform()} ${release()} ${arch()}`,
      Node: process.version,
      Version: settings.version,
      CPU: { model: processors[0]?.model ?? '', count: processors.length },
      RAM: { total: totalmem(), server: process.memoryUsage.rss() },
      Engine: engine.status(),
      Checkpoints: models.checkpoints.map(({ title }) => title),
      Loras: loras.entries.map(({ name }) => name),
      Extensions: [],
      Flags: describeFlags(context),
      Config: readOptions(context),
    },
    null,
    4,
  );
}
