"""Checks of an architecture's settings, which may come from a file: one line says what is wrong with one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from higan_fast.wording import in_words

RESOLUTIONS = tuple(4 * 2**doublings for doublings in range(10))  # of a progressive generator's blocks
LARGEST = RESOLUTIONS[-1]  # height and width of an image, in pixels; published generators make up to 1024
MOST_START = 64  # height and width of the first features; published ones start at 4, or at 4 by 2 or 8
LARGEST_ATTENTION = 128  # pixels; published ones attend at 64, and the memory grows with the fourth power
MOST_LAYERS = 100  # of a mapping network, or blocks; published ones have up to 18
MOST = 2**16  # channels, classes, or values of a latent or a code


def check_whole(name: str, value: object, least: int = 1, most: int = MOST) -> None:
    """Raises ValueError unless ``value`` is an int from ``least`` to ``most``."""
    if type(value) is not int or not least <= value <= most:
        bounds = f"at least {least}" if type(value) is int and value < least else f"{least} to {most}"
        kind = "" if type(value) is int else "a whole number, "
        raise ValueError(f"{name}: got {in_words(value)}, expected {kind}{bounds}")


def check_whole_or_none(name: str, value: object) -> None:
    """Raises ValueError unless ``value`` is None or an int of at least 1."""
    if value is not None:
        check_whole(name, value)


def check_positive(name: str, value: object, below: float = 1e6) -> None:
    """Raises ValueError unless ``value`` is a number above 0 and below ``below``."""
    if type(value) not in (int, float) or not 0 < value < below:  # type: ignore[operator]
        raise ValueError(f"{name}: got {in_words(value)}, expected a number above 0 and below {below:g}")


def check_flag(name: str, value: object) -> None:
    """Raises ValueError unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}: got {in_words(value)}, expected true or false")


def check_word(name: str, value: object, words: Sequence[str]) -> None:
    """Raises ValueError unless ``value`` is one of the words."""
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{name}: got {in_words(value)}, expected one of {', '.join(words)}")


def check_channels(channels: object) -> None:
    """Raises ValueError unless ``channels`` has a number of channels for 4, 8, … up to some resolution."""
    if not isinstance(channels, dict) or not channels:
        got = "none" if channels == {} else in_words(channels)
        raise ValueError(f"channels: got {got}, expected a number of channels for each resolution")
    for resolution in channels:
        if type(resolution) is not int or resolution not in RESOLUTIONS:
            expected = f"4, 8, 16 and so on up to {LARGEST}"
            raise ValueError(f"channels: got the resolution {in_words(resolution)}, expected {expected}")
    for resolution in RESOLUTIONS[: len(channels)]:
        if resolution not in channels:
            raise ValueError(f"channels: lack the resolution {resolution}, below {max(channels)}")
        check_whole(f"channels of resolution {resolution}", channels[resolution])


def check_start_size(size: object, resolution: int) -> None:
    """Raises ValueError unless ``size`` is a height and a width from which no image becomes too large.

    Args:
        size: of the first features.
        resolution: of the last block, which has ``resolution / 4`` times as many pixels on each side.
    """
    if not isinstance(size, tuple) or len(size) != 2:
        raise ValueError(f"start_size: got {in_words(size)}, expected a height and a width")
    for side in size:
        check_whole("start_size", side, 1, MOST_START)
    check_resolution(max(size) * resolution // 4)


def check_blocks(channels: object, least: int = 1) -> None:
    """Raises ValueError unless ``channels`` are those of the first features and after each of some blocks."""
    if not isinstance(channels, tuple | list):
        raise ValueError(f"channels: got {in_words(channels)}, expected a list of numbers of channels")
    check_whole("number of channels", len(channels), 2, MOST_LAYERS + 1)
    for index, width in enumerate(channels):
        check_whole(f"channels[{index}]", width, least)


def check_resolution(resolution: int) -> None:
    """Raises ValueError when images would be larger than any network makes them."""
    if resolution > LARGEST:
        raise ValueError(f"makes images of {in_words(resolution)}² pixels, expected at most {LARGEST}²")


def check_attention(after: object, channels: Sequence[int], sizes: Sequence[int]) -> None:
    """Raises ValueError where self-attention is misplaced, or would take more memory than in any network.

    Args:
        after: the layers that it follows.
        channels: of each layer's features.
        sizes: height and width of each layer's features.
    """
    if not isinstance(after, Collection) or isinstance(after, str | dict):
        raise ValueError(f"attention: got {in_words(after)}, expected a list of layers")
    check_whole("number of attentions", len(after), 0, len(channels))
    for index in after:
        if type(index) is not int or not 0 <= index < len(channels):
            raise ValueError(f"attention: got layer {in_words(index)}, expected 0 to {len(channels) - 1}")
        if channels[index] < 8:
            raise ValueError(f"attention: layer {index} has {channels[index]} channels, expected at least 8")
        if not 2 <= sizes[index] <= LARGEST_ATTENTION:
            raise ValueError(
                f"attention: layer {index} has {sizes[index]}² pixels, expected 2² to {LARGEST_ATTENTION}²"
            )


def with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings that have been through JSON with tuples where it made lists of them."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
