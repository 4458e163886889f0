import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../http/test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

async function ask(query: Record<string, string | number | boolean>) {
  const text = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) text.set(key, String(value));
  const response = await server.get(`/sdapi/v1/steps-plan?${text}`);
  return { status: response.status, plan: (await response.json()) as Record<string, unknown> };
}

describe('GET /sdapi/v1/steps-plan', () => {
  it('tells that 18 steps at 0.22 execute 4, and from which noise level', async () => {
    const { status, plan } = await ask({ steps: 18, denoising_strength: 0.22, sampler: 'Euler' });
    expect(status).toBe(200);
    expect(plan).toMatchObject({
      sampler: 'Euler',
      scheduler: 'Automatic',
      steps: 18,
      denoising_strength: 0.22,
      fix_steps: false,
      steps_executed: 4,
      model_calls: 4,
      announced_steps: 4,
      schedule_steps: 18,
      slice_start: 14,
      timesteps: [],
      noise_timestep: null,
    });
    const sigmas = plan.sigmas as number[];
    expect(sigmas).toHaveLength(5);
    expect(sigmas.at(-1)).toBe(0);
    expect(plan.first_sigma).toBe(sigmas[0]);
  });

  it('lists timesteps for DDIM and tells the one that is noised to', async () => {
    const { plan } = await ask({ steps: 20, denoising_strength: 0.5, sampler: 'DDIM' });
    expect(plan).toMatchObject({ steps_executed: 9, noise_timestep: 501 });
    // Index 501 of the 1,000 noise levels from betas between sqrt(0.00085) and sqrt(0.012), squared.
    expect(plan.first_sigma).toBeCloseTo(1.623692, 5);
    expect((plan.timesteps as number[])[0]).toBe(451);
  });

  it('takes old sampler names with their scheduler', async () => {
    const { plan } = await ask({ steps: 20, sampler: 'DPM++ 2M Karras' });
    expect(plan).toMatchObject({ sampler: 'DPM++ 2M', steps_executed: 20, model_calls: 20 });
    expect(plan.first_sigma).toBeCloseTo(14.6146, 4);
  });

  it.each([
    [12, 0.2, 'Euler', 55],
    [12, 0.35, 'DDIM', 38],
    [16, 0.35, 'DPM++ 2M', 43],
  ] as const)(
    'finds the steps that execute %i at %f of %s',
    async (executed, strength, sampler, steps) => {
      const asked = { executed, denoising_strength: strength, sampler };
      const { plan } = await ask(asked);
      expect(plan).toMatchObject({ steps, steps_executed: executed });
      const fewer = await ask({ ...asked, executed: executed - 1 });
      expect(fewer.plan.steps).toBeLessThan(steps);
    },
  );

  it('says when no number of steps does it, and what is missing', async () => {
    const far = await ask({ executed: 20, denoising_strength: 0.1 });
    expect(far.status).toBe(422);
    expect(far.plan.detail).toMatch(/No steps from 1 to 150 execute 20 of Euler at 0\.1: .*190/);
    expect((await ask({ executed: 20, sampler: 'DPM adaptive' })).status).toBe(422);
    expect((await ask({})).status).toBe(400);
    expect((await ask({ steps: 5, sampler: 'nothing' })).status).toBe(400);
    expect((await ask({ steps: 0 })).status).toBe(422);
  });

  it('runs all steps with fix_steps', async () => {
    const { plan } = await ask({ steps: 20, denoising_strength: 0.3, fix_steps: true });
    expect(plan).toMatchObject({ steps_executed: 20, schedule_steps: 66, slice_start: 46 });
  });
});
