"""Where intervals can say nothing, because a score could be far more than it ever is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from higan_fast.statistics.dose import Means
from higan_fast.wording import listing

WIDE = 1.0  # standard deviations of the score, either way


def narrowest(reach: NDArray[np.float64], num: int, confidence: float) -> NDArray[np.float64]:
    """Half the width of the intervals of means over samples that all agree, which no others go below.

    They are those of bets, which hold for every distribution, and so for one that is rarely very far away.

    Args:
        reach: the largest possible magnitude of a value, ``[E]``, all finite.
        num: of samples.
        confidence: of each interval.
    """
    low, high = Means(np.zeros((num, len(reach))), reach, keep=True).bounds((1 - confidence) / 2)
    return np.asarray((high - low) / 2)


def too_wide_in_words(reach: Mapping[str, float], num: int, confidence: float) -> list[str]:
    """Returns a sentence that names the scores whose intervals say nothing, and what to do; none without any.

    They are those whose intervals are wider than ± 1 standard deviation even where all samples agree.

    Args:
        reach: the largest possible magnitude of what is averaged, by name, in standard deviations of each
            score; inf where it is not known.
        num: of samples.
        confidence: of each interval.
    """
    known = {name: each for name, each in reach.items() if 0 < each < np.inf}
    if not known:
        return []
    least = narrowest(np.array(list(known.values())), num, confidence)
    wide = [name for name, half in zip(known, least, strict=True) if half > WIDE]
    if not wide:
        return []
    most, half = max(known[name] for name in wide), float(least.max())
    up_to = "up to " if len(wide) > 1 else ""
    return [
        f"Intervals of {listing(wide)} are too wide to say anything: the bound of what is averaged is {up_to}"
        f"{most:,.0f} times the spread of the score, so that with {num:,} samples none can be narrower than "
        f"{'up to ' * (len(wide) > 1)}±{half:.2g} SD. More samples or a tighter range of the score help."
    ]
