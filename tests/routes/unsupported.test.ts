import { describe, expect, it } from 'vitest';
import { Options, UNREAD_OPTIONS } from '../../openapi/schemas/options.ts';
import { describeUnreadOptions } from '../../routes/unsupported.ts';

describe('options that A1111 reads and this server does not', () => {
  it('are told in a comment when they are not at their default', () => {
    // `img2img_fix_steps` changes nothing in a txt2img.
    const options = Options.parse({ fp8_storage: 'Enable', img2img_fix_steps: true });
    expect(UNREAD_OPTIONS.has('fp8_storage')).toBe(true);
    expect(describeUnreadOptions(options)).toEqual([
      'fp8_storage: this option is not read here; the picture is as with its default.',
    ]);
  });

  it.each([['enable_batch_seeds', false]])('tell %s = %s', (key, value) => {
    const [comment] = describeUnreadOptions(Options.parse({ [key]: value }));
    expect(comment).toContain(`${key}: `);
  });

  it('are not told at their default', () => {
    expect(describeUnreadOptions(Options.parse({}))).toEqual([]);
  });
});
