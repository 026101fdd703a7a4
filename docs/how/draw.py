"""Draws the figures of how.md: ``python docs/how/draw.py``. That of the sequential rule is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from higan_fast.statistics.betting import BettingSequence

HERE = Path(__file__).parent
STYLE = """<style>
text { font: 14px system-ui, sans-serif; fill: #1c1e21 } .soft { fill: #5d636b; font-size: 12px }
.box { fill: #f5f6f7; stroke: #b9bec5 } .own { fill: #5653c9 } .again { fill: #d8dbdf }
.line { stroke: #5d636b; fill: none } .thin { stroke-width: 1 }
.up { stroke: #0b7f63; fill: #0b7f63 } .none { stroke: #a26000; fill: #a26000 }
@media (prefers-color-scheme: dark) {
text { fill: #e8eaed } .soft { fill: #a0a6ae } .box { fill: #1b1e23; stroke: #4a5058 }
.again { fill: #3a4047 } .line { stroke: #a0a6ae } .own { fill: #8a88ff } }
</style>"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img"><title>{}</title>'
STAGES = (
    ("z", "latent"), ("layer codes", "[L, D]"), ("perturbation", "along a boundary"),
    ("styles", "one op, all layers"), ("activations", "layer by layer"), ("images", "[C, h, w]"),
    ("scores", "one a semantic"), ("effects", "paired, with intervals"), ("report", "one page"),
)  # fmt: skip


def picture(name: str, width: int, height: int, title: str, *parts: str) -> None:
    head = SVG.format(width, height, title)
    (HERE / f"{name}.svg").write_text("\n".join([head, STYLE, *parts, "</svg>\n"]))


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{words}</text>'


def box(x: float, y: float, width: float, height: float, kind: str = "box") -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" class="{kind}"/>'


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    tip = f"M{x2 - 6:g} {y2 - 4:g} L{x2:g} {y2:g} L{x2 - 6:g} {y2 + 4:g}"
    return f'<path class="line" d="M{x1:g} {y1:g} L{x2:g} {y2:g} {tip}"/>'


def way() -> None:
    """The straight line from a latent to the report."""
    parts = []
    for i, (words, below) in enumerate(STAGES):
        x, y = 12 + (i % 5) * 172, 14 + (i // 5) * 92
        parts += [box(x, y, 140, 52), text(x + 70, y + 22, words), text(x + 70, y + 41, below, "soft")]
        if i % 5:
            parts.append(arrow(x - 30, y + 26, x - 2, y + 26))
    parts.append('<path class="line" d="M770 66 V86 H82 V104 M78 98 L82 104 L86 98"/>')
    picture("way", 860, 176, "The way of the data", *parts)


def prefix(layers: int = 10) -> None:
    """Layers that run for a base image, and for one moved at each layer alone."""
    parts, cell = [], 30
    for row in range(layers + 1):
        y, fork = 34 + row * 22, row - 1
        words = "base image" if row == 0 else f"layer {fork} moved"
        parts.append(text(128, y + 13, words, "soft", "end"))
        for layer in range(layers):
            ran = row == 0 or layer >= fork
            parts.append(box(140 + layer * (cell + 4), y, cell, 16, "own" if ran else "again"))
    parts += [text(140 + layer * (cell + 4) + cell / 2, 24, str(layer), "soft") for layer in range(layers)]
    ran, all_of_them = layers + layers * (layers + 1) // 2, (layers + 1) * layers
    y = 34 + (layers + 1) * 22 + 20
    parts += [
        box(140, y - 12, 16, 14, "own"),
        text(164, y, "runs", "", "start"),
        box(230, y - 12, 16, 14, "again"),
    ]
    parts.append(text(254, y, f"taken from the base image: {ran} of {all_of_them} layers run", "", "start"))
    picture("prefix", 620, y + 14, "Sharing a prefix", *parts)


def sequential(num: int = 512, seed: int = 1) -> None:
    """Intervals of two effects, one of 0.3 and one of nothing, as samples come."""
    random = np.random.default_rng(seed)
    left, right, top, bottom = 70, 780, 20, 250
    middle, samples = (top + bottom) / 2, np.unique(np.geomspace(8, num, 60).astype(int))

    def across(count: float) -> float:
        return left + (right - left) * np.log2(count / 8) / np.log2(num / 8)

    def path(values: np.ndarray, at: np.ndarray = samples) -> str:
        heights = middle - values * (bottom - top) / 2
        return " L".join(f"{across(count):.1f} {y:.1f}" for count, y in zip(at, heights, strict=True))

    parts = [f'<path class="line thin" d="M{left} {middle} H{right}"/>']
    parts.append(text(left - 10, middle + 5, "0", "soft", "end"))
    for mean, kind in ((0.3, "up"), (0.0, "none")):
        low, high, means = _intervals(np.clip(random.normal(mean, 0.35, num), -1, 1), samples)
        band = f"M{path(high)} L{path(low[::-1], samples[::-1])} Z"
        parts.append(f'<path class="{kind}" fill-opacity=".16" stroke="none" d="{band}"/>')
        parts.append(f'<path class="{kind}" style="fill:none" stroke-width="2" d="M{path(means)}"/>')
        if (low > 0).any():
            first = samples[np.argmax(low > 0)]
            line = f"M{across(first):.1f} {top} V{bottom}"
            parts.append(f'<path class="{kind} thin" stroke-dasharray="4 3" d="{line}"/>')
            words = f"surely above 0 after {first} samples"
            parts.append(text(across(first) + 6, top + 12, words, "", "start"))
    for count in (8, 32, 64, 128, 256, 512):
        parts.append(text(across(count), bottom + 20, str(count), "soft"))
    words = "samples; the looks at the null are at 32, 64, 128, …"
    parts.append(text((left + right) / 2, bottom + 42, words, "soft"))
    picture("sequential", 800, 300, "The sequential rule", *parts)


def _intervals(values: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds at 99 % and means of the first values, at each number of samples."""
    sequence = BettingSequence(1, [1.0])
    found = []
    for before, count in zip([0, *samples], samples, strict=False):
        sequence.update(values[before:count, None])
        low, high = sequence.bounds(0.005)
        found.append((low[0], high[0], values[:count].mean()))
    low, high, means = np.array(found).T
    return low, high, means


def emulator() -> None:
    """One source, two compilers."""
    boxes = (
        (12, 62, 170, "kernels/NAME.cu", "one source"),
        (266, 12, 190, "nvcc", "threads of a GPU"),
        (266, 120, 190, "g++ and the emulator", "a fiber for each thread"),
        (540, 12, 250, "the extension", "checked once on each GPU, by itself"),
        (540, 120, 250, "tests on any machine", "races, bounds, barriers, three orders"),
    )
    parts = [
        arrow(182, 78, 262, 40),
        arrow(182, 106, 262, 148),
        arrow(456, 40, 536, 40),
        arrow(456, 148, 536, 148),
    ]
    for x, y, width, words, below in boxes:
        middle = x + width / 2
        parts += [box(x, y, width, 56), text(middle, y + 24, words), text(middle, y + 43, below, "soft")]
    picture("emulator", 804, 190, "The emulator", *parts)


if __name__ == "__main__":
    for draw in (way, prefix, sequential, emulator):
        draw()
