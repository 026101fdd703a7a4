"""The fingerprint of a network: a hash of everything that decides its output, and what could not be seen."""

from __future__ import annotations

import warnings

import torch

from higan_fast.fingerprint.walk import Walk


class Fingerprint(str):
    """A hash as text; it ends in ``?`` where something that may decide the output could not be seen.

    Attributes:
        unseen: what could not be seen, such as ``module.session (onnxruntime.InferenceSession)``.
    """

    unseen: tuple[str, ...]

    def __new__(cls, digest: str, unseen: tuple[str, ...] = ()) -> Fingerprint:
        text = super().__new__(cls, digest + "?" if unseen else digest)
        text.unseen = unseen
        return text

    @property
    def complete(self) -> bool:
        """Whether equal fingerprints mean equal networks, so that stored results may be reused."""
        return not self.unseen


def fingerprint(network: torch.nn.Module) -> Fingerprint:
    """The fingerprint of a generator or a predictor.

    It covers the class and the code of every submodule, its attributes, parameters, buffers and forward
    hooks, and the functions, classes and globals that its code refers to. Code of installed packages counts
    by name and version. The device does not count, nor whether the network is in training mode, nor the
    attributes that a module's class lists in ``not_fingerprinted``.

    The ``identity`` of a network, or of a module within it, stands for its code and attributes by that name
    alone; its parameters and buffers still count.
    """
    walk = Walk()
    if getattr(network, "identity", None) is None:
        walk.visit(network, "")
    else:
        walk.named(network, "")
    return Fingerprint(walk.hexdigest()[:32], tuple(walk.unseen))


def warn_of_unseen(**networks: Fingerprint) -> None:
    """Warns that stored results are made anew, where a network of these names cannot be seen as a whole."""
    for name, found in networks.items():
        if not found.complete:
            more = f" and {len(found.unseen) - 3} more" if len(found.unseen) > 3 else ""
            warnings.warn(
                f"{name}: {', '.join(found.unseen[:3])}{more} may decide its output and cannot be seen, so "
                f"stored results are made anew and not reused; give the {name} an identity='…' to reuse them",
                RuntimeWarning,
                stacklevel=3,
            )
