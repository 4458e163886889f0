import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLoraFile } from '../../../lora/file.ts';
import { measureModule } from '../../../lora/inspect/norms.ts';
import { type SmallTensor, writeTensorFile } from '../write-tensors.ts';

let dir: string;
beforeAll(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-norms-'));
});
afterAll(() => fs.rmSync(dir, { recursive: true }));

type Whole = Required<Omit<SmallTensor, 'dtype'>>;

let seed = 1;
const random = (shape: number[]): Whole => ({
  shape,
  values: Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
    seed = (seed * 48271) % 2147483647;
    return Math.fround(seed / 2147483647 - 0.5);
  }),
});

async function measure(parts: Record<string, SmallTensor>) {
  const tensors = Object.entries(parts).map(([part, tensor]) => [`lora_unet_x.${part}`, tensor]);
  const file = writeTensorFile(path.join(dir, 'x.safetensors'), Object.fromEntries(tensors));
  const lora = await readLoraFile(file);
  return measureModule(lora, lora.modules[0] as (typeof lora.modules)[0]);
}

/** [n, k] x [k, m], in double precision. */
function product(a: Whole, b: Whole): number[] {
  const [n = 0, k = 0] = a.shape;
  const m = b.values.length / k;
  return Array.from({ length: n * m }, (_, at) => {
    let sum = 0;
    for (let i = 0; i < k; i++) {
      sum +=
        (a.values[Math.floor(at / m) * k + i] as number) * (b.values[i * m + (at % m)] as number);
    }
    return sum;
  });
}
const norm = (values: readonly number[]) => Math.hypot(...values);

describe('the norm of a module', () => {
  it.each([1, 2, 3, 7, 8, 64])('is that of the product, rank %i', async (rank) => {
    const [up, down] = [random([24, rank]), random([rank, 40])];
    const alpha = { shape: [], values: [rank / 2] };
    const found = await measure({ 'lora_up.weight': up, 'lora_down.weight': down, alpha });
    expect(found?.norm).toBeCloseTo(norm(product(up, down)) / 2, 5);
    expect(found?.count).toBe(24 * 40);
  });

  it('is estimated above rank 64, the same each time', async () => {
    const parts = { 'lora_up.weight': random([96, 80]), 'lora_down.weight': random([80, 96]) };
    const found = await measure(parts);
    const exact = norm(product(parts['lora_up.weight'], parts['lora_down.weight']));
    expect(Math.abs((found?.norm ?? 0) / exact - 1)).toBeLessThan(0.1);
    expect(await measure(parts)).toEqual(found);
  });

  it('has the core of a convolution in it', async () => {
    const [up, down] = [random([8, 2, 1, 1]), random([2, 4, 1, 1])];
    const core = random([2, 2, 3, 3]);
    const found = await measure({
      'lora_up.weight': up,
      'lora_down.weight': down,
      'lora_mid.weight': core,
    });
    // mid[n, m, k] · down[m, j] as a matrix [n, j * k].
    const folded = Array.from({ length: 2 * 4 * 9 }, (_, at) => {
      const [n, j, k] = [Math.floor(at / 36), Math.floor(at / 9) % 4, at % 9];
      return [0, 1].reduce(
        (sum, m) =>
          sum + (core.values[(n * 2 + m) * 9 + k] as number) * (down.values[m * 4 + j] as number),
        0,
      );
    });
    const expected = product({ ...up, shape: [8, 2] }, { shape: [2, 36], values: folded });
    expect(found?.norm).toBeCloseTo(norm(expected), 5);
    expect(found?.count).toBe(8 * 4 * 9);
  });

  it('of LoHa and of a full difference', async () => {
    const [a1, b1, a2, b2] = [random([6, 2]), random([2, 5]), random([6, 2]), random([2, 5])];
    const found = await measure({ hada_w1_a: a1, hada_w1_b: b1, hada_w2_a: a2, hada_w2_b: b2 });
    const second = product(a2, b2);
    const expected = product(a1, b1).map((value, i) => value * (second[i] as number));
    expect(found?.norm).toBeCloseTo(norm(expected), 5);
    const diff = random([3, 4]);
    expect((await measure({ diff }))?.norm).toBeCloseTo(norm([...diff.values]), 5);
  });

  it('of LoHa with cores, and of one with more than 64 rows', async () => {
    const core = { hada_t1: random([2, 2, 3, 3]), hada_t2: random([2, 2, 3, 3]) };
    const parts = {
      hada_w1_a: random([2, 6]),
      hada_w1_b: random([2, 5]),
      hada_w2_a: random([2, 6]),
      hada_w2_b: random([2, 5]),
    };
    const whole = ([t, a, b]: Whole[]) =>
      Array.from({ length: 6 * 5 * 9 }, (_, at) => {
        const [p, q, k] = [Math.floor(at / 45), Math.floor(at / 9) % 5, at % 9];
        let sum = 0;
        for (const [i, j] of [0, 1, 2, 3].map((n) => [n >> 1, n & 1] as const)) {
          const factor = (a?.values[i * 6 + p] ?? 0) * (b?.values[j * 5 + q] ?? 0);
          sum += (t?.values[(i * 2 + j) * 9 + k] ?? 0) * factor;
        }
        return sum;
      });
    const left = whole([core.hada_t1, parts.hada_w1_a, parts.hada_w1_b]);
    const right = whole([core.hada_t2, parts.hada_w2_a, parts.hada_w2_b]);
    const found = await measure({ ...parts, ...core });
    expect(found?.norm).toBeCloseTo(norm(left.map((x, i) => x * (right[i] as number))), 5);
    expect(found?.count).toBe(6 * 5 * 9);
    const [a1, b1, a2, b2] = [random([300, 4]), random([4, 90]), random([300, 4]), random([4, 90])];
    const tall = await measure({ hada_w1_a: a1, hada_w1_b: b1, hada_w2_a: a2, hada_w2_b: b2 });
    const second = product(a2, b2);
    const exact = norm(product(a1, b1).map((value, i) => value * (second[i] as number)));
    expect(Math.abs((tall?.norm ?? 0) / exact - 1)).toBeLessThan(0.1);
    expect(tall?.count).toBe(300 * 90);
  });

  it('of LoKr, whole and in factors', async () => {
    const [w1, a, b] = [random([2, 3]), random([4, 2]), random([2, 5])];
    const found = await measure({ lokr_w1: w1, lokr_w2_a: a, lokr_w2_b: b });
    expect(found?.norm).toBeCloseTo(norm(w1.values as number[]) * norm(product(a, b)), 5);
    expect(found?.count).toBe(2 * 3 * 4 * 5);
  });

  it('of a module larger than any layer is refused before it is made', async () => {
    const huge = measure({
      lokr_w1: random([1, 1]),
      lokr_w2_a: random([25_000, 1]),
      lokr_w2_b: random([1, 25_000]),
    });
    await expect(huge).rejects.toMatchObject({ code: 'TOO_LARGE' });
  });

  it('is not known where it depends on the checkpoint', async () => {
    const pair = { 'lora_up.weight': random([4, 2]), 'lora_down.weight': random([2, 4]) };
    expect(await measure({ ...pair, dora_scale: { shape: [1, 4] } })).toBeNull();
    expect(await measure({ weight: { shape: [4] }, on_input: { shape: [] } })).toBeNull();
  });
});
