"""The section of pictures of somebody's: how near their codes come, and what that looks like."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from higan_fast.inversion import Inversion
from higan_fast.inversion.curves import figure
from higan_fast.tables import Table
from higan_fast.wording import listing

MOST_NAMED = 6


@dataclass(frozen=True)
class Inverted:
    """What the page shows of an inversion; ``svg`` and ``picture`` are empty where there is none."""

    num: int
    space: str
    mean: str
    far: str  # whose codes lie farther from the mean than nearly all samples'
    table: Table
    svg: Markup
    picture: str


def inverted(found: Inversion, folder: Path) -> Inverted:
    """Returns the section of an inversion whose files lie in ``folder``."""
    drawn = folder / "progress.png"
    encoded = base64.b64encode(drawn.read_bytes()).decode() if drawn.is_file() else ""
    return Inverted(
        num=len(found),
        space="w" if found.settings.get("space") == "w" else "W+",
        mean=f"{float(found.psnr.mean()):.1f}",
        far=listing(found.far, MOST_NAMED),
        table=found.table(),
        svg=Markup() if found.curves is None else Markup(figure(found.names, found.curves, found.settings)),
        picture=encoded and f"data:image/png;base64,{encoded}",
    )
