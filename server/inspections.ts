/** Inspections of model files: one at a time, and each file once as long as it stays the same. */
import {
  compareWithCheckpoint,
  type Fit,
  type Inspection,
  inspectFile,
  type ModelFolder,
} from '../lora/inspect/inspect.ts';

/** Inspections that are kept: a few kB each. */
const MAX_KEPT = 256;

/** A file of a catalogue. */
export interface InspectedFile {
  /** Real path. */
  path: string;
  /** Name without extension, in a catalogue of the folder. */
  name: string;
  folder: ModelFolder;
  bytes: number;
  mtimeMs: number;
}

/** What identifies a file as it is now. */
type FileState = Pick<InspectedFile, 'path' | 'bytes' | 'mtimeMs'>;

export class Inspections {
  readonly #kept = new Answers<Inspection>();
  readonly #fits = new Answers<Fit | null>();

  /**
   * Inspects a file; who asks while that goes on shares the answer.
   *
   * @param measures  whether the tensors are read, which takes seconds for a large LoRA
   */
  inspect(file: InspectedFile, measures: boolean): Promise<Inspection> {
    const { path, name, folder } = file;
    const key = JSON.stringify([stateOf(file), name, folder, measures]);
    return this.#kept.get(key, () => inspectFile(path, name, folder, { measures }));
  }

  /** Says whether a LoRA is made for a checkpoint; null when the checkpoint cannot be used. */
  compare(lora: FileState, checkpoint: FileState): Promise<Fit | null> {
    const key = JSON.stringify([stateOf(lora), stateOf(checkpoint)]);
    return this.#fits.get(key, () => compareWithCheckpoint(lora.path, checkpoint.path));
  }
}

function stateOf({ path, bytes, mtimeMs }: FileState): (string | number)[] {
  return [path, bytes, mtimeMs];
}

/** Answers by key, found one after the other. */
class Answers<T> {
  /** Least recently used first. */
  readonly #kept = new Map<string, Promise<T>>();
  #last: Promise<unknown> = Promise.resolve();

  get(key: string, find: () => Promise<T>): Promise<T> {
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    const found = known ?? this.#last.then(find);
    this.#kept.set(key, found);
    if (!known) {
      // What failed may be tried again.
      this.#last = found.catch(() => this.#kept.delete(key));
    }
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    return found;
  }
}
