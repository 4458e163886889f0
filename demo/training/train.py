"""Train the text encoders and the UNet together. Resumable: run it again, in either stage, to go on.

    python train.py text --state DIR --steps 3000        # first lessons: tell what a caption says (no pictures; minutes)
    python train.py codes --state DIR --minutes 4               # what the pooled vector says
    python train.py unet --state DIR --minutes 30 --mix 256:0.5,512:0.5

The text encoders first learn to name sky, ground, object, colour, place ... of a caption from the pooled vector and from the context's last
token. Then everything is trained as a latent diffusion model (v-prediction, Salimans and Ho 2022), with a moving average of the weights.
"""
from __future__ import annotations

import argparse
import math
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import scenes
from background import save_atomically, stop_on_signal, stopping, wait_while_paused
from prepare import words_of
from text import TOKENS, TextEncoders, Words
from unet import WIDTHS, UNet, schedule, sinusoid

DROP_ZERO = 0.08  # share of captions replaced by zeros: what an empty negative prompt is to the server
DROP_EMPTY = 0.03  # share replaced by the encoding of ""
NOISE_WORDS = 0.1  # share of captions that get a few unknown words
TIME_TILT = {256: 0.3, 512: 0.6}  # density of training times at each size: t ** tilt; what is where is decided at the noisy end
CODE = 3.0
FIRST_STEPS = 0.12  # extra share of training times that show next to nothing of the picture: all is up to the prompt
PLACES = 20.0  # weight of the last lesson within them
COARSE = 0.3  # weight of the lessons at the coarsest level
FOCUS = 2.5  # extra weight where the object is, which covers a tenth of the picture; half of that for sun and moon


class Model(nn.Module):
    """UNet and text encoders."""

    def __init__(self, rows: int):
        super().__init__()
        self.text = TextEncoders(rows)
        self.unet = UNet()
        # lessons at the coarsest level, thrown away at the end: what will be here, where am I, where do object and light belong
        self.lessons = nn.ModuleList([nn.Conv2d(WIDTHS[-1], 8, 1) for _ in range(2)])

    def lesson_loss(self, coarse: list[torch.Tensor], x0: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Squared errors of what the coarse features tell, linearly, of the clean latent's 4x4 means, of each place's coordinates (-1..1), and of
        where the object and the light are (`places` [b, 2, h / 4, w / 4]).

        A convolution knows where it is only by the zeros around the picture, and that "on the left" has to do with it is learned slowly from
        pictures alone: after 3,500 steps without the last lesson the words for places had changed nothing.
        """
        b, _, h, w = x0.shape
        y, x = torch.meshgrid(torch.linspace(-1, 1, h // 4, device=x0.device), torch.linspace(-1, 1, w // 4, device=x0.device), indexing="ij")
        target = torch.cat([F.avg_pool2d(x0, 4), torch.stack([x, y]).expand(b, -1, -1, -1), places], 1)
        weight = target.new_tensor([1, 1, 1, 1, 1, 1, PLACES, PLACES])[:, None, None]
        return sum(((head(f).float() - target).pow(2) * weight).mean() for head, f in zip(self.lessons, coarse))


def size_embedding(sizes: torch.Tensor) -> torch.Tensor:
    """[b, 6] numbers (original height, width, crop top, left, target height, width) to [b, 1536]."""
    return sinusoid(sizes.reshape(-1), 256).reshape(len(sizes), -1)


def add_unknown(ids: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Put one to four unknown words into some captions, anywhere."""
    ids = ids.clone()
    for i in torch.nonzero(torch.rand(len(ids), generator=g) < NOISE_WORDS).flatten().tolist():
        end = int((ids[i] == 3).int().argmax())
        n = int(torch.randint(1, 5, (1,), generator=g))
        if end + n < 76:
            at = int(torch.randint(1, end + 1, (1,), generator=g))
            ids[i] = torch.cat([ids[i, :at], torch.ones(n, dtype=ids.dtype), ids[i, at:]])[:77]
    return ids


def train_text(a: argparse.Namespace, words: Words) -> None:
    """Classification of every field of the scene, from the pooled vector and from both contexts at the end token."""
    data = np.load(a.state / "captions.npz")
    ids, labels = torch.from_numpy(data["ids"].astype(np.int64)), torch.from_numpy(data["labels"].astype(np.int64))
    counts = [len(v) for v in scenes.FIELDS.values()]
    model = TextEncoders(len(words.tokens))
    heads = nn.ModuleList([nn.Linear(64, sum(counts)) for _ in range(3)])
    opt = torch.optim.AdamW([*model.parameters(), *heads.parameters()], lr=2e-3, weight_decay=1e-3)
    n_val = 2000
    for step in range(a.steps):
        wait_while_paused()
        g = torch.Generator().manual_seed(a.seed * 1_000_003 + step)
        pick = torch.randint(n_val, len(ids), (64,), generator=g)
        for group in opt.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 100) * (1 - step / a.steps)
        loss, _ = _text_loss(model, heads, add_unknown(ids[pick], g), labels[pick], counts)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        _keep_unknown_zero(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if step % 200 == 0 or step == a.steps - 1:
            with torch.no_grad():
                _, right = _text_loss(model, heads, ids[:n_val:4], labels[:n_val:4], counts)
            print(f"step {step} loss {loss.item():.4f} right {dict(zip(scenes.FIELDS, (round(r, 3) for r in right)))}", flush=True)
    save_atomically({"text": model.state_dict(), "steps": a.steps}, a.state / "text.pt")


def codes_of(labels: torch.Tensor) -> torch.Tensor:
    """[n, fields] label indices to [n, 43] ones and zeros times CODE: what the pooled vector is to say, one number per word of every field."""
    counts = [len(v) for v in scenes.FIELDS.values()]
    return CODE * torch.cat([F.one_hot(labels[:, i].long(), n) for i, n in enumerate(counts)], 1).float()


def train_codes(a: argparse.Namespace, words: Words) -> None:
    """Teach the second encoder's pooled vector to be the caption's scene, word by word, without changing its context.

    Left to the pictures' error alone for 3,500 steps, a word for another place moved it by a hundredth of its length. What a caption leaves out
    comes out as its probability, since the error is squared.
    """
    data = np.load(a.state / "captions.npz")
    ids, labels = torch.from_numpy(data["ids"].astype(np.int64)), torch.from_numpy(data["labels"].astype(np.int64))
    file = a.state / "model.pt"
    saved = torch.load(file, map_location="cpu")
    before, model = Model(len(words.tokens)), Model(len(words.tokens))
    for m in (before, model):
        m.load_state_dict(saved["ema"])
    old, new = before.text.g.eval().requires_grad_(False), model.text.g
    opt = torch.optim.AdamW(new.parameters(), lr=1e-3, weight_decay=1e-4)
    n_val, codes = 2000, codes_of(labels)

    def error(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        end = (x == 3).int().argmax(1)
        x = x.masked_fill(torch.arange(TOKENS)[None] > end[:, None], 0)
        context, pooled = new(x, end)
        n = y.shape[1]
        told = (pooled[:, :n] - y).pow(2).mean() + (pooled[:, n:] ** 2).mean()
        return told, (context - old(x, end)[0]).pow(2).mean()

    start, step, left = time.time(), 0, 1.0
    while left > 0:
        g = torch.Generator().manual_seed(a.seed * 1_000_033 + step)
        pick = torch.randint(n_val, len(ids), (128,), generator=g)
        for group in opt.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * max(0.02, left)
        told, moved = error(add_unknown(ids[pick], g), codes[pick])
        opt.zero_grad(set_to_none=True)
        (told + moved).backward()
        new.token_embedding.weight.grad[1] = 0
        torch.nn.utils.clip_grad_norm_(new.parameters(), 1.0)
        opt.step()
        step, left = step + 1, 1 - (time.time() - start) / (60 * a.minutes)
        if step % 100 == 0:
            with torch.no_grad():
                val = [float(v) for v in error(ids[:500], codes[:500])]
            print(f"step {step} told {told.item():.4f} moved {moved.item():.4f} val {val} {(time.time() - start) / 60:.1f} min", flush=True)
    for state in (saved["model"], saved["ema"]):
        for k in new.state_dict():
            state[f"text.g.{k}"] = new.state_dict()[k].clone()
    saved["opt"] = None  # begins anew
    save_atomically(saved, file)
    print("stopped at step", step)


def _keep_unknown_zero(model: TextEncoders) -> None:
    for table in (model.l.text_model.embeddings.token_embedding, model.g.token_embedding):
        if table.weight.grad is not None:
            table.weight.grad[1] = 0


def _text_loss(model, heads, ids, labels, counts):
    context, pooled = model(ids)
    rows, end = torch.arange(len(ids)), (ids == 3).int().argmax(1)
    last = context[rows, end]
    loss, right = 0.0, [0.0] * len(counts)
    for head, x in zip(heads, (pooled, last[:, :64], last[:, 64:])):
        for i, logits in enumerate(head(x).split(counts, 1)):
            loss = loss + F.cross_entropy(logits, labels[:, i]) / (3 * len(counts))
            right[i] += float((logits.argmax(1) == labels[:, i]).float().mean()) / 3
    # contexts of about unit size suit the cross-attention's keys and values
    return loss + 1e-3 * (context.pow(2).mean() - 1).pow(2) + 1e-3 * (pooled.pow(2).mean() - 1).pow(2), right


class Latents:
    """All encoded chunks in memory, by picture size."""

    def __init__(self, state: Path):
        self.state, self.sizes, self.seen = state, {}, set()
        self.reload()

    def reload(self) -> None:
        """Take in chunks that were encoded since the last call."""
        for file in sorted(self.state.glob("latents-*.npz")):
            if file.name in self.seen or ".part" in file.name:
                continue
            self.seen.add(file.name)
            h, w = map(int, file.stem.split("-")[1].split("x"))
            if h % 32 or w % 32:
                continue  # the UNet halves its latents twice
            d = np.load(file)
            self.sizes.setdefault((h, w), []).append((d["latents"], d["ids"], d["labels"]))

    def areas(self) -> dict[int, list[tuple[int, int]]]:
        """Shapes by their nominal size (256, 512)."""
        out: dict[int, list[tuple[int, int]]] = {}
        for h, w in self.sizes:
            out.setdefault(min(TIME_TILT, key=lambda s: abs(math.log(h * w / s / s))), []).append((h, w))
        return out

    def batch(self, nominal: int, n: int, rng: np.random.Generator):
        """n latents of one shape, their caption ids, scene labels, and the shape in pixels."""
        shapes = self.areas()[nominal]
        weight = np.array([sum(len(c[0]) for c in self.sizes[s]) for s in shapes], float)
        shape = shapes[rng.choice(len(shapes), p=weight / weight.sum())]
        groups = self.sizes[shape]
        lat, ids, labels = [], [], []
        for _ in range(n):
            z, t, l = groups[rng.integers(len(groups))]
            i = rng.integers(len(z))
            lat.append(z[i])
            ids.append(t[i, rng.integers(t.shape[1])])
            labels.append(l[i])
        return torch.from_numpy(np.stack(lat)).float(), torch.from_numpy(np.stack(ids).astype(np.int64)), np.stack(labels), shape


def place_maps(labels: np.ndarray, h: int, w: int) -> torch.Tensor:
    """Where each scene's object and its sun or moon are: [n, 2, h, w], 1 there and 0 elsewhere, with soft edges."""
    names = list(scenes.FIELDS)
    x, y = (np.arange(w) + 0.5) / w, ((np.arange(h) + 0.5) / h)[:, None]
    at = {"left": 0.23, "centre": 0.5, "right": 0.77}
    out = np.zeros((len(labels), 2, h, w), np.float32)
    for m, row in zip(out, labels):
        s = {k: scenes.FIELDS[k][v] for k, v in zip(names, row)}
        if s["object"] != "none":
            mid = 0.35 if s["object"] == "balloon" else 0.55
            m[0] = np.exp(-(((x - at[s["place"]]) / 0.16) ** 4) - ((y - mid) / 0.32) ** 4)
        if s["light"] != "none":
            m[1] = np.exp(-(((x - at[s["light_place"]]) / 0.13) ** 4) - ((y - 0.3) / 0.3) ** 4)
    return torch.from_numpy(out)


def focus_map(labels: np.ndarray, h: int, w: int) -> torch.Tensor:
    """Weights [n, 1, h, w] of mean 1: more where the scene's object stands, and where its sun or moon is."""
    m = 1 + FOCUS * (place_maps(labels, h, w) * torch.tensor([1.0, 0.5])[:, None, None]).sum(1, keepdim=True)
    return m / m.mean((2, 3), keepdim=True)


def parse_mix(text: str) -> dict[int, float]:
    """"256:0.5,512:0.5" to {256: 0.5, 512: 0.5}: the share of steps at each size."""
    return {int(k): float(v) for k, v in (p.split(":") for p in text.split(","))}


def train_unet(a: argparse.Namespace, words: Words) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(a.seed)
    model = Model(len(words.tokens)).to(device, memory_format=torch.channels_last)
    ema = {k: v.detach().clone().float() for k, v in model.state_dict().items()}
    opt = torch.optim.AdamW(model.parameters(), lr=a.lr, betas=(0.9, 0.99), weight_decay=1e-2)
    file, step, log = a.state / "model.pt", 0, {"samples": {}, "minutes": 0.0}
    if file.exists():
        saved = torch.load(file, map_location=device)
        model.load_state_dict(saved["model"])
        if saved["opt"]:
            opt.load_state_dict(saved["opt"])
        ema, step, log = saved["ema"], saved["step"], saved["log"]
    elif (a.state / "text.pt").exists():
        model.text.load_state_dict(torch.load(a.state / "text.pt", map_location=device)["text"])
        ema = {k: v.detach().clone().float() for k, v in model.state_dict().items()}
    ac = schedule(device)
    data = Latents(a.state)
    mix, sizes = parse_mix(a.mix), {256: a.batch, 512: max(2, a.batch * 3 // 8)}
    start = tick = saved_at = time.time()
    paused, first, avg = 0.0, step, {}

    def save() -> None:
        save_atomically({"model": model.state_dict(), "opt": opt.state_dict(), "ema": ema, "step": step, "log": log}, file)

    stop_on_signal()
    while not stopping() and time.time() - start < a.minutes * 60 and (a.steps is None or step < a.steps):
        slept = wait_while_paused()
        paused, start, tick, saved_at = paused + slept, start + slept, tick + slept, saved_at + slept
        rng = np.random.default_rng((a.seed, step))
        nominal = int(rng.choice(list(mix), p=np.array(list(mix.values())) / sum(mix.values())))
        x0, ids, labels, (h, w) = data.batch(nominal, sizes[nominal], rng)
        g = torch.Generator().manual_seed(a.seed * 7_919 + step)
        b = len(x0)
        ids = add_unknown(ids, g)
        drop = torch.rand(b, generator=g)
        empty = torch.full((77,), 3)
        empty[0] = 2
        ids[(drop > DROP_ZERO) & (drop < DROP_ZERO + DROP_EMPTY)] = empty
        keep = (drop >= DROP_ZERO).float().to(device)[:, None]
        # one t per stratum of the batch: less noise in the loss; large pictures are laid out at the noisiest steps, so they see more of those
        u = (torch.arange(b) + torch.rand(b, generator=g)) / b
        u = u ** (1 / (1 + TIME_TILT[nominal]))
        u = torch.where(torch.rand(b, generator=g) < FIRST_STEPS, 0.95 + 0.05 * u, u)
        t = (u * 1000).long().clamp(0, 999)[torch.randperm(b, generator=g)]
        noise = torch.randn(x0.shape, generator=g)
        x0, noise = (v.to(device, memory_format=torch.channels_last) for v in (x0, noise))
        ids, t = ids.to(device), t.to(device)
        at = ac[t][:, None, None, None]
        xt = at.sqrt() * x0 + (1 - at).sqrt() * noise
        size = torch.tensor([[h, w, 0, 0, h, w]], device=device).float().expand(b, 6)
        lr = a.lr * min(1, (step + 1) / 100)
        if a.steps is not None:
            lr *= 0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * min(1, step / a.steps)))
        elif a.cooldown:
            lr *= max(0.05, min(1, (a.minutes * 60 - (time.time() - start)) / (a.cooldown * 60)))
        for group in opt.param_groups:
            group["lr"] = lr
        with torch.autocast(device, torch.bfloat16):
            with torch.no_grad() if a.freeze_text else nullcontext():
                context, pooled = model.text(ids)
            y = torch.cat([pooled * keep, size_embedding(size)], 1)
            coarse = []
            pred = model.unet(xt, t, context * keep[:, :, None], y, coarse).float()
            lessons = model.lesson_loss(coarse, x0, place_maps(labels, h // 32, w // 32).to(device))
        square = (pred - (at.sqrt() * noise - (1 - at).sqrt() * x0)).pow(2)
        err = square.mean((1, 2, 3))
        loss = (square * focus_map(labels, *x0.shape[2:]).to(device)).mean() + COARSE * lessons
        opt.zero_grad(set_to_none=True)
        loss.backward()
        if not a.freeze_text:
            _keep_unknown_zero(model.text)
        # 1,536 size numbers of about 1 change together: at Adam's rate they would push every unit of this layer out of its range in ten steps
        model.unet.label_emb[0][0].weight.grad[:, pooled.shape[1] :] = 0
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        step += 1
        k = min(a.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            live = model.state_dict()
            names = [n for n in live if live[n].dtype.is_floating_point]
            torch._foreach_lerp_([ema[n] for n in names], [live[n] for n in names], 1 - k)
        log["samples"][nominal] = log["samples"].get(nominal, 0) + b
        value, lesson = err.mean().item(), lessons.item()
        for k, v in ((nominal, value), (f"{nominal} lessons", lesson)):
            avg[k] = v if k not in avg else 0.98 * avg[k] + 0.02 * v
        if step % 50 == 0:
            took = (time.time() - tick) / 50
            print(f"step {step} loss {({s: round(v, 4) for s, v in avg.items()})} {took:.2f} s/step, {(time.time() - start) / 60:.1f} min, samples {log['samples']}", flush=True)
            tick = time.time()
        if time.time() - saved_at > 120:
            log["minutes"] += (time.time() - saved_at) / 60
            log["loss"] = avg
            saved_at = time.time()
            save()
            data.reload()
    log["minutes"] += (time.time() - saved_at) / 60
    log["loss"] = avg
    save()
    print(f"stopped at step {step} ({step - first} new), paused {paused:.0f} s, log {log}", flush=True)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("what", choices=("text", "unet", "codes"))
    ap.add_argument("--state", type=Path, required=True)
    ap.add_argument("--steps", type=int)
    ap.add_argument("--minutes", type=float, default=1e9)
    ap.add_argument("--mix", default="256:0.1,512:0.9")
    ap.add_argument("--batch", type=int, default=16, help="pictures per step at size 256 (three eighths of it at 512)")
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--cooldown", type=float, default=0, help="minutes at the end of this run over which the learning rate falls")
    ap.add_argument("--ema", type=float, default=0.998)
    ap.add_argument("--freeze-text", action="store_true", help="leave the text encoders as they are")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    words = words_of(a.state)
    if a.what == "text":
        a.steps = a.steps or 3000
        train_text(a, words)
    elif a.what == "codes":
        train_codes(a, words)
    else:
        train_unet(a, words)


if __name__ == "__main__":
    main()
