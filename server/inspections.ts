/** Inspections of model files: one at a time, and each file once as long as it stays the same. */
import { type Inspection, inspectFile, type ModelFolder } from '../lora/inspect/inspect.ts';

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

export class Inspections {
  /** Least recently used first. */
  readonly #kept = new Map<string, Promise<Inspection>>();
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Inspects a file; who asks while that goes on shares the answer.
   *
   * @param measures  whether the tensors are read, which takes seconds for a large LoRA
   */
  inspect(file: InspectedFile, measures: boolean): Promise<Inspection> {
    const { path, name, folder, bytes, mtimeMs } = file;
    const key = JSON.stringify([path, name, folder, bytes, mtimeMs, measures]);
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    const found = known ?? this.#afterOthers(() => inspectFile(path, name, folder, { measures }));
    this.#kept.set(key, found);
    // What failed may be tried again.
    found.catch(() => this.#kept.delete(key));
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    return found;
  }

  #afterOthers(work: () => Promise<Inspection>): Promise<Inspection> {
    const next = this.#last.then(work);
    this.#last = next.catch(() => undefined);
    return next;
  }
}
