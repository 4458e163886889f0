/** Every selectable script. */
import { HttpError } from '../../server/errors.ts';
import { loopback } from './loopback.ts';
import { outpainting } from './outpainting.ts';
import { promptMatrix } from './prompt-matrix.ts';
import { promptsFromFile } from './prompts-from-file.ts';
import type { Script, ScriptTab } from './script.ts';
import { sdUpscale } from './sd-upscale.ts';
import { xyzPlot } from './xyz-plot.ts';

/** In the order of A1111's list. */
const SCRIPTS: readonly Script[] = [
  promptMatrix,
  promptsFromFile,
  xyzPlot,
  loopback,
  outpainting,
  sdUpscale,
];

/** Lists the selectable scripts of a tab. */
export function listScripts(tab: ScriptTab): readonly Script[] {
  return SCRIPTS.filter(({ tabs }) => tabs.includes(tab));
}

/**
 * Finds a selectable script by its title in any case.
 *
 * @returns null when no script is asked for
 * @throws HttpError SCRIPT_NOT_FOUND in A1111's words
 */
export function findScript(tab: ScriptTab, name: string | null): Script | null {
  if (name === null || name === '') return null;
  const script = listScripts(tab).find(({ title }) => title.toLowerCase() === name.toLowerCase());
  if (script === undefined) throw new HttpError('SCRIPT_NOT_FOUND', `Script '${name}' not found`);
  return script;
}
