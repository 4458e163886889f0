/** Builds the server from its parts, listens, and stops on signals. */
import { createServer, type Server } from 'node:http';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../routes/sd-models.ts';
import { restoreJobs } from '../routes/submit-job.ts';
import { createApp } from './app.ts';
import type { Context } from './context.ts';
import { Embeddings } from './embeddings.ts';
import { Supervisor, type SupervisorOptions } from './engine/supervisor.ts';
import { openJobs } from './jobs/open.ts';
import {
  HEADERS_TIMEOUT_MS,
  KEEP_ALIVE_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  SHUTDOWN_GRACE_MS,
  UPLOAD_TIMEOUT_MS,
} from './limits.ts';
import { createLogger, type Logger } from './logging.ts';
import { Loras } from './loras.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { Models } from './models.ts';
import { OptionsStore } from './options.ts';
import { Output } from './output.ts';
import { JobQueue } from './queue.ts';
import { StartError } from './read-flags.ts';
import type { Settings } from './settings.ts';
import { createStop } from './shutdown.ts';
import { StyleFile } from './style-file.ts';
import { Upscalers } from './upscalers.ts';

/** Compiled files lie beside each other as sources do; only the extension differs. */
const ENGINE_ENTRY = fileURLToPath(
  new URL(`./engine/process${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

/**
 * Starts the server; resolves when it listens.
 *
 * @param settings  from the command line
 * @param engineStart  how the engine process is started; tests put a stand-in here
 * @throws StartError, or an Error with one line, when it cannot start
 */
export async function startServer(
  settings: Settings,
  engineStart: Pick<SupervisorOptions, 'entry' | 'execArgv'> = { entry: ENGINE_ENTRY },
): Promise<void> {
  const log = createLogger(settings.logLevel);
  const metrics = createMetrics();
  const options = OptionsStore.open(settings.configFile, {
    api_enable_requests: settings.apiEnableRequests,
  });
  const models = await Models.open(settings, log);
  const loras = await Loras.open(settings, () => models.usesDemo, log);
  const embeddings = await Embeddings.open(settings, log);
  if (settings.checkpoint !== null) options.assume(chooseCheckpoint(models, settings.checkpoint));
  if (settings.ignoredFlags.length > 0) {
    log.info({ flags: settings.ignoredFlags }, 'flags of A1111 that do nothing here');
  }
  const queue = new JobQueue(settings.queueSize);
  const jobs = await openJobs(settings, log);
  const engine = createEngine(engineStart, settings, log, metrics);
  let stop: Context['stop'] = () => process.exit(1);
  const context: Context = {
    settings,
    options,
    models,
    loras,
    upscalers: await Upscalers.open(settings, log),
    embeddings,
    styles: new StyleFile(settings.stylesFile),
    queue,
    jobs,
    engine,
    output: new Output(settings.outputDir),
    metrics,
    log,
    stop: (reason, isHurried) => stop(reason, isHurried),
  };
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: settings.loraUpload ? UPLOAD_TIMEOUT_MS : REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    },
    createApp(context),
  );
  await listen(server, settings);
  stop = createStop({
    server,
    queue,
    jobs,
    engine,
    models,
    loras,
    embeddings,
    log,
    graceMs: SHUTDOWN_GRACE_MS,
    exit: (code) => process.exit(code),
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => stop(signal, false));
  }
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      const stack = error instanceof Error ? error.stack : String(error);
      log.fatal({ stack }, event);
      process.exit(1);
    });
  }
  loras.watch();
  embeddings.watch();
  engine.start();
  void preload(context);
  void restoreJobs(context);
  log.info({ url: `http://${settings.host}:${settings.port}` }, 'sdserve is listening');
}

/** Loads the chosen checkpoint ahead of the first job, so that a broken file is told at the start. */
async function preload(context: Context): Promise<void> {
  const { models, options, settings, log } = context;
  if (settings.skipLoadModel || models.checkpoints.length === 0) return;
  const { sd_model_checkpoint, sd_vae } = options.all();
  try {
    await loadModel(context, sd_model_checkpoint, sd_vae);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.error({ error: reason }, 'the checkpoint cannot be used');
  }
}

function createEngine(
  start: Pick<SupervisorOptions, 'entry' | 'execArgv'>,
  settings: Settings,
  log: Logger,
  metrics: Metrics,
): Supervisor {
  const { device, threads, memoryMode } = settings;
  return new Supervisor({
    ...start,
    settings: { device, threads, memoryMode },
    log: (level, message, fields) => log[level](fields, message),
    onExit: (signal, code) => metrics.engineExits.inc({ cause: signal ?? String(code) }),
  });
}

function chooseCheckpoint(models: Models, id: string) {
  const entry = models.find(id) ?? models.checkpoints.find(({ filename }) => filename === id);
  if (entry === undefined || entry === null) {
    throw new StartError(`--ckpt: there is no checkpoint ${id}`);
  }
  return { sd_model_checkpoint: entry.title };
}

function listen(server: Server, { host, port }: Settings): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'the port is in use' : error.message;
      reject(new StartError(`cannot listen on ${host}:${port}: ${reason}`, 1));
    });
    server.listen(port, host, resolve);
  });
}
