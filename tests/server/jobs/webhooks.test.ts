import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { post } from '../../../server/jobs/outgoing.ts';
import { createRecord, type JobRecord } from '../../../server/jobs/record.ts';
import { Webhooks } from '../../../server/jobs/webhooks.ts';
import { createLogger } from '../../../server/logging.ts';

let receiver: Server;
let url: string;
let statuses: number[];
const received: { request: IncomingMessage; body: Buffer }[] = [];
const logged: string[] = [];
const log = createLogger('trace', { write: (line: string) => void logged.push(line) });

beforeEach(async () => {
  received.length = 0;
  logged.length = 0;
  statuses = [];
  receiver = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      received.push({ request, body: Buffer.concat(parts) });
      response.writeHead(statuses.shift() ?? 200, { Location: '/elsewhere' }).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook?secret=1`;
});
afterEach(() => new Promise((resolve) => receiver.close(resolve)));

function job(form: 'json' | 'multipart'): JobRecord {
  const record = createRecord({
    ...{ id: 'task(a)', kind: 'txt2img', body: {}, name: null, createdMs: 0, starts: 1 },
    callback: { url, form },
  });
  record.status = 'done';
  const images = [Buffer.from('\x89PNG one', 'latin1'), Buffer.from([0xff, 0xd8, 0xff])];
  const answer = { images: images.map((image) => image.toString('base64')), info: '{}' };
  record.answer = Buffer.from(JSON.stringify(answer));
  return record;
}

describe('a callback', () => {
  it('carries the answer as JSON', async () => {
    new Webhooks(true, log).tell(job('json'));
    await vi.waitFor(() => expect(received).toHaveLength(1));
    expect(received[0]?.request.headers['content-type']).toBe('application/json');
    expect(JSON.parse(String(received[0]?.body))).toMatchObject({
      task_id: 'task(a)',
      kind: 'txt2img',
      status: 'done',
      error: null,
      result: { info: '{}', images: [expect.any(String), expect.any(String)] },
    });
  });

  it('carries the pictures as files of a form, as agent-scheduler sends them', async () => {
    new Webhooks(true, log).tell(job('multipart'));
    await vi.waitFor(() => expect(received).toHaveLength(1));
    const { request, body } = received[0]!;
    const form = await new Response(new Uint8Array(body), {
      headers: { 'Content-Type': String(request.headers['content-type']) },
    }).formData();
    expect([form.get('task_id'), form.get('status')]).toEqual(['task(a)', 'done']);
    const files = form.getAll('files') as File[];
    expect(files.map(({ name, type }) => [name, type])).toEqual([
      ['00000.png', 'image/png'],
      ['00001.jpeg', 'image/jpeg'],
    ]);
    expect(Buffer.from(await files[0]!.arrayBuffer()).toString('latin1')).toBe('\x89PNG one');
  });

  it.each([
    ['is sent again after a 503', [503, 429, 200], 3, true],
    ['is given up after three tries', [500, 500, 500, 200], 3, false],
    ['is not sent again after a 404', [404], 1, false],
    ['does not follow a redirect', [302], 1, false],
  ])('%s', async (_title, answers, tries, isDelivered) => {
    statuses = [...answers];
    new Webhooks(true, log, [0, 1, 1]).tell(job('json'));
    await vi.waitFor(() => expect(received).toHaveLength(tries));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(received).toHaveLength(tries);
    expect(logged.join().includes('not delivered')).toBe(!isDelivered);
    expect(logged.join()).not.toContain('secret');
  });

  it('is not sent to local addresses unless that is allowed', async () => {
    new Webhooks(false, log, [0, 1]).tell(job('json'));
    await vi.waitFor(() => expect(logged.join()).toContain('not a local one'));
    expect(received).toEqual([]);
  });

  it('is not sent to a name that stands for a local address', async () => {
    const local = url.replace('127.0.0.1', 'ip6-localhost.localdomain');
    const body = Buffer.from('{}');
    await expect(
      post(local, { type: 'application/json', body, allowsLocal: false }),
    ).rejects.toThrow();
    expect(received).toEqual([]);
  });
});
