import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planHires } from '../../../pipelines/hires/plan.ts';

const BASE = { width: 512, height: 768, scale: 2, resizeX: 0, resizeY: 0, usesOldSizes: false };
const size = (width: number, height: number) => ({ width, height });

describe('sizes of a hires fix', () => {
  it.each([
    ['by a factor', {}, size(1024, 1536), size(0, 0)],
    ['by a factor, cut to whole pixels', { scale: 1.3 }, size(665, 998), size(0, 0)],
    ['by the width', { resizeX: 800 }, size(800, 1200), size(0, 0)],
    ['by the height', { resizeY: 1000 }, size(666, 1000), size(0, 0)],
    ['to cover both sides', { resizeX: 1024, resizeY: 1024 }, size(1024, 1536), size(0, 64)],
    ['to cover a tall size', { resizeX: 600, resizeY: 1200 }, size(800, 1200), size(25, 0)],
  ])('%s', (_title, changes, enlarged, cut) => {
    const plan = planHires({ ...BASE, ...changes });
    expect(plan).toMatchObject({ first: size(512, 768), enlarged, cut });
  });

  it('draw the final size without the cells that are cut off', () => {
    expect(planHires({ ...BASE, resizeX: 1024, resizeY: 1024 }).final).toEqual(size(1024, 1024));
    expect(planHires({ ...BASE, scale: 1.3 }).final).toEqual(size(664, 992));
  });

  it('of old requests are those of the result', () => {
    const plan = planHires({ ...BASE, width: 1024, height: 1024, usesOldSizes: true });
    expect(plan).toMatchObject({ first: size(512, 512), enlarged: size(1024, 1024) });
    const wide = planHires({ ...BASE, width: 1280, height: 720, usesOldSizes: true });
    expect(wide.first).toEqual(size(704, 384));
    expect(wide.final).toEqual(size(1280, 720));
  });

  it('cover what was asked for, and are no more than a cell off it', () => {
    const side = fc.integer({ min: 64, max: 1500 });
    fc.assert(
      fc.property(side, side, side, side, (width, height, resizeX, resizeY) => {
        const { enlarged, final } = planHires({ ...BASE, width, height, resizeX, resizeY });
        // The other side follows by whole proportion, so it may come out a pixel short.
        expect(enlarged.width).toBeGreaterThanOrEqual(resizeX - 1);
        expect(enlarged.height).toBeGreaterThanOrEqual(resizeY - 1);
        expect(Math.abs(final.width - resizeX)).toBeLessThanOrEqual(8);
        expect(Math.abs(final.height - resizeY)).toBeLessThanOrEqual(8);
      }),
    );
  });
});
