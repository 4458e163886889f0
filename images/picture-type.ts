/** First bytes of the formats that browsers show, with how servers call them. */
const SIGNATURES: readonly (readonly [type: string, at: number, bytes: string])[] = [
  ['image/png', 0, '\x89PNG\r\n\x1a\n'],
  ['image/jpeg', 0, '\xff\xd8\xff'],
  ['image/gif', 0, 'GIF8'],
  ['image/webp', 8, 'WEBP'],
];

/** Returns the media type that a file's first bytes tell, or null for what is none of these pictures. */
export function readPictureType(bytes: Uint8Array): string | null {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 16));
  const found = SIGNATURES.find(
    ([, at, text]) => start.toString('latin1', at, at + text.length) === text,
  );
  return found?.[0] ?? null;
}
