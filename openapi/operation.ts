/** What is written down about one endpoint. */
import type { z } from 'zod';

export interface Operation {
  method: 'get' | 'post' | 'put' | 'delete';
  /** Parts in braces are path parameters: `/jobs/{id}`. */
  path: string;
  /** A1111's where it has the endpoint. */
  id: string;
  tag: 'Generation' | 'Control' | 'Jobs' | 'Models' | 'Lists' | 'Options' | 'Server';
  summary: string;
  body?: z.ZodType;
  /** Fields of a multipart body beside its `file`. */
  upload?: z.ZodObject;
  /** Fields that are files when the body comes as a form; such endpoints also answer a picture alone. */
  formFiles?: readonly string[];
  query?: z.ZodObject;
  /** The path parameters, by the names in the braces. */
  params?: z.ZodObject;
  /** A schema, a list of items of one, or the media type of something else than JSON. */
  answer: z.ZodType | { listOf: z.ZodType } | { media: string };
  /** Media type that a query can ask for instead of JSON. */
  file?: string;
  /** Status of success when it is not 200. */
  success?: 202;
  /** Statuses besides success, 401, and 422 where there is a body or query. */
  statuses?: readonly number[];
}

/** What any call that waits in the queue may answer. */
export const QUEUED = [429, 500, 503, 504] as const;
