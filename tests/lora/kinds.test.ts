/** Each kind of module, on one layer's weight, against LyCORIS. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { derivedRank, deriveFactors } from '../../lora/derived-factors.ts';
import { sortModules } from '../../lora/file.ts';
import { multiply, type Tensor } from '../../lora/kinds/algebra.ts';
import { mergeModule, readParts, scaleOf } from '../../lora/merge.ts';
import { compareSizes } from '../../lora/module-sizes.ts';
import { readFloat32, readHeader, type TensorInfo } from '../../networks/checkpoint/safetensors.ts';
import { relativeError } from '../networks/fixture.ts';

const TOLERANCE = 1e-5;
const file = await readHeader(
  fileURLToPath(new URL('../fixtures/lora/kinds.safetensors', import.meta.url)),
);
const CASES = [...new Set([...file.tensors.keys()].map((name) => name.split('/', 1)[0] as string))];

const read = (name: string): Tensor => {
  const info = file.tensors.get(name) as TensorInfo;
  return { data: readFloat32(file, info), shape: info.shape };
};

/** The case's module, as if it were a file of its own. */
function moduleOf(name: string) {
  const start = `${name}/x.`;
  const own = [...file.tensors].filter(([key]) => key.startsWith(start));
  const tensors = new Map(own.map(([key, info]) => [key.slice(name.length + 1), info]));
  const lora = sortModules({ ...file, tensors });
  return { lora, module: lora.modules[0] as (typeof lora.modules)[0] };
}

/** Whether the case is fed as factors that are worked out, not merged. */
const hasFactors = (name: string) => derivedRank(moduleOf(name).module) !== null;
const changesBias = (name: string) => file.tensors.has(`${name}/bias`);

function merge(name: string, multiplier: number) {
  const { lora, module } = moduleOf(name);
  const parts = readParts(lora, module);
  const scale = scaleOf(lora, module, parts);
  const bias = read(`${name}/b`).data;
  return mergeModule(module.kind, read(`${name}/W`), bias, parts, { scale, multiplier });
}

it('rotations that would take minutes are refused before they are computed', () => {
  const width = 2_049;
  const weight = { data: new Float32Array(width), shape: [width, 1] };
  const blocks = { data: new Float32Array(width ** 2), shape: [1, width, width] };
  const merged = () =>
    mergeModule('oft', weight, null, new Map([['oft_blocks', blocks]]), {
      scale: 1,
      multiplier: 1,
    });
  expect(merged).toThrow(/2049 wide/);
});

it('has a case for every kind', () => {
  const kinds = new Set(CASES.map((name) => moduleOf(name).module.kind));
  expect([...kinds].sort()).toEqual([
    'full',
    'glora',
    'ia3',
    'loha',
    'lokr',
    'lora',
    'norm',
    'oft',
  ]);
  expect(CASES.length).toBeGreaterThan(25);
  expect(CASES.filter(changesBias)).toHaveLength(3);
  expect(CASES.filter(hasFactors)).toHaveLength(5);
});

describe.each(CASES)('%s', (name) => {
  const weight = read(`${name}/W`);
  const expected = read(`${name}/merged`).data;

  it('gives the weight that LyCORIS merges', () => {
    const change = expected.map((x, i) => x - (weight.data[i] as number));
    const ours = merge(name, 1).weight.map((x, i) => x - (weight.data[i] as number));
    expect(relativeError(ours, change)).toBeLessThan(TOLERANCE);
  });

  if (changesBias(name))
    it('gives the bias that LyCORIS merges', () => {
      const { bias } = merge(name, 1);
      expect(relativeError(bias as Float32Array, read(`${name}/bias`).data)).toBeLessThan(
        TOLERANCE,
      );
    });

  it.each([-1, 0.5, 1.5, 8])('is W + %d times its change', (multiplier) => {
    const wanted = weight.data.map((w, i) => w + multiplier * ((expected[i] as number) - w));
    expect(relativeError(merge(name, multiplier).weight, wanted)).toBeLessThan(TOLERANCE);
  });

  it('fits its layer, and no layer of another size', () => {
    const { module } = moduleOf(name);
    const [out = 0, inner = 1, ...kernel] = weight.shape;
    const isNorm = weight.shape.length === 1;
    const common = { name, hasPort: !isNorm, weight: 'W', bias: 'b', rows: null, kernel, isNorm };
    expect(compareSizes(module, { ...common, out, in: inner })).toBeNull();
    if (module.kind === 'ia3') return;
    expect(compareSizes(module, { ...common, out: 2 * out, in: inner })).not.toBeNull();
  });

  if (hasFactors(name))
    it('has exact factors', () => {
      const { lora, module } = moduleOf(name);
      const parts = readParts(lora, module);
      const { up, down, rank, scale } = deriveFactors(module, parts, scaleOf(lora, module, parts));
      expect(rank).toBe(derivedRank(module));
      const product = multiply(
        { data: up, shape: [up.length / rank, rank] },
        { data: down, shape: [rank, down.length / rank] },
      );
      const change = expected.map((x, i) => x - (weight.data[i] as number));
      expect(
        relativeError(
          product.map((x) => x * scale),
          change,
        ),
      ).toBeLessThan(TOLERANCE);
    });

  it('leaves W as it is', () => {
    const before = read(`${name}/W`).data;
    merge(name, 8);
    expect(weight.data).toEqual(before);
  });
});
