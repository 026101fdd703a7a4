"""Where networks run."""

from __future__ import annotations

import torch


def usable_device(device: str | torch.device) -> torch.device:
    """Returns the device of that name: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …

    ``"auto"`` is the current CUDA device where torch sees one, and the CPU elsewhere.

    Raises:
        ValueError: when this machine has no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device (--device): got {device!r}, expected auto, cpu, cuda or cuda:NUMBER"
        ) from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device (--device): got {str(device)!r}, and torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA devices here; take auto or cpu, or look at higan-fast doctor"
        )
    return found


def describe_device(device: torch.device) -> str:
    """Returns the device as people know it, such as ``"cuda:0 (NVIDIA H100)"`` or ``"cpu (2 threads)"``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return (
        f"{device} ({threads} {'thread' if threads == 1 else 'threads'})"
        if device.type == "cpu"
        else str(device)
    )
