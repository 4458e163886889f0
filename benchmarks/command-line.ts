/** What `npm run bench -- --help` lists. */
import { Command, InvalidArgumentError } from 'commander';
import { countThreads } from '../server/threads.ts';

/** The measures that can be asked for; the ceiling and the count of operations come with `unet`. */
export const PARTS = ['load', 'lora', 'text', 'unet', 'vae'] as const;
export type Part = (typeof PARTS)[number];

/** Everything a run of the benchmarks needs to know; sizes are pixels a side. */
export interface BenchOptions {
  /** Architecture of the checkpoint that is made when none is given. */
  arch: string;
  checkpoint?: string;
  isTiny: boolean;
  threads: number;
  rounds: number;
  runs: number;
  /** Side of the UNet's picture; undefined: what the checkpoint was made for. */
  size?: number;
  batches: number[];
  ranks: number[];
  vaeSizes: number[];
  only: Part[];
  hasPeer: boolean;
  python: string;
  json?: string;
}

function integers(text: string): number[] {
  const values = text === 'none' ? [] : text.split(',').map(Number);
  if (values.some((value) => !Number.isInteger(value) || value < 1))
    throw new InvalidArgumentError('Expected positive integers with commas between, or none.');
  return values;
}

function integer(text: string): number {
  const [value, ...others] = integers(text);
  if (value === undefined || others.length > 0)
    throw new InvalidArgumentError('Expected one positive integer.');
  return value;
}

function sides(text: string): number[] {
  const values = integers(text);
  if (values.some((value) => value % 64 > 0))
    throw new InvalidArgumentError('Expected multiples of 64.');
  return values;
}

function side(text: string): number {
  return sides(`${integer(text)}`)[0] as number;
}

function parts(text: string): Part[] {
  return text.split(',').map((name) => {
    const found = PARTS.find((part) => part === name);
    if (!found) throw new InvalidArgumentError(`Expected some of ${PARTS.join(',')}.`);
    return found;
  });
}

/**
 * Reads the arguments after the script's name; prints help or what is wrong and ends the process
 * where there is nothing to run.
 */
export function readCommandLine(args: readonly string[]): BenchOptions {
  const command = new Command('npm run bench --')
    .description(
      'Measures a checkpoint on this machine: time, rate, memory. See benchmarks/README.md.',
    )
    .option('--checkpoint <file>', 'checkpoint to measure (default: a synthetic one, made once)')
    .option('--arch <name>', 'sd15, sd2 or sdxl: which synthetic one', 'sd15')
    .option('--tiny', 'the small model of that name at 64x64: a smoke run')
    .option('--threads <n>', 'threads (default: the CPUs this process may use)', integer)
    .option('--rounds <n>', 'fresh processes per measure (default: 1; 2 with --peer)', integer)
    .option('--runs <n>', 'runs per process after the first (default: 3; 2 with --peer)', integer)
    .option('--size <pixels>', 'side of the UNet picture (default: 512; SDXL 1024)', side)
    .option('--batches <list>', 'batch sizes of the UNet', integers, [1, 2])
    .option('--ranks <list>', 'LoRA ranks, or none (default: 16,64)', integers)
    .option('--vae-sizes <list>', 'sides of decoded pictures (default: 512,1024)', sides)
    .option('--only <list>', `some of ${PARTS.join(',')}`, parts, [...PARTS])
    .option('--peer', 'run PyTorch on the same checkpoint, in turns')
    .option('--python <path>', 'Python that has torch, diffusers and transformers', 'python3')
    .option('--json <file>', 'write everything that was measured');
  const given = command.parse(args, { from: 'user' }).opts();
  const isTiny = given.tiny === true;
  const hasPeer = given.peer === true;
  return {
    ...(given as Pick<
      BenchOptions,
      'arch' | 'checkpoint' | 'batches' | 'only' | 'python' | 'json'
    >),
    isTiny,
    hasPeer,
    threads: given.threads ?? countThreads(),
    rounds: given.rounds ?? (hasPeer ? 2 : 1),
    runs: given.runs ?? (hasPeer || isTiny ? 2 : 3),
    size: given.size ?? (isTiny ? 64 : undefined),
    ranks: given.ranks ?? (isTiny ? [4] : [16, 64]),
    vaeSizes: given.vaeSizes ?? (isTiny ? [64] : [512, 1024]),
  };
}
