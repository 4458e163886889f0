/**
 * Everything that can be wrong with a weights file, one code each. The value says what the code
 * means and is what the documented table of errors prints. All of them are permanent for the file
 * as it is on disk: trying again without changing the file gives the same answer.
 */
export const CHECKPOINT_ERRORS = {
  // The file itself.
  NOT_FOUND: 'There is no such file.',
  NOT_A_FILE: 'The path is a directory, a device or a pipe.',
  NOT_READABLE: 'The system refused to open or read the file.',
  PICKLE: 'A pickle, which can run code when it is opened; never opened here.',
  FOREIGN_FORMAT:
    'Another format under this name: GGUF, a web page, a Git LFS pointer, an archive.',
  EMPTY_FILE: 'The file has no bytes.',
  FILE_TOO_SMALL: 'The file is shorter than the 8 bytes that hold the header length.',
  FILE_CHANGED: 'Size, date or inode differ from when the header was read.',
  // The header's length and syntax.
  HEADER_TOO_SMALL: 'The header length is below 2, the shortest JSON object.',
  HEADER_TOO_LARGE: 'The header length is over MAX_HEADER_BYTES.',
  HEADER_PAST_END: 'The header would end after the end of the file.',
  HEADER_BOM: 'The header starts with a byte order mark.',
  HEADER_NOT_UTF8: 'The header is not UTF-8.',
  HEADER_NOT_OBJECT: 'The header does not start with an opening brace.',
  HEADER_CONTROL_CHARACTER: 'A raw control character (NUL, for instance) inside the header.',
  HEADER_JSON: 'The header is not JSON.',
  HEADER_TRUNCATED: 'The header ends in the middle of the JSON.',
  HEADER_TRAILING: 'Something other than white space follows the JSON.',
  HEADER_TOO_DEEP: 'Values are nested deeper than MAX_DEPTH.',
  // Names.
  TOO_MANY_TENSORS: 'More than MAX_TENSORS tensors.',
  DUPLICATE_NAME: 'A tensor, or the metadata, occurs twice.',
  DUPLICATE_FIELD: 'A field of one tensor, or a key of the metadata, occurs twice.',
  EMPTY_NAME: 'A tensor without a name.',
  NAME_TOO_LONG: 'A name longer than MAX_NAME_LENGTH.',
  LONE_SURROGATE: 'A string with half of a surrogate pair.',
  METADATA_NOT_OBJECT: '__metadata__ is not an object.',
  METADATA_NOT_STRING: 'A value of __metadata__ is not a string.',
  METADATA_TOO_LARGE: '__metadata__ is over MAX_METADATA_LENGTH or MAX_METADATA_ENTRIES.',
  // One tensor's fields.
  TENSOR_NOT_OBJECT: 'The description of a tensor is not an object.',
  DTYPE_MISSING: 'A tensor without a dtype.',
  DTYPE_TYPE: 'A dtype that is not a string.',
  DTYPE_UNKNOWN: 'A dtype that safetensors does not have.',
  DTYPE_CASE: 'A dtype in the wrong case.',
  DTYPE_MISALIGNED: 'A tensor of 4- or 6-bit numbers that does not fill whole bytes.',
  SHAPE_MISSING: 'A tensor without a shape.',
  SHAPE_TYPE: 'A shape, or one of its sizes, is of the wrong type.',
  SHAPE_NEGATIVE: 'A negative size.',
  SHAPE_NOT_INTEGER: 'A size written with a fraction or an exponent.',
  SHAPE_RANK: 'More than MAX_RANK sizes.',
  SHAPE_RANGE: 'A size over MAX_DIMENSION.',
  SHAPE_OVERFLOW: 'The number of bytes that the shape asks for is over 2^53.',
  OFFSETS_MISSING: 'A tensor without data_offsets.',
  OFFSETS_TYPE: 'The data_offsets, or one of them, is of the wrong type.',
  OFFSETS_COUNT: 'The data_offsets are not exactly two numbers.',
  OFFSETS_NEGATIVE: 'A negative offset.',
  OFFSETS_NOT_INTEGER: 'An offset written with a fraction or an exponent.',
  OFFSETS_RANGE: 'An offset over 2^53.',
  // The arithmetic against the file.
  OFFSETS_REVERSED: 'A tensor ends before it begins.',
  OFFSETS_PAST_END: 'A tensor ends after the end of the file.',
  OFFSETS_OVERLAP: 'Two tensors share bytes.',
  OFFSETS_HOLE: 'Bytes between two tensors belong to none.',
  SIZE_MISMATCH: 'The byte range is not as long as shape and dtype say.',
  DATA_NOT_COVERED: 'Bytes after the last tensor belong to none.',
  // Reading tensors.
  TENSOR_NOT_FOUND: 'The file has no tensor of that name.',
  TENSOR_TOO_LARGE: 'A tensor over MAX_TENSOR_READ_BYTES is read into memory.',
  DTYPE_UNSUPPORTED: 'Numbers of this dtype cannot be used here.',
  // What the file is: honest, but not a checkpoint this server can run.
  EMPTY_CHECKPOINT: 'The file has no tensors.',
  UNKNOWN_MODEL: 'The tensor names are of no kind of model that is known here.',
  SD3: 'Stable Diffusion 3.',
  FLUX: 'Flux.',
  CHROMA: 'Chroma.',
  PIXART: 'PixArt.',
  STABLE_CASCADE: 'Stable Cascade or Wuerstchen.',
  AURAFLOW: 'AuraFlow.',
  HUNYUAN: 'Hunyuan-DiT, HunyuanVideo or HunyuanImage.',
  WAN: 'Wan.',
  LUMINA: 'Lumina or Z-Image.',
  QWEN_IMAGE: 'Qwen-Image.',
  OTHER_TRANSFORMER: 'Another diffusion transformer: LTX-Video, Mochi, HiDream, Sana, Cosmos ...',
  VIDEO_MODEL: 'A UNet with temporal layers: Stable Video Diffusion and its like.',
  DEPTH_MODEL: 'Stable Diffusion 2 depth-to-image (5 input channels).',
  UNCLIP: 'Stable Diffusion 2 unCLIP (image embeddings).',
  LATENT_UPSCALER: 'The Stable Diffusion x4 upscaler (7 input channels).',
  ALT_DIFFUSION: 'AltDiffusion (XLM-RoBERTa text encoder).',
  EDM: 'A checkpoint that needs EDM noise levels: CosXL, Playground 2.5.',
  DIFFUSERS_LAYOUT: 'A UNet in the diffusers layout, not the single-file layout.',
  UNET_ONLY: 'A UNet without text encoders.',
  UNET_INCOMPLETE: 'A part of the UNet is missing.',
  VAE_ONLY: 'Only a VAE.',
  VAE_INCOMPLETE: 'A part of the VAE is missing.',
  VAE_KIND: 'A VAE of another kind than the AutoencoderKL of Stable Diffusion.',
  NOT_A_VAE: 'A VAE was asked for and the file has none.',
  TEXT_ENCODER_ONLY: 'Only a text encoder.',
  TEXT_ENCODER_MISSING: 'The checkpoint has no text encoder.',
  TEXT_ENCODER_2_MISSING: 'SDXL without its second text encoder.',
  TEXT_ENCODER_INCOMPLETE: 'A part of a text encoder is missing.',
  SHAPE_CONTRADICTION: 'The shapes of two tensors contradict each other.',
  UNEXPECTED_TENSOR: 'A weight for which the structure of its network has no place.',
  QUANTIZED: 'Weights in packed integers or with scales of their own.',
  LORA: 'A LoRA or another adapter of weights.',
  EMBEDDING: 'A textual inversion embedding.',
  CONTROLNET: 'A ControlNet, T2I-Adapter or IP-Adapter.',
  MOTION_MODULE: 'An AnimateDiff motion module.',
  UPSCALER: 'An image upscaler.',
  NOT_AN_UPSCALER: 'An upscaler was asked for and the file is none that can be run.',
  UPSCALER_INCOMPLETE: 'A part of the upscaler is missing.',
  NOT_A_CAPTIONER: 'A captioning model was asked for and the file is none that can be run.',
  CAPTIONER_INCOMPLETE: 'A part of the captioning model, or its words, is missing.',
  VISION_ENCODER: 'Only an image encoder.',
  LANGUAGE_MODEL: 'A language model.',
} as const;

export type CheckpointErrorCode = keyof typeof CHECKPOINT_ERRORS;

/** A weights file that cannot be used. Permanent until the file changes: do not retry. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
  readonly code: CheckpointErrorCode;
  /** Path of the file as far as it was known. */
  readonly file: string;
  /** The tensor at fault, when there is one. */
  readonly tensor: string | null;

  /**
   * Makes the error; its message is "file: detail" or "file, tensor name: detail".
   *
   * @param code    what is wrong
   * @param file    path; only its last part is printed, so that answers do not show folders
   * @param detail  one sentence
   * @param tensor  the tensor at fault
   */
  constructor(
    code: CheckpointErrorCode,
    file: string,
    detail: string,
    tensor: string | null = null,
  ) {
    const base = file.slice(Math.max(file.lastIndexOf('/'), file.lastIndexOf('\\')) + 1);
    super(`${base}${tensor === null ? '' : `, tensor ${quoteName(tensor)}`}: ${detail}`);
    this.code = code;
    this.file = file;
    this.tensor = tensor;
  }
}

/** Longest part of a stranger's string that a message repeats, in UTF-16 units. */
const MAX_QUOTED_LENGTH = 160;

/** A stranger's string as it may stand in a message or a log: quoted, escaped, cut. */
export function quoteName(name: string): string {
  const cut = name.length > MAX_QUOTED_LENGTH ? `${name.slice(0, MAX_QUOTED_LENGTH)}…` : name;
  return JSON.stringify(cut);
}
