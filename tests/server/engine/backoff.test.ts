import { describe, expect, it } from 'vitest';
import { BACKOFF_LIMITS, createBackoff } from '../../../server/engine/backoff.ts';

/** A back-off with a clock that the test moves. */
function withClock() {
  let time = 0;
  const backoff = createBackoff(BACKOFF_LIMITS, () => time);
  return {
    ...backoff,
    wait: (ms: number) => {
      time += ms;
    },
  };
}

describe('the back-off', () => {
  it('waits 0.2 s, then twice as long each time, up to 10 s', () => {
    const { exited } = withClock();
    const waits = Array.from({ length: 9 }, () => exited(false));
    expect(waits).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000]);
  });

  it('begins anew once the engine has worked', () => {
    const { exited, worked } = withClock();
    exited(false);
    exited(false);
    worked();
    expect(exited(false)).toBe(200);
  });

  it('gives up at the fifth failure to load within a minute', () => {
    const { exited } = withClock();
    const waits = Array.from({ length: 5 }, () => exited(true));
    expect(waits).toEqual([200, 400, 800, 1_600, null]);
  });

  it('does not give up when the failures are far apart', () => {
    const { exited, wait } = withClock();
    for (let i = 0; i < 20; i++) {
      expect(exited(true)).not.toBeNull();
      wait(20_000);
    }
  });
});
