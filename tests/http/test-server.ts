/** A whole HTTP side on a free port, with an engine that draws nothing. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  CaptionJob,
  GenerationJob,
  Job,
  JobResult,
  ModelFile,
  UpscaleJob,
} from '../../pipelines/job.ts';
import { createApp } from '../../server/app.ts';
import type { Context, Engine } from '../../server/context.ts';
import { Embeddings } from '../../server/embeddings.ts';
import type { ProgressSnapshot, RunPart } from '../../server/engine/supervisor.ts';
import { openJobs } from '../../server/jobs/open.ts';
import { createLogger } from '../../server/logging.ts';
import { Loras } from '../../server/loras.ts';
import { createMetrics } from '../../server/metrics.ts';
import { Models } from '../../server/models.ts';
import { OptionsStore } from '../../server/options.ts';
import { Output } from '../../server/output.ts';
import { JobQueue } from '../../server/queue.ts';
import { readSettings } from '../../server/settings.ts';
import { StyleFile } from '../../server/style-file.ts';
import { Upscalers } from '../../server/upscalers.ts';

/** An engine in this process: notes what it is asked, answers what it is told. */
export class FakeEngine implements Engine {
  /** Those that draw, and those that enlarge. */
  readonly jobs: GenerationJob[] = [];
  readonly upscales: UpscaleJob[] = [];
  readonly captions: CaptionJob[] = [];
  readonly loads: { checkpoint: ModelFile; vae: ModelFile | null }[] = [];
  interrupts = 0;
  skips = 0;
  snapshot: ProgressSnapshot | null = null;
  state: ReturnType<Engine['status']>['state'] = 'ready';
  /** What a job does; replace it to wait, to fail, to look at the signal. */
  work: (job: GenerationJob, signal?: AbortSignal) => Promise<Partial<JobResult>> =
    async () => ({});
  /** What the pictures of an upscale come to. */
  enlarge: (job: UpscaleJob) => Promise<Uint8Array[]> = async ({ pictures }) =>
    pictures.map((_, i) => Buffer.from(`picture ${i}`));
  loadWork: () => Promise<void> = async () => {};

  async run(job: Job, _taskId: string, signal?: AbortSignal): Promise<JobResult> {
    if (job.kind === 'upscale') {
      this.upscales.push(job);
      const enlarged = await this.enlarge(job);
      return { images: enlarged, infotexts: [], info: {}, stepsExecuted: 0 };
    }
    if (job.kind === 'caption') {
      this.captions.push(job);
      return { images: [], infotexts: ['a red boat'], info: {}, stepsExecuted: 0 };
    }
    this.jobs.push(job);
    const result = await this.work(job, signal);
    const count = job.batchSize * job.nIter;
    const images = Array.from({ length: count }, (_, i) => Buffer.from(`picture ${i}`));
    return {
      images,
      infotexts: images.map((_, i) => `text ${i}`),
      info: {
        prompt: job.prompt,
        all_seeds: images.map((_, i) => job.seed + i),
        index_of_first_image: 0,
        comments: job.comments,
      },
      stepsExecuted: job.steps,
      ...result,
    };
  }

  runSeries<T>(
    taskId: string,
    signal: AbortSignal | undefined,
    work: (run: RunPart) => Promise<T>,
  ): Promise<T> {
    return work((job) => this.run(job, taskId, signal));
  }

  async load(checkpoint: ModelFile, vae: ModelFile | null): Promise<void> {
    this.loads.push({ checkpoint, vae });
    await this.loadWork();
  }

  async unload(): Promise<void> {}

  interrupt(): boolean {
    this.interrupts += 1;
    return this.snapshot !== null;
  }

  skip(): boolean {
    this.skips += 1;
    return this.snapshot !== null;
  }

  progress(): ProgressSnapshot | null {
    return this.snapshot;
  }

  lastJobTimestamp(): string {
    return this.snapshot?.jobTimestamp ?? '0';
  }

  async memory() {
    return { rss: 1_000_000, arrayBuffers: 1_000 };
  }

  status() {
    const reason = this.state === 'ready' ? null : 'because';
    return { state: this.state, reason, pid: 1, restarts: 0, busy: false };
  }
}

export interface TestServer {
  url: string;
  context: Context;
  engine: FakeEngine;
  server: Server;
  /** Data folder, removed by `close`. */
  folder: string;
  /** Lines of the log. */
  logged: string[];
  /** Calls of `context.stop`. */
  stops: string[];
  get(path: string, init?: RequestInit): Promise<Response>;
  post(path: string, body?: unknown, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

export interface TestServerOptions {
  /** Command-line flags. */
  flags?: string[];
  /** Names of checkpoint files; the content is never read. */
  checkpoints?: string[];
  vaes?: string[];
  styles?: string;
  config?: string;
}

/** Starts a server with one checkpoint, unless told otherwise. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'sdserve-http-'));
  const checkpointDir = join(folder, 'models', 'Stable-diffusion');
  const vaeDir = join(folder, 'models', 'VAE');
  for (const dir of [checkpointDir, vaeDir]) mkdirSync(dir, { recursive: true });
  for (const name of options.checkpoints ?? ['tiny.safetensors']) {
    writeFileSync(join(checkpointDir, name), `checkpoint ${name}`);
  }
  for (const name of options.vaes ?? []) writeFileSync(join(vaeDir, name), `vae ${name}`);
  if (options.styles !== undefined) writeFileSync(join(folder, 'styles.csv'), options.styles);
  if (options.config !== undefined) writeFileSync(join(folder, 'config.json'), options.config);
  const settings = readSettings(
    ['--data-dir', folder, '--port', '0', ...(options.flags ?? [])],
    {},
  );
  const logged: string[] = [];
  const stops: string[] = [];
  const log = createLogger('trace', { write: (line: string) => void logged.push(line) });
  const engine = new FakeEngine();
  const models = await Models.open(settings, log);
  const loras = await Loras.open(settings, () => models.usesDemo, log);
  const embeddings = await Embeddings.open(settings, log);
  const context: Context = {
    settings,
    options: OptionsStore.open(settings.configFile, {
      api_enable_requests: settings.apiEnableRequests,
    }),
    models,
    loras,
    upscalers: await Upscalers.open(settings, log),
    embeddings,
    styles: new StyleFile(settings.stylesFile),
    queue: new JobQueue(settings.queueSize),
    jobs: await openJobs(settings, log),
    engine,
    output: new Output(settings.outputDir),
    metrics: createMetrics(false),
    log,
    stop: (reason) => stops.push(reason),
  };
  // A machine that stalls must not close a connection while a test asks over it again.
  const server = createServer({ keepAliveTimeout: 60_000 }, createApp(context));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    context,
    engine,
    server,
    folder,
    logged,
    stops,
    get: (path, init) => fetch(url + path, init),
    post: (path, body, init) =>
      fetch(url + path, {
        method: 'POST',
        ...(body === undefined
          ? {}
          : {
              headers: { 'Content-Type': 'application/json' },
              body: typeof body === 'string' ? body : JSON.stringify(body),
            }),
        ...init,
      }),
    close: async () => {
      models.close();
      loras.close();
      context.jobs.close();
      embeddings.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      // Hashes may still be on their way into the folder's cache.
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Puts a LoRA of one number into a server's folder; the next `refresh-loras` finds it. */
export function addLora(server: TestServer, name: string): void {
  const header = Buffer.from(
    JSON.stringify({ 'lora_unet_x.alpha': { dtype: 'F32', shape: [], data_offsets: [0, 4] } }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const folder = join(server.folder, 'models', 'Lora');
  mkdirSync(folder, { recursive: true });
  const file = Buffer.concat([length, header, Buffer.alloc(4)]);
  writeFileSync(join(folder, `${name}.safetensors`), file);
}
