"""The demo's autoencoder: the f8, 4-channel layout of Stable Diffusion with narrow widths, in the names of the single-file checkpoint.

Group normalisation takes the mean away from every group. With 32 groups over 64 channels (two per group) that would make a picture's overall
colour hard to keep, so the finest levels work with a large `eps`: the norm is then close to linear. A checkpoint's norms all have eps 1e-6, so
`bake_scales` divides those levels' residual streams by sqrt(eps / 1e-6) on export, which is the same function.

Branches that start at zero and stay unused are skipped in training (`active`): they are in the file, as zeros, because the layout has them.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from attention import attend
from norm import GroupNorm

LATENT_SCALE = 0.13025  # SDXL's scale factor: fixed by the layout, so the file's latents must have a standard deviation of 1 / 0.13025
FILE_EPS = 1e-6
WIDE_BLOCKS, BLOCKS = 2, 1  # residual blocks per level (one more in the decoder): while learning, and in the file (`slim_vae.py`)


class Norm(GroupNorm):
    """Group norm with 32 groups; the weight starts at sqrt(eps) where eps is large, which makes it the identity less the mean."""

    def __init__(self, channels: int, eps: float = FILE_EPS):
        super().__init__(32, channels, eps=eps)
        if eps > 0.1:
            nn.init.constant_(self.weight, eps**0.5)


class Block(nn.Module):
    """Residual block without a time embedding; the branch starts at zero."""

    def __init__(self, cin: int, cout: int, eps: float, active: bool = True):
        super().__init__()
        self.norm1 = Norm(cin, eps)
        self.conv1 = nn.Conv2d(cin, cout, 3, padding=1)
        self.norm2 = Norm(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1)
        self.active = active
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)
        if cin != cout:
            self.nin_shortcut = nn.Conv2d(cin, cout, 1)

    def forward(self, x):
        skip = self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x
        if not self.active:
            return skip
        h = self.conv1(F.silu(self.norm1(x)))
        return skip + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    """Single-head self-attention over all positions, from 1x1 convolutions."""

    def __init__(self, c: int, eps: float):
        super().__init__()
        self.norm = Norm(c, eps)
        self.q, self.k, self.v = (nn.Conv2d(c, c, 1) for _ in range(3))
        self.proj_out = nn.Conv2d(c, c, 1)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, x):
        b, c, h, w = x.shape
        y = self.norm(x)
        q, k, v = (m(y).flatten(2).transpose(1, 2)[:, None] for m in (self.q, self.k, self.v))
        y = attend(q, k, v)[:, 0].transpose(1, 2).reshape(b, c, h, w)
        return x + self.proj_out(y)


class Middle(nn.Module):
    def __init__(self, c: int, eps: float):
        super().__init__()
        self.block_1 = Block(c, c, eps)
        self.attn_1 = Attention(c, eps)
        self.block_2 = Block(c, c, eps)

    def forward(self, x):
        return self.block_2(self.attn_1(self.block_1(x)))


class Resample(nn.Module):
    """Halve (pad right and below, stride 2) or double (nearest) the size, with a convolution."""

    def __init__(self, c: int, up: bool):
        super().__init__()
        self.up = up
        self.conv = nn.Conv2d(c, c, 3, padding=1 if up else 0, stride=1 if up else 2)

    def forward(self, x):
        if self.up:
            return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Encoder(nn.Module):
    """Picture to moments. Only the coarsest level and the middle have branches in use: the rest is a learned linear analysis."""

    EPS = (4.0, 4.0, 4.0, 4.0)

    def __init__(self, widths=(32, 64, 128, 128), blocks: int = BLOCKS):
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        c = widths[0]
        for i, w in enumerate(widths):
            level = nn.Module()
            level.block = nn.ModuleList([Block(c if j == 0 else w, w, self.EPS[i], active=i == 3) for j in range(blocks)])
            if i < 3:
                level.downsample = Resample(w, up=False)
            self.down.append(level)
            c = w
        self.mid = Middle(c, self.EPS[3])
        self.norm_out = Norm(c, self.EPS[3])
        self.conv_out = nn.Conv2d(c, 8, 3, padding=1)

    def forward(self, x):
        h = self.conv_in(x)
        for level in self.down:
            for block in level.block:
                h = block(h)
            if hasattr(level, "downsample"):
                h = level.downsample(h)
        return self.conv_out(F.silu(self.norm_out(self.mid(h))))


class Decoder(nn.Module):
    """Latent to picture. The full-size level's branches, and the last one before it, are not in use."""

    EPS = (100.0, 1e-2, FILE_EPS, FILE_EPS)

    def __init__(self, widths=(64, 64, 128, 128), blocks: int = BLOCKS):
        super().__init__()
        top = widths[-1]
        self.conv_in = nn.Conv2d(4, top, 3, padding=1)
        self.mid = Middle(top, FILE_EPS)
        self.up = nn.ModuleList([nn.Module() for _ in widths])
        c = top
        for i in reversed(range(len(widths))):
            w = widths[i]
            used = {0: (False,) * 3, 1: (True, True, False)}.get(i, (True,) * 3)[: blocks + 1]
            self.up[i].block = nn.ModuleList()
            for j in range(blocks + 1):
                # the first block of a level reads the stream of the level above it, after its upsampling convolution
                self.up[i].block.append(Block(c if j == 0 else w, w, self.EPS[i], active=used[j]))
            if i:
                self.up[i].upsample = Resample(w, up=True)
            c = w
        self.norm_out = Norm(c, self.EPS[0])
        self.conv_out = nn.Conv2d(c, 3, 3, padding=1)
        with torch.no_grad():  # opposite pairs: nothing is lost in the groups of two
            last = self.up[1].upsample.conv
            last.weight[1::2] = -last.weight[0::2]
            last.bias.zero_()

    def forward(self, z):
        h = self.mid(self.conv_in(z))
        for i in reversed(range(len(self.up))):
            for block in self.up[i].block:
                h = block(h)
            if i:
                h = self.up[i].upsample(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class Autoencoder(nn.Module):
    """Encoder, decoder and the two 1x1 convolutions around the latent."""

    def __init__(self, blocks: int = BLOCKS):
        super().__init__()
        self.encoder = Encoder(blocks=blocks)
        self.decoder = Decoder(blocks=blocks)
        self.quant_conv = nn.Conv2d(8, 8, 1)
        self.post_quant_conv = nn.Conv2d(4, 4, 1)
        start_as_thumbnail(self)

    def encode(self, x):
        """Pictures in -1..1 [b, 3, h, w] to the mean of the latent [b, 4, h/8, w/8]."""
        return self.quant_conv(self.encoder(x))[:, :4]

    def decode(self, z):
        """Latents to pictures in about -1..1."""
        return self.decoder(self.post_quant_conv(z))


@torch.no_grad()
def start_as_thumbnail(model: Autoencoder) -> None:
    """Begin as averaging over 8x8 pixels into luma, two chromas (and a fourth, free channel), and smooth interpolation back.

    All other channels keep their random start, unconnected to the output: training begins at a blurred picture instead of at noise.
    """
    enc, dec = model.encoder, model.decoder
    carried = torch.tensor([0, 4, 8])  # one colour per group of four, with its negative beside it: no group has a mean to lose

    def carry(conv: nn.Conv2d, kernel: torch.Tensor, into: torch.Tensor, out_of: torch.Tensor) -> None:
        conv.weight[into] = 0
        conv.bias[into] = 0
        for o, i in zip(into, out_of):
            conv.weight[o, i] = kernel

    one = torch.zeros(3, 3)
    one[1, 1] = 1
    mean4 = torch.zeros(3, 3)
    mean4[:2, :2] = 0.25
    tent = torch.tensor([1.0, 2.0, 1.0])
    tent = tent[:, None] * tent[None] / 16
    rows = torch.cat([carried, carried + 1, carried + 2, carried + 3])
    enc.conv_in.weight[rows] = 0
    enc.conv_in.bias[rows] = 0
    for k, c in enumerate(carried):
        enc.conv_in.weight[c, k], enc.conv_in.weight[c + 1, k] = one, -one
    for level in enc.down:
        for block in level.block:
            if hasattr(block, "nin_shortcut"):
                carry(block.nin_shortcut, torch.ones(1, 1), rows, rows)
        if hasattr(level, "downsample"):
            carry(level.downsample.conv, mean4, rows, rows)
    enc.conv_out.weight[:3] = 0
    enc.conv_out.weight[3] *= 2
    enc.conv_out.bias.zero_()
    for k, c in enumerate(carried):
        enc.conv_out.weight[k, c], enc.conv_out.weight[k, c + 1] = one, -one
    # RGB in -1..1 to luma and chromas of about unit deviation; the rest of the moments is not used
    to = torch.tensor([[0.3, 0.59, 0.11], [-0.3, -0.59, 0.89], [0.7, -0.59, -0.11]]) * torch.tensor([2.0, 3.0, 3.0])[:, None]
    for conv, m in ((model.quant_conv, to), (model.post_quant_conv, torch.linalg.inv(to))):
        conv.weight.zero_()
        conv.bias.zero_()
        conv.weight[:4, :4, 0, 0] = torch.eye(4)
        conv.weight[:3, :3, 0, 0] = m
    rgb = torch.arange(3)
    carry(dec.conv_in, one, rgb, rgb)
    for i in (3, 2):
        carry(dec.up[i].upsample.conv, tent, rgb, rgb)
    carry(dec.up[1].block[0].nin_shortcut, torch.ones(1, 1), rgb, rgb)
    last = dec.up[1].upsample.conv
    carry(last, tent, 2 * rgb, rgb)
    last.weight[1::2] = -last.weight[0::2]
    dec.conv_out.weight.zero_()
    dec.conv_out.bias.zero_()
    for k in range(3):
        dec.conv_out.weight[k, 2 * k], dec.conv_out.weight[k, 2 * k + 1] = one, -one


@torch.no_grad()
def fold_latent_scale(model: Autoencoder, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Shift and scale the latent, in the 1x1 convolutions, to mean 0 and deviation 1 / LATENT_SCALE; the variance is set to next to nothing."""
    k = 1 / (std * LATENT_SCALE)
    q, p = model.quant_conv, model.post_quant_conv
    q.weight[:4] *= k[:, None, None, None]
    q.bias[:4] = (q.bias[:4] - mean) * k
    q.weight[4:] = 0
    q.bias[4:] = -6.0
    p.bias += (p.weight[:, :, 0, 0] * mean[None]).sum(1)
    p.weight /= k[None, :, None, None]


@torch.no_grad()
def bake_scales(model: Autoencoder) -> dict[str, torch.Tensor]:
    """The state dict for a checkpoint, where every norm has eps 1e-6: levels trained with a larger eps get a smaller residual stream."""
    state = {k: v.clone().float() for k, v in model.state_dict().items()}

    def scale(name: str, s: float, bias: float | None = None) -> None:
        state[f"{name}.weight"] *= s
        state[f"{name}.bias"] *= s if bias is None else bias

    def stream(prefix: str, blocks: nn.ModuleList, s_in: float, s: float) -> None:
        for j, block in enumerate(blocks):
            scale(f"{prefix}.block.{j}.conv2", s)
            if hasattr(block, "nin_shortcut"):
                scale(f"{prefix}.block.{j}.nin_shortcut", s / s_in, s)

    # encoder: one scale all the way, set by the first convolution
    s = (FILE_EPS / Encoder.EPS[3]) ** 0.5
    scale("encoder.conv_in", s)
    for i, level in enumerate(model.encoder.down):
        stream(f"encoder.down.{i}", level.block, s, s)
        if i < 3:
            scale(f"encoder.down.{i}.downsample.conv", 1.0, s)
    for j in (1, 2):
        scale(f"encoder.mid.block_{j}.conv2", s)
    scale("encoder.mid.attn_1.proj_out", s)
    # decoder: level 1 from its upsampling convolution on, level 0 likewise
    before = 1.0
    for i in (1, 0):
        s = (FILE_EPS / Decoder.EPS[i]) ** 0.5
        scale(f"decoder.up.{i + 1}.upsample.conv", s / before, s)
        stream(f"decoder.up.{i}", model.decoder.up[i].block, s, s)
        before = s
    return _widen_encoder(state)


def _widen_encoder(state: dict[str, torch.Tensor], width: int = 64) -> dict[str, torch.Tensor]:
    """Give the encoder the decoder's widths, as readers of the layout expect, with zero channels: the same function.

    The first level goes from 32 to 64 channels. The second level's shortcut (32 to 64) is then no longer in the layout; it is a 1x1
    convolution right after the downsampling one, so the two become one. The branches of both levels are zero, and stay so.
    """
    out = dict(state)
    narrow = state["encoder.conv_in.weight"].shape[0]
    down, short = "encoder.down.0.downsample.conv", "encoder.down.1.block.0.nin_shortcut"
    mixed = state[f"{short}.weight"][:, :, 0, 0]
    out[f"{down}.weight"] = torch.einsum("oi,ijkl->ojkl", mixed, state[f"{down}.weight"])
    out[f"{down}.bias"] = mixed @ state[f"{down}.bias"] + state[f"{short}.bias"]
    for p in ("weight", "bias"):
        del out[f"{short}.{p}"]

    def pad(name: str, outputs: bool, inputs: bool, fill: float = 0.0) -> None:
        for p in ("weight", "bias"):
            v = out[f"{name}.{p}"]
            shape = list(v.shape)
            if outputs and shape[0] == narrow:
                shape[0] = width
            if inputs and v.ndim == 4 and shape[1] == narrow:
                shape[1] = width
            wide = torch.full(shape, fill if p == "weight" else 0.0)
            wide[tuple(slice(0, n) for n in v.shape)] = v
            out[f"{name}.{p}"] = wide

    pad("encoder.conv_in", True, False)
    pad(down, False, True)
    for j in range(BLOCKS):
        for part in ("norm1", "norm2", "conv1", "conv2"):
            pad(f"encoder.down.0.block.{j}.{part}", True, True, 1.0 if part.startswith("norm") else 0.0)
    pad("encoder.down.1.block.0.norm1", True, False, 1.0)
    pad("encoder.down.1.block.0.conv1", False, True)
    return out
