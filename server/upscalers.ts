/** The upscalers that requests may name. */
import {
  findUpscaler,
  scanUpscalers,
  type UpscalerCatalogue,
  type UpscalerEntry,
  whySkipped,
} from '../networks/upscaler/catalogue.ts';
import { HttpError } from './errors.ts';
import type { Logger } from './logging.ts';
import type { Settings } from './settings.ts';

type UpscalerSettings = Pick<Settings, 'esrganDir' | 'realesrganDir'>;

export class Upscalers {
  readonly #settings: UpscalerSettings;
  readonly #log: Logger;
  #catalogue: UpscalerCatalogue = { entries: [], skipped: [] };

  private constructor(settings: UpscalerSettings, log: Logger) {
    this.#settings = settings;
    this.#log = log;
  }

  /** Looks through the folders. */
  static async open(settings: UpscalerSettings, log: Logger): Promise<Upscalers> {
    const upscalers = new Upscalers(settings, log);
    await upscalers.refresh();
    return upscalers;
  }

  get entries(): readonly UpscalerEntry[] {
    return this.#catalogue.entries;
  }

  /** Looks through the folders again. */
  async refresh(): Promise<void> {
    const { esrganDir, realesrganDir } = this.#settings;
    this.#catalogue = await scanUpscalers({ esrgan: esrganDir, realesrgan: realesrganDir });
    for (const { name, reason } of this.#catalogue.skipped)
      this.#log.warn({ file: name, reason }, 'upscaler left out');
  }

  /**
   * Finds an upscaler; for a name that is not known the folders are looked through once more.
   *
   * @throws HttpError UPSCALER_NOT_FOUND, in A1111's words, or with the reason why a file is left out
   */
  async find(name: string): Promise<UpscalerEntry> {
    const known = findUpscaler(this.#catalogue, name);
    if (known !== null) return known;
    await this.refresh();
    const found = findUpscaler(this.#catalogue, name);
    if (found !== null) return found;
    const reason = whySkipped(this.#catalogue, name);
    throw new HttpError(
      'UPSCALER_NOT_FOUND',
      `could not find upscaler named ${name}${reason === null ? '' : ` (${reason})`}`,
    );
  }
}
