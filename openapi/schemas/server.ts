/** The server itself: memory, health, queue, flags. */
import { z } from 'zod';

const bytes = (what: string) => z.number().describe(`${what}, bytes.`);

export const MemoryResponse = z
  .object({
    ram: z
      .object({
        free: bytes('Memory that is left'),
        used: bytes('Memory of both processes'),
        total: bytes('Memory of the machine or container'),
      })
      .describe('Main memory.'),
    cuda: z.object({ error: z.string().describe('Why there are no numbers.') }).describe('GPU.'),
    engine: z
      .object({ rss: bytes('Resident memory'), array_buffers: bytes('Buffers') })
      .nullable()
      .describe('The engine process; null while it does not run.'),
  })
  .describe('Memory in use.');

export const HealthResponse = z
  .object({ status: z.literal('ok').describe('The HTTP process answers.') })
  .describe('Liveness.');

export const ReadyResponse = z
  .object({
    ready: z.boolean().describe('Whether a job would start.'),
    reason: z.string().nullable().describe('Why not.'),
    engine: z.string().describe('State of the engine process.'),
    restarts: z.int().describe('How often the engine was started again.'),
    running: z.int().describe('Jobs that run.'),
    waiting: z.int().describe('Jobs that wait.'),
  })
  .describe('Readiness.');

export const HomeResponse = z
  .object({
    name: z.literal('sdserve').describe('Name of the product.'),
    version: z.string().describe('Its version.'),
    docs: z.string().describe('Path of the documentation.'),
    openapi: z.string().describe('Path of the OpenAPI document.'),
    engine: z.string().describe('State of the engine process.'),
    device: z.string().describe('Where the networks run.'),
    checkpoint: z.string().nullable().describe('Title of the checkpoint in use; null without any.'),
    jobs: z.int().describe('Jobs that wait or run.'),
  })
  .describe('What runs here.');

export const QueueStatusResponse = z
  .object({
    msg: z.literal('estimation').describe('Always `estimation`.'),
    rank: z.null().describe('Always null.'),
    queue_size: z.int().describe('Jobs that wait or run.'),
    queue_limit: z.int().describe('Jobs that may wait.'),
    avg_event_process_time: z.number().nullable().describe('Seconds per job, lately.'),
  })
  .describe('The queue.');

export const Flags = z
  .record(z.string(), z.unknown())
  .describe('Command-line flags; passwords are left out.');

export const Nothing = z.object({}).describe('An empty object.');

export const Null = z.null().describe('Done.');
