/** Every example of the document, sent as it stands, and every route against the document. */
import type { Express } from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { BODY_EXAMPLES, QUERY_EXAMPLES } from '../../openapi/examples.ts';
import { listOperations } from '../../openapi/operations.ts';
import { createApp } from '../../server/app.ts';
import { createMetrics } from '../../server/metrics.ts';
import { addLora, startTestServer, type TestServer } from '../http/test-server.ts';

/** Paths that serve the document itself. */
const DOCUMENT_PATHS = [/^\/openapi\.json$/, /^\/docs/];

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ flags: ['--api-server-stop'] });
  addLora(server, 'spo');
  await server.post('/sdapi/v1/refresh-loras');
});
afterAll(() => server.close());

interface Layer {
  route?: { path: string | string[]; stack: { method?: string }[] };
  handle: { stack?: Layer[] };
}

/** `get /path` of every route that the application has, `:id` and `*id` written as `{id}`. */
function listRoutes(app: Express): string[] {
  const collect = (layers: readonly Layer[]): string[] =>
    layers.flatMap(({ route, handle }) => {
      if (route === undefined) return collect(handle.stack ?? []);
      const paths = [route.path].flat();
      const methods = new Set(route.stack.map(({ method }) => method ?? ''));
      return paths.flatMap((path) =>
        [...methods].map((method) => `${method} ${path.replace(/[:*](\w+)/g, '{$1}')}`),
      );
    });
  return collect((app.router as unknown as { stack: Layer[] }).stack);
}

describe('routes and document', () => {
  it('name the same endpoints', () => {
    const isDocument = (route: string) =>
      DOCUMENT_PATHS.some((path) => path.test(route.split(' ')[1] ?? ''));
    const routes = listRoutes(
      createApp({ ...server.context, metrics: createMetrics(false) }),
    ).filter((route) => !isDocument(route));
    const documented = listOperations(true).map(({ method, path }) => `${method} ${path}`);
    expect(routes.length).toBeGreaterThan(50);
    expect([...new Set(routes)].sort()).toEqual([...documented].sort());
  });

  it('have an example for every body', () => {
    const withBody = listOperations(true).filter(({ body }) => body !== undefined);
    expect(Object.keys(BODY_EXAMPLES).sort()).toEqual(
      withBody.map(({ method, path }) => `${method} ${path}`).sort(),
    );
    const known = listOperations(true).map(({ method, path }) => `${method} ${path}`);
    expect(known).toEqual(expect.arrayContaining(Object.keys(QUERY_EXAMPLES)));
  });
});

describe('the example of', () => {
  it.each(Object.keys({ ...BODY_EXAMPLES, ...QUERY_EXAMPLES }))('%s runs', async (key) => {
    const [method = '', path = ''] = key.split(' ');
    const operation = listOperations(true).find((one) => `${one.method} ${one.path}` === key);
    const query = new URLSearchParams(
      Object.entries(QUERY_EXAMPLES[key] ?? {}).map(
        ([name, value]) => [name, String(value)] as [string, string],
      ),
    );
    const id = path.includes('{id}') ? await submitJob() : '';
    const body = BODY_EXAMPLES[key];
    const response = await fetch(`${server.url}${path.replace('{id}', id)}?${query}`, {
      method: method.toUpperCase(),
      headers: { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.json();
    if (path.endsWith('/interrogate')) {
      // The files of a captioning model are not there: the refusal says which.
      expect([response.status, answer]).toEqual([
        422,
        expect.objectContaining({ code: 'UNSUPPORTED_FEATURE' }),
      ]);
      return;
    }
    expect([response.status, answer]).toMatchObject([operation?.success ?? 200, answer]);
    const schema = operation?.answer ?? z.never();
    if ('media' in schema) return;
    const read = ('listOf' in schema ? z.array(schema.listOf) : schema).safeParse(answer);
    expect(read.error?.issues ?? []).toEqual([]);
  });
});

/** Returns the id of a job of agent-scheduler. */
async function submitJob(): Promise<string> {
  const body = BODY_EXAMPLES['post /agent-scheduler/v1/queue/txt2img'];
  const response = await server.post('/agent-scheduler/v1/queue/txt2img', body);
  return ((await response.json()) as { task_id: string }).task_id;
}
