/** Saves the pictures of a finished job; what cannot be saved becomes a comment. */
import type { JobResult } from '../pipelines/job.ts';
import type { Context } from '../server/context.ts';
import type { PatternValues } from '../server/output.ts';
import type { PreparedJob } from './txt2img-job.ts';

const EXTENSIONS = { png: 'png', jpeg: 'jpg', webp: 'webp' } as const;

/** What A1111 appends to the names of a hires fix's first pictures. */
const BEFORE_HIRES = '-before-highres-fix';

/**
 * Saves a job's pictures and its grid below the output folder.
 *
 * @returns comments for `info`: one line when something was not saved
 */
export async function saveResult(
  { output, log }: Context,
  { job, options }: PreparedJob,
  result: JobResult,
): Promise<string[]> {
  const first = Number(result.info.index_of_first_image ?? 0);
  const grids = result.grids ?? first;
  const seeds: unknown = result.info.all_seeds;
  const extension = EXTENSIONS[job.output.format];
  const save = (bytes: Uint8Array, picture: number, seedAt: number, isGrid: boolean, end = '') => {
    const seed: unknown = Array.isArray(seeds) ? seeds[seedAt] : undefined;
    const values = describe(job, typeof seed === 'number' ? seed : job.seed, picture);
    const pattern = options.samples_filename_pattern;
    const folders = isGrid ? options.grid_save_to_dirs : options.save_to_dirs;
    return output.save(
      job.kind,
      { bytes, extension, isGrid, values },
      {
        filename: end === '' ? pattern : `${pattern || '[seed]'}${end}`,
        folder: folders ? options.directories_filename_pattern : null,
      },
    );
  };
  try {
    for (const [picture, bytes] of (result.beforeHires ?? []).entries()) {
      if (options.samples_save) await save(bytes, picture, picture, false, BEFORE_HIRES);
    }
    for (const [index, bytes] of result.images.entries()) {
      const isGrid = index < grids;
      if (isGrid ? !options.grid_save : !options.samples_save) continue;
      await save(bytes, index - grids, index - first, isGrid);
    }
    return [];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.warn({ error: reason }, 'pictures not saved');
    return ['save_images: the pictures could not be saved on the server.'];
  }
}

/** What the patterns of file names may name. */
function describe(job: PreparedJob['job'], seed: number, picture: number): PatternValues {
  const now = new Date();
  const two = (value: number) => String(value).padStart(2, '0');
  return {
    seed,
    steps: job.steps,
    cfg: job.cfgScale,
    width: job.width,
    height: job.height,
    sampler: job.sampler,
    scheduler: job.scheduler,
    date: `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`,
    model_name: job.checkpoint.name,
    model_hash: job.checkpoint.hash ?? '',
    batch_number: picture + 1,
  };
}
