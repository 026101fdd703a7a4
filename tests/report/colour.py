"""Colours as a browser mixes them (CSS Color 4), and their contrast (WCAG 2)."""

import numpy as np

TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear(colour: str) -> np.ndarray:
    """``#rgb`` or ``#rrggbb`` → linear light."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    values = np.array([int(digits[place : place + 2], 16) for place in (0, 2, 4)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def mixed(first: str, second: str, part: float) -> np.ndarray:
    """``color-mix(in oklab, first part, second)``, in linear light."""
    one, other = (TO_OKLAB @ np.cbrt(TO_LMS @ linear(colour)) for colour in (first, second))
    lms = np.linalg.solve(TO_OKLAB, part * one + (1 - part) * other) ** 3
    return np.clip(np.linalg.solve(TO_LMS, lms), 0, 1)


def contrast(text: str, ground: str | np.ndarray) -> float:
    """From 1 to 21; 4.5 is what texts need."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    grounds = linear(ground) if isinstance(ground, str) else ground
    low, high = sorted((float(weights @ linear(text)), float(weights @ grounds)))
    return (high + 0.05) / (low + 0.05)
