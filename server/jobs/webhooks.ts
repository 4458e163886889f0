/** Tells the addresses that clients named that their jobs have ended. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Logger } from '../logging.ts';
import { OutgoingError, post } from './outgoing.ts';
import type { JobRecord } from './record.ts';

/** Milliseconds before each try; a receiver that is being restarted is back within them. */
const DELAYS_MS: readonly number[] = [0, 1_000, 5_000];
/** Deliveries at once; what is beyond waits. */
const MAX_ACTIVE = 4;
/** Deliveries that wait; each holds an answer with its pictures. */
const MAX_WAITING = 256;
/** Statuses with which a receiver says that it may work later. */
const RETRIED = new Set([408, 425, 429]);

const Answer = z.object({ images: z.array(z.string()).default([]) });

interface Delivery {
  id: string;
  url: string;
  type: string;
  body: Buffer;
}

export class Webhooks {
  readonly #allowsLocal: boolean;
  readonly #log: Logger;
  readonly #delaysMs: readonly number[];
  readonly #waiting: Delivery[] = [];
  #active = 0;

  /** @param allowsLocal  whether addresses of the server's own network may be called */
  constructor(allowsLocal: boolean, log: Logger, delaysMs: readonly number[] = DELAYS_MS) {
    this.#allowsLocal = allowsLocal;
    this.#log = log;
    this.#delaysMs = delaysMs;
  }

  /** Sends word of an ended job, if it names an address; what cannot be delivered is logged. */
  tell(job: JobRecord): void {
    if (job.callback === null) return;
    if (this.#waiting.length >= MAX_WAITING) {
      this.#log.warn({ job: job.id }, 'too many callbacks wait: one was dropped');
      return;
    }
    const write = job.callback.form === 'multipart' ? writeMultipart : writeJson;
    this.#waiting.push({ id: job.id, url: job.callback.url, ...write(job) });
    this.#next();
  }

  #next(): void {
    while (this.#active < MAX_ACTIVE) {
      const delivery = this.#waiting.shift();
      if (delivery === undefined) return;
      this.#active += 1;
      void this.#deliver(delivery).finally(() => {
        this.#active -= 1;
        this.#next();
      });
    }
  }

  async #deliver({ id, url, type, body }: Delivery): Promise<void> {
    let reason = '';
    for (const delayMs of this.#delaysMs) {
      await sleep(delayMs, undefined, { ref: false });
      try {
        const status = await post(url, { type, body, allowsLocal: this.#allowsLocal });
        if (status >= 200 && status < 300) return;
        reason = `status ${status}`;
        if (status < 500 && !RETRIED.has(status)) break;
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
        if (error instanceof OutgoingError && error.code !== 'NO_ANSWER') break;
      }
    }
    // The address may hold a secret: only its host is told.
    this.#log.warn({ job: id, host: new URL(url).host, reason }, 'callback not delivered');
  }
}

/** `{task_id, kind, status, error, result}`; `result` is the 200 answer of the kind's own endpoint. */
function writeJson(job: JobRecord): { type: string; body: Buffer } {
  const head = JSON.stringify({
    task_id: job.id,
    kind: job.kind,
    status: job.status,
    error: job.error?.body ?? null,
  });
  const body = Buffer.concat([
    Buffer.from(`${head.slice(0, -1)},"result":`),
    job.answer ?? Buffer.from('null'),
    Buffer.from('}'),
  ]);
  return { type: 'application/json', body };
}

/** A form with the fields `task_id` and `status` and one file `files` per picture. */
function writeMultipart(job: JobRecord): { type: string; body: Buffer } {
  const boundary = `sdserve-${randomUUID()}`;
  const parts: Buffer[] = [];
  const add = (head: string, content: Buffer) => {
    parts.push(Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`));
    parts.push(content, Buffer.from('\r\n'));
  };
  add('name="task_id"', Buffer.from(job.id));
  add('name="status"', Buffer.from(job.status));
  const { images } = Answer.parse(job.answer === null ? {} : JSON.parse(job.answer.toString()));
  for (const [i, image] of images.entries()) {
    const bytes = Buffer.from(image, 'base64');
    const type = findType(bytes);
    const name = `${String(i).padStart(5, '0')}.${type}`;
    add(`name="files"; filename="${name}"\r\nContent-Type: image/${type}`, bytes);
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`));
  return { type: `multipart/form-data; boundary=${boundary}`, body: Buffer.concat(parts) };
}

function findType(bytes: Buffer): 'png' | 'jpeg' | 'webp' {
  if (bytes[0] === 0xff) return 'jpeg';
  return bytes.subarray(0, 4).toString('latin1') === 'RIFF' ? 'webp' : 'png';
}
