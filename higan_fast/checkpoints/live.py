"""Live networks of public code → generators, by the same readers as their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from higan_fast.checkpoints.contents import Content, Record
from higan_fast.checkpoints.conversion import LIVE
from higan_fast.checkpoints.formats import genforce, nvlabs_torch, rosinality
from higan_fast.checkpoints.loading import check_image
from higan_fast.generators.base import Generator
from higan_fast.generators.networks import check_network
from higan_fast.generators.wrapped import is_karras, wrap


def from_model(model: nn.Module) -> Generator:
    """A live generator of public code as one of ours: taken apart by layers, and ready to be probed.

    Those of stylegan2-ada-pytorch and of stylegan3 share their weights with ours: what an optimiser changes
    in place is seen at once. rosinality's, genforce's and higan's store some weights in another form, so that
    ours has copies of all: call this again when the model has changed. A StyleGAN-XL, and whatever has
    NVlabs' interface besides, is wrapped as a single stage (see ``wrap``).

    Args:
        model: the generator, patched or not, on any device; ``DataParallel`` around it is taken off.

    Returns:
        It in evaluation mode, with fixed noise, on the model's device. It has drawn one image.

    Raises:
        TypeError: if the model is no module.
        ValueError: if it is no generator that is known, or of a variant that ours is not.
    """
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        model = model.module
    if isinstance(model, Generator):
        return model
    check_network("model", model)
    generator = _read(model)
    if generator is None:
        return wrap(model)
    if not _follows(generator, model):
        generator = _copied(generator)
    generator = generator.eval().requires_grad_(False)
    with torch.no_grad():
        check_image(LIVE, generator)
    return generator


def _read(model: nn.Module) -> Generator | None:
    """By the reader of its format, on the model's tensors; None: it can only be wrapped."""
    if is_karras(model):
        names = {name for name, _ in model.named_modules()}
        if not nvlabs_torch.is_read(names):
            return None
        return nvlabs_torch.read(Content(LIVE, "pickle", _record(model)), None)
    content = Content(LIVE, "torch", {name: tensor.detach() for name, tensor in model.state_dict().items()})
    if rosinality.recognises(content):
        return rosinality.read(content, None)
    if genforce.recognises(content):
        return genforce.read(content, _settings(model, content.value))
    raise ValueError(
        f"model: got a {type(model).__name__}, which is no generator that is known; expected one of "
        "stylegan2-ada-pytorch, stylegan3, rosinality's stylegan2-pytorch, genforce or higan. "
        "higan_fast.generators.wrap(model, ...) makes a generator of anything that draws images"
    )


def _record(module: nn.Module) -> Record:
    """A module as it would lie in a pickle of NVlabs' code."""
    state: dict[str, Any] = dict(vars(module))
    state["_modules"] = {name: _record(child) for name, child in module.named_children()}
    for kind in ("_parameters", "_buffers"):
        state[kind] = {name: None if t is None else t.detach() for name, t in state[kind].items()}
    package, _, name = nvlabs_torch.PERSISTENT.rpartition(".")
    return Record(package, name, ({"class_name": type(module).__name__, "state": state},))


def _settings(model: Any, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What genforce's files do not say and its networks do."""
    settings: dict[str, Any] = {}
    mapping = getattr(model, "mapping", None)
    for module in mapping.modules() if isinstance(mapping, nn.Module) else ():
        for name in ("lr_mul", "lr_multiplier"):
            if isinstance(value := getattr(module, name, None), int | float):
                settings.setdefault("mapping_lr_multiplier", float(value))
    if not genforce.File(LIVE, state, {}).higan and hasattr(model, "fused_scale"):
        settings["fused_scale"] = model.fused_scale
    return settings


def _follows(generator: Generator, model: nn.Module) -> bool:
    """Whether all parameters of ours lie in the memory of the model's."""
    theirs = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    return all(parameter.untyped_storage().data_ptr() in theirs for parameter in generator.parameters())


def _copied(generator: Generator) -> Generator:
    """With memory of its own throughout: one of which some weights followed a model would draw of neither."""
    state = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    generator.load_state_dict(state, assign=True)
    return generator
