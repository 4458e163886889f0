import { expect, it } from 'vitest';
import { describeLoraHashes } from '../../lora/infotext.ts';

const applied = (name: string, hash: string | null) => ({
  ...{ name, hash, teWeight: 1, unetWeight: 1, dyn: null },
});

it('lists names and hashes, each name once, without what would end it', () => {
  const list = [applied('a', '012345678901'), applied('b:c,d', 'ff'), applied('a', '012345678901')];
  expect(describeLoraHashes(list)).toBe('a: 012345678901, bcd: ff');
});

it('leaves out what has no hash yet', () => {
  expect(describeLoraHashes([applied('a', null), applied('b', 'ff')])).toBe('b: ff');
  expect(describeLoraHashes([applied('a', null)])).toBeNull();
  expect(describeLoraHashes([])).toBeNull();
});
