"""Any live network or function that draws images from layer codes, behind the interface of a generator."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from higan_fast.generators.base import Activation, Generator, layer_of_size

Draw = Callable[[Tensor], Any]
Map = Callable[..., Any]

Shape = tuple[int | None, int | None, int | None]  # channels, height and width; None: any

# Of what a trained network draws, some pixels lie beyond white and black, and never so many.
MOST_OUTSIDE = 0.5


def wrap(
    network: Draw,
    num_layers: int | None = None,
    code_dim: int | None = None,
    resolution: int | tuple[int, int] | None = None,
    *,
    map: Map | None = None,
    latent_dim: int | None = None,
    label_dim: int | None = None,
    w_avg: Any = None,
    identity: str | None = None,
    device: str | torch.device | None = None,
) -> Generator:
    """A live generator, or any function that draws images, as a ``Generator`` that can be probed.

    A live ``G_ema`` of NVlabs' code (with ``mapping``, ``synthesis``, ``num_ws``, ``w_dim``, ``z_dim`` and
    ``img_resolution``) needs no other argument, and draws with constant noise::

        generator = higan_fast.generators.wrap(G_ema)
        generator = higan_fast.generators.wrap(
            lambda codes: network.decode(codes), num_layers=14, code_dim=512, map=network.encode,
            identity="network, epoch 20"
        )

    The network is a single stage to the probe: whichever layer a perturbation begins with, all of it runs.
    ``wrap`` tries it on two latents, and says at once what does not fit. The networks that a function calls
    stay as they are: put them into evaluation mode and on their device before.

    Args:
        network: layer codes ``[N, num_layers, code_dim]`` → images ``[N, C, H, W]`` in about [-1, 1], a
            tensor or a NumPy array, of any number of channels and size; the same images for the same codes.
            Screening needs a gradient.
        resolution: pixels of a side, or height and width, which its images must have; None: what they have.
        map: latents ``[N, latent_dim]`` from N(0, I) → ``w`` ``[N, code_dim]`` for all layers, or layer codes
            ``[N, num_layers, code_dim]``; a conditional one is given one-hot labels ``[N, label_dim]`` too.
            None: the latent is the code of every layer.
        latent_dim: length of a latent; None: ``code_dim``.
        label_dim: number of classes; None: unconditional.
        w_avg: the centre of truncation, ``[code_dim]`` or ``[num_layers, code_dim]``; None: only a truncation
            of 1 is possible.
        identity: what tells this generator from others where weights do not, such as a version: results that
            are kept are used again only for the same one.
        device: where codes are made for a function; None: where the network's parameters are, or the CPU.

    Raises:
        ValueError: when an argument is missing, or the network or ``map`` do not give what is expected.
        TypeError: when the network cannot be called.
    """
    if isinstance(network, type) or not callable(network):
        raise TypeError(
            f"network: got {network!r}, expected a module, or a function from layer codes to images"
        )
    found = _of_karras(network) if is_karras(network) else _Found(network, map)
    sizes = {
        "num_layers": found.num_layers if num_layers is None else num_layers,
        "code_dim": found.code_dim if code_dim is None else code_dim,
        "latent_dim": found.latent_dim if latent_dim is None else latent_dim,
    }
    if sizes["latent_dim"] is None:
        sizes["latent_dim"] = sizes["code_dim"]
    for name, value in sizes.items():
        if not _is_whole(value):
            raise ValueError(f"{name}: got {value!r}, expected a whole number of at least 1")
    made = Wrapped(
        found.draw,
        map or found.map,
        **{name: int(value) for name, value in sizes.items() if value is not None},
        image_size=_size(resolution),
        label_dim=found.label_dim if label_dim is None else label_dim,
        w_avg=found.w_avg if w_avg is None else w_avg,
        device=device,
    ).eval()
    made.identity = identity
    made.try_out()
    return made


class Wrapped(Generator):
    """What ``wrap`` gives. An activation holds the codes of the layers so far, ``[N, L, D]``.

    Attributes:
        identity: what tells it from others where weights do not; None: nothing does.
        shares_code: whether ``map`` gives one ``w`` for all layers. Otherwise ``w`` is all their codes.
        expected_shape: channels, height and width of its images; None: ``try_out`` finds it.
    """

    family: ClassVar[str] = "wrapped"
    not_fingerprinted: ClassVar[tuple[str, ...]] = ("expected_shape", *Generator.not_fingerprinted)
    identity: str | None = None
    w_avg: Tensor | None

    def __init__(
        self,
        network: Draw,
        map: Map | None,
        num_layers: int,
        code_dim: int,
        latent_dim: int,
        image_size: tuple[int, int] | None = None,
        label_dim: int = 0,
        w_avg: Any = None,
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__()
        self.latent_dim, self.label_dim = latent_dim, label_dim
        self.code_dim, self.expected_shape = code_dim, (None, *(image_size or (None, None)))
        self._draws_images_of(image_size or (1, 1), num_layers)
        own = next((p for p in _parameters(network, map) if p.is_floating_point()), torch.empty(0))
        # The first parameter says where codes are made, and in which dtype: a function has none.
        self.like = nn.Parameter(torch.empty(0, dtype=own.dtype, device=device or own.device), False)
        self.network, self.map_latents = network, map
        if w_avg is not None:
            w_avg = torch.as_tensor(w_avg).detach().to(self.like)
            if w_avg.shape not in ((code_dim,), (num_layers, code_dim)):
                raise ValueError(
                    f"w_avg: got shape {list(w_avg.shape)}, expected [{code_dim}] "
                    f"or [{num_layers}, {code_dim}]"
                )
            w_avg = w_avg.expand(num_layers, code_dim).clone()
        self.register_buffer("w_avg", w_avg)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, identity {self.identity!r}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.expected_shape
        assert channels is not None and height is not None and width is not None, "it was not tried out"
        return channels, height, width

    @property
    def w_dim(self) -> int:
        return self.code_dim if self.shares_code else self.num_layers * self.code_dim

    def mapping(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        self.check_latents(z)
        one_hot = self.one_hot(label, z)
        mapped = self._mapped(z, one_hot)
        if not self.shares_code:
            return mapped.expand(-1, self.num_layers, -1).flatten(1)  # [N, L · D]
        return mapped[:, 0]

    def layer_codes(
        self, w: Tensor, truncation_psi: float = 1.0, truncation_layers: int | None = None
    ) -> Tensor:
        codes = (
            w[:, None].repeat(1, self.num_layers, 1)
            if self.shares_code
            else w.unflatten(1, (-1, self.code_dim))
        )
        self.check_truncation(truncation_psi, truncation_layers)
        if truncation_psi == 1:
            return codes
        assert self.w_avg is not None
        psi = torch.ones(self.num_layers, 1, dtype=w.dtype, device=w.device)
        psi[:truncation_layers] = truncation_psi
        center = self.w_avg.to(w)
        return center + psi * (codes - center)

    def check_truncation(self, truncation_psi: float, truncation_layers: int | None = None) -> None:
        """Raises ValueError if there is no centre to truncate towards."""
        super().check_truncation(truncation_psi, truncation_layers)
        if truncation_psi != 1 and self.w_avg is None:
            raise ValueError(
                f"truncation_psi (--trunc): got {truncation_psi!r}, and this generator was wrapped without "
                "w_avg, the centre of truncation; give wrap(..., w_avg=...), or a truncation of 1"
            )

    def start(self, num: int) -> Activation:
        return Activation(self.like.new_zeros(num, self.num_layers, self.code_dim))

    def layer(self, index: int, activation: Activation, code: Tensor) -> Activation:
        codes = activation.features.to(code.dtype, copy=True)
        codes[:, index] = code
        return Activation(codes)

    def image(self, activation: Activation) -> Tensor:
        return self._drawn(activation.features)

    def draw(self, codes: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
        return self._drawn(codes)

    def _mapped(self, z: Tensor, one_hot: Tensor) -> Tensor:
        """Latents → ``[N, 1, D]``, for all layers, or ``[N, L, D]``."""
        if self.map_latents is None:
            mapped = z
        else:
            mapped = _tensor(
                "map", self.map_latents(z, one_hot) if self.label_dim else self.map_latents(z), z
            )
        if mapped.ndim == 2:
            mapped = mapped[:, None]
        if mapped.shape not in ((len(z), 1, self.code_dim), (len(z), self.num_layers, self.code_dim)):
            raise ValueError(
                f"map: gave shape {list(mapped.shape)} for {len(z)} latents, expected "
                f"[{len(z)}, {self.code_dim}], or [{len(z)}, {self.num_layers}, {self.code_dim}] "
                "with a code for each layer"
            )
        return mapped

    def _drawn(self, codes: Tensor) -> Tensor:
        dtype = self.activation_dtype
        with torch.autocast(codes.device.type, dtype, enabled=dtype is not None):
            images = _tensor("network", self.network(codes), codes)
        _check_shape(images, len(codes), self.expected_shape)
        return images

    def _draws_images_of(self, size: tuple[int, int], num_layers: int) -> None:
        """Notes the height and width of images: the layers are all of their size."""
        self.resolution = max(size)
        self.layers = tuple(
            layer_of_size(index, f"layer{index}", size, num_layers) for index in range(num_layers)
        )

    def try_out(self) -> None:
        """Maps and draws two samples.

        Raises:
            ValueError: when what comes is not what is expected.
        """
        random = torch.Generator().manual_seed(0)
        z = torch.randn(2, self.latent_dim, generator=random).to(self.like)
        one_hot = self.one_hot(
            torch.zeros(2, dtype=torch.long, device=z.device) if self.label_dim else None, z
        )
        with torch.no_grad():
            mapped = _called("map", lambda: self._mapped(z, one_hot), f"latents [2, {self.latent_dim}]")
            self.shares_code = bool((mapped == mapped[:, :1]).all())  # type: ignore[misc]
            codes = mapped.expand(-1, self.num_layers, -1).contiguous()
            given = f"codes {list(codes.shape)}"
            first, again = (_called("network", lambda: self._drawn(codes), given) for _ in range(2))
            _, channels, height, width = first.shape
            self.expected_shape = channels, height, width
            self._draws_images_of((height, width), self.num_layers)
        for what, values in (("map", codes), ("network", first)):
            if not values.isfinite().all():
                raise ValueError(f"{what}: gave values that are not finite (NaN or infinite)")
        _warn_of(first, again)


class _Found:
    """What a live network says of itself; None where it says nothing."""

    def __init__(self, draw: Draw, map: Map | None) -> None:
        self.draw, self.map = draw, map
        self.num_layers: int | None = None
        self.code_dim: int | None = None
        self.latent_dim: int | None = getattr(draw, "z_dim", None)
        self.label_dim = 0
        self.w_avg: Tensor | None = None


class _KarrasDraw(nn.Module):
    """``G_ema.synthesis`` with constant noise: random noise would be measured as an effect."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, codes: Tensor) -> Any:
        return self.network.synthesis(codes, noise_mode="const")


class _KarrasMap(nn.Module):
    """``G_ema.mapping``."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.mapping = network.mapping

    def forward(self, z: Tensor, one_hot: Tensor | None = None) -> Any:
        return self.mapping(z, one_hot)


KARRAS = ("mapping", "synthesis", "num_ws", "w_dim", "z_dim", "img_resolution")


def is_karras(network: object) -> bool:
    """Whether it is a module with the interface of NVlabs' generators."""
    return isinstance(network, nn.Module) and all(hasattr(network, name) for name in KARRAS)


def _of_karras(network: Any) -> _Found:
    found = _Found(_KarrasDraw(network), _KarrasMap(network))
    found.num_layers, found.code_dim, found.latent_dim = network.num_ws, network.w_dim, network.z_dim
    found.label_dim = getattr(network, "c_dim", 0)
    average = getattr(network.mapping, "w_avg", None)
    found.w_avg = average if isinstance(average, Tensor) and average.shape == (network.w_dim,) else None
    return found


def _parameters(*parts: object) -> list[nn.Parameter]:
    return [parameter for part in parts if isinstance(part, nn.Module) for parameter in part.parameters()]


def _called(what: str, call: Callable[[], Tensor], given: str) -> Tensor:
    try:
        return call()
    except ValueError as error:
        if str(error).startswith(f"{what}: "):
            raise
        problem: Exception = error
    except Exception as error:  # of a function that we do not know
        problem = error
    reason = f"{type(problem).__name__}: {problem}".splitlines()[0]
    raise ValueError(f"{what}: could not be called with {given} ({reason})") from problem


def _tensor(what: str, value: Any, like: Tensor) -> Tensor:
    """A result as a tensor in the dtype and on the device of ``like``."""
    if isinstance(value, np.ndarray):
        value = torch.as_tensor(value)
    if isinstance(value, tuple | list | dict):
        part = f"[{next(iter(value), 'image')!r}]" if isinstance(value, dict) else "[0]"
        raise ValueError(
            f"{what}: gave a {type(value).__name__} of {len(value)}, expected a tensor; "
            f"take it out of it, as in lambda x: {what}(x){part}"
        )
    if not isinstance(value, Tensor):
        raise ValueError(f"{what}: gave a {type(value).__name__}, expected a tensor or a NumPy array")
    if not value.is_floating_point():
        advice = "; bring bytes into range by x / 127.5 - 1" if value.dtype == torch.uint8 else ""
        raise ValueError(f"{what}: gave {value.dtype}, expected floating-point numbers{advice}")
    return value.to(like)


def _size(resolution: Any) -> tuple[int, int] | None:
    """Height and width, of one number for both or of a pair."""
    if resolution is None:
        return None
    sides = resolution if isinstance(resolution, tuple | list) else (resolution, resolution)
    if len(sides) != 2 or not all(map(_is_whole, sides)):
        raise ValueError(
            f"resolution: got {resolution!r}, expected a whole number of at least 1, or a height and a width"
        )
    return int(sides[0]), int(sides[1])


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1


def _check_shape(images: Tensor, num: int, expected: Shape) -> None:
    """Raises ValueError unless ``num`` images have this shape, and look like ``[N, C, H, W]``."""
    got, (channels, height, width) = tuple(images.shape), expected
    fits = len(got) == 4 and all(want in (None, has) for want, has in zip((num, *expected), got, strict=True))
    channels_last = (
        len(got) == 4 and got[3] <= 4 and (got[1] > 4 if height is None else got[1:3] == (height, width))
    )
    if fits and 0 not in got[1:] and (channels is not None or not channels_last):
        return
    advice = ""
    if channels_last:
        advice = "; write network(codes).permute(0, 3, 1, 2)"
    elif len(got) == 4 and got[0] == num and height == width and got[2] == got[3]:
        advice = f"; is its resolution {got[2]}?"
    words = ", ".join(
        letter if want is None else str(want) for want, letter in zip(expected, "CHW", strict=True)
    )
    raise ValueError(f"network: gave shape {list(got)} for {num} samples, expected [{num}, {words}]{advice}")


def _warn_of(first: Tensor, again: Tensor) -> None:
    low, high = float(first.min()), float(first.max())
    if float((first.abs() > 1).float().mean()) > MOST_OUTSIDE:
        problem = f"its images reach from {low:.3g} to {high:.3g}, expected about [-1, 1]; more is clipped"
    elif low >= 0 and high > low:
        problem = (
            "its images have nothing below 0, expected about [-1, 1]; if they are in [0, 1], give 2 * x - 1"
        )
    elif not torch.allclose(first, again, rtol=0, atol=1e-2):
        problem = (
            "it draws another image of the same codes; keep its noise fixed, or it is measured as an effect"
        )
    else:
        return
    warnings.warn(f"network: {problem}", RuntimeWarning, stacklevel=4)
