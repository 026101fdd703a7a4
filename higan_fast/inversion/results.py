"""What an inversion found: codes, how near their images come, and how far they lie from those of samples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from higan_fast.files import read_arrays, write_arrays, write_whole
from higan_fast.image_shapes import as_rgb
from higan_fast.inversion.code_files import CODES
from higan_fast.inversion.curves import figure, rows_of
from higan_fast.inversion.distribution import FAR
from higan_fast.pictures import labelled_grid, shrunk
from higan_fast.tables import Table, csv_text, shown

Array = NDArray[np.float32]
COLUMNS = ("psnr", "distance", "from_mean", "percentile", "steps")
SIDE = 256  # pixels of an image in a picture, at most
HEAD = ("image", "PSNR, dB", "distance", "from the mean", "percentile", "steps")


@dataclass(frozen=True, eq=False, repr=False)
class Inversion:
    """Codes of N images.

    Attributes:
        codes: float32 ``[N, L, D]``.
        names: of the images.
        psnr: how near the codes' images come, in dB: 10·log10(4 / mean squared difference), of images in
            [-1, 1], ``[N]``.
        distance: what was made small, ``[N]``.
        from_mean: how far each code lies from the mean of samples: Mahalanobis distance along their principal
            axes, root mean square over layers, ``[N]``.
        percentile: how many samples lie nearer to it, in percent, ``[N]``.
        steps: how many each image took, ``[N]``.
        settings: how they were found: the fingerprint of the generator, the space, the distance, …
        noise: noise maps ``[N, 1, H, W]`` that were found with the codes, by the name of the buffer of the
            generator that each replaces; none where its own were left.
        curves: PSNR over the steps in w, and then in W+ (``inversion.curves``); None: not known.
    """

    codes: Array
    names: tuple[str, ...]
    psnr: Array
    distance: Array
    from_mean: Array
    percentile: Array
    steps: NDArray[np.int64]
    settings: dict[str, Any]
    noise: Mapping[str, Array] = field(default_factory=dict)
    curves: Array | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()

    def save(self, folder: str | Path) -> None:
        """Writes ``codes.npz``, whose ``w`` is read as NVlabs' ``projected_w.npz`` is, and a table.

        The table is ``invert.csv`` and ``invert.json``; how PSNR rose is ``curves.csv`` and ``curves.svg``.
        """
        folder = Path(folder)
        with write_whole(folder / "invert.csv") as file:
            file.write(self.to_csv().encode())
        with write_whole(folder / "invert.json") as file:
            file.write(json.dumps(self.to_json(), indent=2).encode())
        if self.curves is not None:
            points = rows_of(self.names, self.curves, self.settings)
            with write_whole(folder / "curves.csv") as file:
                file.write(csv_text(("image", "space", "step", "psnr"), points).encode())
            with write_whole(folder / "curves.svg") as file:
                file.write(figure(self.names, self.curves, self.settings).encode())
        columns = {name: getattr(self, name) for name in COLUMNS}
        noise = {f"noise.{name}": each for name, each in self.noise.items()}
        curves = {} if self.curves is None else {"curves": self.curves}
        about = {"names": np.array(self.names), "settings": np.array(json.dumps(self.settings))}
        write_arrays(
            folder / CODES, {"w": self.codes, **columns, **noise, **curves, **about}
        )  # last: it says that all is

    @classmethod
    def load(cls, folder: str | Path) -> Inversion:
        """Reads what ``save`` wrote.

        Raises:
            FileNotFoundError: when there is none.
            DamagedError: when the file is not as it was written.
        """
        arrays = read_arrays(Path(folder) / CODES)
        noise = {
            name.removeprefix("noise."): each for name, each in arrays.items() if name.startswith("noise.")
        }
        columns: dict[str, Any] = {name: arrays[name] for name in COLUMNS}
        return cls(
            arrays["w"], tuple(map(str, arrays["names"])), settings=json.loads(str(arrays["settings"])),
            noise=noise, curves=arrays.get("curves"), **columns,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """JSON values: a row for each image, and the settings."""
        rows = zip(self.names, *(getattr(self, name).tolist() for name in COLUMNS), strict=True)
        return {
            "images": [dict(zip(("image", *COLUMNS), row, strict=True)) for row in rows],
            "settings": self.settings,
        }

    def to_csv(self) -> str:
        """A row for each image."""
        return csv_text(("image", *COLUMNS), self.to_json()["images"])

    @property
    def far(self) -> list[str]:
        """The images whose codes lie farther from the mean than nearly all samples: ``FAR`` percent."""
        return [name for name, nearer in zip(self.names, self.percentile, strict=True) if nearer > FAR]

    def table(self) -> Table:
        """A row for each image, for people."""
        rows = [
            (
                name, shown(float(self.psnr[i]), ".2f"), shown(float(self.distance[i]), ".5f"),
                shown(float(self.from_mean[i]), ".1f"), shown(float(self.percentile[i]), ".1f"),
                str(self.steps[i]),
            )
            for i, name in enumerate(self.names)
        ]  # fmt: skip
        num, far = len(self), len(self.far)
        notes = [f"mean PSNR {self.psnr.mean():.2f} dB, the least {self.psnr.min():.2f}"] if num > 1 else []
        notes.append(
            f"{far} of {num} {'code lies' if num == 1 else 'codes lie'} farther from the mean than {FAR} % "
            "of samples"
        )
        where = "in w" if self.settings.get("space") == "w" else "in W+"
        if "tuned" in self.settings:
            where += f", drawn by the network that was tuned for {self.settings['tuned']} steps"
        return Table(f"{num:,} {'image' if num == 1 else 'images'} inverted {where}", HEAD, rows, notes)


def psnr_of(images: Tensor, targets: Tensor) -> Tensor:
    """10·log10(4 / mean squared difference) of images in [-1, 1], clipped to it, ``[N]``."""
    error = (images.clamp(-1, 1) - targets).square().flatten(1).mean(dim=1)
    return 10 * torch.log10(4 / error.clamp(min=1e-12))


def comparison(names: Sequence[str], targets: Tensor, found: Tensor) -> NDArray[np.uint8]:
    """A row for each image: target, what was found, and their difference, where gray is none, as seen."""
    wanted, drawn = as_rgb(targets), as_rgb(found.clamp(-1, 1))
    rows = torch.stack([wanted, drawn, drawn - wanted], dim=1)
    labels = [
        f"{name[-40:]}, {db:.1f} dB" for name, db in zip(names, psnr_of(found, targets).tolist(), strict=True)
    ]
    return labelled_grid(shrunk(rows, SIDE).cpu(), labels, ("target", "found", "difference"))
