/**
 * Checkpoints without weights: honest headers over sparse files, so that a 7 GB SDXL costs nothing.
 * Written from the layers of `openaimodel`, `AutoencoderKL`, transformers and open_clip; the counts
 * in tests/fixtures/checkpoint/parameters.json are from those networks themselves.
 */
import fs from 'node:fs';

export type Tensors = Map<string, number[]>;

export interface UnetShape {
  mc: number;
  mult: number[];
  /** Transformer blocks per level, going down and up. */
  depth: number[];
  mid: number;
  ctx: number;
  linear: boolean;
  adm?: number;
  cin?: number;
  res?: number;
}

class Names {
  readonly all: Tensors = new Map();
  readonly prefix: string;
  constructor(prefix: string) {
    this.prefix = prefix;
  }
  one(name: string, ...shape: number[]): void {
    this.all.set(this.prefix + name, shape);
  }
  both(name: string, ...shape: number[]): void {
    this.one(`${name}.weight`, ...shape);
    this.one(`${name}.bias`, shape[0] ?? 0);
  }
}

export function unetTensors(u: UnetShape, prefix = 'model.diffusion_model.'): Tensors {
  const n = new Names(prefix);
  const emb = 4 * u.mc;
  const res = u.res ?? 2;
  const resBlock = (at: string, i: number, o: number): void => {
    n.both(`${at}.in_layers.0`, i);
    n.both(`${at}.in_layers.2`, o, i, 3, 3);
    n.both(`${at}.emb_layers.1`, o, emb);
    n.both(`${at}.out_layers.0`, o);
    n.both(`${at}.out_layers.3`, o, o, 3, 3);
    if (i !== o) n.both(`${at}.skip_connection`, o, i, 1, 1);
  };
  const transformer = (at: string, c: number, depth: number): void => {
    const proj = u.linear ? [c, c] : [c, c, 1, 1];
    n.both(`${at}.norm`, c);
    n.both(`${at}.proj_in`, ...proj);
    n.both(`${at}.proj_out`, ...proj);
    for (let d = 0; d < depth; d++) {
      const b = `${at}.transformer_blocks.${d}`;
      for (const [attn, kv] of [['attn1', c] as const, ['attn2', u.ctx] as const]) {
        n.one(`${b}.${attn}.to_q.weight`, c, c);
        n.one(`${b}.${attn}.to_k.weight`, c, kv);
        n.one(`${b}.${attn}.to_v.weight`, c, kv);
        n.both(`${b}.${attn}.to_out.0`, c, c);
      }
      n.both(`${b}.ff.net.0.proj`, 8 * c, c);
      n.both(`${b}.ff.net.2`, c, 4 * c);
      for (const norm of ['norm1', 'norm2', 'norm3']) n.both(`${b}.${norm}`, c);
    }
  };
  n.both('time_embed.0', emb, u.mc);
  n.both('time_embed.2', emb, emb);
  if (u.adm !== undefined) {
    n.both('label_emb.0.0', emb, u.adm);
    n.both('label_emb.0.2', emb, emb);
  }
  n.both('input_blocks.0.0', u.mc, u.cin ?? 4, 3, 3);
  const skips = [u.mc];
  let ch = u.mc;
  let i = 1;
  u.mult.forEach((m, level) => {
    for (let j = 0; j < res; j++, i++) {
      resBlock(`input_blocks.${i}.0`, ch, m * u.mc);
      ch = m * u.mc;
      const depth = u.depth[level] ?? 0;
      if (depth > 0) transformer(`input_blocks.${i}.1`, ch, depth);
      skips.push(ch);
    }
    if (level < u.mult.length - 1) {
      n.both(`input_blocks.${i++}.0.op`, ch, ch, 3, 3);
      skips.push(ch);
    }
  });
  resBlock('middle_block.0', ch, ch);
  transformer('middle_block.1', ch, u.mid);
  resBlock('middle_block.2', ch, ch);
  i = 0;
  for (let level = u.mult.length - 1; level >= 0; level--) {
    for (let j = 0; j <= res; j++, i++) {
      const o = (u.mult[level] ?? 0) * u.mc;
      resBlock(`output_blocks.${i}.0`, ch + (skips.pop() ?? 0), o);
      ch = o;
      const depth = u.depth[level] ?? 0;
      if (depth > 0) transformer(`output_blocks.${i}.1`, ch, depth);
      if (level > 0 && j === res)
        n.both(`output_blocks.${i}.${depth > 0 ? 2 : 1}.conv`, ch, ch, 3, 3);
    }
  }
  n.both('out.0', ch);
  n.both('out.2', 4, ch, 3, 3);
  return n.all;
}

export function vaeTensors(ch = 128, z = 4, prefix = 'first_stage_model.'): Tensors {
  const n = new Names(prefix);
  const mult = [1, 2, 4, 4];
  const block = (at: string, i: number, o: number): void => {
    n.both(`${at}.norm1`, i);
    n.both(`${at}.conv1`, o, i, 3, 3);
    n.both(`${at}.norm2`, o);
    n.both(`${at}.conv2`, o, o, 3, 3);
    if (i !== o) n.both(`${at}.nin_shortcut`, o, i, 1, 1);
  };
  const middle = (at: string, c: number): void => {
    block(`${at}.mid.block_1`, c, c);
    n.both(`${at}.mid.attn_1.norm`, c);
    for (const part of ['q', 'k', 'v', 'proj_out']) n.both(`${at}.mid.attn_1.${part}`, c, c, 1, 1);
    block(`${at}.mid.block_2`, c, c);
  };
  n.both('encoder.conv_in', ch, 3, 3, 3);
  let c = ch;
  mult.forEach((m, level) => {
    for (let j = 0; j < 2; j++) {
      block(`encoder.down.${level}.block.${j}`, c, m * ch);
      c = m * ch;
    }
    if (level < 3) n.both(`encoder.down.${level}.downsample.conv`, c, c, 3, 3);
  });
  middle('encoder', c);
  n.both('encoder.norm_out', c);
  n.both('encoder.conv_out', 2 * z, c, 3, 3);
  n.both('decoder.conv_in', c, z, 3, 3);
  middle('decoder', c);
  for (let level = 3; level >= 0; level--) {
    for (let j = 0; j < 3; j++) {
      block(`decoder.up.${level}.block.${j}`, c, (mult[level] ?? 0) * ch);
      c = (mult[level] ?? 0) * ch;
    }
    if (level > 0) n.both(`decoder.up.${level}.upsample.conv`, c, c, 3, 3);
  }
  n.both('decoder.norm_out', c);
  n.both('decoder.conv_out', 3, c, 3, 3);
  n.both('quant_conv', 2 * z, 2 * z, 1, 1);
  n.both('post_quant_conv', z, z, 1, 1);
  return n.all;
}

export function clipHfTensors(prefix: string, width = 768, layers = 12): Tensors {
  const n = new Names(prefix);
  n.one('embeddings.token_embedding.weight', 49_408, width);
  n.one('embeddings.position_embedding.weight', 77, width);
  for (let l = 0; l < layers; l++) {
    const b = `encoder.layers.${l}`;
    n.both(`${b}.layer_norm1`, width);
    n.both(`${b}.layer_norm2`, width);
    for (const p of ['q', 'k', 'v', 'out']) n.both(`${b}.self_attn.${p}_proj`, width, width);
    n.both(`${b}.mlp.fc1`, 4 * width, width);
    n.both(`${b}.mlp.fc2`, width, 4 * width);
  }
  n.both('final_layer_norm', width);
  return n.all;
}

export function openClipTensors(prefix: string, width: number, layers: number): Tensors {
  const n = new Names(prefix);
  n.one('token_embedding.weight', 49_408, width);
  n.one('positional_embedding', 77, width);
  for (let l = 0; l < layers; l++) {
    const b = `transformer.resblocks.${l}`;
    n.both(`${b}.ln_1`, width);
    n.both(`${b}.ln_2`, width);
    n.one(`${b}.attn.in_proj_weight`, 3 * width, width);
    n.one(`${b}.attn.in_proj_bias`, 3 * width);
    n.both(`${b}.attn.out_proj`, width, width);
    n.both(`${b}.mlp.c_fc`, 4 * width, width);
    n.both(`${b}.mlp.c_proj`, width, 4 * width);
  }
  n.both('ln_final', width);
  n.one('text_projection', width, width);
  n.one('logit_scale');
  return n.all;
}

export const UNETS = {
  sd15: { mc: 320, mult: [1, 2, 4, 4], depth: [1, 1, 1, 0], mid: 1, ctx: 768, linear: false },
  sd2: { mc: 320, mult: [1, 2, 4, 4], depth: [1, 1, 1, 0], mid: 1, ctx: 1024, linear: true },
  sdxl: {
    mc: 320,
    mult: [1, 2, 4],
    depth: [0, 2, 10],
    mid: 10,
    ctx: 2048,
    linear: true,
    adm: 2816,
  },
  refiner: {
    mc: 384,
    mult: [1, 2, 4, 4],
    depth: [0, 4, 4, 0],
    mid: 4,
    ctx: 1280,
    linear: true,
    adm: 2560,
  },
} satisfies Record<string, UnetShape>;

const join = (...parts: Tensors[]): Tensors => new Map(parts.flatMap((part) => [...part]));

/** Whole checkpoints; `cin` input channels, `scale` divides all widths (for tiny ones). */
export const CHECKPOINTS = {
  sd15: (cin = 4): Tensors =>
    join(
      unetTensors({ ...UNETS.sd15, cin }),
      vaeTensors(),
      clipHfTensors('cond_stage_model.transformer.text_model.'),
    ),
  sd2: (cin = 4): Tensors =>
    join(
      unetTensors({ ...UNETS.sd2, cin }),
      vaeTensors(),
      openClipTensors('cond_stage_model.model.', 1024, 24),
    ),
  sdxl: (cin = 4): Tensors =>
    join(
      unetTensors({ ...UNETS.sdxl, cin }),
      vaeTensors(),
      clipHfTensors('conditioner.embedders.0.transformer.text_model.'),
      openClipTensors('conditioner.embedders.1.model.', 1280, 32),
    ),
  refiner: (cin = 4): Tensors =>
    join(
      unetTensors({ ...UNETS.refiner, cin }),
      vaeTensors(),
      openClipTensors('conditioner.embedders.0.model.', 1280, 32),
    ),
  tinySd15: (): Tensors =>
    join(
      unetTensors({ ...UNETS.sd15, mc: 32, ctx: 64 }),
      vaeTensors(32),
      clipHfTensors('cond_stage_model.transformer.text_model.', 64),
    ),
  tinySd2: (): Tensors =>
    join(
      unetTensors({ ...UNETS.sd2, mc: 32, mult: [1, 2], depth: [1, 1], ctx: 96, res: 1 }),
      vaeTensors(32),
      openClipTensors('cond_stage_model.model.', 96, 3),
    ),
  tinySdxl: (): Tensors =>
    join(
      unetTensors({ ...UNETS.sdxl, mc: 32, depth: [0, 1, 3], mid: 3, ctx: 192, adm: 128 + 6 * 32 }),
      vaeTensors(32),
      clipHfTensors('conditioner.embedders.0.transformer.text_model.', 64, 2),
      openClipTensors('conditioner.embedders.1.model.', 128, 2),
    ),
} as const;

const WIDTH: Record<string, number> = { F16: 2, BF16: 2, F32: 4, F64: 8, U8: 1, I8: 1, F8_E4M3: 1 };

/** Sum of all sizes: the number of parameters. */
export function countParameters(tensors: Tensors): number {
  let total = 0;
  for (const shape of tensors.values()) total += shape.reduce((a, b) => a * b, 1);
  return total;
}

/** The bytes before the data: length and header. */
export function encodeHeader(
  tensors: Tensors,
  dtype = 'F16',
  metadata?: Record<string, string>,
): { head: Buffer; dataBytes: number } {
  let offset = 0;
  const entries: string[] = [];
  if (metadata !== undefined) entries.push(`"__metadata__":${JSON.stringify(metadata)}`);
  for (const [name, shape] of tensors) {
    const end = offset + shape.reduce((a, b) => a * b, 1) * (WIDTH[dtype] ?? 2);
    entries.push(
      `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, end] })}`,
    );
    offset = end;
  }
  const text = Buffer.from(`{${entries.join(',')}}`);
  const head = Buffer.alloc(8 + text.length);
  head.writeBigUInt64LE(BigInt(text.length));
  text.copy(head, 8);
  return { head, dataBytes: offset };
}

/** Writes the header and makes the file as long as its data would be; no blocks are allocated. */
export function writeSparse(
  path: string,
  tensors: Tensors,
  dtype = 'F16',
  metadata?: Record<string, string>,
): string {
  const { head, dataBytes } = encodeHeader(tensors, dtype, metadata);
  fs.writeFileSync(path, head);
  fs.truncateSync(path, head.length + dataBytes);
  return path;
}
