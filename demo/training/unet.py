"""The demo's UNet: SDXL's layout (three levels, none of the attention on the first) with narrow widths, in the single-file checkpoint's names.

As in the autoencoder, the norm before the last convolution works on groups of two channels and would take the overall colour out of the
prediction. It is trained with a large eps (close to linear); `bake_scales` shrinks the last block's output on export instead.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from attention import attend
from norm import GroupNorm

HEAD = 64
FILE_EPS = 1e-5
OUT_EPS = 10.0
WIDTHS = (64, 64, 192)
DEPTHS = (0, 1, 1)
MIDDLE_DEPTH = 1
BLOCKS = 1  # residual blocks per level on the way down, one more on the way up (SDXL itself has two)


def sinusoid(t: torch.Tensor, dim: int) -> torch.Tensor:
    """[n] numbers to [n, dim] cosines and sines of frequencies 1 .. 1/10000."""
    half = dim // 2
    freq = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    arg = t.float()[:, None] * freq[None]
    return torch.cat([arg.cos(), arg.sin()], 1)


def _zero(m: nn.Module) -> nn.Module:
    for p in m.parameters():
        nn.init.zeros_(p)
    return m


class ResBlock(nn.Module):
    def __init__(self, cin: int, cout: int, emb: int):
        super().__init__()
        self.in_layers = nn.Sequential(GroupNorm(32, cin), nn.SiLU(), nn.Conv2d(cin, cout, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb, cout))
        self.out_layers = nn.Sequential(GroupNorm(32, cout), nn.SiLU(), nn.Identity(), _zero(nn.Conv2d(cout, cout, 3, padding=1)))
        self.skip_connection = nn.Conv2d(cin, cout, 1) if cin != cout else nn.Identity()

    def forward(self, x, emb):
        h = self.in_layers(x) + self.emb_layers(emb)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class CrossAttention(nn.Module):
    """Attention with heads of width 64; `ctx` None is self-attention."""

    def __init__(self, c: int, ctx: int):
        super().__init__()
        self.to_q = nn.Linear(c, c, bias=False)
        self.to_k = nn.Linear(ctx, c, bias=False)
        self.to_v = nn.Linear(ctx, c, bias=False)
        self.to_out = nn.Sequential(nn.Linear(c, c))

    def forward(self, x, ctx=None):
        ctx = x if ctx is None else ctx
        b, n, c = x.shape
        q, k, v = (m(y).view(b, -1, c // HEAD, HEAD).transpose(1, 2) for m, y in ((self.to_q, x), (self.to_k, ctx), (self.to_v, ctx)))
        return self.to_out(attend(q, k, v).transpose(1, 2).reshape(b, n, c))


class GEGLU(nn.Module):
    def __init__(self, c: int, inner: int):
        super().__init__()
        self.proj = nn.Linear(c, 2 * inner)

    def forward(self, x):
        x, gate = self.proj(x).chunk(2, -1)
        return x * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, c: int):
        super().__init__()
        self.net = nn.Sequential(GEGLU(c, 4 * c), nn.Identity(), nn.Linear(4 * c, c))

    def forward(self, x):
        return self.net(x)


class TransformerBlock(nn.Module):
    def __init__(self, c: int, ctx: int):
        super().__init__()
        self.attn1, self.attn2, self.ff = CrossAttention(c, c), CrossAttention(c, ctx), FeedForward(c)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(c), nn.LayerNorm(c), nn.LayerNorm(c)

    def forward(self, x, ctx):
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), ctx)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    def __init__(self, c: int, depth: int, ctx: int):
        super().__init__()
        self.norm = GroupNorm(32, c, eps=1e-6)
        self.proj_in = nn.Linear(c, c)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(c, ctx) for _ in range(depth)])
        self.proj_out = _zero(nn.Linear(c, c))

    def forward(self, x, ctx):
        b, c, h, w = x.shape
        y = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks:
            y = block(y, ctx)
        return x + self.proj_out(y).transpose(1, 2).reshape(b, c, h, w)


class Downsample(nn.Module):
    def __init__(self, c: int):
        super().__init__()
        self.op = nn.Conv2d(c, c, 3, stride=2, padding=1)

    def forward(self, x):
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, c: int):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def _run(parts: nn.ModuleList, h, emb, ctx):
    for m in parts:
        if isinstance(m, ResBlock):
            h = m(h, emb)
        elif isinstance(m, SpatialTransformer):
            h = m(h, ctx)
        else:
            h = m(h)
    return h


class UNet(nn.Module):
    """Predicts v = sqrt(a) noise - sqrt(1 - a) x0 from x = sqrt(a) x0 + sqrt(1 - a) noise. context [b, 77, ctx]; y [b, pooled + 1536]."""

    def __init__(self, ctx: int = 128, pooled: int = 64, widths=WIDTHS, depths=DEPTHS, middle_depth: int = MIDDLE_DEPTH):
        super().__init__()
        mc = widths[0]
        emb = 4 * mc
        self.mc = mc
        self.time_embed = nn.Sequential(nn.Linear(mc, emb), nn.SiLU(), nn.Linear(emb, emb))
        self.label_emb = nn.Sequential(nn.Sequential(nn.Linear(pooled + 6 * 256, emb), nn.SiLU(), nn.Linear(emb, emb)))
        with torch.no_grad():  # the pooled vector's numbers count; the 1,536 numbers for the sizes are fixed and only tell sizes apart
            nn.init.normal_(self.label_emb[0][0].weight[:, :pooled], std=0.1)
            nn.init.normal_(self.label_emb[0][0].weight[:, pooled:], std=0.01)
            nn.init.zeros_(self.label_emb[0][0].bias)
        self.input_blocks = nn.ModuleList([nn.ModuleList([nn.Conv2d(4, mc, 3, padding=1)])])
        chans, ch = [mc], mc
        for level, w in enumerate(widths):
            for _ in range(BLOCKS):
                parts = [ResBlock(ch, w, emb)]
                ch = w
                if depths[level]:
                    parts.append(SpatialTransformer(ch, depths[level], ctx))
                self.input_blocks.append(nn.ModuleList(parts))
                chans.append(ch)
            if level < len(widths) - 1:
                self.input_blocks.append(nn.ModuleList([Downsample(ch)]))
                chans.append(ch)
        self.middle_block = nn.ModuleList([ResBlock(ch, ch, emb), SpatialTransformer(ch, middle_depth, ctx), ResBlock(ch, ch, emb)])
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(len(widths))):
            w = widths[level]
            for j in range(BLOCKS + 1):
                parts = [ResBlock(ch + chans.pop(), w, emb)]
                ch = w
                if depths[level]:
                    parts.append(SpatialTransformer(ch, depths[level], ctx))
                if level and j == BLOCKS:
                    parts.append(Upsample(ch))
                self.output_blocks.append(nn.ModuleList(parts))
        self.out = nn.Sequential(GroupNorm(32, ch, eps=OUT_EPS), nn.SiLU(), nn.Conv2d(ch, 4, 3, padding=1))
        with torch.no_grad():  # opposite pairs, so that groups of two lose nothing
            last = self.output_blocks[-1][0].skip_connection
            last.weight[1::2] = -last.weight[0::2]
            last.bias.zero_()
            self.out[0].weight.fill_(OUT_EPS**0.5)
            self.out[2].weight[:, 1::2] = -self.out[2].weight[:, 0::2]

    def forward(self, x, t, ctx, y, coarse: list[torch.Tensor] | None = None):
        """[b, 4, h, w]. `coarse` receives the features [b, c, h/4, w/4] after the middle block and at the end of the coarsest level."""
        emb = self.time_embed(sinusoid(t, self.mc)) + self.label_emb(y)
        h, skips = x, []
        for parts in self.input_blocks:
            h = _run(parts, h, emb, ctx)
            skips.append(h)
        h = _run(self.middle_block, h, emb, ctx)
        if coarse is not None:
            coarse.append(h)
        for i, parts in enumerate(self.output_blocks):
            *body, last = parts
            h = _run(body if isinstance(last, Upsample) else parts, torch.cat([h, skips.pop()], 1), emb, ctx)
            if coarse is not None and i == BLOCKS:
                coarse.append(h)
            if isinstance(last, Upsample):
                h = last(h)
        return self.out(h)


@torch.no_grad()
def bake_scales(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A copy of a UNet's state dict that computes the same with eps 1e-5 in the last norm."""
    state = {k: v.clone().float() for k, v in state.items()}
    s = (FILE_EPS / OUT_EPS) ** 0.5
    last = max(int(k.split(".")[1]) for k in state if k.startswith("output_blocks."))
    for name in ("out_layers.3", "skip_connection"):
        for p in ("weight", "bias"):
            state[f"output_blocks.{last}.0.{name}.{p}"] *= s
    return state


def schedule(device="cpu") -> torch.Tensor:
    """alphas_cumprod [1000] of Stable Diffusion's scaled-linear schedule, rescaled to end in nothing but noise (Lin et al. 2023, algorithm 1).

    Unscaled, its last step still shows where things are in a picture of 512x512: a network reads that instead of the prompt, and at the start
    of sampling, when there is nothing to read, follows the noise. The last value is the one that web UIs put in the place of zero.
    """
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64, device=device) ** 2
    root = torch.cumprod(1 - betas, 0).sqrt()
    ac = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    ac[-1] = 4.8973451890853435e-08
    return ac.float()
