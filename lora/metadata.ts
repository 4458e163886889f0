/** A LoRA's `__metadata__` as answers show it. */

/** What the web UI lists first. */
const FIRST = [
  'ss_sd_model_name',
  'ss_resolution',
  'ss_clip_skip',
  'ss_num_train_images',
  'ss_tag_frequency',
];

/** Deepest JSON that is decoded. kohya's tag lists and bucket tables nest 3 deep. */
const MAX_DEPTH = 16;

/**
 * Returns the metadata with JSON objects decoded, in the web UI's order: what people look for first,
 * then the rest as written. Text that is no JSON, or nests too deep to be printed again, stays text.
 */
export function decodeMetadata(metadata: ReadonlyMap<string, string>): Record<string, unknown> {
  const first = FIRST.filter((key) => metadata.has(key));
  const rest = [...metadata.keys()].filter((key) => !FIRST.includes(key));
  // fromEntries defines own properties: a key `__proto__` is a key like any other.
  return Object.fromEntries(
    [...first, ...rest].map((key) => [key, decode(metadata.get(key) as string)]),
  );
}

function decode(text: string): unknown {
  if (!text.startsWith('{') || depthOf(text) > MAX_DEPTH) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Deepest nesting, brackets inside strings included: at most too high. */
function depthOf(text: string): number {
  let [depth, deepest] = [0, 0];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '{' || char === '[') deepest = Math.max(deepest, ++depth);
    else if (char === '}' || char === ']') depth--;
  }
  return deepest;
}
