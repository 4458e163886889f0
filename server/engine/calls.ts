/** The calls that the engine has not answered yet. */
import type { EngineAnswers, EngineCall } from './protocol.ts';
import { createWatchdog, type WatchdogLimits } from './watchdog.ts';

interface Pending {
  type: EngineCall['type'];
  resolve(value: unknown): void;
  reject(error: Error): void;
  /** null for calls that cannot hang. */
  watchdog: ReturnType<typeof createWatchdog> | null;
  /** Whether a sign of life came: the engine did not die of loading. */
  hasStepped: boolean;
}

export class PendingCalls {
  readonly #limits: WatchdogLimits;
  readonly #onHang: (silentMs: number) => void;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  /**
   * @param limits  how long a call may be silent
   * @param onHang  called with the ms since the last sign of life
   */
  constructor(limits: WatchdogLimits, onHang: (silentMs: number) => void) {
    this.#limits = limits;
    this.#onHang = onHang;
  }

  /** Whether a job, a load or an unload is being worked on. */
  get isBusy(): boolean {
    return [...this.#pending.values()].some(({ type }) => type !== 'memory');
  }

  /** Whether one of them has shown no sign of life yet. */
  get isLoading(): boolean {
    return [...this.#pending.values()].some(
      ({ type, hasStepped }) => type !== 'memory' && !hasStepped,
    );
  }

  /**
   * Begins a call: its id, and what will be answered.
   *
   * @param work  how much longer than usual its first step may take; 1 or more
   */
  open<T extends EngineCall['type']>(
    type: T,
    work: number,
  ): { id: number; answer: Promise<EngineAnswers[T]> } {
    const id = this.#nextId++;
    const limits = { ...this.#limits, loadMs: this.#limits.loadMs * work };
    const watchdog = type === 'memory' ? null : createWatchdog(limits, this.#onHang);
    const answer = new Promise<EngineAnswers[T]>((resolve, reject) => {
      this.#pending.set(id, {
        type,
        // The engine answers each call with the value of its type: `protocol.ts`.
        resolve: resolve as (value: unknown) => void,
        reject,
        watchdog,
        hasStepped: false,
      });
    });
    return { id, answer };
  }

  /** Notes a sign of life; false for a question about memory, which is none. */
  beat(id: number): boolean {
    const pending = this.#pending.get(id);
    if (pending === undefined || pending.watchdog === null) return false;
    pending.watchdog.beat();
    pending.hasStepped = true;
    return true;
  }

  resolve(id: number, value: unknown): void {
    this.#take(id)?.resolve(value);
  }

  reject(id: number, error: Error): void {
    this.#take(id)?.reject(error);
  }

  rejectAll(error: Error): void {
    for (const id of [...this.#pending.keys()]) this.reject(id, error);
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    pending?.watchdog?.stop();
    this.#pending.delete(id);
    return pending;
  }
}
