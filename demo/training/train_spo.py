"""Train the demo's SPO LoRA: step-by-step preference optimisation (arXiv 2406.04314) in miniature. Resumable.

    python train_spo.py train --state DIR --minutes 25
    python train_spo.py export --state DIR --out ../models/Lora/spo.safetensors

Per denoising step (20 steps, DDIM with eta 1, guidance 5) a pool of candidates is drawn from one shared latent; the judgement of `preference.py`
picks the best and the worst by the clean picture predicted from each; the pair trains the LoRA with the clipped-ratio
DPO loss; a random candidate is carried on. The first steps, which lay the picture out, are not trained.

A candidate's noise is independent from place to place, so every mosaic of candidates is a candidate, too, as likely as they are. The judgement
is a mean over places: best and worst of all mosaics are found patch by patch. They differ by the square root of the number of patches
more, in units of the judgement's spread, than best and worst of the pool do.

Two things hold the picture, which in so small a model drifts in tint and layout sooner than it gains detail: the candidates share the means
of their patches, so none is chosen for them, and the loss has a term for means that move (`shift`).
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

import scenes
from background import save_atomically, stop_on_signal, stopping, wait_while_paused
from prepare import words_of
from preference import Filters, LinearDecoder
from train import Model, size_embedding
from unet import UNet, schedule

STEPS = 20
FIRST_TRAINED = 4
GUIDANCE = 5.0
BETA = 10.0
CLIP = 0.1
SHARPNESS = 3.0  # scores in units of their spread, times this, are the softmax's logits
MARGIN = 0.3  # least difference of the softmax scores of a patch's best and worst
PATCH = 4  # latents on a side
KEEP = (8.0, 24.0)  # how much a changed mean of a patch costs, before LATE and from it on
LATE = 12  # the steps of img2img at up to 0.35, where the picture's layout is not theirs to change
RANK = 8
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")


class LoraLinear(nn.Module):
    """A frozen Linear and a low-rank pair beside it; `LoraLinear.strength` switches all of them."""

    strength = 1.0

    def __init__(self, base: nn.Linear):
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(RANK, base.in_features) * base.in_features**-0.5)
        self.up = nn.Parameter(torch.zeros(base.out_features, RANK))

    def forward(self, x):
        y = self.base(x)
        return y if LoraLinear.strength == 0 else y + LoraLinear.strength * ((x @ self.down.T.to(x.dtype)) @ self.up.T.to(x.dtype))


def attach(unet: UNet) -> dict[str, LoraLinear]:
    """Put a LoRA beside q, k, v and out of every attention; returns them by the name of their layer."""
    out = {}
    for name, module in list(unet.named_modules()):
        if isinstance(module, nn.Linear) and name.endswith(tuple(f"{a}.{t}" for a in ("attn1", "attn2") for t in TARGETS)):
            parent, leaf = name.rsplit(".", 1)
            out[name] = LoraLinear(module)
            setattr(unet.get_submodule(parent), leaf, out[name])
    return out


class Sampler:
    """DDIM with eta 1 and guidance over a fixed list of times."""

    def __init__(self, unet: UNet, context: torch.Tensor, pooled: torch.Tensor, size: int):
        n = len(context)
        self.unet, self.n, self.ac = unet, n, schedule()
        self.times = torch.linspace(999, 0, STEPS).long()
        y = torch.cat([pooled, size_embedding(torch.tensor([[size, size, 0, 0, size, size]]).float().expand(n, 6))], 1)
        self.context, self.y = context, y

    def eps(self, x: torch.Tensor, i: int, conditioned: bool) -> torch.Tensor:
        """Predicted noise of step i, with the prompt or without."""
        blank = torch.cat([torch.zeros_like(self.y[:, :64]), self.y[:, 64:]], 1)
        with torch.autocast("cpu", torch.bfloat16):
            c, y = (self.context, self.y) if conditioned else (torch.zeros_like(self.context), blank)
            v = self.unet(x, self.times[i].expand(self.n), c, y).float()
        a = self.ac[self.times[i]]
        return a.sqrt() * v + (1 - a).sqrt() * x

    def next(self, x: torch.Tensor, eps: torch.Tensor, i: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean and deviation of the next latent, and the predicted clean one."""
        a, b = self.ac[self.times[i]], self.ac[self.times[i + 1]]
        var = (1 - b) / (1 - a) * (1 - a / b)
        x0 = (x - (1 - a).sqrt() * eps) / a.sqrt()
        return b.sqrt() * x0 + (1 - b - var).sqrt() * eps, var.sqrt(), x0


def log_ratio(x: torch.Tensor, mean: torch.Tensor, base: torch.Tensor, dev: torch.Tensor) -> torch.Tensor:
    """Clipped log of p_model(x) / p_base(x) [n], as means over the latent's numbers."""
    log = ((x - base) ** 2 - (x - mean) ** 2).mean((1, 2, 3)) / (2 * dev**2)
    return torch.log(log.exp().clamp(1 - CLIP, 1 + CLIP))


def mosaics(pool: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Win and lose [n, 4, h, w] of candidates [n, k, 4, h, w] by the scores of their patches [n, k, h / side, w / side].

    Patches whose best and worst are too close show the first candidate in both.
    """
    spread = scores.std(1, keepdim=True).mean((2, 3), keepdim=True)
    share = (SHARPNESS * scores / spread).softmax(1)
    clear = share.amax(1) - share.amin(1) > MARGIN

    def pick(index: torch.Tensor) -> torch.Tensor:
        places = torch.where(clear, index, 0)[:, None, None]
        places = places.repeat_interleave(PATCH, -2).repeat_interleave(PATCH, -1)
        return pool.gather(1, places.expand(-1, 1, *pool.shape[2:]))[:, 0]

    return pick(share.argmax(1)), pick(share.argmin(1))


def same_means(noise: torch.Tensor) -> torch.Tensor:
    """Candidates' noise [n, k, 4, h, w] with the first one's means of patches: each is as normal as before, and no two differ in tint."""
    n, k = noise.shape[:2]
    means = F.avg_pool2d(noise.flatten(0, 1), PATCH).unflatten(0, (n, k))
    apart = (means[:, :1] - means).repeat_interleave(PATCH, -2).repeat_interleave(PATCH, -1)
    return noise + apart


def shift(mean: torch.Tensor, base: torch.Tensor, dev: torch.Tensor) -> torch.Tensor:
    """How far the means of patches moved, as a mean square in units of the step's deviation."""
    return (F.avg_pool2d(mean - base, PATCH, PATCH // 2) / dev).pow(2).mean()


def train(a: argparse.Namespace) -> None:
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    words = words_of(a.state)
    model = Model(len(words.tokens))
    model.load_state_dict(torch.load(a.state / "model.pt", map_location="cpu")["ema"])
    model.eval().requires_grad_(False)
    loras = attach(model.unet)
    decode = LinearDecoder.fit(a.state)
    ac = schedule()[torch.linspace(999, 0, STEPS).long()]
    filters = Filters(a.state, ((1 - ac) / ac).sqrt().tolist())
    params = {f"{n}.{p}": getattr(m, p) for n, m in loras.items() for p in ("down", "up")}
    opt = torch.optim.AdamW(params.values(), lr=a.lr, betas=(0.9, 0.99), weight_decay=1e-3)
    ema = {k: v.detach().clone() for k, v in params.items()}
    file, episode, pairs, spent = a.state / "spo.pt", 0, 0, 0.0
    if file.exists():
        saved = torch.load(file)
        with torch.no_grad():
            for k, v in saved["lora"].items():
                params[k].copy_(v)
        opt.load_state_dict(saved["opt"])
        ema, episode, pairs, spent = saved["ema"], saved["episode"], saved["pairs"], saved["spent"]

    def save() -> None:
        value = {"lora": {k: v.detach() for k, v in params.items()}, "ema": ema, "opt": opt.state_dict(), "episode": episode, "pairs": pairs}
        save_atomically({**value, "spent": spent + time.time() - start}, file)

    start = time.time()
    norms: dict[int, float] = {}
    stop_on_signal()
    while not stopping() and time.time() - start < a.minutes * 60:
        rng = np.random.default_rng((a.seed, episode))
        size = 256 if episode % 4 == 3 else 512
        n = 4 if size == 256 else 2
        texts = [scenes.caption(scenes.sample_scene(rng), rng) for _ in range(n)]
        g = torch.Generator().manual_seed(a.seed * 100_003 + episode)
        with torch.no_grad():
            context, pooled = model.text(torch.from_numpy(np.stack([words(t) for t in texts])))
        sampler = Sampler(model.unet, context, pooled, size)
        x = torch.randn(n, 4, size // 8, size // 8, generator=g)
        moved, tint, taken, margin = 0.0, 0.0, 0, 0.0
        for i in range(STEPS - 1):
            start += wait_while_paused()
            if stopping():
                break
            trained = FIRST_TRAINED <= i < STEPS - 2  # the last step adds next to no noise to choose from
            with torch.no_grad():
                blank = sampler.eps(x, i, False)
            with torch.set_grad_enabled(trained):
                # the part without the prompt is a constant to the gradient: half the work
                eps = blank + GUIDANCE * (sampler.eps(x, i, True) - blank)
                mean, dev, clean = sampler.next(x, eps, i)
            noise = same_means(torch.randn(n, a.pool, *x.shape[1:], generator=g))
            pool = mean.detach()[:, None] + dev * noise
            if trained:
                with torch.no_grad():
                    LoraLinear.strength = 0.0
                    base, _, _ = sampler.next(x, blank + GUIDANCE * (sampler.eps(x, i, True) - blank), i)
                    LoraLinear.strength = 1.0
                    scale = sampler.ac[sampler.times[i + 1]].sqrt()
                    change = filters((pool - mean[:, None]).flatten(0, 1) / scale, i + 1).unflatten(0, (n, a.pool))
                    scores = [decode.score_patches(clean[k] + change[k], clean[k : k + 1], PATCH) for k in range(n)]
                    best, worst = mosaics(pool, torch.stack(scores))
                win, lose = (log_ratio(p, mean, base, dev) for p in (best, worst))
                moved_patches = shift(mean, base, dev)
                loss = -F.logsigmoid(BETA * (win - lose)).mean() + KEEP[i >= LATE] * moved_patches
                opt.zero_grad(set_to_none=True)
                loss.backward()
                # the last steps' gradients are sixty times those of the first, as their deviations are small: here every step counts alike
                norm = float(torch.stack([p.grad.norm() for p in params.values()]).norm())
                norms[i] = 0.9 * norms.get(i, norm) + 0.1 * norm
                for p in params.values():
                    p.grad /= max(norm, norms[i])
                for group in opt.param_groups:
                    left = 1 - (time.time() - start) / (a.minutes * 60)
                    group["lr"] = a.lr * max(0.05, min(1.0, 4 * left))
                opt.step()
                pairs += n
                with torch.no_grad():
                    for k, v in ema.items():
                        v.lerp_(params[k], 0.02)
                moved += float((mean - base).detach().pow(2).mean().sqrt() / dev)
                tint += float(moved_patches.detach().sqrt())
                margin += float((win - lose).detach().mean())
                taken += 1
            x = pool[torch.arange(n), torch.randint(a.pool, (n,), generator=g)].detach()
        episode += 1
        score = float(decode.score(x).mean())
        if taken:
            print(f"episode {episode} ({size}) pairs {pairs} score {score:.3f} moved {moved / taken:.3f} patches {tint / taken:.4f} margin {margin / taken:.5f} "
                  f"{(time.time() - start) / 60:.1f} min", flush=True)
        if episode % 10 == 0:
            save()
    save()


def export(a: argparse.Namespace) -> None:
    """Write the averaged weights in kohya's layout, float16."""
    saved = torch.load(a.state / "spo.pt")
    tensors = {}
    for key, value in saved["ema"].items():
        layer, part = key.rsplit(".", 1)
        name = "lora_unet_" + layer.replace(".", "_")
        tensors[f"{name}.lora_{part}.weight"] = value.half().contiguous()
        tensors[f"{name}.alpha"] = torch.tensor(RANK * a.strength)
    log = {"episodes": saved["episode"], "pairs": saved["pairs"], "minutes": round(saved["spent"] / 60, 1)}
    metadata = {
        "ss_output_name": "spo",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(RANK),
        "ss_network_alpha": str(RANK * a.strength),
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_sd_model_name": "sdserve-demo.safetensors",
        "ss_training_comment": "Step-by-step preference optimisation (arXiv 2406.04314) in miniature; see demo/training/train_spo.py. " + json.dumps(log),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.title": "sdserve demo SPO",
        "modelspec.description": "For sdserve-demo.safetensors: crisper local contrast, glints and local colour, preferred step by step.",
        "modelspec.usage_hint": "txt2img: weight -1 to 1.6; img2img at denoising strength 0.2 to 0.35: weight 3 to 8. No trigger word.",
        "modelspec.license": "Apache-2.0",
        "modelspec.prediction_type": "v",
    }
    a.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, a.out, metadata)
    print(f"{a.out}: {len(tensors)} tensors, {a.out.stat().st_size / 1e3:.0f} kB; {log}")


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("what", choices=("train", "export"))
    ap.add_argument("--state", type=Path, required=True)
    ap.add_argument("--out", type=Path)
    ap.add_argument("--minutes", type=float, default=25)
    ap.add_argument("--pool", type=int, default=8)
    ap.add_argument("--lr", type=float, default=4e-4)
    ap.add_argument("--strength", type=float, default=1.0, help="factor on the exported weights, so that weight 1 is a good one")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args()
    train(a) if a.what == "train" else export(a)


if __name__ == "__main__":
    main()
