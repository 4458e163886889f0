import { setMaxListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { HttpError } from '../../server/errors.ts';
import { JobQueue } from '../../server/queue.ts';

/** A task that ends when it is told to. */
function manual() {
  let finish: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  return { work: () => done, finish };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('JobQueue', () => {
  it('runs tasks one at a time in the order they came', async () => {
    const queue = new JobQueue(100);
    const order: number[] = [];
    let running = 0;
    await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        queue.add(`${i}`, async () => {
          running += 1;
          expect(running).toBe(1);
          await settle();
          order.push(i);
          running -= 1;
        }),
      ),
    );
    expect(order).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(queue.running).toBeNull();
  });

  it('gives back what the work returns or throws, and goes on', async () => {
    const queue = new JobQueue(1);
    await expect(queue.add('a', async () => 5)).resolves.toBe(5);
    await expect(
      queue.add('b', async () => {
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await expect(queue.add('c', async () => 6)).resolves.toBe(6);
    expect(queue.finished).toEqual(['a', 'b', 'c']);
  });

  it('refuses with QUEUE_FULL and the time to come back when it is full', async () => {
    const queue = new JobQueue(2);
    const first = manual();
    const running = queue.add('1', first.work);
    const waiting = [queue.add('2', async () => {}), queue.add('3', async () => {})];
    const error = await queue.add('4', async () => {}).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(HttpError);
    expect(error).toMatchObject({ code: 'QUEUE_FULL', retryAfterSeconds: 1 });
    expect(queue.waiting).toEqual(['2', '3']);
    first.finish();
    await Promise.all([running, ...waiting]);
    await expect(queue.add('5', async () => 5)).resolves.toBe(5);
  });

  it('lets a waiting task leave and never runs it', async () => {
    const queue = new JobQueue(5);
    const first = manual();
    const running = queue.add('1', first.work);
    const controller = new AbortController();
    let ran = false;
    const second = queue.add(
      '2',
      async () => {
        ran = true;
      },
      { signal: controller.signal },
    );
    controller.abort(new Error('left'));
    await expect(second).rejects.toThrow('left');
    expect(queue.waiting).toEqual([]);
    first.finish();
    await running;
    await settle();
    expect(ran).toBe(false);
  });

  it('refuses a task whose client has already left', async () => {
    const queue = new JobQueue(5);
    await expect(
      queue.add('1', async () => {}, {
        signal: AbortSignal.abort(new Error('left')),
      }),
    ).rejects.toThrow('left');
    expect(queue.finished).toEqual([]);
  });

  it('leaves no listener on the signals of its tasks', async () => {
    const queue = new JobQueue(5_000);
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    setMaxListeners(0, signal);
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...args);
    };
    await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => queue.add(`${i}`, async () => {}, { signal })),
    );
    expect(listeners).toBe(0);
  });

  it('closes: those who wait are refused, the running one ends, new ones are refused', async () => {
    const queue = new JobQueue(5);
    const first = manual();
    const running = queue.add('1', first.work);
    const waiting = queue.add('2', async () => {});
    queue.close();
    await expect(waiting).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    await expect(queue.add('3', async () => {})).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    let isIdle = false;
    const idle = queue.idle().then(() => {
      isIdle = true;
    });
    await settle();
    expect(isIdle).toBe(false);
    first.finish();
    await Promise.all([running, idle]);
    expect(isIdle).toBe(true);
  });

  it('remembers the last sixteen tasks and their average time', async () => {
    const queue = new JobQueue(5);
    expect(queue.averageSeconds).toBeNull();
    for (let i = 0; i < 20; i++) await queue.add(`${i}`, settle);
    expect(queue.finished).toHaveLength(16);
    expect(queue.finished.at(-1)).toBe('19');
    expect(queue.averageSeconds).toBeGreaterThanOrEqual(0);
  });
});

describe('detached tasks', () => {
  const detached = { isDetached: true };

  it('have places of their own', async () => {
    const queue = new JobQueue(1);
    const first = manual();
    const work = [
      queue.add('1', first.work),
      queue.add('2', async () => {}),
      queue.add('3', async () => {}, detached),
    ];
    expect(queue.refusal(false)).toMatchObject({ code: 'QUEUE_FULL' });
    expect(queue.refusal(true)).toMatchObject({ code: 'QUEUE_FULL' });
    first.finish();
    await Promise.all(work);
    expect([queue.refusal(false), queue.refusal(true)]).toEqual([null, null]);
  });

  it('wait while the queue is paused; others do not', async () => {
    const queue = new JobQueue(2);
    queue.pause();
    const order: string[] = [];
    const note = (id: string) => async () => void order.push(id);
    const work = [queue.add('a', note('a'), detached), queue.add('b', note('b'), detached)];
    expect(queue.refusal(true)).toMatchObject({ code: 'QUEUE_FULL' });
    await queue.add('c', note('c'));
    expect([order, queue.waiting, queue.running]).toEqual([['c'], ['a', 'b'], null]);
    await queue.idle();
    expect(queue.runNext('b')).toBe(true);
    await work[1];
    expect(order).toEqual(['c', 'b']);
    queue.resume();
    await work[0];
    expect(order).toEqual(['c', 'b', 'a']);
    expect(queue.runNext('a')).toBe(false);
  });

  it('move to the front, to the back and before another', async () => {
    const queue = new JobQueue(9);
    queue.pause();
    for (const id of ['a', 'b', 'c', 'd']) void queue.add(id, async () => {}, detached);
    expect(queue.move('c', 'front')).toBe(true);
    expect(queue.waiting).toEqual(['c', 'a', 'b', 'd']);
    expect(queue.move('a', 'back')).toBe(true);
    expect(queue.move('d', { before: 'b' })).toBe(true);
    expect(queue.waiting).toEqual(['c', 'd', 'b', 'a']);
    expect(queue.move('d', { before: 'd' })).toBe(false);
    expect(queue.move('x', 'front')).toBe(false);
    expect(queue.waiting).toEqual(['c', 'd', 'b', 'a']);
  });
});
