"""Detectors for what is in a picture: sky, ground, object, its colour and place, and the other fields of a scene.

    python judge.py train --state DIR            # a few minutes on one core
    python judge.py renders --state DIR          # how often the detectors are right about rendered scenes that training never shows

A convolutional network of 96x96 inputs with one softmax per field. It learns from rendered pictures alone, made worse at random (blurred, noisy,
tinted), and never sees a generated one: what it says about those is a second opinion, not the generator's own.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import scenes
from background import save_atomically, stop_on_signal, stopping, wait_while_paused

SIDE = 96
COUNTS = [len(v) for v in scenes.FIELDS.values()]


class Judge(nn.Module):
    """[b, 3, 96, 96] in -1..1 to logits of every field [b, sum of the fields' sizes]."""

    def __init__(self, c: int = 32):
        super().__init__()

        def conv(i: int, o: int, stride: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1), nn.BatchNorm2d(o), nn.ReLU())

        self.body = nn.Sequential(conv(3, c, 2), conv(c, c, 1), conv(c, 2 * c, 2), conv(2 * c, 2 * c, 1), conv(2 * c, 2 * c, 2))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(2 * c * (SIDE // 8) ** 2, 128), nn.ReLU(), nn.Linear(128, sum(COUNTS)))

    def forward(self, x):
        return self.head(self.body(x))


def shrink(images: np.ndarray) -> torch.Tensor:
    """uint8 [n, h, w, 3] of any size to float [n, 3, 96, 96] in -1..1, by averaging."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return F.interpolate(x, (SIDE, SIDE), mode="area")


def worsen(x: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Blur, noise, tint and a shift of a few pixels, each for some of the pictures."""
    n = len(x)
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = x + torch.rand(n, 1, 1, 1, generator=g) * (torch.rand(n, 1, 1, 1, generator=g) < 0.5) * (soft - x)
    x = x + 0.12 * torch.rand(n, 1, 1, 1, generator=g) * torch.randn(x.shape, generator=g)
    x = x * (1 + 0.08 * torch.randn(n, 1, 1, 1, generator=g)) + 0.05 * torch.randn(n, 3, 1, 1, generator=g)
    dy, dx = torch.randint(-2, 3, (2,), generator=g).tolist()
    return torch.roll(x, (dy, dx), (2, 3))


def classify(model: Judge, images: np.ndarray) -> np.ndarray:
    """Label index of every field [n, fields] for uint8 pictures [n, h, w, 3]."""
    with torch.no_grad():
        return np.stack([p.argmax(1).numpy() for p in model(shrink(images)).split(COUNTS, 1)], 1)


def load(state: Path) -> Judge:
    """The trained detectors."""
    model = Judge()
    model.load_state_dict(torch.load(state / "judge.pt"))
    return model.eval()


def stated(scene: scenes.Scene) -> list[str]:
    """The fields that a full caption of the scene states and a picture can show."""
    out = ["sky", "ground"]
    if scene.object != "none":
        out += ["object", "place"] + (["colour"] if scene.style not in ("mono", "sepia") else [])
    if scene.light != "none":
        out += ["light", "light_place"]
    for field, nothing in (("back", "none"), ("weather", "none"), ("clouds", "none"), ("style", "plain")):
        if getattr(scene, field) != nothing:
            out.append(field)
    return out


def train(state: Path, minutes: float, seed: int) -> None:
    xs, ls = [], []
    for size in ("256x256", "512x512"):
        for file in sorted(state.glob(f"pictures-{size}-*.npz")):
            if ".part" in file.name:
                continue
            d = np.load(file)
            xs.append((shrink(d["images"]) * 127).to(torch.int8))
            ls.append(torch.from_numpy(d["labels"].astype(np.int64)))
    x, labels = torch.cat(xs), torch.cat(ls)
    torch.manual_seed(seed)
    model = Judge()
    opt = torch.optim.AdamW(model.parameters(), lr=1.5e-3, weight_decay=1e-3)
    g = torch.Generator().manual_seed(seed)
    print(len(x), "pictures", flush=True)
    start, step = time.time(), 0
    stop_on_signal()
    while time.time() - start < minutes * 60 and not stopping():
        start += wait_while_paused()
        pick = torch.randint(len(x), (64,), generator=g)
        done = (time.time() - start) / (minutes * 60)
        for group in opt.param_groups:
            group["lr"] = 1.5e-3 * min(1, (step + 1) / 50) * max(0.02, 1 - done)
        truth = labels[pick]
        y = worsen(x[pick].float() / 127, g)
        mirrored = torch.rand(len(pick), generator=g) < 0.5
        y = torch.where(mirrored[:, None, None, None], y.flip(3), y)
        for name in ("place", "light_place"):
            k = list(scenes.FIELDS).index(name)
            truth[:, k] = torch.where(mirrored, len(scenes.PLACES) - 1 - truth[:, k], truth[:, k])
        none = truth[:, list(scenes.FIELDS).index("object")] == 0
        no_light = truth[:, list(scenes.FIELDS).index("light")] == 0
        loss = torch.zeros(())
        with torch.autocast("cpu", torch.bfloat16):
            out = model(y).float()
        for i, (name, logits) in enumerate(zip(scenes.FIELDS, out.split(COUNTS, 1))):
            target = truth[:, i].clone()
            if name in ("colour", "place"):
                target[none] = -100  # nothing to see
            if name == "light_place":
                target[no_light] = -100
            loss = loss + F.cross_entropy(logits, target, label_smoothing=0.02)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        step += 1
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.3f} {(time.time() - start) / 60:.1f} min", flush=True)
    save_atomically(model.state_dict(), state / "judge.pt")


def renders(state: Path, count: int, seed: int) -> None:
    """Agreement with rendered held-out scenes, by field, counted as for generated pictures."""
    model = load(state)
    tally = Tally()
    for i in range(count):
        image, _, scene = scenes.make(seed + i, 256, test=True)
        tally.add(scene, classify(model, image[None])[0])
    print(tally)


class Tally:
    """Counts right answers by field."""

    def __init__(self):
        self.right: dict[str, int] = {}
        self.of: dict[str, int] = {}

    def add(self, scene: scenes.Scene, found: np.ndarray) -> list[str]:
        """Count one picture; returns the fields that are wrong."""
        wrong = []
        for name in stated(scene):
            ok = scenes.FIELDS[name][found[list(scenes.FIELDS).index(name)]] == getattr(scene, name)
            self.of[name] = self.of.get(name, 0) + 1
            self.right[name] = self.right.get(name, 0) + ok
            if not ok:
                wrong.append(name)
        return wrong

    def __str__(self) -> str:
        total = f"{sum(self.right.values())} of {sum(self.of.values())} checks agree: {100 * sum(self.right.values()) / sum(self.of.values()):.1f} %"
        return "\n".join([total, *(f"  {k:12} {self.right[k]:4} of {n:4}  {100 * self.right[k] / n:5.1f} %" for k, n in self.of.items())])


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("what", choices=("train", "renders"))
    ap.add_argument("--state", type=Path, required=True)
    ap.add_argument("--minutes", type=float, default=4)
    ap.add_argument("--count", type=int, default=400)
    ap.add_argument("--seed", type=int, default=900_000_000)
    a = ap.parse_args()
    torch.set_num_threads(1)
    if a.what == "train":
        train(a.state, a.minutes, a.seed)
    else:
        renders(a.state, a.count, a.seed)


if __name__ == "__main__":
    main()
