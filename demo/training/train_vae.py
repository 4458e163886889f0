"""Train the autoencoder on crops and whole pictures. Resumable: run it again to go on.

    python train_vae.py --state DIR --minutes 20
"""
from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import scenes
from autoencoder import WIDE_BLOCKS, Autoencoder
from background import save_atomically, stop_on_signal, stopping, wait_while_paused

SIZES = ((128, 300), (256, 500), (512, 500))  # pictures rendered per size for the pool the crops come from

# The trunk starts as a thumbnail and back, eight layers deep: at the branches' learning rate Adam's first steps would destroy that.
TRUNK_RATE = 0.25


def pool(state: Path, seed: int) -> list[np.ndarray]:
    """Arrays [n, s, s, 3] of rendered scenes, one per size, cached in `state`."""
    out = []
    for size, count in SIZES:
        file = state / f"vae-pool-{size}.npy"
        if not file.exists():
            wait_while_paused()
            np.save(file, np.stack([scenes.make(seed + size * 100_000 + i, size)[0] for i in range(count)]))
        out.append(np.load(file, mmap_mode="r"))
    return out


def batch(pools, rng: np.random.Generator, n: int, crop: int) -> torch.Tensor:
    """n crops in -1..1 [n, 3, crop, crop] of pictures that are at least as large, mostly the largest; half of them mirrored."""
    out = []
    for _ in range(n):
        images = pools[rng.choice(3, p=(0.1, 0.25, 0.65)) if crop <= SIZES[0][0] else rng.choice((1, 2), p=(0.25, 0.75))]
        img = images[rng.integers(len(images))]
        y, x = (rng.integers(0, img.shape[0] - crop + 1) for _ in range(2))
        img = img[y : y + crop, x : x + crop]
        out.append(img[:, ::-1] if rng.random() < 0.5 else img)
    return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2).float() / 127.5 - 1


def loss_of(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """L1, plus L1 of the differences between neighbours, plus L1 of 8x8 means (overall colour)."""
    e = y - x
    grad = (e[..., 1:] - e[..., :-1]).abs().mean() + (e[:, :, 1:] - e[:, :, :-1]).abs().mean()
    return e.abs().mean() + 0.6 * grad + 0.5 * F.avg_pool2d(e, 8).abs().mean()


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--state", type=Path, required=True)
    ap.add_argument("--minutes", type=float, default=20)
    ap.add_argument("--steps", type=int, default=2500, help="length of the learning-rate schedule")
    ap.add_argument("--batch", type=int, default=8)
    ap.add_argument("--crop", type=int, default=128, help="every third step takes crops of twice this size, a quarter as many")
    ap.add_argument("--lr", type=float, default=5e-4)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    a.state.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Autoencoder(WIDE_BLOCKS).to(device, memory_format=torch.channels_last)
    branch = [p for n, p in model.named_parameters() if ".block" in n and "shortcut" not in n or ".attn" in n]
    known = {id(p) for p in branch}
    trunk = [p for p in model.parameters() if id(p) not in known]
    opt = torch.optim.AdamW([{"params": branch, "share": 1.0}, {"params": trunk, "share": TRUNK_RATE}], lr=a.lr, betas=(0.9, 0.98), weight_decay=1e-4)
    file, step, spent = a.state / "vae.pt", 0, 0.0
    if file.exists():
        saved = torch.load(file, map_location=device)
        model.load_state_dict(saved["model"])
        opt.load_state_dict(saved["opt"])
        step, spent = saved["step"], saved["spent"]
    pools = pool(a.state, a.seed)
    start = last = time.time()
    mean_loss = None
    stop_on_signal()
    while not stopping() and step < a.steps and time.time() - start < a.minutes * 60:
        slept = wait_while_paused()
        start, last = start + slept, last + slept
        rng = np.random.default_rng((a.seed, step))
        large = step % 3 == 2  # group norms must see statistics of larger areas, too
        x = batch(pools, rng, max(1, a.batch // 4) if large else a.batch, a.crop * 2 if large else a.crop).to(device, memory_format=torch.channels_last)
        lr = a.lr * min(1, (step + 1) / 60) * (0.5 + 0.5 * math.cos(math.pi * step / a.steps) * 0.96)
        for g in opt.param_groups:
            g["lr"] = lr * g["share"]
        with torch.autocast(device, torch.bfloat16):
            z = model.encode(x).float()
            # unit size keeps noise of a fixed size meaningful; the noise makes nearby latents decode alike
            size = (z.mean((0, 2, 3)) ** 2 + (z.std((0, 2, 3)) - 1) ** 2).mean()
            y = model.decode(z + 0.06 * torch.randn_like(z)).float()
        main_loss = loss_of(y, x)
        loss = main_loss + 0.02 * size
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        step += 1
        mean_loss = main_loss.item() if mean_loss is None else 0.98 * mean_loss + 0.02 * main_loss.item()
        if step % 25 == 0 or step < 4:
            psnr = -10 * math.log10(float(((y.clamp(-1, 1) - x) ** 2).mean()) / 4)
            print(f"step {step} loss {mean_loss:.4f} psnr {psnr:.2f} latent {float(size):.3f} {(time.time() - start) / 60:.1f} min", flush=True)
        if time.time() - last > 60:
            spent += time.time() - last
            last = time.time()
            save_atomically({"model": model.state_dict(), "opt": opt.state_dict(), "step": step, "spent": spent, "loss": mean_loss}, file)
    spent += time.time() - last
    save_atomically({"model": model.state_dict(), "opt": opt.state_dict(), "step": step, "spent": spent, "loss": mean_loss}, file)
    print(f"stopped at step {step}, {spent / 60:.1f} minutes in all", flush=True)


if __name__ == "__main__":
    main()
