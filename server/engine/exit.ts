/** Says in one sentence why the engine process is gone. */
import { EngineError } from './protocol.ts';

/** 128 + SIGBUS: a shell or a container reports the signal this way. */
const EXIT_SIGBUS = 135;
/** 128 + SIGKILL. */
const EXIT_SIGKILL = 137;

/**
 * Makes the error of a job whose engine died.
 *
 * A mapped checkpoint that is truncated kills with SIGBUS, the kernel's out-of-memory killer with
 * SIGKILL; both sentences say what to do.
 *
 * @param code    exit code, null when a signal ended the process
 * @param signal  the signal, null when it exited by itself
 * @param silentMs  when the watchdog killed it: ms without a sign of life; else null
 * @returns EngineError with code ENGINE_EXITED, ENGINE_HUNG or CHECKPOINT_CHANGED
 */
export function describeExit(
  code: number | null,
  signal: NodeJS.Signals | null,
  silentMs: number | null,
): EngineError {
  if (silentMs !== null) {
    const seconds = Math.round(silentMs / 1000);
    return new EngineError(
      'ENGINE_HUNG',
      `The engine gave no sign of life for ${seconds} s and was stopped.`,
    );
  }
  if (signal === 'SIGBUS' || code === EXIT_SIGBUS) {
    return new EngineError(
      'CHECKPOINT_CHANGED',
      'The checkpoint changed on disk while it was in use; replace model files by rename, never in place.',
    );
  }
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  const advice =
    signal === 'SIGKILL' || code === EXIT_SIGKILL
      ? ' If the system was out of memory, try a smaller size or batch.'
      : '';
  return new EngineError('ENGINE_EXITED', `The engine process ended (${how}).${advice}`);
}
