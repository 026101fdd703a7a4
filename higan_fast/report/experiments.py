"""The sections of experiments: each made from its finding, and the figure and pictures beside it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from higan_fast.experiments.drawing import BAND, DOWN, INK, LEVEL_COLORS, LINE, PAPER, SOFT, UP
from higan_fast.experiments.finding import Finding
from higan_fast.opening import sha256
from higan_fast.tables import Table

# The colours of figures, and what they are called on the page, which has others in the dark.
NAMES = {PAPER: "page", INK: "ink", SOFT: "soft", LINE: "line", BAND: "band", UP: "up", DOWN: "down"}
NAMES |= {color: level for level, color in LEVEL_COLORS.items()}
TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}


@dataclass(frozen=True)
class Section:
    """What the page shows of a finding; ``svg`` is empty where there is no figure of it."""

    anchor: str
    short: str
    title: str
    sentences: tuple[str, ...]
    limits: tuple[str, ...]
    table: Table
    svg: Markup
    pictures: tuple[tuple[str, str], ...]
    csv: str
    images: int


def experiment(finding: Finding, folder: Path) -> Section:
    """Returns the section of a finding.

    Args:
        finding: what was found.
        folder: holds its figure and its pictures; those that are missing, or are not those that were written
            with the finding, are left out.
    """
    name = finding.stem
    drawing = f"{name}.svg"
    beside = {each for each in finding.files if _is_of(finding, folder / each, each)}
    return Section(
        anchor=f"experiment-{quote(name)}",
        short=name.replace("-", " ").replace(".", " ").capitalize(),
        title=finding.title,
        sentences=tuple(finding.sentences),
        limits=tuple(finding.limits),
        table=finding.table,
        svg=_figure((folder / drawing).read_text()) if drawing in beside else Markup(),
        pictures=tuple(
            (shows, _data(folder / picture))
            for picture, shows in finding.pictures.items()
            if picture in beside
        ),
        csv=quote(f"{name}.csv"),
        images=finding.images,
    )


def _is_of(finding: Finding, path: Path, name: str) -> bool:
    """Whether a file is the one that was written with the finding, and not of an earlier or later one."""
    return path.is_file() and sha256(path) == finding.files[name]


def _figure(svg: str) -> Markup:
    """A figure that we have drawn as a part of the page, in the colours of its theme."""
    svg = svg[svg.index("<svg") :]
    for color, name in NAMES.items():
        svg = svg.replace(color, f"var(--{name})")
    return Markup(re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL))


def _data(picture: Path) -> str:
    content = base64.b64encode(picture.read_bytes()).decode()
    return f"data:{TYPES[picture.suffix.lower()]};base64,{content}"
