"""A predictor without weights: brightness, contrast, saturation, colorfulness, warmth and hue."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from higan_fast.predictors.base import Semantic
from higan_fast.predictors.closed_form import ClosedForm
from higan_fast.predictors.color_space import lab
from higan_fast.predictors.harmonics import harmonics

# Roots are sqrt(x² + s²) − s, with s in the units of x: finite gradients at gray and in flat images, and an
# error below s. Each is a tenth of a difference that can just be seen, or less.
SMOOTH_CHROMA = 0.1  # of CIELAB
SMOOTH_CONTRAST = 0.001  # L* / 100
SMOOTH_COLORFULNESS = 0.1  # of 255
GRAY = 1.0  # mean chroma, or distance from black, below which hue and saturation fade to 0
WINDOW = 12  # hues count for one that is Δ away by cos²ᵂᴵᴺᴰᴼᵂ(Δ / 2): half at 27 degrees
HUES = 72  # at which the density of hues is computed, 5 degrees apart
SHARPNESS = 20.0  # how fast a hue loses weight, per share of all chroma that it is behind

RANGES: dict[str, tuple[float, float]] = {
    "brightness": (0.0, 1.0),
    "contrast": (0.0, 0.5),
    "saturation": (0.0, 1.0),
    "colorfulness": (0.0, 298.0),  # √(1 + 0.3²) · √(1 + 0.5²) · 255: rg² + yb² is at most that of red
    "warmth": (-1.66, 2.36),  # those of sRGB's coolest and warmest color
    "hue_red_green": (-1.0, 1.0),
    "hue_yellow_blue": (-1.0, 1.0),
    "dominant_red_green": (-1.0, 1.0),
    "dominant_yellow_blue": (-1.0, 1.0),
}


class ColorPredictor(ClosedForm):
    """Images → what their colors are like, in closed form.

    Pixels are sRGB (IEC 61966-2-1), and go to CIELAB under D65 (CIE 15): L* lightness, a* green to red, b*
    blue to yellow, chroma C = √(a*² + b*²). Means are over pixels, so the scores are the same for every
    resolution up to resampling.

    - ``brightness``: mean L* / 100.
    - ``contrast``: standard deviation of L* / 100 (RMS contrast, Peli 1990).
    - ``saturation``: ΣC / Σ√(C² + L*²), which is Lübbe's (2010) for one color; black pixels do not count.
    - ``colorfulness``: M3 of Hasler & Süsstrunk (2003), on their scale: 15 is slightly, 59 quite,
      109 extremely colorful.
    - ``warmth``: mean of −0.5 + 0.02·C^1.07·cos(h − 50°), how warm people call a color of hue h (Ou et al.
      2004); −0.5 for gray, more for orange, less for cyan.
    - ``hue_red_green``, ``hue_yellow_blue``: mean of cos h and sin h, weighted by chroma. Two, because a
      boundary needs scores that do not jump from 360° to 0°.
    - ``dominant_red_green``, ``dominant_yellow_blue``: likewise of the hue around which there is most chroma,
      where the mean of red and cyan is gray: a softmax over the density of hues, smoothed by a window.

    Hues fade to 0 towards gray. All scores have finite gradients everywhere.
    """

    not_fingerprinted = ("waves", "directions")  # these follow from the definition

    waves: Tensor  # [2·WINDOW, HUES]
    directions: Tensor  # [HUES, 2]

    def __init__(self) -> None:
        super().__init__()
        self.semantics = tuple(Semantic(name, "color") for name in RANGES)
        self.definition = 2  # 1 was luma, HSV saturation, and red minus blue
        hues = torch.arange(HUES, dtype=torch.float64) * (2 * math.pi / HUES)
        orders = torch.arange(1, WINDOW + 1, dtype=torch.float64)[:, None]
        # cos²ⁿ(Δ / 2) = Σ binomial(2n, n + m) / 4ⁿ · cos mΔ over all whole m from −n to n
        share = [2 * math.comb(2 * WINDOW, WINDOW + m) / 4**WINDOW for m in range(1, WINDOW + 1)]
        weights = torch.tensor(share, dtype=torch.float64)[:, None]
        waves = torch.cat([weights * (orders * hues).cos(), weights * (orders * hues).sin()])
        self.register_buffer("waves", waves.float(), persistent=False)
        directions = torch.stack([hues.cos(), hues.sin()], dim=1)
        self.register_buffer("directions", directions.float(), persistent=False)

    @property
    def score_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        return tuple(RANGES[name] for name in self.names)

    def formulas(self, rgb: Tensor) -> Tensor:
        rgb = rgb.flatten(2)  # [N, 3, P]
        lightness, red_green, yellow_blue = lab(rgb).unbind(1)  # [N, P] each
        square = red_green * red_green + yellow_blue * yellow_blue
        chroma = _root(square, SMOOTH_CHROMA)
        away_from_black = (square + lightness * lightness + GRAY**2).sqrt()
        mean_chroma = chroma.mean(1)
        hue = torch.stack([red_green.mean(1), yellow_blue.mean(1)], dim=1) / (mean_chroma + GRAY)[:, None]
        scores = [
            lightness.mean(1) / 100,
            _root((lightness / 100).var(1, unbiased=False), SMOOTH_CONTRAST),
            mean_chroma / away_from_black.mean(1),
            _colorfulness(rgb * 255),
            _warmth(red_green, yellow_blue, chroma),
            *hue.unbind(1),
            *self._dominant_hue(red_green, yellow_blue, chroma).unbind(1),
        ]
        return torch.stack(scores, dim=1)

    def _dominant_hue(self, red_green: Tensor, yellow_blue: Tensor, chroma: Tensor) -> Tensor:
        """Cosine and sine of the hue with most chroma around it, ``[N, 2]``; shorter where none has most."""
        length = chroma + SMOOTH_CHROMA
        waves = harmonics(chroma, red_green / length, yellow_blue / length, WINDOW)
        cosines, sines = zip(*((cosine.mean(1), sine.mean(1)) for cosine, sine in waves), strict=True)
        density = torch.stack([*cosines, *sines], dim=1) @ self.waves  # [N, HUES], up to a constant
        share = density / (chroma.mean(1) + GRAY)[:, None]
        return (SHARPNESS * share).softmax(1) @ self.directions


def _root(square: Tensor, smooth: float) -> Tensor:
    return (square + smooth**2).sqrt() - smooth


def _colorfulness(rgb: Tensor) -> Tensor:
    """M3 of Hasler & Süsstrunk, "Measuring colourfulness in natural images", of ``[N, 3, P]`` to 255."""
    red, green, blue = rgb.unbind(1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue], dim=1)  # [N, 2, P]
    spread = opponents.var(2, unbiased=False).sum(1)
    middle = opponents.mean(2).square().sum(1)
    return _root(spread, SMOOTH_COLORFULNESS) + 0.3 * _root(middle, SMOOTH_COLORFULNESS)


def _warmth(red_green: Tensor, yellow_blue: Tensor, chroma: Tensor) -> Tensor:
    """WC of Ou, Luo, Woodcock & Wright, "A study of colour emotion and colour preference, part I" (2004)."""
    warmest = math.radians(50)
    along = math.cos(warmest) * red_green + math.sin(warmest) * yellow_blue  # C · cos(h − 50°)
    return (0.02 * (chroma + SMOOTH_CHROMA) ** 0.07 * along).mean(1) - 0.5
