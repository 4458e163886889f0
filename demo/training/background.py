"""Being a good neighbour on a shared machine: pause on request, and never leave half a checkpoint behind."""
from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import torch

# While this file exists training sleeps (for measurements on the same machine). SDSERVE_TRAIN_PAUSE names another one.
PAUSE = Path(os.environ.get("SDSERVE_TRAIN_PAUSE", Path(tempfile.gettempdir()) / "pause-training"))


_stop = False


def _on_stop(_signal: int, _frame: object) -> None:
    global _stop
    _stop = True


def stop_on_signal() -> None:
    """From now on SIGTERM and SIGINT ask for an orderly end (save, then leave) instead of killing the process."""
    signal.signal(signal.SIGTERM, _on_stop)
    signal.signal(signal.SIGINT, _on_stop)


def stopping() -> bool:
    """Whether an orderly end was asked for."""
    return _stop


def wait_while_paused() -> float:
    """Sleep as long as the pause file exists (and no end was asked for); returns the seconds slept."""
    start = time.time()
    while PAUSE.exists() and not _stop:
        time.sleep(0.5)
    return time.time() - start


def save_atomically(value: object, file: Path) -> None:
    """torch.save to a temporary file beside `file`, then rename."""
    part = file.with_suffix(".part")
    torch.save(value, part)
    part.rename(file)
