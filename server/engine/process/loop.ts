/** The engine's side of the channel: takes one request at a time and drives the runner. */
import type {
  EngineMemory,
  EngineSettings,
  JobHooks,
  JobResult,
  Runner,
} from '../../../pipelines/job.ts';
import { type EngineReply, type EngineRequest, toErrorRecord } from '../protocol.ts';
import { watchForOrphaning } from './orphan-watch.ts';

/**
 * Serves the parent's requests until the channel closes.
 *
 * `run`, `load` and `unload` are chained: a second one waits for the first. `control` and `memory`
 * are answered at once, that is whenever the runner yields to the event loop.
 *
 * @param createRunner  called once, with the settings of the `init` request
 */
export function serveEngine(
  createRunner: (settings: EngineSettings) => Runner | Promise<Runner>,
): void {
  if (process.send === undefined) {
    process.stderr.write('The engine process is started by sdserve, not by hand.\n');
    process.exit(2);
  }
  // A terminal or an init system signals the whole group; the parent decides when the engine goes.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  process.on('disconnect', () => process.exit(0));
  watchForOrphaning();

  let runner: Runner | null = null;
  let work: Promise<void> = Promise.resolve();
  // Flags of the running job and of those that wait behind it.
  const controls = new Map<number, JobHooks['control']>();

  function answer(id: number, task: (ready: Runner) => Promise<JobResult | EngineMemory | null>) {
    return async () => {
      try {
        if (runner === null) throw new Error('The engine was not initialised.');
        reply({ type: 'done', id, value: await task(runner) });
      } catch (thrown) {
        reply({ type: 'failed', id, error: toErrorRecord(thrown) });
      }
    };
  }

  function handle(request: EngineRequest): void {
    switch (request.type) {
      case 'init':
        work = work.then(async () => {
          try {
            runner = await createRunner(request.settings);
            reply({ type: 'ready' });
          } catch (thrown) {
            reply({ type: 'fatal', error: toErrorRecord(thrown) });
          }
        });
        return;
      case 'run': {
        const { id, job } = request;
        const control = { interrupted: false, skipped: false };
        controls.set(id, control);
        work = work.then(
          answer(id, async (ready) => {
            try {
              return await ready.run(job, hooksFor(id, control));
            } finally {
              controls.delete(id);
            }
          }),
        );
        return;
      }
      case 'load': {
        const { id, checkpoint, vae } = request;
        work = work.then(answer(id, (ready) => ready.load(checkpoint, vae).then(() => null)));
        return;
      }
      case 'unload':
        work = work.then(answer(request.id, (ready) => ready.unload().then(() => null)));
        return;
      case 'memory':
        void answer(request.id, async (ready) => ready.memory())();
        return;
      case 'control': {
        const control = controls.get(request.id);
        if (control === undefined) return;
        control.interrupted ||= request.interrupted;
        control.skipped ||= request.skipped;
        return;
      }
    }
  }

  process.on('message', (message) => handle(message as EngineRequest));
}

function hooksFor(id: number, control: JobHooks['control']): JobHooks {
  return {
    control,
    onProgress: (progress) => reply({ type: 'progress', id, progress }),
    onPreview: (preview) => reply({ type: 'preview', id, preview }),
    onLog: (message, fields) => reply({ type: 'log', message, fields }),
  };
}

function reply(message: EngineReply): void {
  // The parent may go between two steps; `disconnect` then ends this process.
  if (process.connected) process.send?.(message, () => {});
}
