"""Write the training state as one checkpoint file: SDXL's single-file layout, float16, with what it is in the metadata.

    python export.py --state DIR --out ../models/Stable-diffusion/sdserve-demo.safetensors --note "early version"
"""
from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

import autoencoder
import unet
from preview import load
from text import full_tables


def assemble(state: Path) -> dict[str, torch.Tensor]:
    """All tensors under the checkpoint's names, float32."""
    model, vae, words = load(state)
    hf, open_clip = full_tables(model.text, words)
    parts = {
        "model.diffusion_model": unet.bake_scales(model.unet.state_dict()),
        "first_stage_model": autoencoder.bake_scales(vae),
        "conditioner.embedders.0.transformer": hf,
        "conditioner.embedders.1.model": open_clip,
    }
    # how checkpoints of SDXL's layout say that they predict v, and that their noise levels end in nothing but noise
    return {f"{p}.{k}": v for p, d in parts.items() for k, v in d.items()} | {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}


def shorten(name: str, v: torch.Tensor) -> torch.Tensor:
    """Weights on a grid of a power of two: as float16 the file compresses to about a third, at an error of one or two per cent of their deviation."""
    if v.numel() < 4096:
        return v
    levels = 40 if name.startswith("first_stage_model") else 20
    deviation = float(v[v != 0].pow(2).mean().sqrt()) if bool((v != 0).any()) else 1.0
    step = 2.0 ** round(math.log2(deviation / levels))
    return (v / step).round() * step


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--state", type=Path, required=True)
    ap.add_argument("--out", type=Path, required=True)
    ap.add_argument("--note", default="")
    a = ap.parse_args()
    tensors = assemble(a.state)
    log = torch.load(a.state / "model.pt", map_location="cpu")
    vae = torch.load(a.state / "vae-slim.pt", map_location="cpu")
    biggest = max(float(v.abs().max()) for v in tensors.values() if v.numel())
    assert biggest < 60_000, f"a weight of {biggest} does not fit float16"
    metadata = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-xl-v1-base",
        "modelspec.title": "sdserve demo",
        "modelspec.description": "Tiny latent diffusion model in SDXL's layout, trained from scratch on landscapes drawn by a program. " + a.note,
        "modelspec.license": "Apache-2.0",
        "modelspec.prediction_type": "v",
        "modelspec.resolution": "512x512",
        "sdserve.training": json.dumps({
            "unet_steps": log["step"], "unet_samples_by_size": log["log"]["samples"], "unet_minutes": round(log["log"]["minutes"], 1),
            "vae_steps": vae["step"], "vae_minutes": round(vae["spent"] / 60, 1),
        }),
    }
    a.out.parent.mkdir(parents=True, exist_ok=True)
    part = a.out.with_suffix(".part")
    save_file({k: shorten(k, v).half().contiguous() for k, v in tensors.items()}, part, metadata)
    part.rename(a.out)
    print(f"{a.out}: {len(tensors)} tensors, {a.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
