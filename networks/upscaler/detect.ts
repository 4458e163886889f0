import { CheckpointError } from '../checkpoint/errors.ts';
import type { SafetensorsFile } from '../checkpoint/safetensors.ts';
import {
  checkNothingLeft,
  checkTensors,
  type ExpectedTensors,
  hasTensor,
  shapeOf,
} from '../checkpoint/shapes.ts';
import type { CompactConfig, UpscalerConfig } from './config.ts';
import { readRrdbConfig } from './rrdb-config.ts';

/** What stands before the names when a training checkpoint was saved as a whole. */
const PREFIXES = ['', 'params_ema.', 'params.', 'module.'] as const;
/** Factors beyond this are no upscaler that is known; 8 is the largest. */
const MAX_SCALE = 16;

/**
 * Reads an upscaler's structure from tensor names and shapes and checks that all of it is there.
 *
 * Knows RRDBNet in its three namings (ESRGAN old, ESRGAN and Real-ESRGAN) and SRVGGNetCompact, of any
 * width and depth; both with three colour channels.
 *
 * @throws CheckpointError NOT_AN_UPSCALER, UPSCALER_INCOMPLETE, SHAPE_CONTRADICTION,
 *   UNEXPECTED_TENSOR, QUANTIZED or DTYPE_UNSUPPORTED, with file and tensor
 */
export function detectUpscaler(file: SafetensorsFile): UpscalerConfig {
  for (const prefix of PREFIXES) {
    const config = readRrdbConfig(file, prefix) ?? readCompactConfig(file, prefix);
    if (config === null) continue;
    if (!Number.isInteger(config.scale) || config.scale < 1 || config.scale > MAX_SCALE) {
      throw new CheckpointError(
        'NOT_AN_UPSCALER',
        file.path,
        `Expected a factor of 1 to ${MAX_SCALE} but the shapes say ${config.scale}.`,
      );
    }
    return config;
  }
  throw new CheckpointError(
    'NOT_AN_UPSCALER',
    file.path,
    'Expected an ESRGAN, Real-ESRGAN or compact (SRVGG) upscaler; SwinIR, DAT, HAT and others cannot be run.',
  );
}

function readCompactConfig(file: SafetensorsFile, prefix: string): CompactConfig | null {
  const first = `${prefix}body.0.weight`;
  if (!hasTensor(file, first) || !hasTensor(file, `${prefix}body.2.weight`)) return null;
  const [width = 0] = shapeOf(file, first, 4, 'UPSCALER_INCOMPLETE');
  const pattern = new RegExp(`^${prefix.replace('.', '\\.')}body\\.(\\d+)\\.weight$`);
  const indices = [...file.tensors.keys()].flatMap((name) => pattern.exec(name)?.[1] ?? []);
  const lastIndex = Math.max(...indices.map(Number));
  const [out = 0] = shapeOf(file, `${prefix}body.${lastIndex}.weight`, 4, 'UPSCALER_INCOMPLETE');
  const expected: ExpectedTensors = new Map();
  for (let i = 0; i <= lastIndex; i++) {
    const name = `${prefix}body.${i}`;
    if (i % 2 === 1) {
      expected.set(`${name}.weight`, [width]);
      continue;
    }
    const to = i === lastIndex ? out : width;
    expected.set(`${name}.weight`, [to, i === 0 ? COLOURS : width, 3, 3]);
    expected.set(`${name}.bias`, [to]);
  }
  checkTensors(file, expected, 'UPSCALER_INCOMPLETE', 'the upscaler');
  checkNothingLeft(file, expected, prefix, /^body\./, 'The upscaler');
  const scale = Math.sqrt(out / COLOURS);
  return { architecture: 'compact', prefix, lastIndex, width, unshuffle: 1, scale };
}

const COLOURS = 3;
