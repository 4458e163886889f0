import { describe, expect, it } from 'vitest';
import { findLatentMode } from '../../../pipelines/hires/latent-modes.ts';
import { resizeLatent } from '../../../pipelines/sampling/resize-latent.ts';
import recorded from '../../fixtures/hires/resizes.json' with { type: 'json' };
import { maxDifference } from '../tiny.ts';

const [batch = 0, channels = 0, rows = 0, columns = 0] = recorded.shape;
const latent = {
  shape: [batch, channels, rows, columns] as const,
  data: Float32Array.from(recorded.latent),
};

describe('latents are resized as PyTorch does it', () => {
  it.each(recorded.resizes)('$name to $height x $width', ({ name, height, width, values }) => {
    const mode = findLatentMode(name);
    expect(mode).not.toBeNull();
    const resized = resizeLatent(latent, height, width, mode ?? undefined);
    expect(resized.shape).toEqual([batch, channels, height, width]);
    expect(maxDifference(resized.data, values)).toBeLessThan(1e-5);
  });

  it('bilinear without antialiasing is what is meant where nothing is said', () => {
    const named = resizeLatent(latent, 3, 9, findLatentMode('Latent') ?? undefined);
    expect(resizeLatent(latent, 3, 9)).toEqual(named);
  });
});
