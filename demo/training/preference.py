"""The aesthetic judgement of the demo's preference training: crisp local contrast, glints, local colour.

A number for a picture, computed, not learned. It is judged on the predicted clean picture of a denoising step rather than by a network on noisy
latents: one thing less to train, and its meaning can be read here. Predicting and decoding that picture for every candidate would cost more
than all the rest, so training looks at half-size approximations: candidates differ by noise around one latent whose clean picture the UNet has just
predicted, and what that noise adds is estimated by the best linear filter of the step (`Filters`); the decode is linear, too (`LinearDecoder`).
The published figures are computed from the server's real pictures.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

LUMA = (0.3, 0.59, 0.11)


def parts(rgb: torch.Tensor, fine_side: int = 5, wide_side: int = 17) -> torch.Tensor:
    """What is judged, per pixel: [n, 3, h, w] of pictures [n, 3, h, w] in 0..1.

    Fine contrast is the squared distance of luma from its 5x5 mean; a glint is what stands out brightly from 17x17 surroundings; colour is
    the squared distance of the two opponent colours from their 17x17 mean. All three look at surroundings only: a tint of the whole picture, which
    is easy to learn and no beauty, gains nothing.
    """
    r, g, b = rgb.split(1, 1)
    luma = LUMA[0] * r + LUMA[1] * g + LUMA[2] * b
    fine = (luma - _mean(luma, fine_side)) ** 2
    glints = F.relu(luma - _mean(luma, wide_side) - 0.04)
    opponents = torch.cat([r - g, 0.5 * (r + g) - b], 1)
    colour = ((opponents - _mean(opponents, wide_side)) ** 2).sum(1, keepdim=True)
    return torch.cat([fine, glints, colour], 1)


SEEN = (-0.2, 1.2)  # a little beyond what can be shown: where black and white are cut off, brightening the dark would count as contrast
SHARES = (0.5, 0.5, 0.25)  # of the logs; those of squares count half
FLOORS = (1e-6, 1e-3, 1e-5)


def preference(rgb: torch.Tensor, fine_side: int = 5, wide_side: int = 17) -> torch.Tensor:
    """Score [n] of pictures [n, 3, h, w]: log of fine contrast and half the logs of glints and colour (the squares' logs count half).

    Logs, so that each part counts by how many times more of it there is.
    """
    means = parts(rgb, fine_side, wide_side).mean((2, 3))
    return (torch.log(means + means.new_tensor(FLOORS)) * means.new_tensor(SHARES)).sum(1)


def local_preference(rgb: torch.Tensor, like: torch.Tensor, fine_side: int, wide_side: int) -> torch.Tensor:
    """What every pixel of pictures [n, 3, h, w] adds to the score of one like `like` [1, 3, h, w]: `preference` to first order, [n, h, w]."""
    means = parts(like, fine_side, wide_side).mean((2, 3))
    slopes = like.new_tensor(SHARES) / (means + like.new_tensor(FLOORS))
    return (parts(rgb, fine_side, wide_side) * slopes[:, :, None, None]).sum(1)


def _mean(x: torch.Tensor, k: int) -> torch.Tensor:
    """Mean over k x k surroundings, same size; the edge repeats."""
    x = F.pad(x, (k // 2,) * 4, mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(x, (k, 1), 1), (1, k), 1)


def score_files(images: np.ndarray) -> np.ndarray:
    """Scores [n] of uint8 pictures [n, h, w, 3]."""
    return preference(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).numpy()


class LinearDecoder:
    """Latents of unit deviation [n, 4, h, w] to half-size pictures in 0..1 [n, 3, 4h, 4w]: each 4x4 block is linear in its 3x3 latents."""

    def __init__(self, weight: torch.Tensor):
        self.weight = weight  # [37, 48]

    @classmethod
    def fit(cls, state: Path, count: int = 60) -> LinearDecoder:
        """Least squares over the first training pictures of 256x256 and 512x512; cached in `state`."""
        file = state / "linear-decoder.pt"
        if file.exists():
            return cls(torch.load(file))
        ata, atb = torch.zeros(37, 37, dtype=torch.float64), torch.zeros(37, 48, dtype=torch.float64)
        error = of = 0.0
        for size in (256, 512):
            z = torch.from_numpy(np.load(state / f"latents-{size}x{size}-000.npz")["latents"][:count]).float()
            x = torch.from_numpy(np.load(state / f"pictures-{size}x{size}-000.npz")["images"][:count]).permute(0, 3, 1, 2).float() / 255
            a, b = _columns(z), F.pixel_unshuffle(F.avg_pool2d(x, 2), 4).permute(0, 2, 3, 1).reshape(-1, 48)
            ata += (a.T @ a).double()
            atb += (a.T @ b).double()
        weight = torch.linalg.solve(ata + 1e-3 * torch.eye(37), atb).float()
        error, of = float((a @ weight - b).pow(2).mean()), float(b.var())
        print(f"linear decoder: explains {100 * (1 - error / of):.1f} % of the variance at 512x512")
        torch.save(weight, file)
        return cls(weight)

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        n, _, h, w = z.shape
        blocks = (_columns(z) @ self.weight).view(n, h, w, 48).permute(0, 3, 1, 2)
        return F.pixel_shuffle(blocks, 4).clamp(*SEEN)

    def score(self, z: torch.Tensor) -> torch.Tensor:
        """The judgement [n] of the pictures that latents stand for, with windows for half the size."""
        return preference(self(z), 3, 9)

    def score_patches(self, z: torch.Tensor, like: torch.Tensor, side: int) -> torch.Tensor:
        """What every patch of `side` latents adds to the score of a picture like `like` [1, 4, h, w]: [n, h / side, w / side]."""
        return F.avg_pool2d(local_preference(self(z), self(like), 3, 9)[:, None], 4 * side)[:, 0]


class Filters:
    """For noise levels sigma: the 7x7 filters that predict clean latents from noisy ones (x0 + sigma * noise) best, by least squares."""

    SIDE = 7

    def __init__(self, state: Path, sigmas: list[float], count: int = 40):
        z = torch.from_numpy(np.load(state / "latents-256x256-000.npz")["latents"][:count]).float()
        g = torch.Generator().manual_seed(0)
        self.kernels = []
        for sigma in sigmas:
            noisy = z + sigma * torch.randn(z.shape, generator=g)
            a = F.unfold(noisy, self.SIDE, padding=self.SIDE // 2).transpose(1, 2).reshape(-1, 4 * self.SIDE**2)
            b = z.permute(0, 2, 3, 1).reshape(-1, 4)
            weight = torch.linalg.solve(a.T @ a + 1e-2 * len(a) * torch.eye(a.shape[1]) * 1e-3, a.T @ b)
            self.kernels.append(weight.T.reshape(4, 4, self.SIDE, self.SIDE))

    def __call__(self, x: torch.Tensor, i: int) -> torch.Tensor:
        """The clean part of a change x [n, 4, h, w] of the latent at level i."""
        return F.conv2d(x, self.kernels[i], padding=self.SIDE // 2)


def _columns(z: torch.Tensor) -> torch.Tensor:
    """3x3 surroundings of every latent and a one: [n * h * w, 37]."""
    cols = F.unfold(F.pad(z, (1, 1, 1, 1), mode="replicate"), 3).transpose(1, 2).reshape(-1, 36)
    return torch.cat([cols, torch.ones(len(cols), 1)], 1)
