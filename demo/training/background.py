"""Being a good neighbour on a shared machine: pause on request, and never leave half a checkpoint behind."""
from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import torch

# While this file exists training sleeps (for measurements on the same machine). SDSERVE_TRAIN_PAUSE names another one.
PAUSE = Path(os.environ.get("SDSERVE_TRAIN_PAUSE", Path(tempfile.gettempdir()) / "pause-training"))


def wait_while_paused() -> float:
    """Sleep as long as the pause file exists; returns the seconds slept."""
    start = time.time()
    while PAUSE.exists():
        time.sleep(0.5)
    return time.time() - start


def save_atomically(value: object, file: Path) -> None:
    """torch.save to a temporary file beside `file`, then rename."""
    part = file.with_suffix(".part")
    torch.save(value, part)
    part.rename(file)
