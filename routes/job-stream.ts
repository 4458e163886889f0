/** A job as a stream of server-sent events (WHATWG HTML, section 9.2). */
import type { Response } from 'express';
import type { Context } from '../server/context.ts';
import { hasEnded, type JobRecord } from '../server/jobs/record.ts';
import { describeJob } from './describe-job.ts';

/** Milliseconds between two looks at the progress. */
const LOOK_MS = 250;
/** Milliseconds after which a silent stream says something, so that no proxy closes it. */
const HEARTBEAT_MS = 15_000;

/**
 * Sends `event: status` with the job whenever something of it changes, and `event: end` when it has
 * ended; then closes the stream.
 *
 * @param preview  a data URI, or null for none; sent with the status when it is new
 */
export function streamJob(
  context: Context,
  job: JobRecord,
  res: Response,
  preview: (job: JobRecord) => Promise<string | null>,
): void {
  res.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-store',
    // nginx would collect the events otherwise.
    'X-Accel-Buffering': 'no',
  });
  let last = '';
  let lastPreview: string | null = null;
  let sentMs = performance.now();
  const send = (text: string) => {
    // Who does not read is not written to: the next look tells the newest state anyway.
    if (res.destroyed || res.writableNeedDrain) return;
    sentMs = performance.now();
    res.write(text);
  };
  const look = async () => {
    const found = await preview(job).catch(() => null);
    if (res.writableEnded || res.destroyed) return;
    const state = describeJob(context, job, found === lastPreview ? null : found);
    // The estimate alone changes all the time.
    const key = JSON.stringify({ ...state, eta_seconds: null });
    const isEnd = hasEnded(job);
    if (isEnd) {
      stop();
      res.end(`event: end\ndata: ${JSON.stringify(state)}\n\n`);
    } else if (key !== last) {
      last = key;
      lastPreview = found ?? lastPreview;
      send(`event: status\ndata: ${JSON.stringify(state)}\n\n`);
    } else if (performance.now() - sentMs > HEARTBEAT_MS) {
      send(': still here\n\n');
    }
  };
  const timer = setInterval(() => void look(), LOOK_MS);
  const forget = context.jobs.onChange((changed) => {
    if (changed === job) void look();
  });
  const stop = () => {
    clearInterval(timer);
    forget();
  };
  res.once('close', stop);
  void look();
}
