"""Low-pass filters by a Kaiser window: along one axis, or alike in all directions of the image."""

from __future__ import annotations

import math

import numpy as np
import scipy.special
import torch
from numpy.typing import NDArray
from torch import Tensor


def lowpass(taps: int, cutoff: float, half_width: float, rate: float, radial: bool = False) -> Tensor:
    """Returns a filter ``[taps]``, or ``[taps, taps]`` where it is radial, that sums to 1; float32.

    The impulse response of an ideal low-pass filter, a sinc or, over the plane, a jinc, times a Kaiser window
    (arXiv 2106.12423, §3.2 and appendix C.1).

    Args:
        taps: its length.
        cutoff: the frequency at which its response is one half, in the unit of ``rate``.
        half_width: of the band in which the response falls off, in the unit of ``rate``.
        rate: samples per unit of length.
        radial: whether the response depends on a frequency's length alone.
    """
    window = np.kaiser(taps, _beta(taps, 2 * half_width / (rate / 2)))
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    if radial:
        response = _jinc(np.hypot(x[:, None], x), cutoff) * np.outer(window, window)
    else:
        response = np.sinc(2 * cutoff * x) * window
    return torch.as_tensor(response / response.sum(), dtype=torch.float32)


def _jinc(radius: NDArray[np.float64], cutoff: float) -> NDArray[np.float64]:
    """``J1(2π f r) / (π r)``, a disc of frequencies up to f seen from the image; at r = 0 its limit is f."""
    away = np.where(radius > 0, radius, 1.0)
    values = scipy.special.j1(2 * math.pi * cutoff * away) / (math.pi * away)
    found: NDArray[np.float64] = np.where(radius > 0, values, cutoff)
    return found


def _beta(taps: int, width: float) -> float:
    """Kaiser's formulas for the window; ``width`` is that of the band, as a share of half of the rate."""
    attenuation = 2.285 * (taps - 1) * math.pi * width + 7.95  # dB
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return float(0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21))
    return 0.0
