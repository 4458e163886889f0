"""Sample a contact sheet from the training state, to look at while training goes on.

    python preview.py --state DIR --out sheet.png [--size 512] [--steps 20] [--cfg 5] [--prompt "..." --prompt "..."]
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from autoencoder import LATENT_SCALE, Autoencoder, fold_latent_scale
from prepare import words_of
from train import Model, size_embedding
from unet import schedule

PROMPTS = (
    "a red boat on the left, sea, sunset, setting sun on the right",
    "a white lighthouse on the right, ocean, starry night, full moon on the left",
    "a blue house in the middle, snowy field, blue sky, snowy mountains",
    "green tree on the right, meadow, overcast sky, hills",
    "a yellow hot air balloon in the center, desert, dawn, mountains in the background",
    "calm sea, sunset, mountains, the sun in the middle",
    "a yellow sailboat in the middle, calm sea, blue sky, clouds",
    "a red house on the right, meadow, night sky, full moon on the left, forest",
    "a green boat on the right of the lake, pink sky, pine forest",
    "red lighthouse, sea, clear blue sky, mountains",
    "a painting of a white cottage in the snow at night with a forest",
    "sand dunes under a blue sky, the sun on the left",
)


def load(state: Path) -> tuple[Model, Autoencoder, object]:
    """Averaged weights, autoencoder with the latent scale folded in, tokenizer."""
    words = words_of(state)
    model = Model(len(words.tokens))
    saved = torch.load(state / "model.pt", map_location="cpu")
    model.load_state_dict(saved["ema"])
    vae = Autoencoder()
    vae_saved = torch.load(state / "vae-slim.pt", map_location="cpu")
    vae.load_state_dict(vae_saved["model"])
    for block in (m for m in vae.modules() if hasattr(m, "active")):
        block.active = True
    s = torch.load(state / "latent-scale.pt")
    fold_latent_scale(vae, s["mean"], s["std"])
    print("model step", saved["step"], "log", saved["log"], "vae step", vae_saved["step"])
    return model.eval(), vae.eval(), words


@torch.no_grad()
def sample(model: Model, words, prompts, h: int, w: int, steps: int = 20, cfg: float = 5.0, seed: int = 1, eta: float = 1.0, negative: str = ""):
    """Euler (eta 0) or Euler ancestral (eta 1) over evenly spaced training times; latents [n, 4, h/8, w/8] of about unit deviation."""
    ac = schedule()
    sigma_of = ((1 - ac) / ac).sqrt()
    times = torch.linspace(999, 0, steps)
    lo = times.long().clamp(0, 998)
    frac = times - lo
    sigmas = torch.cat([(sigma_of[lo].log() * (1 - frac) + sigma_of[lo + 1].log() * frac).exp(), torch.zeros(1)])
    n = len(prompts)
    ids = torch.from_numpy(np.stack([words(p) for p in prompts]))
    context, pooled = model.text(ids)
    if negative:
        nc, npool = model.text(torch.from_numpy(np.stack([words(negative)] * n)))
    else:
        nc, npool = torch.zeros_like(context), torch.zeros_like(pooled)
    size = size_embedding(torch.tensor([[h, w, 0, 0, h, w]]).float().expand(2 * n, 6))
    y, ctx = torch.cat([torch.cat([pooled, npool]), size], 1), torch.cat([context, nc])
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, h // 8, w // 8, generator=g) * (sigmas[0] ** 2 + 1).sqrt()
    for i in range(steps):
        s, nxt = sigmas[i], sigmas[i + 1]
        v = model.unet(torch.cat([x, x]) / (s * s + 1).sqrt(), times[i].expand(2 * n), ctx, y)
        c, u = v.chunk(2)
        d = (u + cfg * (c - u)) / (s * s + 1).sqrt() + x * s / (s * s + 1)  # the noise in x, as v and x together tell it
        up = min(nxt, eta * (nxt**2 * (s**2 - nxt**2) / s**2).sqrt())
        down = (nxt**2 - up**2).sqrt()
        x = x + d * (down - s) + up * torch.randn(x.shape, generator=g)
    return x


@torch.no_grad()
def decode(vae: Autoencoder, x: torch.Tensor) -> np.ndarray:
    """Latents of unit deviation to uint8 pictures [n, h, w, 3]."""
    out = torch.cat([vae.decode(z / LATENT_SCALE) for z in x.split(1)])
    return ((out.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--state", type=Path, required=True)
    ap.add_argument("--out", type=Path, required=True)
    ap.add_argument("--size", type=int, default=512)
    ap.add_argument("--width", type=int)
    ap.add_argument("--steps", type=int, default=20)
    ap.add_argument("--cfg", type=float, default=5.0)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--eta", type=float, default=1.0)
    ap.add_argument("--negative", default="")
    ap.add_argument("--prompt", action="append")
    ap.add_argument("--columns", type=int, default=4)
    ap.add_argument("--threads", type=int, default=1)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    model, vae, words = load(a.state)
    start = time.time()
    x = sample(model, words, a.prompt or PROMPTS, a.size, a.width or a.size, a.steps, a.cfg, a.seed, a.eta, a.negative)
    mid = time.time()
    images = decode(vae, x)
    print(f"sampling {mid - start:.1f} s, decoding {time.time() - mid:.1f} s, latent mean {x.mean((0, 2, 3)).tolist()} std {x.std((0, 2, 3)).tolist()}")
    blank = np.zeros_like(images[0])
    cells = [*images, *[blank] * (-len(images) % a.columns)]
    rows = [np.concatenate(cells[i : i + a.columns], 1) for i in range(0, len(cells), a.columns)]
    Image.fromarray(np.concatenate(rows, 0)).save(a.out)


if __name__ == "__main__":
    main()
