/** What a weights file is, in whatever folder it lies: read from names and shapes in its header. */
import path from 'node:path';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import { CheckpointError, type CheckpointErrorCode } from '../../networks/checkpoint/errors.ts';
import { readHeader, type SafetensorsFile } from '../../networks/checkpoint/safetensors.ts';
import { nameBase } from '../base.ts';
import { EmbeddingError } from '../embeddings/errors.ts';
import { findVectors } from '../embeddings/parts.ts';
import { LoraError } from '../errors.ts';
import { type LoraFile, sortModules } from '../file.ts';

/** Folders by what belongs there. */
export type ModelFolder = 'Lora' | 'Stable-diffusion' | 'VAE' | 'embeddings';

export type FileKind =
  | 'lora'
  | 'checkpoint'
  | 'vae'
  | 'embedding'
  | 'hypernetwork'
  | 'upscaler'
  | 'controlnet'
  | 'text encoder'
  | 'other model'
  | 'pickle'
  | 'damaged';

/** What a file turned out to be. */
export interface Identity {
  kind: FileKind;
  /** One sentence for people. */
  says: string;
  /** Where it belongs; null when this server has no use for it. */
  belongs: ModelFolder | null;
  /** Which base model it is of or for; null when nothing tells. */
  base: string | null;
  /** Its modules, when it is a LoRA and whole. */
  lora: LoraFile | null;
  file: SafetensorsFile | null;
}

const KINDS: Partial<Record<CheckpointErrorCode, [FileKind, ModelFolder | null]>> = {
  VAE_ONLY: ['vae', 'VAE'],
  EMBEDDING: ['embedding', 'embeddings'],
  UPSCALER: ['upscaler', null],
  CONTROLNET: ['controlnet', null],
  TEXT_ENCODER_ONLY: ['text encoder', null],
  UNKNOWN_MODEL: ['other model', null],
};

const FAMILIES = {
  sd1: 'Stable Diffusion 1.x',
  sd2: 'Stable Diffusion 2.x',
  sdxl: 'SDXL',
  'sdxl-refiner': 'the SDXL refiner',
} as const;

/** Widths of vectors → base; 768 with 1280 is SDXL. */
const EMBEDDING_BASES: Readonly<Record<string, string>> = {
  '768': FAMILIES.sd1,
  '1024': FAMILIES.sd2,
  '768,1280': FAMILIES.sdxl,
};

/** Layer sizes of the web UI's hypernetworks, as converters write them: `768.0.linear.0.weight`. */
const HYPERNETWORK = /^(320|640|768|1024|1280)\.[01]\.linear/;

/**
 * Says what a file is. Data is not read.
 *
 * @param filename  any file; symbolic links are followed
 * @throws only what is no fault of the file
 */
export async function identifyFile(filename: string): Promise<Identity> {
  const blank = { belongs: null, base: null, lora: null, file: null };
  let file: SafetensorsFile;
  try {
    file = await readHeader(filename);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return { ...blank, kind: error.code === 'PICKLE' ? 'pickle' : 'damaged', says: error.message };
  }
  if ([...file.tensors.keys()].some((name) => HYPERNETWORK.test(name))) {
    const says = 'This is a hypernetwork, which cannot be used.';
    return { ...blank, kind: 'hypernetwork', says, file };
  }
  return identifyModel(file);
}

/** What `detectCheckpoint` says of files that may be LoRAs, the naming of which it does not know. */
const MAYBE_LORA: ReadonlySet<CheckpointErrorCode> = new Set([
  'LORA',
  'UNKNOWN_MODEL',
  'UNET_INCOMPLETE',
  'UNEXPECTED_TENSOR',
  'SHAPE_CONTRADICTION',
]);

function identifyModel(file: SafetensorsFile): Identity {
  const blank = { belongs: null, base: null, lora: null, file };
  try {
    const { family, variant } = detectCheckpoint(file);
    const base = FAMILIES[family];
    const says = `This is a checkpoint of ${base}${variant === 'base' ? '' : ` (${variant})`}.`;
    return { ...blank, kind: 'checkpoint', says, belongs: 'Stable-diffusion', base };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    const lora = MAYBE_LORA.has(error.code) ? identifyLora(file, error.code === 'LORA') : null;
    if (lora) return lora;
    const [kind, belongs] = KINDS[error.code] ?? ['other model', null];
    // The sentence without the file's name in front of it.
    const start = error.message.indexOf(': ', path.basename(file.path).length);
    const says = error.message.slice(start + 2);
    const base = kind === 'embedding' ? embeddingBase(file) : null;
    return { ...blank, kind, says, belongs, base };
  }
}

/**
 * Null when the file is no LoRA.
 *
 * @param isNamed  whether the names of its tensors are a LoRA's: if it cannot be read, it is damaged
 */
function identifyLora(file: SafetensorsFile, isNamed: boolean): Identity | null {
  try {
    const lora = sortModules(file);
    // A tensor `x.weight` by itself could be IA3's, and is in every model.
    if (!isNamed && lora.modules.every(({ kind }) => kind === 'ia3')) return null;
    const base = nameBase(lora);
    return { kind: 'lora', says: describeKinds(lora), belongs: 'Lora', base, lora, file };
  } catch (error) {
    if (!(error instanceof LoraError)) throw error;
    if (!isNamed) return null;
    const says = `This is a damaged LoRA: ${error.message}.`;
    return { kind: 'damaged', says, belongs: null, base: null, lora: null, file };
  }
}

function embeddingBase(file: SafetensorsFile): string | null {
  try {
    return EMBEDDING_BASES[Object.values(findVectors(file.tensors).widths).join()] ?? null;
  } catch (error) {
    if (error instanceof EmbeddingError) return null;
    throw error;
  }
}

/** The name that people know a mixture of kinds by. */
function describeKinds({ modules }: LoraFile): string {
  const kinds = new Set(modules.map(({ kind }) => kind));
  const hasDora = modules.some(({ parts }) => parts.has('dora_scale'));
  const hasConvolutions = modules.some(({ parts }) => {
    const [, , ...kernel] = parts.get('down')?.shape ?? [];
    return parts.has('mid') || kernel.some((side) => side > 1);
  });
  const names = { lora: 'LoRA', loha: 'LoHa', lokr: 'LoKr', ia3: 'IA3', oft: 'OFT' } as const;
  const words = [...kinds].map((kind) => {
    if (kind === 'lora' && hasConvolutions) return 'LoCon (LoRA with convolutions)';
    if (kind === 'full') return 'full difference';
    if (kind === 'norm') return 'norm difference';
    if (kind === 'glora') return 'GLoRA';
    return names[kind];
  });
  return `This is a ${words.join(' + ')}${hasDora ? ' with DoRA' : ''}.`;
}
