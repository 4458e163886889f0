/** `GET /sdapi/v1/scripts` and `script-info`: what `script_name` may name and what it takes. */
import { Router } from 'express';
import type { Context } from '../server/context.ts';
import { INERT_SCRIPTS } from './scripts/inert.ts';
import { listScripts } from './scripts/registry.ts';
import { listNames } from './scripts/run.ts';
import { argument, type ScriptArgument, type ScriptTab } from './scripts/script.ts';
import { SOFT_INPAINTING } from './soft-inpainting.ts';

const TABS: readonly ScriptTab[] = ['txt2img', 'img2img'];

/** Makes the router of the lists of scripts. */
export function scriptRoutes(context: Context): Router {
  const router = Router();
  router.get('/sdapi/v1/scripts', (_req, res) => {
    res.json(Object.fromEntries(TABS.map((tab) => [tab, namesOf(tab)])));
  });
  router.get('/sdapi/v1/script-info', async (_req, res) => {
    const names = await listNames(context);
    const describe = (tab: ScriptTab) => {
      const isImg2img = tab === 'img2img';
      const alwaysOn = [
        ...INERT_SCRIPTS.map((name) => ({ name, args: [] })),
        ...(isImg2img ? [{ name: SOFT_INPAINTING, args: describeSoftInpainting() }] : []),
      ].map((script) => ({ ...script, is_alwayson: true, is_img2img: isImg2img }));
      const selectable = listScripts(tab).map(({ title, args }) => ({
        name: title.toLowerCase(),
        is_alwayson: false,
        is_img2img: isImg2img,
        args: args(tab, names),
      }));
      return [...alwaysOn, ...selectable];
    };
    res.json(TABS.flatMap(describe));
  });
  return router;
}

function namesOf(tab: ScriptTab): string[] {
  const alwaysOn = [...INERT_SCRIPTS, ...(tab === 'img2img' ? [SOFT_INPAINTING] : [])];
  return [...alwaysOn, ...listScripts(tab).map(({ title }) => title.toLowerCase())];
}

/** The inputs of soft inpainting as A1111 captions them. */
function describeSoftInpainting(): ScriptArgument[] {
  const slider = (label: string, value: number, minimum: number, maximum: number, step: number) =>
    argument(label, value, { minimum, maximum, step });
  return [
    argument('Soft inpainting', false),
    slider('Schedule bias', 1, 0, 8, 0.1),
    slider('Preservation strength', 0.5, 0, 8, 0.05),
    slider('Transition contrast boost', 4, 1, 32, 0.5),
    slider('Mask influence', 0, 0, 1, 0.05),
    slider('Difference threshold', 0.5, 0, 8, 0.25),
    slider('Difference contrast', 2, 0, 8, 0.25),
  ];
}
