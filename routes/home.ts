/** `/`: what runs here, as a page for people and as JSON for programs. */
import { createHash } from 'node:crypto';
import { Router } from 'express';
import type { Context } from '../server/context.ts';
import { escapeHtml } from './escape-html.ts';

const STYLE =
  'body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}' +
  'dt{font-weight:600}dd{margin:0 0 .5rem}';
/** The page's one style is named by its hash: nothing else on it may load or run. */
const PAGE_POLICY =
  `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; ` +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** Makes the router of the first page. */
export function homeRoutes(context: Context): Router {
  const router = Router();
  router.get('/', (req, res) => {
    const facts = describeServer(context);
    if (req.accepts(['json', 'html']) !== 'html') {
      res.json(facts);
      return;
    }
    res.setHeader('Content-Security-Policy', PAGE_POLICY);
    res.type('html').send(writePage(facts));
  });
  return router;
}

function describeServer({ settings, engine, models, options, queue }: Context) {
  return {
    name: 'sdserve',
    version: settings.version,
    docs: '/docs',
    openapi: '/openapi.json',
    engine: engine.status().state,
    device: settings.device,
    checkpoint: models.current(options.all().sd_model_checkpoint)?.title ?? null,
    jobs: queue.waiting.length + (queue.running === null ? 0 : 1),
  };
}

function writePage(facts: ReturnType<typeof describeServer>): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>sdserve</title>
<style>${STYLE}</style>
</head>
<body>
<h1>sdserve ${escapeHtml(facts.version)}</h1>
<p>The Stable Diffusion web UI API. There is no page to draw with here: use a client, or read
<a href="docs">the documentation</a> (<a href="openapi.json">openapi.json</a>).</p>
<dl>
<dt>Checkpoint</dt><dd>${escapeHtml(facts.checkpoint ?? 'none')}</dd>
<dt>Device</dt><dd>${escapeHtml(facts.device)}</dd>
<dt>Engine</dt><dd>${escapeHtml(facts.engine)} (<a href="health/ready">health</a>, <a href="metrics">metrics</a>)</dd>
<dt>Jobs that wait or run</dt><dd>${facts.jobs}</dd>
</dl>
</body>
</html>
`;
}
