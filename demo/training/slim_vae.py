"""Take a block per level out of the trained autoencoder, so that the checkpoint stays under 40 MB. Resumable.

    python slim_vae.py --state DIR --minutes 12

The slim encoder learns to give the latents of the wide one, which stay what the UNet learns from; the slim decoder learns to decode those.
Both start from the wide ones' weights.
"""
from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from autoencoder import WIDE_BLOCKS, Autoencoder
from background import save_atomically, stop_on_signal, stopping, wait_while_paused
from train_vae import batch, loss_of, pool


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--state", type=Path, required=True)
    ap.add_argument("--minutes", type=float, default=12)
    ap.add_argument("--steps", type=int, default=800, help="length of the learning-rate schedule")
    ap.add_argument("--lr", type=float, default=2e-4)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--seed", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    wide, slim = Autoencoder(blocks=WIDE_BLOCKS), Autoencoder()
    wide_saved = torch.load(a.state / "vae.pt", map_location="cpu")
    wide.load_state_dict(wide_saved["model"])
    wide.requires_grad_(False).eval()
    slim.load_state_dict({k: v for k, v in wide_saved["model"].items() if k in slim.state_dict()})
    wide, slim = (m.to(memory_format=torch.channels_last) for m in (wide, slim))
    opt = torch.optim.AdamW(slim.parameters(), lr=a.lr, betas=(0.9, 0.98), weight_decay=1e-4)
    file, step, spent = a.state / "vae-slim.pt", 0, 0.0
    if file.exists():
        saved = torch.load(file, map_location="cpu")
        slim.load_state_dict(saved["model"])
        opt.load_state_dict(saved["opt"])
        step, spent = saved["slim_step"], saved["slim_spent"]
    pools = pool(a.state, 1)
    start = last = time.time()
    average: dict[str, float] = {}

    def save() -> None:
        told = {k: wide_saved[k] for k in ("step", "spent")}
        save_atomically({**told, "model": slim.state_dict(), "opt": opt.state_dict(), "slim_step": step, "slim_spent": spent + time.time() - start}, file)

    stop_on_signal()
    while not stopping() and step < a.steps and time.time() - start < a.minutes * 60:
        start += wait_while_paused()
        rng = np.random.default_rng((a.seed, step))
        large = step % 3 == 2
        x = batch(pools, rng, 2 if large else 8, 256 if large else 128).contiguous(memory_format=torch.channels_last)
        for g in opt.param_groups:
            g["lr"] = a.lr * min(1, (step + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * step / a.steps))
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                truth = wide.encode(x).float()
            same = (slim.encode(x).float() - truth).pow(2).mean()
            y = slim.decode(truth + 0.06 * torch.randn_like(truth)).float()
        picture = loss_of(y, x)
        opt.zero_grad(set_to_none=True)
        (picture + 2 * same).backward()
        torch.nn.utils.clip_grad_norm_(slim.parameters(), 1.0)
        opt.step()
        step += 1
        for k, v in (("picture", picture.item()), ("latent", same.item())):
            average[k] = v if k not in average else 0.97 * average[k] + 0.03 * v
        if step % 25 == 0:
            print(f"step {step} {({k: round(v, 4) for k, v in average.items()})} {(time.time() - start) / 60:.1f} min", flush=True)
        if time.time() - last > 60:
            last = time.time()
            save()
    save()
    print(f"stopped at step {step}", flush=True)


if __name__ == "__main__":
    main()
