/** The ControlNet extension's lists, so that clients that ask at their start go on without it. */
import { Router } from 'express';
import { decodeBase64Image } from '../images/base64.ts';
import { decodeImage } from '../images/decode.ts';
import { parseRequest } from '../openapi/parse.ts';
import { ControlNetDetectRequest } from '../openapi/schemas/controlnet.ts';
import { HttpError } from '../server/errors.ts';

/** Makes the router of ControlNet's lists. */
export function controlNetRoutes(): Router {
  const router = Router();
  router.get('/controlnet/model_list', (_req, res) => {
    res.json({ model_list: [] });
  });
  router.get('/controlnet/module_list', (_req, res) => {
    res.json({ module_list: ['none'], module_detail: {} });
  });
  router.post('/controlnet/detect', async (req, res) => {
    const request = parseRequest(ControlNetDetectRequest, req.body, 'body');
    if (request.controlnet_module !== 'none') {
      throw new HttpError('UNSUPPORTED_FEATURE', 'Module not available');
    }
    const images: string[] = [];
    for (const [i, picture] of request.controlnet_input_images.entries()) {
      const bytes = decodeBase64Image(picture, `controlnet_input_images[${i}]`);
      await decodeImage(bytes);
      images.push(bytes.toString('base64'));
    }
    res.json({ images, info: 'Success' });
  });
  return router;
}
