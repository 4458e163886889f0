/** What went wrong with a picture; the HTTP side maps the code to a status. */
export type ImageErrorCode =
  /** The bytes are no PNG, JPEG, WebP or GIF. */
  | 'UNSUPPORTED_FORMAT'
  /** The format is right but the content cannot be decoded. */
  | 'CORRUPT_IMAGE'
  /** More pixels than the limit, or a decode that ran past its time limit. */
  | 'IMAGE_TOO_LARGE'
  /** An http address that no picture can be had from, or one that is not public. */
  | 'INVALID_ADDRESS'
  | 'LOCAL_ADDRESS'
  /** Text that is neither base64 nor a base64 data URL. */
  | 'INVALID_BASE64'
  /** Metadata text beyond the limits of `png-text.ts` or `infotext.ts`. */
  | 'TEXT_TOO_LARGE'
  /** Arguments that no picture can have: a side below 1, a buffer of another size. */
  | 'INVALID_ARGUMENT';

/**
 * A picture that cannot be read or written. Permanent: the same bytes fail again, so a caller
 * answers the client instead of retrying.
 */
export class ImageError extends Error {
  readonly code: ImageErrorCode;

  constructor(code: ImageErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ImageError';
    this.code = code;
  }
}
