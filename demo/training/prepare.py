"""Render the training pictures, and turn them into latents once the autoencoder is trained. Resumable: finished chunks are kept.

    python prepare.py render --state DIR        # pictures, captions (as token ids), scene labels
    python prepare.py encode --state DIR        # latents of all rendered chunks (needs vae.pt)
    python prepare.py captions --state DIR      # captions and labels only, for the text encoders' first lessons
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import scenes
from autoencoder import LATENT_SCALE, WIDE_BLOCKS, Autoencoder, fold_latent_scale
from background import save_atomically, wait_while_paused
from text import Words, vocabulary

REPO = Path(__file__).resolve().parents[2]
CAPTIONS = 4  # phrasings per picture
# (height, width, pictures per chunk, chunks)
PLAN = (
    *(((512, 512, 100, 4), (256, 256, 250, 2)) * 3),
    *(((512, 512, 100, 5), (256, 256, 250, 1), (640, 448, 100, 1), (448, 640, 100, 1)) * 6),
    (768, 768, 50, 4),
)


def words_of(state: Path) -> Words:
    """The captions' vocabulary, made once per state folder."""
    file = state / "words.pt"
    if not file.exists():
        save_atomically(vocabulary(REPO), file)
    return Words(torch.load(file))


def chunks():
    """(name, first seed, height, width, count) of every chunk of the plan."""
    seed, seen = 10_000_000, {}
    for h, w, count, n in PLAN:
        for _ in range(n):
            k = seen[h, w] = seen.get((h, w), -1) + 1
            yield f"{h}x{w}-{k:03d}", seed, h, w, count
            seed += count


def render(state: Path, minutes: float) -> None:
    words = words_of(state)
    start = time.time()
    for name, seed, h, w, count in chunks():
        file = state / f"pictures-{name}.npz"
        if file.exists():
            continue
        images = np.empty((count, h, w, 3), np.uint8)
        ids = np.empty((count, CAPTIONS, 77), np.int16)
        labels = np.empty((count, len(scenes.FIELDS)), np.int8)
        for i in range(count):
            wait_while_paused()
            rng = np.random.default_rng(seed + i)
            scene = scenes.sample_scene(rng)
            images[i] = scenes.render(scene, rng, h, w)
            ids[i] = [words(scenes.caption(scene, rng)) for _ in range(CAPTIONS)]
            labels[i] = scene.labels()
            if time.time() - start > minutes * 60:
                return
        part = file.with_suffix(".part.npz")
        np.savez(part, images=images, ids=ids, labels=labels)
        part.rename(file)
        print(name, f"{(time.time() - start) / 60:.1f} min", flush=True)


def captions(state: Path, n: int = 60_000) -> None:
    words = words_of(state)
    rng = np.random.default_rng(5)
    ids, labels = np.empty((n, 77), np.int16), np.empty((n, len(scenes.FIELDS)), np.int8)
    for i in range(n):
        scene = scenes.sample_scene(rng)
        ids[i] = words(scenes.caption(scene, rng))
        labels[i] = scene.labels()
    np.savez(state / "captions.npz", ids=ids, labels=labels)


@torch.no_grad()
def encode(state: Path, threads: int) -> None:
    """Latents times LATENT_SCALE (so about unit deviation) as float16; the scale is measured on the first chunk and then kept."""
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Autoencoder(blocks=WIDE_BLOCKS).to(device, memory_format=torch.channels_last)
    model.load_state_dict(torch.load(state / "vae.pt", map_location=device)["model"])
    model.eval()
    scale_file = state / "latent-scale.pt"
    for name, *_ in chunks():
        pictures, file = state / f"pictures-{name}.npz", state / f"latents-{name}.npz"
        if file.exists() or not pictures.exists():
            continue
        data = np.load(pictures)
        images = torch.from_numpy(data["images"]).permute(0, 3, 1, 2)

        def run(n: int | None = None) -> torch.Tensor:
            out = []
            for x in images[:n].split(4):
                wait_while_paused()
                x = x.to(device).float().contiguous(memory_format=torch.channels_last) / 127.5 - 1
                with torch.autocast(device, torch.bfloat16):
                    out.append(model.encode(x).float().cpu())
            return torch.cat(out)

        if not scale_file.exists():
            z = run(400)
            save_atomically({"mean": z.mean((0, 2, 3)), "std": z.std((0, 2, 3))}, scale_file)
        if not getattr(model, "folded", False):
            s = torch.load(scale_file)
            fold_latent_scale(model, s["mean"].to(device), s["std"].to(device))
            model.folded = True
        z = run() * LATENT_SCALE
        part = file.with_suffix(".part.npz")
        np.savez(part, latents=z.numpy().astype(np.float16), ids=data["ids"], labels=data["labels"])
        part.rename(file)
        print(name, z.mean((0, 2, 3)).tolist(), z.std((0, 2, 3)).tolist(), flush=True)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("what", choices=("render", "encode", "captions"))
    ap.add_argument("--state", type=Path, required=True)
    ap.add_argument("--minutes", type=float, default=1e9)
    ap.add_argument("--threads", type=int, default=1)
    a = ap.parse_args()
    a.state.mkdir(parents=True, exist_ok=True)
    if a.what == "render":
        render(a.state, a.minutes)
    elif a.what == "encode":
        encode(a.state, a.threads)
    else:
        captions(a.state)


if __name__ == "__main__":
    main()
