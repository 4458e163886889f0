#!/usr/bin/env node
/**
 * Many clients against a running server: most ask small things, some draw. Counts errors, and tells
 * how long the small things take meanwhile and how the server's memory goes.
 */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const USAGE = `npm run bench:load -- --url http://127.0.0.1:7860 [--clients 200] [--seconds 60]
  [--think-ms 250] [--steps 4] [--auth user:password]`;

/** What front-ends ask while they wait. */
const CHEAP_PATHS = [
  '/sdapi/v1/progress?skip_current_image=true',
  '/sdapi/v1/options',
  '/sdapi/v1/samplers',
  '/sdapi/v1/sd-models',
  '/sdapi/v1/loras',
  '/sdapi/v1/memory',
  '/internal/pending-tasks',
  '/queue/status',
  '/health/ready',
];
/** One client of ten draws. */
const DRAWING_EVERY = 10;
const SIDE = 64;
const MEMORY_EVERY_MS = 5_000;
/** Milliseconds that a client waits at most when it is told to come back later. */
const MAX_RETRY_MS = 5_000;
const REQUEST_TIMEOUT_MS = 120_000;

interface Reply {
  status: number;
  retryAfterMs: number;
  body: Buffer;
}

/** Milliseconds of one kind of request, by answer. */
interface Tally {
  ms: number[];
  refused: number;
  /** What went wrong, with how often. */
  errors: Map<string, number>;
}

interface LoadOptions {
  url: string;
  clients: number;
  seconds: number;
  thinkMs: number;
  steps: number;
  auth: string | null;
}

/** Runs the clients and prints the report; the exit code is 1 when there was any error but 429. */
async function main(): Promise<void> {
  const options = readOptions();
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const call = createCaller(options, agent);
  const end = performance.now() + options.seconds * 1000;
  const tallies = new Map(CHEAP_PATHS.map((path) => [path, createTally()]));
  const drawn = createTally();
  const memory: number[] = [];
  const clients = Array.from({ length: options.clients }, async (_, client) => {
    const isDrawing = client % DRAWING_EVERY === 0;
    await sleep(Math.random() * options.thinkMs);
    for (let turn = client; performance.now() < end; turn++) {
      const path = CHEAP_PATHS[turn % CHEAP_PATHS.length] as string;
      const waitMs = isDrawing
        ? await measure(drawn, () => call('/sdapi/v1/txt2img', drawing(options.steps, turn)))
        : await measure(tallies.get(path) as Tally, () => call(path, null));
      await sleep(waitMs + Math.random() * 2 * options.thinkMs);
    }
  });
  const watch = (async () => {
    while (performance.now() < end) {
      memory.push(await readMemory(call));
      await sleep(MEMORY_EVERY_MS);
    }
  })();
  await Promise.all([...clients, watch]);
  memory.push(await readMemory(call));
  agent.destroy();
  report(options, { tallies, drawn, memory });
  const all = [drawn, ...tallies.values()];
  process.exitCode = all.some(({ errors }) => errors.size > 0) ? 1 : 0;
}

function createTally(): Tally {
  return { ms: [], refused: 0, errors: new Map() };
}

function readOptions(): LoadOptions {
  const { values } = parseArgs({
    options: {
      url: { type: 'string', default: 'http://127.0.0.1:7860' },
      clients: { type: 'string', default: '200' },
      seconds: { type: 'string', default: '60' },
      'think-ms': { type: 'string', default: '250' },
      steps: { type: 'string', default: '4' },
      auth: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const numbers = [values.clients, values.seconds, values['think-ms'], values.steps].map(Number);
  if (values.help || numbers.some((value) => !(value >= 0))) {
    process.stdout.write(`${USAGE}\n`);
    process.exit(values.help ? 0 : 2);
  }
  const [clients, seconds, thinkMs, steps] = numbers as [number, number, number, number];
  return { url: values.url, clients, seconds, thinkMs, steps, auth: values.auth ?? null };
}

function drawing(steps: number, seed: number): object {
  return { prompt: 'a red boat', width: SIDE, height: SIDE, steps, seed, sampler_name: 'Euler' };
}

type Call = (path: string, body: object | null) => Promise<Reply>;

function createCaller({ url, auth }: LoadOptions, agent: Agent): Call {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (auth !== null) headers.Authorization = `Basic ${Buffer.from(auth).toString('base64')}`;
  return (path, body) =>
    new Promise((resolve, reject) => {
      const text = body === null ? null : JSON.stringify(body);
      const client = request(new URL(path, url), {
        agent,
        method: text === null ? 'GET' : 'POST',
        headers: text === null ? headers : { ...headers, 'Content-Type': 'application/json' },
        timeout: REQUEST_TIMEOUT_MS,
      });
      client.on('timeout', () => client.destroy(new Error('timeout')));
      client.on('error', reject);
      client.on('response', (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          const seconds = Number(response.headers['retry-after'] ?? 0);
          resolve({
            status: response.statusCode ?? 0,
            retryAfterMs: Math.min(seconds * 1000, MAX_RETRY_MS),
            body: Buffer.concat(parts),
          });
        });
      });
      client.end(text ?? undefined);
    });
}

/** Notes one request; returns the milliseconds that the server asks to wait. */
async function measure(tally: Tally, send: () => Promise<Reply>): Promise<number> {
  const startedMs = performance.now();
  const fail = (what: string) => tally.errors.set(what, (tally.errors.get(what) ?? 0) + 1);
  try {
    const { status, retryAfterMs } = await send();
    if (status === 429) {
      tally.refused += 1;
      return retryAfterMs;
    }
    if (status === 200) tally.ms.push(performance.now() - startedMs);
    else fail(`status ${status}`);
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
  return 0;
}

/** Bytes that both processes of the server use. */
async function readMemory(call: Call): Promise<number> {
  const { body } = await call('/sdapi/v1/memory', null);
  const { ram } = JSON.parse(body.toString()) as { ram: { used: number } };
  return ram.used;
}

function report(
  { clients, seconds, thinkMs, steps }: LoadOptions,
  {
    tallies,
    drawn,
    memory,
  }: { tallies: ReadonlyMap<string, Tally>; drawn: Tally; memory: number[] },
): void {
  const mebibytes = memory.map((bytes) => Math.round(bytes / 2 ** 20));
  const lines = [
    `${clients} clients for ${seconds} s, ${thinkMs} ms between two requests on average`,
    describe('small requests', merge([...tallies.values()]), seconds),
    ...[...tallies].map(([path, tally]) => `  ${describe(path, tally, seconds)}`),
    describe(`${SIDE}x${SIDE}, ${steps} steps`, drawn, seconds),
    `memory of the server, MiB, every ${MEMORY_EVERY_MS / 1000} s: ${mebibytes.join(' ')}`,
    describeGrowth(mebibytes),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** How memory went once the server was warm: the mean of the second quarter beside that of the last. */
function describeGrowth(mebibytes: readonly number[]): string {
  const quarter = Math.max(1, Math.floor(mebibytes.length / 4));
  const mean = (values: readonly number[]) =>
    Math.round(values.reduce((sum, value) => sum + value, 0) / values.length);
  const early = mean(mebibytes.slice(quarter, 2 * quarter));
  const late = mean(mebibytes.slice(-quarter));
  const percent = ((100 * (late - early)) / early).toFixed(1);
  return `second quarter ${early} MiB, last quarter ${late} MiB: ${percent} % more`;
}

function merge(tallies: readonly Tally[]): Tally {
  const all = createTally();
  for (const { ms, refused, errors } of tallies) {
    for (const value of ms) all.ms.push(value);
    all.refused += refused;
    for (const [what, count] of errors) all.errors.set(what, (all.errors.get(what) ?? 0) + count);
  }
  return all;
}

function describe(name: string, { ms, refused, errors }: Tally, seconds: number): string {
  const sorted = [...ms].sort((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(1);
  const faults = [...errors].map(([what, count]) => `${count} x ${what}`).join(', ') || 'none';
  return (
    `${name}: ${ms.length} answered (${(ms.length / seconds).toFixed(1)}/s), ` +
    `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms; ${refused} refused with 429; errors: ${faults}`
  );
}

await main();
