/** The log: one JSON object per line, without passwords, pictures or prompts. */
import { type DestinationStream, type Logger, pino } from 'pino';

/** Characters of any text in a log line; longer ones are pictures or prompts. */
const MAX_LOGGED_CHARS = 1_000;

const REDACTED = [
  'authorization',
  'headers.authorization',
  'req.headers.authorization',
  'password',
  '*.password',
  'prompt',
  '*.prompt',
  'negativePrompt',
  '*.negativePrompt',
];

export type { Logger } from 'pino';

/**
 * Makes the logger.
 *
 * @param level        least level that is written
 * @param destination  where to; standard output when absent
 */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    redact: { paths: REDACTED, censor: '[redacted]' },
    formatters: {
      level: (label: string) => ({ level: label }),
      log: (fields: Record<string, unknown>) => cutTexts(fields),
    },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** Shortens the texts of a record, one level deep; that is as deep as lines are built here. */
function cutTexts(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key,
      typeof value === 'string' && value.length > MAX_LOGGED_CHARS
        ? `${value.slice(0, MAX_LOGGED_CHARS)}… (${value.length} characters)`
        : value,
    ]),
  );
}
