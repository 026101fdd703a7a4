"""Single channels of the style space (StyleSpace, Wu et al., arXiv 2011.12799): found, and verified."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from higan_fast.boundaries.boundary import Boundary
from higan_fast.boundaries.origin import Label, Origin
from higan_fast.checks import check_count
from higan_fast.engine.inputs import prepare
from higan_fast.engine.precision import Wish
from higan_fast.files import only_writer
from higan_fast.fingerprint import fingerprint
from higan_fast.generators.base import Generator
from higan_fast.generators.style_space import StyleSpace
from higan_fast.predictors.base import Predictor, check_predictor
from higan_fast.probing.directions import MAX_SAMPLES, Directions, verify_directions
from higan_fast.probing.effect_files import hash_of, key_of, name_of
from higan_fast.probing.screening import mean_gradients
from higan_fast.sampling.samples import Samples
from higan_fast.wording import in_words

Channel = tuple[int, int]

_OPTION = "stylespace (--stylespace)"

# A gradient that is averaged over so many samples orders channels well, and is none of their effects.
SCREENED = 32


def verify_channels(
    generator: Generator,
    predictor: Predictor,
    samples: Samples,
    channels: int | Sequence[Channel],
    *,
    screening: int = SCREENED,
    num: int | None = None,
    max_samples: int = MAX_SAMPLES,
    confidence: float = 0.99,
    step: float = 2.0,
    num_null: int = 32,
    seed: int | None = None,
    truncation_psi: float | None = None,
    truncation_layers: int | None = None,
    label: Label = None,
    precision: Wish = "exact",
    batch_size: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Directions:
    """Moves single channels of the styles, and tests what each does to every score.

    A style is what the affine of a modulated convolution, or RGB layer, makes of its code. A step of 1 adds
    one standard deviation, over the samples, to one channel of one of them.

    Channels are found by the gradients of all scores at some of the samples, in which channels take no part
    that are verified: what ``verify_directions`` measures is on fresh ones. There a channel is compared with
    random directions in the style of the same convolution: Gaussian multiples of the standard deviations of
    all its channels, as long together as the step of the one. To first order the effect of such a direction
    has the root mean square of the effects of all single channels. Directions with the styles' covariance
    would move as the code does, which no single channel can, and single channels drawn at random mostly do
    nothing, so that the null of either would say nothing of what is rare.

    Args:
        generator: a StyleGAN, StyleGAN2 or StyleGAN3.
        samples: of these networks.
        channels: how many, the strongest for each semantic in turn; or which, as (layer, channel), where
            layers are those of ``StyleSpace``: in StyleGAN2 convolutions and RGB layers in the order in which
            they run, as in the paper.
        screening: at how many of the samples gradients are taken.
        num, max_samples, confidence, step, num_null, seed, truncation_psi, truncation_layers, label,
            precision, batch_size, out, progress: as for ``verify_directions``. What is None is as in the
            samples.

    Raises:
        TypeError: if the networks are something else.
        ValueError: if the generator has no styles, the samples are of other networks, there is no such
            channel or it never varies, channels are to be found by scores without gradients, an argument is
            out of range, or a score is not finite.
    """
    check_predictor(predictor)
    prepare(generator, predictor)
    if samples.settings.get("generator") != fingerprint(generator):
        raise ValueError("samples: are of another generator; sample this one, or give theirs")
    space = StyleSpace.of(generator, samples.codes)
    if isinstance(channels, int):
        check_count(_OPTION, channels)
        check_count("screening", screening)
        given = samples.part(0, min(screening, len(samples)))
        channels = screened_channels(space, predictor, given, channels, out=out, progress=progress)
    return verify_directions(
        space, predictor, directions_along(space, channels, samples), num=num, max_samples=max_samples,
        confidence=confidence, step=step, null="isotropic", num_null=num_null, seed=seed,
        truncation_psi=truncation_psi, truncation_layers=truncation_layers, label=label,
        precision=precision, batch_size=batch_size, out=out, progress=progress,
    )  # fmt: skip


def directions_along(
    space: StyleSpace, channels: Sequence[Channel], samples: Samples | None = None
) -> list[Boundary]:
    """Returns directions along single channels, named ``"5:117 b16.conv0"`` after layer and channel.

    Args:
        space: of the samples.
        channels: layers and channels.
        samples: say how fresh ones are to be drawn; None: as for ``verify_directions``.

    Raises:
        ValueError: if there is no such channel, or it is the same in all samples.
    """
    origin = None if samples is None else Origin.of(samples.settings)
    found = []
    if not channels:
        raise ValueError(f"{_OPTION}: got no channels, expected some, such as 3:117")
    for layer, channel in channels:
        last = space.num_layers - 1
        if not 0 <= layer <= last:
            names = ", ".join(f"{i} {each.name}" for i, each in enumerate(space.layers))
            raise ValueError(f"{_OPTION}: got layer {layer} of {layer}:{channel}, expected one of {names}")
        deviations, name = space.deviations(layer), space.layers[layer].name
        if not 0 <= channel < len(deviations):
            raise ValueError(
                f"{_OPTION}: got {layer}:{channel}, and {name} has channels 0 to {len(deviations) - 1}"
            )
        if not deviations[channel] > 0:
            raise ValueError(
                f"{_OPTION}: got {layer}:{channel}, which is the same in all samples, so that it has no "
                "standard deviation to step by"
            )
        normal = np.zeros((space.num_layers, space.code_dim))
        normal[layer, channel] = 1
        found.append(Boundary(f"{layer}:{channel} {name}", "attribute", "layers", normal, origin=origin))
    return found


def screened_channels(
    space: StyleSpace,
    predictor: Predictor,
    samples: Samples,
    num: int,
    *,
    out: str | Path | None = None,
    progress: bool = True,
) -> list[Channel]:
    """Returns the channels that move scores most, to first order: of each semantic the strongest in turn.

    The size of the mean gradient of a score in a channel, times the standard deviation of the channel, is how
    far one standard deviation would move the score at these samples. One backward pass for each sample and
    semantic gives it for all channels.

    Args:
        space: of the samples.
        samples: whose codes are differentiated at.
        num: how many channels.
        out: run folder, which keeps the gradients so far.
        progress: whether to show it.

    Raises:
        ValueError: if fewer channels move any score, or a score has no finite gradient.
    """
    parameter = next(space.parameters())
    columns = range(len(predictor.semantics))
    codes = space.codes_of(torch.from_numpy(samples.codes).to(parameter))
    networks = fingerprint(space), fingerprint(predictor)
    key = key_of(channels=hash_of(samples.codes), networks=networks)
    kept = out is not None and all(network.complete for network in networks)
    file = (
        Path(out) / "verification" / "screening" / f"{name_of(key)}.npz" if out is not None and kept else None
    )
    with contextlib.nullcontext() if out is None else only_writer(out):
        try:
            gradients = mean_gradients(
                space, predictor, codes, columns, file=file, key=key, progress=progress
            )
        except ValueError as error:
            raise ValueError(f"{error}; name the channels, as in --stylespace 3:117,5:22") from error
    sizes = gradients.abs().flatten(1).cpu().numpy()  # [S, L D]
    order = np.argsort(-sizes, axis=1, kind="stable")
    found: dict[int, None] = {}
    for rank in range(order.shape[1]):
        for size, ranked in zip(sizes, order, strict=True):
            if len(found) < num and size[ranked[rank]] > 0:
                found[int(ranked[rank])] = None
        if len(found) == num:
            break
    if len(found) < num:
        raise ValueError(f"{_OPTION}: got {num}, and {len(found)} channels move any score")
    return [divmod(index, space.code_dim) for index in found]


def parse_channels(text: str) -> int | list[Channel]:
    """Returns how many channels are meant, of ``"8"``, or which, of ``"3:117,5:22"``.

    Raises:
        ValueError: if it is neither.
    """
    if re.fullmatch(r"\s*\d{1,9}\s*", text):
        return int(text)
    parts = [re.fullmatch(r"\s*(\d{1,9})\s*:\s*(\d{1,9})\s*", part) for part in text.split(",")]
    found = [(int(part[1]), int(part[2])) for part in parts if part]
    if len(found) < len(parts) or len(set(found)) < len(found):
        raise ValueError(
            f"{_OPTION}: got {in_words(text)}, expected a number of channels, or layers and channels that "
            "differ, such as 3:117,5:22"
        )
    return found
