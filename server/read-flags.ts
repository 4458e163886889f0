/** What command line and environment say, by flag; `settings.ts` has what it means. */
import { Command, CommanderError } from 'commander';
import { FLAGS, IGNORED_FLAGS } from './flags.ts';

const ENVIRONMENT_PREFIX = 'SDSERVE_';
const TRUE_WORDS = new Set(['1', 'true', 'yes', 'on']);

/** A start that is refused, with one line for the terminal and the exit code. */
export class StartError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 2) {
    super(message);
    this.name = 'StartError';
    this.exitCode = exitCode;
  }
}

/** Takes A1111's flags without meaning out of the arguments, with their values. */
export function dropIgnored(args: readonly string[]): { kept: string[]; ignored: string[] } {
  const takesValue = new Map(IGNORED_FLAGS.map(({ name, value }) => [`--${name}`, value === true]));
  const kept: string[] = [];
  const ignored: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    const [flag = ''] = arg.split('=', 1);
    const hasValue = takesValue.get(flag);
    if (hasValue === undefined) {
      kept.push(arg);
      continue;
    }
    ignored.push(flag);
    if (hasValue && flag === arg && args[i + 1]?.startsWith('-') === false) i++;
  }
  return { kept, ignored };
}

/**
 * Reads the flags that were given, by name.
 *
 * @param args  without ignored flags
 * @throws StartError: exit code 2 for an unknown flag or one without its value, 0 after `--help` and `--version`
 */
export function readFlags(args: readonly string[], version: string): Record<string, unknown> {
  const command = new Command('sdserve')
    .description('Stable Diffusion web UI API server')
    .version(version)
    .allowExcessArguments(false)
    .showSuggestionAfterError(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  for (const flag of FLAGS) {
    command.option(`--${flag.name}${'value' in flag ? ` <${flag.value}>` : ''}`, flag.describe);
  }
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // --help and --version have printed what was asked for.
    if (error.exitCode === 0) throw new StartError('', 0);
    throw new StartError(`${error.message.replace(/^error: /, '')} (see --help)`);
  }
  const values: Record<string, unknown> = {};
  const options = command.opts<Record<string, unknown>>();
  for (const { name } of FLAGS) {
    const value = options[toCamelCase(name)];
    if (value !== undefined) values[name] = value;
  }
  return values;
}

/** Reads the `SDSERVE_` variables that are set, by flag; switches as booleans. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>) {
  const values: Record<string, unknown> = {};
  for (const { name, kind } of FLAGS) {
    const value = env[ENVIRONMENT_PREFIX + name.toUpperCase().replaceAll('-', '_')];
    if (value === undefined || value === '') continue;
    values[name] = kind === 'switch' ? TRUE_WORDS.has(value.toLowerCase()) : value;
  }
  return values;
}

function toCamelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
