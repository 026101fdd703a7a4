"""Where networks run."""

from __future__ import annotations

import torch


def usable_device(device: str | torch.device) -> torch.device:
    """``"cpu"``, ``"cuda"``, ``"cuda:1"`` … → a device that this machine has.

    Raises:
        ValueError: when there is no such device.
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device: got {device!r}, expected cpu, cuda or cuda:NUMBER") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device: got {str(device)!r}, and torch {torch.__version__} sees {torch.cuda.device_count()} "
            "CUDA devices here; take cpu, or look at higan-fast doctor"
        )
    return found
