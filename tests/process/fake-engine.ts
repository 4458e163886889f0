/**
 * An engine without networks: the real message loop around a runner that does what the prompt says.
 * Words of a prompt: `delay:MS` per step, `block:MS` without yielding, `exit:CODE`, `signal:NAME`,
 * `hang` for ever, `fail:CODE`, `big:BYTES`. Checkpoints named `die` end the process when loaded,
 * `broken` is refused.
 */
import type { Job, JobHooks, JobResult, ModelFile, Runner } from '../../pipelines/job.ts';
import { serveEngine } from '../../server/engine/process/loop.ts';

/** A PNG of one pixel. */
const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

class DomainError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`refused with ${code}`);
    this.name = 'CheckpointError';
    this.code = code;
  }
}

class FakeRunner implements Runner {
  async run(job: Job, hooks: JobHooks): Promise<JobResult> {
    if (job.kind === 'caption') throw new Error('no captions here');
    if (job.kind === 'upscale') {
      const images = [...job.pictures];
      return { images, infotexts: images.map(() => ''), info: {}, stepsExecuted: 0 };
    }
    await this.load(job.checkpoint);
    const orders = new Map(
      job.prompt.split(' ').map((word) => {
        const [name = '', value = ''] = word.split(':');
        return [name, value];
      }),
    );
    const images: Uint8Array[] = [];
    const seeds: number[] = [];
    let stepsExecuted = 0;
    for (let jobNo = 0; jobNo < job.nIter && !hooks.control.interrupted; jobNo++) {
      (hooks.control as { skipped: boolean }).skipped = false;
      for (let step = 0; step < job.steps; step++) {
        if (hooks.control.interrupted || hooks.control.skipped) break;
        hooks.onProgress({
          job: `Batch ${jobNo + 1} out of ${job.nIter}`,
          jobNo,
          jobCount: job.nIter,
          samplingStep: step,
          samplingSteps: job.steps,
        });
        hooks.onPreview({ width: 1, height: 1, rgb: new Uint8Array([step, 0, 0]) });
        await obey(orders, step);
        stepsExecuted += 1;
      }
      for (let i = 0; i < job.batchSize; i++) {
        const bytes = Number(orders.get('big') ?? 0);
        images.push(bytes > 0 ? new Uint8Array(bytes) : PIXEL);
        seeds.push(job.seed + images.length - 1);
      }
    }
    return {
      images,
      infotexts: images.map(() => job.prompt),
      info: {
        prompt: job.prompt,
        all_seeds: seeds,
        index_of_first_image: 0,
        comments: job.comments,
      },
      stepsExecuted,
    };
  }

  async load(checkpoint: ModelFile): Promise<void> {
    if (checkpoint.name === 'die') process.kill(process.pid, 'SIGKILL');
    if (checkpoint.name === 'broken') throw new DomainError('HEADER_TOO_LARGE');
    await pause(0);
  }

  async unload(): Promise<void> {}

  memory() {
    const { rss, arrayBuffers } = process.memoryUsage();
    return { rss, arrayBuffers };
  }
}

async function obey(orders: ReadonlyMap<string, string>, step: number): Promise<void> {
  await pause(Number(orders.get('delay') ?? 0));
  const block = Number(orders.get('block') ?? 0);
  if (block > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, block);
  if (step === 0) return;
  const signal = orders.get('signal');
  if (signal !== undefined) process.kill(process.pid, signal);
  const code = orders.get('exit');
  if (code !== undefined) process.exit(Number(code));
  if (orders.has('hang')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  const failure = orders.get('fail');
  if (failure !== undefined) throw new DomainError(failure);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (ms === 0) setImmediate(resolve);
    else setTimeout(resolve, ms);
  });
}

serveEngine((settings) => {
  if (settings.threads === 99) throw new Error('no such device');
  return new FakeRunner();
});
