/** Kinds of axes of X/Y/Z plot: what their texts are read as, and what a value changes. */
import { badArgument, type ScriptNames, type ScriptRequest } from './script.ts';
import { readNumbers } from './xyz-values.ts';

/** What a value changes in a request. */
export type Changes = Partial<ScriptRequest>;

/** One axis. `V` is what its texts are read as. */
export interface Axis<V = unknown> {
  label: string;
  /** Read from the texts of the request. @throws HttpError SCRIPT_ARGUMENT */
  read(texts: readonly string[], names: ScriptNames): V[];
  apply(request: ScriptRequest, value: V, values: readonly V[]): Changes;
  /** Caption of a value; without it `label: value`. */
  caption?(value: V): string;
  /** Values that A1111 shows in a list; their texts come in the `…_dropdown` argument. */
  choices?(names: ScriptNames): readonly string[];
  /** Changing it is dear, so it changes least often; 0 for the others. */
  cost?: number;
  /** Whether values of -1 are drawn. */
  isSeed?: true;
}

/** An axis as it is written; fixes what its texts are read as. */
export function axis<V>(entry: Axis<V>): Axis<V> {
  return entry;
}

/** An axis of numbers. */
export function numberAxis(label: string, apply: (value: number) => Changes): Axis<number> {
  return {
    label,
    read: (texts) => readNumbers(texts, label, false),
    apply: (_request, value) => apply(value),
  };
}

/** An axis of whole numbers. */
export function integerAxis(label: string, apply: (value: number) => Changes): Axis<number> {
  return { ...numberAxis(label, apply), read: (texts) => readNumbers(texts, label, true) };
}

/** An axis of seeds: empty texts and -1 are drawn. */
export function seedAxis(label: string, apply: (value: number) => Changes): Axis<number> {
  const read = (texts: readonly string[]) =>
    readNumbers(
      texts.map((text) => (text === '' ? '-1' : text)),
      label,
      true,
    );
  return { ...integerAxis(label, apply), read, isSeed: true };
}

/** An axis of names from a list; `isKnown` may take more than the list has. */
export function choiceAxis(
  label: string,
  choices: () => readonly string[],
  isKnown: (name: string) => boolean,
  apply: (value: string) => Changes,
): Axis<string> {
  return {
    label,
    read(texts) {
      const wrong = texts.find((text) => !isKnown(text));
      if (wrong === undefined) return [...texts];
      throw badArgument(`Unknown ${label.toLowerCase()}: ${wrong}`);
    },
    apply: (_request, value) => apply(value),
    caption: (value) => value,
    choices,
  };
}

/** An axis of numbers that an option takes. */
export function optionAxis(label: string, option: string): Axis<number> {
  return {
    ...numberAxis(label, () => ({})),
    apply: (request, value) => override(request, { [option]: value }),
  };
}

/** An axis of whole numbers from 0 that an option takes. */
export function rangeAxis(label: string, option: string, maximum: number): Axis<number> {
  return {
    ...optionAxis(label, option),
    read(texts) {
      const values = readNumbers(texts, label, true);
      const wrong = values.find((value) => value < 0 || value > maximum);
      if (wrong === undefined) return values;
      throw badArgument(
        `Expected integer 0-${maximum} for the axis ${label} but received ${wrong}.`,
      );
    },
  };
}

/** An axis of Yes and No that an option takes. */
export function booleanAxis(label: string, option: string): Axis<string> {
  return optionChoiceAxis(label, option, ['Yes', 'No']);
}

/** An axis of words that an option takes; Yes and No become true and false. */
export function optionChoiceAxis(
  label: string,
  option: string,
  words: readonly string[],
): Axis<string> {
  return {
    label,
    read(texts) {
      const known = words.map((word) => word.toLowerCase());
      const wrong = texts.find((text) => !known.includes(text.toLowerCase()));
      if (wrong === undefined) return [...texts];
      throw badArgument(
        `Expected one of ${words.join(', ')} for ${label} but received "${wrong}".`,
      );
    },
    apply(request, text) {
      const word = text.toLowerCase();
      return override(request, {
        [option]: word === 'yes' || word === 'no' ? word === 'yes' : text.toUpperCase(),
      });
    },
    choices: () => words,
  };
}

/** An axis that keeps its index but is refused when it is asked for. */
export function missing(label: string): Axis<string> {
  return {
    label,
    read() {
      throw badArgument(`X/Y/Z plot: the axis ${label} is not available.`);
    },
    apply: () => ({}),
  };
}

/** The request's overrides of options, with some more. */
export function override(request: ScriptRequest, options: Record<string, unknown>): Changes {
  return { override_settings: { ...request.override_settings, ...options } };
}
