"""The aesthetic judgement of the demo's preference training: crisp local contrast, glints, colour.

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


def preference(rgb: torch.Tensor, fine_side: int = 5, wide_side: int = 17) -> torch.Tensor:
    """Score [n] of pictures [n, 3, h, w] in 0..1: log of fine contrast, plus half the logs of glints and of colour.

    Fine contrast is the mean distance of luma from its 5x5 mean; glints are what stands out brightly from 17x17 surroundings; colour is the mean
    length of the two opponent colours. Logs, so that each part counts by how many times more of it there is.
    """
    luma = (rgb * rgb.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    fine = (luma - _mean(luma, fine_side)).abs().mean((1, 2, 3))
    glints = F.relu(luma - _mean(luma, wide_side) - 0.04).mean((1, 2, 3))
    r, g, b = rgb.unbind(1)
    colour = torch.sqrt((r - g) ** 2 + (0.5 * (r + g) - b) ** 2 + 1e-6).mean((1, 2))
    return torch.log(fine + 1e-3) + 0.5 * torch.log(glints + 1e-3) + 0.5 * torch.log(colour + 1e-2)


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
        return F.pixel_shuffle(blocks, 4).clamp(0, 1)

    def score(self, z: torch.Tensor) -> torch.Tensor:
        """The judgement [n] of the pictures that latents stand for, with windows for half the size."""
        return preference(self(z), 3, 9)


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
