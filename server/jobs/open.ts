/** Puts the parts of the job API together. */
import type { Logger } from '../logging.ts';
import type { Settings } from '../settings.ts';
import { QueueFile } from './queue-file.ts';
import { hasEnded } from './record.ts';
import { JobStore } from './store.ts';
import { Webhooks } from './webhooks.ts';

/**
 * Makes the store of jobs, with what follows from their changes: the queue file and callbacks.
 *
 * The jobs of an earlier run are expected by the store; `routes/submit-job` takes them up again.
 *
 * @throws Error with one line when the queue file cannot be read
 */
export async function openJobs(
  settings: Pick<Settings, 'queueFile' | 'allowLocalCallbacks'>,
  log: Logger,
): Promise<JobStore> {
  const file = settings.queueFile === null ? null : new QueueFile(settings.queueFile, log);
  const store = new JobStore({ save: file === null ? null : (read) => file.save(read) });
  const webhooks = new Webhooks(settings.allowLocalCallbacks, log);
  store.onChange((job) => {
    if (hasEnded(job)) webhooks.tell(job);
  });
  if (file !== null) store.expect(await file.load());
  return store;
}
