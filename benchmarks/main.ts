/**
 * Measures one checkpoint in one run: the machine's ceiling, UNet, VAE, text encoders, LoRAs,
 * load and memory; with `--peer` PyTorch beside it. Prints Markdown.
 *
 *   npm run bench -- --help
 */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { detectCheckpoint } from '../networks/checkpoint/detect.ts';
import { readHeader } from '../networks/checkpoint/safetensors.ts';
import { CELL_PIXELS } from '../pipelines/decode.ts';
import { type BenchOptions, type Part, readCommandLine } from './command-line.ts';
import { makeCheckpoint } from './make-checkpoint.ts';
import type { Ceiling } from './measures/ceiling.ts';
import type { Flops } from './measures/flops.ts';
import { runPeer } from './peer.ts';
import { writeReport } from './report.ts';
import { labelFlops, type Results } from './results.ts';
import { runChild } from './run-child.ts';
import type { Subject } from './subject.ts';
import { type Measured, mergeMeasured } from './timing.ts';

/** Runs of a single node; the fastest counts, and it comes early. */
const CEILING_REPEAT = 10;

type SizedOptions = BenchOptions & { size: number };

/** Returns the synthetic checkpoint, made where an earlier run has not left it. */
function findCheckpoint({ arch, isTiny }: BenchOptions): string {
  const name = isTiny ? `tiny-${arch}` : arch;
  const file = path.join(os.tmpdir(), 'sdserve-benchmarks', `${name}.safetensors`);
  if (!fs.existsSync(file)) {
    process.stderr.write(`making ${file} ...\n`);
    makeCheckpoint({ arch: name, out: file });
  }
  return file;
}

/** The pictures that a checkpoint was made for, pixels a side. */
async function findSize(file: string): Promise<number> {
  return detectCheckpoint(await readHeader(fs.realpathSync(file))).sizeEmbedding ? 1024 : 512;
}

/** One process per measure that is asked for. */
async function measureRound(subject: Subject, options: SizedOptions): Promise<Measured> {
  const { size, batches, ranks, runs, vaeSizes } = options;
  const measures: Record<Part, () => Promise<Measured>> = {
    load: () => runChild('load', { subject, size }),
    lora: () => runChild('lora', { subject, ranks, runs }),
    text: () => runChild('text', { subject, runs }),
    unet: () => runChild('unet', { subject, size, batches, ranks, runs }),
    vae: () => runChild('vae', { subject, sizes: vaeSizes, runs }),
  };
  const rounds: Measured[] = [];
  for (const part of options.only) rounds.push(await measures[part]());
  return mergeMeasured(rounds);
}

async function measureCeiling(
  subject: Subject,
  options: SizedOptions,
): Promise<{ ceiling: Ceiling; flops: Record<string, Flops> }> {
  const cells = (size: number) => (size / CELL_PIXELS) ** 2;
  const ceiling = await runChild('ceiling', {
    threads: options.threads,
    repeat: CEILING_REPEAT,
    isTiny: options.isTiny,
  });
  const counted = await runChild('flops', {
    subject,
    unetCells: [cells(options.size)],
    vaeCells: options.vaeSizes.map(cells),
  });
  return { ceiling, flops: labelFlops(counted, options) };
}

/** The fastest of both, shape by shape. */
function bestOf(a: Ceiling, b: Ceiling): Ceiling {
  const best = (kind: keyof Ceiling) =>
    a[kind].map(({ shape, gflops }, i) => ({
      shape,
      gflops: Math.max(gflops, b[kind][i]?.gflops ?? 0),
    }));
  return { conv: best('conv'), gemm: best('gemm') };
}

async function main(): Promise<void> {
  const given = readCommandLine(process.argv.slice(2));
  const file = given.checkpoint ?? findCheckpoint(given);
  const options = { ...given, size: given.size ?? (await findSize(file)) };
  const { threads, isTiny } = options;
  const subject = { file, threads };
  const before = await measureCeiling(subject, options);
  const [ours, peer]: [Measured[], Measured[]] = [[], []];
  for (let round = 0; round < options.rounds; round++) {
    ours.push(await measureRound(subject, options));
    const vaeSize = options.vaeSizes[0] ?? options.size;
    if (options.hasPeer) peer.push(await runPeer({ ...options, subject, vaeSize }));
  }
  // Again at the end: what a shared machine gives changes within minutes.
  const after = await runChild('ceiling', { threads, repeat: CEILING_REPEAT, isTiny });
  const require = createRequire(import.meta.url);
  const results: Results = {
    machine: {
      cpu: os.cpus()[0]?.model ?? 'unknown CPU',
      threads,
      memoryBytes: os.totalmem(),
      node: process.versions.node,
      onnxruntime: require('onnxruntime-node/package.json').version,
    },
    checkpoint: { name: path.basename(file), bytes: fs.statSync(file).size },
    ceiling: bestOf(before.ceiling, after),
    flops: before.flops,
    ours: mergeMeasured(ours),
    peer: peer.length > 0 ? mergeMeasured(peer) : null,
  };
  if (options.json) fs.writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`);
  process.stdout.write(`${writeReport(results)}\n`);
}

await main();
