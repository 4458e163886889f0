import { describe, expect, it } from 'vitest';
import { InvalidRequest } from '../../openapi/parse.ts';
import { describeExit } from '../../server/engine/exit.ts';
import { EngineError, fromErrorRecord, toErrorRecord } from '../../server/engine/protocol.ts';
import { ERROR_STATUS, HttpError, toErrorAnswer } from '../../server/errors.ts';
import { checkPixels, MAX_BATCH_PIXELS, MAX_REQUEST_PIXELS } from '../../server/limits.ts';

describe('the catalogue', () => {
  it('has 47 codes, each with a status of an error', () => {
    expect(Object.keys(ERROR_STATUS)).toHaveLength(47);
    for (const [code, status] of Object.entries(ERROR_STATUS)) {
      expect(code).toMatch(/^[A-Z][A-Z_]+(64)?$/);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(600);
    }
  });
});

describe('answers', () => {
  it('have the four keys of A1111, the message and the code', () => {
    expect(toErrorAnswer(new HttpError('SAMPLER_NOT_FOUND', 'Sampler not found'))).toEqual({
      status: 400,
      headers: {},
      body: {
        error: 'HTTPException',
        detail: 'Sampler not found',
        body: '',
        errors: '',
        message: 'Sampler not found',
        code: 'SAMPLER_NOT_FOUND',
      },
    });
  });

  it('list the faults of a request as FastAPI does', () => {
    const fault = { loc: ['body', 'steps'], msg: 'no', type: 'x' };
    expect(toErrorAnswer(new InvalidRequest([fault]))).toEqual({
      status: 422,
      headers: {},
      body: { detail: [fault], message: 'no' },
    });
  });

  it('say when to come back on 429 and on every 503', () => {
    const full = new HttpError('QUEUE_FULL', 'full', 17);
    expect(toErrorAnswer(full)).toMatchObject({ status: 429, headers: { 'Retry-After': '17' } });
    const gone = new EngineError('ENGINE_UNAVAILABLE', 'gone');
    expect(toErrorAnswer(gone)).toMatchObject({ status: 503, headers: { 'Retry-After': '5' } });
  });

  it.each([new Error('boom'), 'boom', null, undefined, 5, { code: 'QUEUE_FULL' }])(
    'are 500 for anything else that is thrown',
    (thrown) => {
      expect(toErrorAnswer(thrown).status).toBe(500);
    },
  );

  it('are 500 for codes of the domain, also those named after properties of objects', () => {
    for (const code of ['HEADER_TOO_LARGE', 'constructor', '__proto__', 'toString']) {
      expect(toErrorAnswer(new EngineError(code, 'x', 'CheckpointError'))).toMatchObject({
        status: 500,
        body: { error: 'CheckpointError', errors: 'x', code },
      });
    }
  });
});

describe('errors on the channel', () => {
  class LoraError extends Error {
    readonly code = 'RANK_MISMATCH';
  }

  it('keep class, code and message', () => {
    const record = structuredClone(toErrorRecord(new LoraError('ranks differ')));
    expect(fromErrorRecord(record)).toMatchObject({
      name: 'LoraError',
      code: 'RANK_MISMATCH',
      message: 'ranks differ',
    });
    expect(toErrorRecord('text')).toMatchObject({ code: null, message: 'text' });
    const numbered = Object.assign(new TypeError('x'), { code: 5 });
    expect(toErrorRecord(numbered)).toMatchObject({ name: 'TypeError', code: null });
  });
});

describe('ends of the engine', () => {
  it.each([
    [null, 'SIGKILL', null, 'ENGINE_EXITED', /memory.*smaller/],
    [137, null, null, 'ENGINE_EXITED', /smaller/],
    [null, 'SIGSEGV', null, 'ENGINE_EXITED', /SIGSEGV/],
    [1, null, null, 'ENGINE_EXITED', /exit code 1/],
    [135, null, null, 'CHECKPOINT_CHANGED', /changed on disk/],
    [null, 'SIGBUS', null, 'CHECKPOINT_CHANGED', /changed on disk/],
    [null, 'SIGKILL', 61_000, 'ENGINE_HUNG', /61 s/],
  ] as const)('%s %s %s is %s', (code, signal, silentMs, expected, message) => {
    const error = describeExit(code, signal, silentMs);
    expect(error.code).toBe(expected);
    expect(error.message).toMatch(message);
  });
});

describe('pixels', () => {
  it('are counted exactly at the limits', () => {
    expect(() => checkPixels(4_096, 4_096, 1, 1)).not.toThrow();
    expect(() => checkPixels(4_096, 4_096, 1, 6)).not.toThrow();
    expect(() => checkPixels(4_096, 4_096, 1, 7)).toThrow(String(MAX_REQUEST_PIXELS));
    expect(() => checkPixels(4_096, 2_048, 2, 1)).not.toThrow();
    expect(() => checkPixels(4_096, 2_049, 2, 1)).toThrow(String(MAX_BATCH_PIXELS));
  });
});
