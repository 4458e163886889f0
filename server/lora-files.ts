/** LoRA files that clients send in or take away: names that cannot leave the folder, no half files. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, realpath, rename, rm, statfs, unlink } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import type { LoraEntry } from '../lora/catalogue.ts';
import { identifyFile } from '../lora/inspect/inspect.ts';
import { HttpError } from './errors.ts';

/** Bytes of a file name: file systems end at 255, and `.safetensors` and a counter must fit. */
const MAX_NAME_BYTES = 200;
/** Bytes that stay free on the disk: pictures and caches must still be written. */
const RESERVED_BYTES = 256 * 2 ** 20;
const EXTENSION = '.safetensors';
/** Names that Windows takes for devices, whatever follows a dot. */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;
/** Separators, what Windows forbids, and what would end a `<lora:…>` tag or be read as a key of it. */
const FORBIDDEN = /[/\\:*?"<>|=]/;
/** Control characters, invisible ones that turn the reading direction, halves of surrogate pairs. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\u2028\u2029]/u;
const PART = /^\.upload-[0-9a-f-]{36}\.part$/;

/**
 * Checks the name for a file that a client sends in.
 *
 * @param name  with or without `.safetensors`
 * @returns the name with the extension, composed (NFC)
 * @throws HttpError BAD_REQUEST: names are refused and never mended, so that none surprises
 */
export function checkFileName(name: string): string {
  const stem = name.normalize('NFC').replace(/\.safetensors$/i, '');
  const refuse = (expected: string) => {
    const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
    return new HttpError('BAD_REQUEST', `Expected ${expected} for name but received ${shown}.`);
  };
  if (stem === '') throw refuse('a file name');
  if (Buffer.byteLength(stem) > MAX_NAME_BYTES) throw refuse(`at most ${MAX_NAME_BYTES} bytes`);
  if (FORBIDDEN.test(stem)) throw refuse('a file name without folders and without : * ? " < > | =');
  if (INVISIBLE.test(stem)) throw refuse('a file name of visible characters');
  if (/^[. ]|[. ]$/.test(stem))
    throw refuse('a file name that neither begins nor ends with a dot or space');
  if (DEVICE.test(stem)) throw refuse('a file name that is no device of Windows');
  if (/\.(ckpt|pt|pth|bin)$/i.test(stem)) throw refuse(`a name that ends in ${EXTENSION}`);
  return stem + EXTENSION;
}

/**
 * Makes the path under which an upload is written: in the folder itself, so that it can be renamed
 * in one step, and under a name that no catalogue lists.
 *
 * @param bytes  that will be written, as far as known
 * @throws HttpError DISK_FULL
 */
export async function createPartPath(loraDir: string, bytes: number): Promise<string> {
  await mkdir(loraDir, { recursive: true });
  const { bavail, bsize } = await statfs(loraDir);
  if (bavail * bsize < bytes + RESERVED_BYTES) {
    throw new HttpError('DISK_FULL', 'There is not enough room on the disk for this file.');
  }
  return join(loraDir, `.upload-${randomUUID()}.part`);
}

/** Removes what uploads left behind when the server was killed. */
export async function removeParts(loraDir: string): Promise<void> {
  const names = await readdir(loraDir).catch(() => []);
  const parts = names.filter((name) => PART.test(name));
  await Promise.all(parts.map((name) => rm(join(loraDir, name), { force: true })));
}

/**
 * Makes an uploaded file visible, if it is a LoRA. The part is gone afterwards, whatever came of it.
 *
 * @param name       see `checkFileName`
 * @param overwrite  whether a file of that name is replaced
 * @returns path of the file
 * @throws HttpError NOT_A_LORA, FILE_EXISTS
 */
export async function publishLora(
  part: string,
  loraDir: string,
  name: string,
  overwrite: boolean,
): Promise<string> {
  try {
    const { kind, says } = await identifyFile(part);
    if (kind !== 'lora') {
      const sentence = says.replaceAll(part.slice(part.lastIndexOf(sep) + 1), name);
      throw new HttpError('NOT_A_LORA', `Expected a LoRA as a safetensors file. ${sentence}`);
    }
    const target = join(loraDir, name);
    if (overwrite) await replace(part, target, name);
    else await moveUnlessThere(part, target, name);
    return target;
  } finally {
    await rm(part, { force: true });
  }
}

async function replace(part: string, target: string, name: string): Promise<void> {
  try {
    await rename(part, target);
  } catch (error) {
    if (codeOf(error) !== 'EISDIR' && codeOf(error) !== 'ENOTEMPTY') throw error;
    throw new HttpError('FILE_EXISTS', `There is a folder ${JSON.stringify(name)}.`);
  }
}

/** A link fails where a name is taken; a rename would replace it. */
async function moveUnlessThere(part: string, target: string, name: string): Promise<void> {
  try {
    await link(part, target).catch(async (error: unknown) => {
      if (codeOf(error) === 'EEXIST') throw error;
      // A file system without links: the name is taken first, by an empty file.
      await (await open(target, 'wx')).close();
      await rename(part, target);
    });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    throw new HttpError(
      'FILE_EXISTS',
      `There is a LoRA ${JSON.stringify(name)} already; send overwrite=true to replace it.`,
    );
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/**
 * Removes the file of a catalogue entry; of a symbolic link the link.
 *
 * @throws HttpError LORA_PROTECTED when the file lies outside the LoRA folder: in the built-in one, or
 *   in a folder that a link leads to
 */
export async function removeLora(entry: LoraEntry, loraDir: string): Promise<void> {
  const root = await realpath(loraDir).catch(() => loraDir);
  const folder = await realpath(dirname(entry.filename));
  if (folder !== root && !folder.startsWith(root + sep)) {
    throw new HttpError(
      'LORA_PROTECTED',
      `${JSON.stringify(entry.name)} lies outside the LoRA folder and is not removed.`,
    );
  }
  await unlink(entry.filename);
}
