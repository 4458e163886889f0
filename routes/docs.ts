/** `/openapi.json` and `/docs`: one fixed document, shown without anything from other servers. */
import { Router } from 'express';
import swaggerUi from 'swagger-ui-express';
import { buildDocument } from '../openapi/document.ts';
import type { Context } from '../server/context.ts';

/** Swagger UI puts styles into elements and pictures into data URIs; scripts come as files only. */
const DOCS_POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/** Makes the router of the documentation. */
export function docsRoutes({ settings }: Context): Router {
  const router = Router();
  const document = buildDocument(settings.version, settings.apiServerStop);
  const options = {
    explorer: false,
    customSiteTitle: 'sdserve',
    swaggerOptions: {
      // Neither a document nor a configuration may be named by the address (CVE-2018-25031).
      url: '',
      queryConfigEnabled: false,
      // The badge would ask a server on the internet.
      validatorUrl: null,
    },
  };
  router.get('/openapi.json', (_req, res) => {
    res.json(document);
  });
  router.use('/docs', (req, res, next) => {
    // The page's own addresses are relative: without the slash they would point beside it.
    if (req.originalUrl.split('?', 1)[0] === '/docs') return res.redirect(307, 'docs/');
    res.setHeader('Content-Security-Policy', DOCS_POLICY);
    next();
  });
  router.use('/docs', swaggerUi.serveFiles(document, options));
  router.get('/docs', swaggerUi.setup(document, options));
  return router;
}
