/** The error catalogue: the only place that knows which fault is which HTTP status. */
import type { Fault } from '../openapi/parse.ts';

/** Codes of the HTTP side and of the engine's supervision, each with its status. */
export const ERROR_STATUS = {
  /** A field cannot be read or is out of bounds. */
  INVALID_REQUEST: 422,
  INVALID_JSON: 422,
  LENGTH_REQUIRED: 411,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  /** A browser sent a request for a page of another origin that is not allowed. */
  CROSS_SITE: 403,
  SAMPLER_NOT_FOUND: 400,
  SCHEDULER_NOT_FOUND: 400,
  MODEL_NOT_FOUND: 404,
  UPSCALER_NOT_FOUND: 404,
  IMAGE_NOT_FOUND: 404,
  LORA_NOT_FOUND: 404,
  FILE_NOT_FOUND: 404,
  /** A picture was asked for and the job was interrupted before there was one. */
  NO_PICTURE: 409,
  /** Sending in and removing files is switched off. */
  UPLOAD_DISABLED: 403,
  /** A file that is not in the LoRA folder is not removed. */
  LORA_PROTECTED: 403,
  NOT_A_LORA: 422,
  FILE_EXISTS: 409,
  DISK_FULL: 507,
  SCRIPT_NOT_FOUND: 422,
  /** An argument of a script cannot be read or is out of bounds. */
  SCRIPT_ARGUMENT: 422,
  /** The request asks for something that would change the picture and is not here. */
  UNSUPPORTED_FEATURE: 422,
  LIMIT_EXCEEDED: 422,
  /** A picture of a request that cannot be read: codes of `images/errors.ts`. */
  INVALID_BASE64: 422,
  UNSUPPORTED_FORMAT: 422,
  CORRUPT_IMAGE: 422,
  IMAGE_TOO_LARGE: 422,
  TEXT_TOO_LARGE: 422,
  /** A picture's address, which A1111 answers with 500; and init images that do not go together. */
  REQUESTS_NOT_ALLOWED: 422,
  INVALID_ADDRESS: 422,
  LOCAL_ADDRESS: 422,
  SIZES_DIFFER: 422,
  /** Of the job API. */
  JOB_NOT_FOUND: 404,
  JOB_HAS_NO_ANSWER: 409,
  DUPLICATE_JOB: 409,
  TOO_MANY_STREAMS: 429,
  OPTIONS_NOT_SAVED: 500,
  QUEUE_FULL: 429,
  SHUTTING_DOWN: 503,
  ENGINE_UNAVAILABLE: 503,
  ENGINE_HUNG: 504,
  ENGINE_EXITED: 500,
  ENGINE_BUSY: 500,
  ENGINE_ERROR: 500,
  CHECKPOINT_CHANGED: 500,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** Seconds to wait before a retry, where the thrower knows no better. */
const DEFAULT_RETRY_SECONDS = 5;

/** A refusal with a sentence for people: A1111's HTTPException. */
export class HttpError extends Error {
  readonly code: ErrorCode;
  /** Seconds for `Retry-After`; null for none. */
  readonly retryAfterSeconds: number | null;

  constructor(code: ErrorCode, detail: string, retryAfterSeconds: number | null = null) {
    super(detail);
    this.name = 'HTTPException';
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** What is sent for an error. */
export interface ErrorAnswer {
  status: number;
  headers: Record<string, string>;
  body: Record<string, unknown>;
}

/**
 * Shapes any thrown value as A1111 does: FastAPI's list for unreadable fields, else the object
 * {error, detail, body, errors} with `message` and `code` added.
 *
 * @param thrown  an HttpError, an InvalidRequest, an EngineError, or anything else (500)
 */
export function toErrorAnswer(thrown: unknown): ErrorAnswer {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'ENGINE_ERROR';
  const status = statusOf(code);
  const headers = retryHeaders(error, status);
  if ('faults' in error && Array.isArray(error.faults)) {
    return { status, headers, body: { detail: error.faults as Fault[], message: error.message } };
  }
  // What the client can mend is told as A1111 tells its own refusals.
  const isDeliberate = error instanceof HttpError || status < 500;
  return {
    status,
    headers,
    body: {
      error: error.name,
      detail: isDeliberate ? error.message : '',
      body: '',
      errors: isDeliberate ? '' : error.message,
      message: error.message,
      code: code,
    },
  };
}

function statusOf(code: string): number {
  // Own keys only: a domain's code may be any text, `constructor` included.
  return Object.hasOwn(ERROR_STATUS, code) ? ERROR_STATUS[code as ErrorCode] : 500;
}

function retryHeaders(error: Error, status: number): Record<string, string> {
  const seconds = error instanceof HttpError ? error.retryAfterSeconds : null;
  if (seconds === null && status !== 503 && status !== 429) return {};
  return { 'Retry-After': String(seconds ?? DEFAULT_RETRY_SECONDS) };
}
