/** The arguments of A1111's always-on script "soft inpainting". */
import { describeBadValue, isDict, readBoolean, readFloat } from '../openapi/schemas/coercion.ts';
import type { SoftInpainting } from '../pipelines/job.ts';
import { HttpError } from '../server/errors.ts';

/** Title of the script, in the case that titles are compared in. */
export const SOFT_INPAINTING = 'soft inpainting';

/** Its sliders in order: where they end, and their values where a request gives none. */
const ARGUMENTS = [
  { name: 'scheduleBias', max: 8, usual: 1 },
  { name: 'preservationStrength', max: 8, usual: 0.5 },
  { name: 'transitionContrast', min: 1, max: 32, usual: 4 },
  { name: 'maskInfluence', max: 1, usual: 0 },
  { name: 'differenceThreshold', max: 8, usual: 0.5 },
  { name: 'differenceContrast', max: 8, usual: 2 },
] as const satisfies readonly {
  name: keyof SoftInpainting;
  min?: number;
  max: number;
  usual: number;
}[];

/**
 * Reads the script's arguments: its switch, then six numbers; what is missing keeps its usual value.
 *
 * @param scripts  `alwayson_scripts` of a request
 * @returns null where the script is absent or switched off
 * @throws HttpError BAD_REQUEST for a number that cannot be read
 */
export function readSoftInpainting(
  scripts: Readonly<Record<string, unknown>>,
): SoftInpainting | null {
  const entry = Object.entries(scripts).find(([title]) => title.toLowerCase() === SOFT_INPAINTING);
  const args: unknown = isDict(entry?.[1]) ? entry[1].args : entry?.[1];
  if (!Array.isArray(args) || readBoolean(args[0]) !== true) return null;
  const numbers = ARGUMENTS.map((argument, i): [string, number] => {
    const sent: unknown = args[i + 1] ?? argument.usual;
    const min = 'min' in argument ? argument.min : 0;
    const number = readFloat(sent);
    if (number === undefined || number < min || number > argument.max) {
      const what = `number ${min}-${argument.max}`;
      throw new HttpError(
        'BAD_REQUEST',
        describeBadValue(what, `${entry?.[0]}.args[${i + 1}]`, sent),
      );
    }
    return [argument.name, number];
  });
  return Object.fromEntries(numbers) as unknown as SoftInpainting;
}
