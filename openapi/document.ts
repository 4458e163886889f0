/** Schemas and the table of operations, written as an OpenAPI 3.1 document. */
import { z } from 'zod';
import { ANSWERS, REQUESTS } from './components.ts';
import { BODY_EXAMPLES, QUERY_EXAMPLES } from './examples.ts';
import { listOperations, type Operation } from './operations.ts';

const STATUS_WORDS: Readonly<Record<number, string>> = {
  400: 'Sampler not found',
  401: 'User name or password missing or wrong',
  403: 'Not allowed by the flags of the server',
  404: 'Model not found',
  409: 'There is already such a file or job, the job has no answer, or no picture',
  411: 'A form without Content-Length',
  413: 'Body too large',
  415: 'Body is not JSON',
  422: 'Validation Error',
  500: 'The engine failed',
  501: 'Not available',
  429: 'Queue full; see Retry-After',
  503: 'Engine not ready, or server shutting down; see Retry-After',
  507: 'The disk is full',
  504: 'The engine hung and was stopped',
};

type Json = Record<string, unknown>;

/**
 * Builds the document.
 *
 * @param version   of the server
 * @param withStop  whether clients may end the server
 * @returns a plain object, the same for the same arguments
 */
export function buildDocument(version: string, withStop: boolean): Json {
  const names = new Map<z.ZodType, string>();
  for (const [id, schema] of Object.entries({ ...REQUESTS, ...ANSWERS })) names.set(schema, id);
  const paths: Record<string, Json> = {};
  for (const operation of listOperations(withStop)) {
    const path = paths[operation.path] ?? {};
    path[operation.method] = describeOperation(operation, names);
    paths[operation.path] = path;
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'sdserve',
      version,
      description: 'The Stable Diffusion web UI API, served without Python.',
    },
    paths,
    components: {
      schemas: { ...writeSchemas(REQUESTS, 'input'), ...writeSchemas(ANSWERS, 'output') },
      securitySchemes: { HTTPBasic: { type: 'http', scheme: 'basic' } },
    },
  };
}

function describeOperation(operation: Operation, names: ReadonlyMap<z.ZodType, string>): Json {
  const {
    id,
    tag,
    summary,
    body,
    formFiles,
    upload,
    query,
    params,
    success = 200,
    statuses = [],
  } = operation;
  const isOpen = operation.path === '/health';
  const key = `${operation.method} ${operation.path}`;
  const example = BODY_EXAMPLES[key];
  const queryExample = QUERY_EXAMPLES[key];
  const responses: Json = {
    [success]: { description: 'OK', content: answerContent(operation, names) },
  };
  const failures = [...statuses, ...(body || query ? [422] : []), ...(isOpen ? [] : [401])];
  for (const status of failures.sort((a, b) => a - b)) {
    const error =
      status === 422
        ? {
            anyOf: [
              { $ref: '#/components/schemas/HTTPValidationError' },
              { $ref: '#/components/schemas/ApiError' },
            ],
          }
        : { $ref: '#/components/schemas/ApiError' };
    responses[status] = {
      description: STATUS_WORDS[status] ?? 'Error',
      content: { 'application/json': { schema: error } },
    };
  }
  return {
    operationId: id,
    summary,
    tags: [tag],
    ...(query || params
      ? {
          parameters: [
            ...describeFields(params, 'path'),
            ...describeFields(query, 'query', queryExample),
          ],
        }
      : {}),
    ...(body
      ? {
          requestBody: {
            required: true,
            content: {
              'application/json': {
                schema: reference(body, names, 'input'),
                ...(example ? { example } : {}),
              },
              ...(formFiles ? { 'multipart/form-data': { schema: describeForm(formFiles) } } : {}),
            },
          },
        }
      : {}),
    ...(upload ? { requestBody: describeUpload(upload) } : {}),
    responses,
    ...(isOpen ? {} : { security: [{ HTTPBasic: [] }] }),
  };
}

function describeUpload(fields: z.ZodObject): Json {
  const properties = writeSchema(fields, 'input').properties as Json;
  const file = { type: 'string', format: 'binary', description: 'The file; its name counts.' };
  const schema = { type: 'object', required: ['file'], properties: { file, ...properties } };
  return { required: true, content: { 'multipart/form-data': { schema } } };
}

/** The fields of the JSON body as a form: files, one JSON part, and texts. */
function describeForm(files: readonly string[]): Json {
  const file = { type: 'string', contentMediaType: 'application/octet-stream' };
  const json = {
    type: 'string',
    contentMediaType: 'application/json',
    description: 'An object with any fields of the JSON body; fields of the form win.',
  };
  return {
    type: 'object',
    properties: { ...Object.fromEntries(files.map((name) => [name, file])), json },
    additionalProperties: { type: 'string', description: 'Any other field of the JSON body.' },
  };
}

function answerContent(
  { answer, formFiles, file }: Operation,
  names: ReadonlyMap<z.ZodType, string>,
): Json {
  if ('media' in answer) return { [answer.media]: { schema: { type: 'string' } } };
  const schema =
    'listOf' in answer
      ? { type: 'array', items: reference(answer.listOf, names, 'output') }
      : reference(answer, names, 'output');
  const picture = { schema: { type: 'string', contentMediaType: 'image/png' } };
  return {
    'application/json': { schema },
    ...(formFiles ? { 'image/png': picture } : {}),
    ...(file ? { [file]: { schema: { type: 'string', contentMediaType: file } } } : {}),
  };
}

function describeFields(
  fields: z.ZodObject | undefined,
  place: 'path' | 'query',
  examples: Readonly<Json> = {},
): Json[] {
  return Object.entries(fields?.shape ?? {}).map(([name, schema]) => {
    const { description, ...rest } = writeSchema(schema as z.ZodType, 'input');
    const example = name in examples ? { example: examples[name] } : {};
    return { name, in: place, required: place === 'path', description, schema: rest, ...example };
  });
}

function reference(
  schema: z.ZodType,
  names: ReadonlyMap<z.ZodType, string>,
  io: 'input' | 'output',
): Json {
  const name = names.get(schema);
  return name === undefined ? writeSchema(schema, io) : { $ref: `#/components/schemas/${name}` };
}

function writeSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io, override: writeDefault });
  return json;
}

function writeSchemas(schemas: Readonly<Record<string, z.ZodType>>, io: 'input' | 'output'): Json {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id });
  const written = z.toJSONSchema(registry, {
    io,
    uri: (id) => `#/components/schemas/${id}`,
    override: writeDefault,
  });
  return Object.fromEntries(
    Object.entries(written.schemas).map(([id, { $schema: _, $id: __, ...json }]) => [id, json]),
  );
}

/** Puts defaults back: zod leaves them out of inputs that are transformed before the check. */
function writeDefault({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodType; jsonSchema: Json }) {
  const { def } = zodSchema._zod;
  if (def.type === 'default' && 'defaultValue' in def) jsonSchema.default = def.defaultValue;
}
