import { describe, expect, it } from 'vitest';
import { withHugePages } from '../../../server/engine/huge-pages.ts';

describe('withHugePages', () => {
  it('adds the setting to what is there', () => {
    expect(withHugePages({ HOME: '/h' })).toEqual({
      HOME: '/h',
      GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1',
    });
    expect(withHugePages({ GLIBC_TUNABLES: 'glibc.malloc.check=1' })).toEqual({
      GLIBC_TUNABLES: 'glibc.malloc.check=1:glibc.malloc.hugetlb=1',
    });
  });

  it('keeps a choice of the user’s own', () => {
    const env = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=0' };
    expect(withHugePages(env)).toEqual(env);
  });
});
