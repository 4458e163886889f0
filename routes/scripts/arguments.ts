/** Reads positional script arguments as loosely as A1111's clients send them. */
import {
  describeBadValue,
  readBoolean,
  readFloat,
  readText,
} from '../../openapi/schemas/coercion.ts';
import { badArgument } from './script.ts';

/** Characters of a text argument: a file of some hundred long prompts. */
const MAX_TEXT_CHARS = 200_000;

/** The arguments of one call; null and missing ones are read as the fallback. */
export class ScriptArguments {
  readonly #title: string;
  readonly #values: readonly unknown[];

  /** @param title  of the script, for refusals */
  constructor(title: string, values: readonly unknown[]) {
    this.#title = title;
    this.#values = values;
  }

  /** @throws HttpError SCRIPT_ARGUMENT */
  flag(at: number, fallback: boolean): boolean {
    return this.#read(at, fallback, 'boolean', readBoolean);
  }

  /** @throws HttpError SCRIPT_ARGUMENT */
  text(at: number, fallback: string): string {
    return this.#read(at, fallback, `text of at most ${MAX_TEXT_CHARS} characters`, (value) => {
      const text = readText(value);
      return text !== undefined && text.length <= MAX_TEXT_CHARS ? text : undefined;
    });
  }

  /** @throws HttpError SCRIPT_ARGUMENT */
  number(at: number, fallback: number, min: number, max: number): number {
    return this.#read(at, fallback, `number ${min}-${max}`, (value) => {
      const number = readFloat(value);
      return number !== undefined && number >= min && number <= max ? number : undefined;
    });
  }

  /** One of a few words in any case, or its place in the list. @throws HttpError SCRIPT_ARGUMENT */
  choice<const T extends string>(at: number, choices: readonly T[], fallback: T): T {
    return this.#read(at, fallback, `one of ${choices.join(', ')}`, (value) =>
      typeof value === 'number'
        ? choices[value]
        : choices.find((choice) => choice.toLowerCase() === readText(value)?.toLowerCase()),
    );
  }

  /** A list of texts; one text is a list of one. @throws HttpError SCRIPT_ARGUMENT */
  texts(at: number): string[] {
    return this.#read(at, [], 'list of texts', (value) => {
      const list: unknown[] = Array.isArray(value) ? value : value === '' ? [] : [value];
      const texts = list.map(readText).filter((text) => text !== undefined);
      return texts.length === list.length ? texts : undefined;
    });
  }

  #read<T>(at: number, fallback: T, what: string, read: (value: unknown) => T | undefined): T {
    const value = this.#values[at];
    if (value === undefined || value === null) return fallback;
    const result = read(value);
    if (result !== undefined) return result;
    throw badArgument(describeBadValue(what, `script_args.${at} of ${this.#title}`, value));
  }
}
