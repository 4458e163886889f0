/** Every limit of a request from both sides: what it takes, what it refuses, and by which name. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../http/test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

/** A request within a limit, and one beyond it; the field that the refusal names. */
type Sides = [field: string, within: object, beyond: object];

const both = (field: string, within: unknown, beyond: unknown): Sides => [
  field,
  { [field]: within },
  { [field]: beyond },
];
const SQUARE = { width: 4096, height: 4096 };
const HIRES = { enable_hr: true, denoising_strength: 0.5, width: 512, height: 512 };

const LIMITS: Sides[] = [
  ...['width', 'height'].flatMap((side) => [
    both(side, 64, 63),
    both(side, 65, 0),
    both(side, 4096, 4097),
    both(side, 4095, 100_000),
    both(side, 72, -64),
  ]),
  both('steps', 1, 0),
  both('steps', 150, 151),
  both('steps', 2, -1),
  both('batch_size', 1, 0),
  both('batch_size', 64, 65),
  both('batch_size', 2, 1_000_000),
  both('n_iter', 1, 0),
  both('n_iter', 100, 101),
  both('cfg_scale', 0, -0.1),
  both('cfg_scale', 100, 100.1),
  both('seed', 2 ** 32 - 1, 2 ** 32),
  both('seed', -1, -2),
  both('subseed', 2 ** 32 - 1, 2 ** 32),
  both('subseed_strength', 1, 1.01),
  both('subseed_strength', 0, -0.01),
  both('seed_resize_from_w', 4096, 4097),
  both('seed_resize_from_h', 4096, 4097),
  both('denoising_strength', 1, 1.01),
  both('denoising_strength', 0, -0.01),
  both('eta', 1000, 1000.5),
  both('s_churn', 1000, 1001),
  both('s_noise', 0, -1),
  both('prompt', 'a'.repeat(20_000), 'a'.repeat(20_001)),
  both('negative_prompt', 'a'.repeat(20_000), 'a'.repeat(20_001)),
  both('styles', new Array(100).fill('x'), new Array(101).fill('x')),
  both('sampler_name', 'Euler', 5_000),
  both('refiner_switch_at', 1, 1.01),
  [
    'width x height x batch_size',
    { ...SQUARE, batch_size: 1 },
    { width: 4096, height: 4096, batch_size: 2 },
  ],
  [
    'width x height x batch_size',
    { width: 4096, height: 2048, batch_size: 2 },
    { width: 4096, height: 2049, batch_size: 2 },
  ],
  ['width x height x batch_size', { ...SQUARE }, { ...SQUARE, batch_size: 8 }],
  ['width x height x batch_size x n_iter', { ...SQUARE, n_iter: 6 }, { ...SQUARE, n_iter: 7 }],
  ['hires size', { ...HIRES, hr_scale: 8 }, { ...HIRES, hr_scale: 8.02 }],
  ['hr_resize_x', { ...HIRES, hr_resize_x: 4096 }, { ...HIRES, hr_resize_x: 4104 }],
  ['pixels', { ...HIRES, hr_scale: 4, batch_size: 4 }, { ...HIRES, hr_scale: 4, batch_size: 5 }],
  ['denoising_strength', { ...HIRES }, { ...HIRES, denoising_strength: null }],
];

async function post(body: object) {
  const response = await server.post('/sdapi/v1/txt2img', { width: 64, height: 64, ...body });
  return { status: response.status, text: await response.text() };
}

describe('limits', () => {
  it('are tried with at least 60 requests', () => {
    expect(2 * LIMITS.length).toBeGreaterThanOrEqual(60);
  });

  it.each(LIMITS)('%s takes %o and refuses what is beyond', async (field, within, beyond) => {
    const jobs = server.engine.jobs.length;
    expect(await post(within)).toMatchObject({ status: 200 });
    expect(server.engine.jobs).toHaveLength(jobs + 1);
    const { status, text } = await post(beyond);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    // A sampler that is none has A1111's words.
    expect(text).toContain(field === 'sampler_name' ? 'Sampler not found' : field);
    // Refused before anything is queued.
    expect(server.engine.jobs).toHaveLength(jobs + 1);
  });

  it('refuse eight pictures of 4096 x 4096 in under 50 ms', async () => {
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const begin = performance.now();
      const { status, text } = await post({ ...SQUARE, batch_size: 8 });
      times.push(performance.now() - begin);
      expect(status).toBe(422);
      expect(text).toContain('134217728');
    }
    expect(Math.min(...times)).toBeLessThan(50);
  });
});
