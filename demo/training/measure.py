"""Measure the demo through a running server's API: does it draw what the prompt says, and what does the SPO LoRA do?

    python measure.py prompts --state DIR --url http://127.0.0.1:7860 [--count 200]
    python measure.py spo --url http://127.0.0.1:7860 [--seeds 100]

`prompts` asks for scenes whose combination of object, colour, ground and sky training never shows, and has `judge.py` look at the pictures.
`spo` draws the same seeds at many weights, as txt2img and over finished pictures as img2img, and scores them with `preference.py`.
"""
from __future__ import annotations

import argparse
import base64
import io
import json
import time
import urllib.request
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import judge
import scenes
from preference import score_files

FIRST_SEED = 700_000_000
TXT2IMG_WEIGHTS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.6, 4.0, 6.0)
GENTLE = 1.6  # the largest weight at which the score is to rise
IMG2IMG = tuple((w, d) for d in (0.2, 0.35) for w in (0.0, 3.0, 5.0, 8.0))


def call(url: str, route: str, body: dict) -> np.ndarray:
    """The first picture of an answer, uint8 [h, w, 3]."""
    request = urllib.request.Request(f"{url}/sdapi/v1/{route}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        image = json.load(answer)["images"][0]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB"))


def png(image: np.ndarray) -> str:
    """A picture as base64."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def request(prompt: str, seed: int, size: int) -> dict:
    return {"prompt": prompt, "seed": seed, "width": size, "height": size, "steps": 20, "cfg_scale": 5, "sampler_name": "Euler a"}


def held_out_prompt(i: int) -> tuple[str, scenes.Scene]:
    """Full caption and scene number i of the held-out combinations."""
    rng = np.random.default_rng(FIRST_SEED + i)
    scene = scenes.sample_scene(rng, test=True)
    return scenes.caption(scene, rng, full=True), scene


def prompts(a: argparse.Namespace) -> None:
    model, tally, cells, wrong_of = judge.load(a.state), judge.Tally(), [], []
    start = time.time()
    for i in range(a.first, a.first + a.count):
        text, scene = held_out_prompt(i)
        image = call(a.url, "txt2img", request(text, i, a.size))
        wrong_of.append((text, tally.add(scene, judge.classify(model, image[None])[0])))
        cells.append(np.asarray(Image.fromarray(image).resize((128, 128), Image.Resampling.BOX)))
    for text, wrong in wrong_of if a.verbose else ():
        print(text, "| wrong:", ", ".join(wrong) or "none")
    print(f"{a.count} prompts, {a.size}x{a.size}, {(time.time() - start) / a.count:.2f} s each\n{tally}")
    if a.sheet:
        cells += [np.zeros_like(cells[0])] * (-len(cells) % 10)
        Image.fromarray(np.concatenate([np.concatenate(cells[k : k + 10], 1) for k in range(0, len(cells), 10)])).save(a.sheet)


def blurred_ssim(x: np.ndarray, y: np.ndarray, blur: int = 16) -> float:
    """SSIM (Wang et al. 2004; 11x11 mean windows) of the lumas after a mean over 1 / blur of the side: is the layout the same?"""
    side = x.shape[0] // blur | 1

    def luma(v):
        t = torch.from_numpy(v.copy()).float() @ torch.tensor([0.3, 0.59, 0.11])
        return F.avg_pool2d(F.pad(t[None, None], (side // 2,) * 4, mode="replicate"), side, 1)

    def mean(t):
        return F.avg_pool2d(t, 11, 1)

    p, q = luma(x), luma(y)
    mp, mq = mean(p), mean(q)
    vp, vq, c = mean(p * p) - mp * mp, mean(q * q) - mq * mq, mean(p * q) - mp * mq
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float((((2 * mp * mq + c1) * (2 * c + c2)) / ((mp * mp + mq * mq + c1) * (vp + vq + c2))).mean())


def ranks(v: np.ndarray) -> np.ndarray:
    return v.argsort().argsort().astype(float)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation of two lists without ties."""
    return float(np.corrcoef(ranks(x), ranks(y))[0, 1])


def spo(a: argparse.Namespace) -> None:
    scores = np.empty((a.seeds, len(TXT2IMG_WEIGHTS)))
    layout = np.empty_like(scores)
    after = np.empty((a.passes, len(IMG2IMG), 3))
    for i in range(a.seeds):
        rng = np.random.default_rng(FIRST_SEED + i)
        text = scenes.caption(scenes.sample_scene(rng), rng)
        images = [call(a.url, "txt2img", request(f"{text} <lora:spo:{w}>" if w else text, i, a.size)) for w in TXT2IMG_WEIGHTS]
        scores[i] = score_files(np.stack(images))
        plain = images[TXT2IMG_WEIGHTS.index(0.0)]
        layout[i] = [blurred_ssim(plain, x) for x in images]
        if i < a.passes:
            for k, (w, d) in enumerate(IMG2IMG):
                body = request(f"{text} <lora:spo:{w}>" if w else text, 10_000 + i, a.size)
                image = call(a.url, "img2img", {**body, "steps": 60 if d < 0.3 else 45, "denoising_strength": d, "init_images": [png(plain)]})
                after[i, k] = score_files(image[None])[0], blurred_ssim(plain, image), blurred_ssim(plain, image, 32)
    print(f"txt2img, {a.seeds} seeds, {a.size}x{a.size}")
    for w, s, l in zip(TXT2IMG_WEIGHTS, scores.mean(0), layout.mean(0)):
        print(f"  weight {w:5}  score {s:7.3f}  blurred SSIM with weight 0 {l:.3f}")
    gentle = [k for k, w in enumerate(TXT2IMG_WEIGHTS) if w <= GENTLE]
    weights = np.array(TXT2IMG_WEIGHTS)[gentle]
    each = [spearman(weights, s[gentle]) for s in scores]
    print(f"  Spearman of weight and score up to {GENTLE}: of the means {spearman(weights, scores.mean(0)[gentle]):.3f}, mean of the seeds' own {np.mean(each):.3f}")
    print(f"img2img over weight 0, {a.passes} seeds")
    for k, (w, d) in enumerate(IMG2IMG if a.passes else ()):
        base = IMG2IMG.index((0.0, d))
        print(f"  weight {w:3} denoise {d:4}  score {after[:, k, 0].mean():7.3f} ({(after[:, k, 0] > after[:, base, 0]).mean() * 100:.0f} % above weight 0)"
              f"  blurred SSIM with what it started from {after[:, k, 1].mean():.3f}, least {after[:, k, 1].min():.3f}; blurred half as much {after[:, k, 2].mean():.3f}")


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("what", choices=("prompts", "spo"))
    ap.add_argument("--state", type=Path)
    ap.add_argument("--url", default="http://127.0.0.1:7860")
    ap.add_argument("--size", type=int, default=512)
    ap.add_argument("--count", type=int, default=200)
    ap.add_argument("--first", type=int, default=0)
    ap.add_argument("--sheet", type=Path)
    ap.add_argument("--verbose", action="store_true")
    ap.add_argument("--seeds", type=int, default=100)
    ap.add_argument("--passes", type=int, default=20, help="how many of the seeds get the img2img passes, too")
    a = ap.parse_args()
    torch.set_num_threads(1)
    prompts(a) if a.what == "prompts" else spo(a)


if __name__ == "__main__":
    main()
