import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listOperations, type Operation } from '../../openapi/operations.ts';
import { startTestServer, type TestServer } from './test-server.ts';

/** Fixed, so that a failure can be had again; another number is another test. */
const SEED = 20_260_101;
const BODIES = 60;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

/** Bodies that a schema's fields may meet: honest ones, odd ones, and any JSON at all. */
function bodies({ body }: Operation): unknown[] {
  const shape = body !== undefined && 'shape' in body ? Object.keys(body.shape as object) : [];
  const field = shape.length === 0 ? fc.string() : fc.constantFrom(...shape);
  const value = fc.oneof(
    fc.jsonValue(),
    fc.integer({ min: -10, max: 200 }),
    fc.constantFrom('', '-1', '0', '1e999', 'None', 'null', '__proto__', '\u0000', '../..', [], {}),
  );
  const object = fc.dictionary(field, value, { maxKeys: 6 });
  return fc.sample(fc.oneof({ weight: 5, arbitrary: object }, fc.jsonValue()), {
    seed: SEED,
    numRuns: BODIES,
  });
}

function documented({ body, query, statuses = [] }: Operation): Set<number> {
  return new Set([200, ...statuses, ...(body || query ? [422, 413, 415] : [])]);
}

describe('every route', () => {
  it.each(listOperations(false).map((operation) => [operation.path, operation] as const))(
    '%s answers any body with a status of the document, never 5xx',
    async (path, operation) => {
      const { queue } = server.context;
      for (const body of bodies(operation)) {
        const text = JSON.stringify(body);
        const response =
          operation.method === 'post' ? await server.post(path, text) : await server.get(path);
        expect([text, response.status < 500]).toEqual([text, true]);
        // A JSON body where none is expected is ignored; one that is no JSON is refused.
        expect([text, [...documented(operation)]]).toEqual([
          text,
          expect.arrayContaining([response.status]),
        ]);
        await response.arrayBuffer();
      }
      expect(queue.running).toBeNull();
    },
  );

  it('answers every other method with 405, 404 or an empty 200, never 5xx', async () => {
    for (const { path } of listOperations(false)) {
      for (const method of METHODS) {
        // `fetch` refuses to send TRACE.
        if (method === 'TRACE') continue;
        const response = await server.get(path, { method });
        expect([path, method, response.status < 500]).toEqual([path, method, true]);
        await response.arrayBuffer();
      }
    }
  });
});

describe('any query', () => {
  it('is read or refused', async () => {
    const values = fc.sample(fc.string({ unit: 'binary' }), { seed: SEED, numRuns: 100 });
    for (const value of values) {
      const query = new URLSearchParams({ skip_current_image: value });
      const response = await server.get(`/sdapi/v1/progress?${query}`);
      expect([200, 422]).toContain(response.status);
      await response.arrayBuffer();
    }
    for (const query of [
      '?skip_current_image',
      '?skip_current_image=1&skip_current_image=0',
      '?%',
    ]) {
      const response = await server.get(`/sdapi/v1/progress${query}`);
      expect([200, 422]).toContain(response.status);
      await response.arrayBuffer();
    }
  });
});
