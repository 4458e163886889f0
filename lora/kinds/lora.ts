/** LoRA (Hu et al. 2021) and LoCon: ΔW = up · down, with a core tensor Σ mid[n,m,k]·up[i,n]·down[m,j]. */
import { foldCore } from '../factors.ts';
import { matrixOf, multiply, sizeOf } from './algebra.ts';
import { check, type KindRule, need } from './kind.ts';

export const lora: KindRule = {
  dim: (parts) => need(parts, 'down').shape[0] ?? null,
  delta(weight, parts) {
    const [up, down, mid] = [need(parts, 'up'), need(parts, 'down'), parts.get('mid')];
    const [out, rank] = matrixOf(up);
    const [rows, inner] = matrixOf(down);
    check(out * inner * sizeOf(mid?.shape.slice(2) ?? []) === weight.data.length, parts);
    check(mid ? mid.shape[0] === rank && mid.shape[1] === rows : rank === rows, parts);
    const folded = mid ? foldCore(mid.data, down.data, rank, inner) : down.data;
    return multiply(up, { data: folded, shape: [rank, folded.length / rank] });
  },
};
