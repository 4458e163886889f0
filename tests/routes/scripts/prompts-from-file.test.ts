import { describe, expect, it } from 'vitest';
import { readPromptLine } from '../../../routes/scripts/prompts-from-file.ts';

describe('a line of prompts', () => {
  it.each([
    ['a boat', { prompt: 'a boat' }],
    ["a cat's hat", { prompt: "a cat's hat" }],
    ['--prompt a red boat --steps 20', { prompt: 'a red boat', steps: 20 }],
    [
      '--prompt "a, b" --negative_prompt low quality --cfg_scale 7.5',
      { prompt: 'a, b', negative_prompt: 'low quality', cfg_scale: 7.5 },
    ],
    ['--sampler_name "DPM++ 2M" --seed -1', { sampler_name: 'DPM++ 2M', seed: -1 }],
    ['--sampler_name DPM++\\ 2M', { sampler_name: 'DPM++ 2M' }],
    ['--prompt \'say "hi"\'', { prompt: 'say "hi"' }],
    ["--prompt a cat's hat", { prompt: "a cat's hat" }],
    ['--styles "one, two"', { styles: ['one', 'two'] }],
    ['--tiling true --restore_faces no', { tiling: true, restore_faces: false }],
    ['--sd_model x', { override_settings: { sd_model_checkpoint: 'x' } }],
    ['--do_not_save_grid true --width 64 --height 128', { width: 64, height: 128 }],
    ['--prompt', { prompt: '' }],
  ])('is read: %s', (line, fields) => {
    expect(readPromptLine(line)).toEqual(fields);
  });

  it.each(['--unknown 1', '--constructor x', 'x --steps 3', '--steps', '--steps many', '-- x'])(
    'is refused: %s',
    (line) => {
      expect(() => readPromptLine(line)).toThrow('Prompts from file or textbox');
    },
  );

  it('is read in linear time', () => {
    const begin = performance.now();
    readPromptLine(`--prompt ${'"'.repeat(50_001)}`);
    readPromptLine(`--prompt ${"\\'".repeat(50_000)}"`);
    expect(performance.now() - begin).toBeLessThan(1_000);
  });
});
