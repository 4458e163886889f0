/**
 * What the HTTP process and the engine process say to each other. Plain data only: every message
 * survives the structured clone of `child_process.fork` with `serialization: 'advanced'`.
 */
import type {
  EngineMemory,
  EngineSettings,
  Job,
  JobPreview,
  JobProgress,
  JobResult,
  ModelFile,
} from '../../pipelines/job.ts';

/** From the HTTP process to the engine. Calls carry an `id`, and each id is answered once. */
export type EngineRequest =
  | { type: 'init'; settings: EngineSettings }
  | { type: 'run'; id: number; job: Job }
  | { type: 'load'; id: number; checkpoint: ModelFile; vae: ModelFile | null }
  | { type: 'unload'; id: number }
  | { type: 'memory'; id: number }
  | { type: 'control'; id: number; interrupted: boolean; skipped: boolean };

/** The requests that are answered by `done` or `failed`, without the id that the supervisor adds. */
export type EngineCall =
  | { type: 'run'; job: Job }
  | { type: 'load'; checkpoint: ModelFile; vae: ModelFile | null }
  | { type: 'unload' }
  | { type: 'memory' };

/** What a call answers with. */
export interface EngineAnswers {
  run: JobResult;
  load: null;
  unload: null;
  memory: EngineMemory;
}

/** An error on its way through the channel: class instances do not survive it. */
export interface ErrorRecord {
  name: string;
  /** The domain's code (`HEADER_TOO_LARGE`), null for errors that carry none. */
  code: string | null;
  message: string;
  stack: string | null;
}

/** From the engine to the HTTP process. */
export type EngineReply =
  | { type: 'ready' }
  | { type: 'progress'; id: number; progress: JobProgress }
  | { type: 'preview'; id: number; preview: JobPreview }
  | { type: 'log'; message: string; fields: Record<string, unknown> }
  | { type: 'done'; id: number; value: JobResult | EngineMemory | null }
  | { type: 'failed'; id: number; error: ErrorRecord }
  | { type: 'fatal'; error: ErrorRecord };

/** An engine failure as the HTTP process throws it; `server/errors.ts` gives `code` a status. */
export class EngineError extends Error {
  readonly code: string;

  /**
   * @param code     a code of `server/errors.ts`, or the domain's own
   * @param message  one sentence that names the file, field or step
   * @param name     class name of the original error; it becomes `error` of the A1111 body
   */
  constructor(code: string, message: string, name = 'EngineError') {
    super(message);
    this.code = code;
    this.name = name;
  }
}

/**
 * Flattens anything that was thrown into a record that crosses the channel.
 *
 * @param thrown  an Error, with or without a string `code`, or any other value
 */
export function toErrorRecord(thrown: unknown): ErrorRecord {
  if (!(thrown instanceof Error)) {
    return { name: 'Error', code: null, message: String(thrown), stack: null };
  }
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : null;
  // Domain classes may leave `name` at "Error"; the constructor's name is what a reader knows.
  const name = thrown.name === 'Error' ? thrown.constructor.name : thrown.name;
  return { name, code, message: thrown.message, stack: thrown.stack ?? null };
}

/** Makes the error that the HTTP process throws for a record from the engine. */
export function fromErrorRecord(record: ErrorRecord): EngineError {
  return new EngineError(record.code ?? 'ENGINE_ERROR', record.message, record.name);
}
