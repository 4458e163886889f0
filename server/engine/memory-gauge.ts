/** What the engine's memory is, without waiting for the step that blocks it. */
import type { EngineMemory } from '../../pipelines/job.ts';

/** How long the first question may wait for a step to end, ms. */
const ANSWER_MS = 250;

export class MemoryGauge {
  #last: EngineMemory | null = null;
  #asking: Promise<EngineMemory | null> | null = null;

  /**
   * Asks the engine; who asks while a question waits shares its answer.
   *
   * @param ask     sends the question
   * @param isBusy  whether the engine works: then the last numbers are good enough
   * @returns bytes; null before the first answer, and when there is none in time
   */
  async read(ask: () => Promise<EngineMemory>, isBusy: boolean): Promise<EngineMemory | null> {
    this.#asking ??= ask()
      .then(
        (memory) => {
          this.#last = memory;
          return memory;
        },
        () => null,
      )
      .finally(() => {
        this.#asking = null;
      });
    if (isBusy && this.#last !== null) return this.#last;
    const late = new Promise<null>((resolve) => setTimeout(resolve, ANSWER_MS, null));
    return (await Promise.race([this.#asking, late])) ?? this.#last;
  }

  /** Forgets the numbers of a process that has ended. */
  forget(): void {
    this.#last = null;
  }
}
