/** What a LoRA file's tensor names say: which module a tensor belongs to and which part of it it is. */

/** The tensors a module may be made of, under one name for all trainers. */
export type Part =
  | 'up'
  | 'down'
  | 'mid'
  | 'alpha'
  | 'scale'
  | 'dora_scale'
  | 'bias'
  | 'hada_w1_a'
  | 'hada_w1_b'
  | 'hada_w2_a'
  | 'hada_w2_b'
  | 'hada_t1'
  | 'hada_t2'
  | 'lokr_w1'
  | 'lokr_w1_a'
  | 'lokr_w1_b'
  | 'lokr_w2'
  | 'lokr_w2_a'
  | 'lokr_w2_b'
  | 'lokr_t2'
  | 'weight'
  | 'on_input'
  | 'diff'
  | 'diff_b'
  | 'w_norm'
  | 'b_norm'
  | 'a1'
  | 'a2'
  | 'b1'
  | 'b2'
  | 'oft_blocks'
  | 'oft_diag'
  | 'rescale'
  | 'ia3_l'
  | 'oft_R'
  | 'boft_R'
  | 'boft_s';

/** A tensor name taken apart. */
export interface SplitKey {
  /** As written: `lora_unet_mid_block_…`, or a dotted path. */
  module: string;
  part: Part;
}

/** What stands behind the module's name and which part it is; adapters of PEFT may be named. */
const SUFFIXES: readonly [suffix: string, part: Part | null][] = [
  ['lora_(?:up|B)(?:\\.[^.]+)?\\.weight', 'up'],
  ['lora_(?:down|A)(?:\\.[^.]+)?\\.weight', 'down'],
  ['lora_mid\\.weight', 'mid'],
  ['lora(?:_linear_layer)?\\.up\\.weight', 'up'],
  ['lora(?:_linear_layer)?\\.down\\.weight', 'down'],
  ['lora_magnitude_vector(?:\\.[^.]+)?(?:\\.weight)?', 'dora_scale'],
  ['([ab][12])\\.weight', null],
  ['(ia3_l|boft_R|boft_s)(?:\\.[^.]+)?', null],
  ['(oft_R)(?:\\.[^.]+)?\\.weight', null],
  [
    '(hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)|oft_blocks|oft_diag)(?:\\.default)?',
    null,
  ],
  ['(alpha|scale|dora_scale|bias|weight|on_input|diff|diff_b|w_norm|b_norm|rescale)', null],
];

const PATTERNS = SUFFIXES.map(([suffix, part]) => ({
  // Lazy, so that the longest suffix wins: `x.lora_up.weight` is not the part `weight` of `x.lora_up`.
  pattern: new RegExp(`^(.+?)\\.${suffix}$`),
  part,
}));

/** diffusers before 0.22: the factors hang on the attention's processor. */
const PROCESSOR = /^(.+?)(?:\.processor)?\.(to_[qkv]|to_out)_lora\.(up|down)\.weight$/;

/**
 * Takes a tensor name apart: kohya, LyCORIS, PEFT, diffusers and its older attention processors.
 *
 * @returns null when the name ends in no part of any kind of LoRA
 */
export function splitKey(key: string): SplitKey | null {
  const processor = PROCESSOR.exec(key);
  if (processor) {
    const [, owner = '', projection = '', part] = processor;
    const name = projection === 'to_out' ? 'to_out.0' : projection;
    return { module: `${owner}.${name}`, part: part === 'up' ? 'up' : 'down' };
  }
  for (const { pattern, part } of PATTERNS) {
    const match = pattern.exec(key);
    if (match) return { module: match[1] as string, part: part ?? (match[2] as Part) };
  }
  return null;
}

/** The kinds of modules, in the order in which the web UI tries them. */
export type Kind = 'lora' | 'loha' | 'ia3' | 'lokr' | 'full' | 'norm' | 'glora' | 'oft';

interface KindRule {
  kind: Kind;
  /** Sets of parts of which one must be there as a whole. */
  needs: readonly (readonly Part[])[];
  /** Parts that may be there beside it. */
  takes: readonly Part[];
}

const COMMON: readonly Part[] = ['alpha', 'scale', 'dora_scale', 'bias', 'diff_b'];

const RULES: readonly KindRule[] = [
  { kind: 'lora', needs: [['up', 'down']], takes: ['mid', ...COMMON] },
  {
    kind: 'loha',
    needs: [['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b']],
    takes: ['hada_t1', 'hada_t2', ...COMMON],
  },
  { kind: 'ia3', needs: [['weight', 'on_input'], ['weight']], takes: ['alpha', 'scale'] },
  { kind: 'ia3', needs: [['ia3_l']], takes: [] },
  {
    kind: 'lokr',
    needs: [
      ['lokr_w1', 'lokr_w2'],
      ['lokr_w1', 'lokr_w2_a', 'lokr_w2_b'],
      ['lokr_w1_a', 'lokr_w1_b', 'lokr_w2'],
      ['lokr_w1_a', 'lokr_w1_b', 'lokr_w2_a', 'lokr_w2_b'],
    ],
    takes: ['lokr_t2', ...COMMON],
  },
  { kind: 'full', needs: [['diff'], ['diff_b']], takes: COMMON },
  { kind: 'norm', needs: [['w_norm']], takes: ['b_norm', 'alpha', 'scale'] },
  { kind: 'glora', needs: [['a1', 'a2', 'b1', 'b2']], takes: COMMON },
  { kind: 'oft', needs: [['oft_blocks'], ['oft_diag']], takes: ['rescale', ...COMMON] },
  { kind: 'oft', needs: [['oft_R'], ['boft_R', 'boft_s']], takes: [] },
];

/**
 * Returns the kind of a module by the parts it has.
 *
 * @returns null when no kind has exactly these parts: one is missing, or one too many
 */
export function kindOf(parts: ReadonlyMap<Part, unknown>): Kind | null {
  for (const { kind, needs, takes } of RULES) {
    const needed = needs.find((set) => set.every((part) => parts.has(part)));
    if (!needed) continue;
    const known = new Set<Part>([...needed, ...takes]);
    return [...parts.keys()].every((part) => known.has(part)) ? kind : null;
  }
  return null;
}
