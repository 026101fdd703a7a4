"""What an experiment found: sentences, a table, figures and pictures, as plain values in files."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from higan_fast.files import DamagedError, json_checksum, write_whole
from higan_fast.tables import Table, csv_text, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]


def plain(value: float) -> float | None:
    """A number for JSON, which has none for what does not exist: NaN, or an end that an interval has not."""
    return float(value) if math.isfinite(value) else None


def with_interval(row: Row, name: str) -> str:
    """``"0.97 [0.92, 1.03]"``: a figure of a row with ``low`` and ``high``, for tables and figures."""
    ends = ", ".join(shown(row[end], ".2f") for end in ("low", "high"))
    return f"{shown(row[name], '.2f')} [{ends}]"


@dataclass(frozen=True, eq=False, repr=False)
class Finding:
    """What an experiment found.

    Attributes:
        experiment: its name, as its command has it, such as "ablate-layers".
        title: a heading.
        sentences: what it found, the most important first. Each is true as worded, with its uncertainty.
        limits: what it does not show.
        table: the figures that a reader wants, as texts.
        rows: all figures, JSON values by name; all rows have the same names.
        figures: further JSON values that the figure is drawn from.
        pictures: names of picture files beside the finding, with what each shows.
        images: how many images were synthesised.
        settings: how it was made.
        made_from: what must still be so for it to be true of a run folder (``RunFolder.origin``).
        made_from_others: likewise of other runs that it compares with, by their folders.
        files: the SHA-256 of its figure and pictures by name, where they have been written.
        of: which of several it is, such as "bed-to-table"; each has files of its own.
    """

    experiment: str
    title: str
    sentences: Sequence[str]
    limits: Sequence[str]
    table: Table
    rows: Sequence[Row]
    images: int
    settings: Mapping[str, Any]
    figures: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)
    made_from: Mapping[str, Any] = field(default_factory=dict)
    made_from_others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    of: str = ""

    @property
    def stem(self) -> str:
        """What its files are called, without their endings: ``"transition.bed-to-table"``."""
        return f"{self.experiment}.{quote(self.of, safe=' ')}" if self.of else self.experiment

    def __repr__(self) -> str:
        return "\n".join([self.title, *self.sentences, self.table.text(), *self.limits])

    def _repr_html_(self) -> str:
        from html import escape

        before, after = (
            "".join(f"<p>{escape(text)}</p>" for text in texts) for texts in (self.sentences, self.limits)
        )
        return f"<h4>{escape(self.title)}</h4>{before}{self.table.html()}{after}"

    def draw(self) -> Figure:
        """Returns its figure.

        Raises:
            ModuleNotFoundError: when Matplotlib is not installed.
        """
        module = importlib.import_module(f"higan_fast.experiments.{self.experiment.replace('-', '_')}")
        drawn: Figure = module.draw(self)
        return drawn

    def to_json(self) -> dict[str, Any]:
        """One object of plain values, as ``--json`` prints it."""
        values: dict[str, Any] = asdict(self) | {"table": self.table._asdict()}
        return dict(json.loads(json.dumps(values, allow_nan=False)))  # with lists in place of tuples

    def to_csv(self) -> str:
        """CSV text with a header; what has no value is empty."""
        return csv_text(list(self.rows[0]) if self.rows else [], self.rows)

    def save(self, folder: str | Path) -> None:
        """Writes STEM.csv and STEM.json into a folder."""
        folder = Path(folder)
        with write_whole(folder / f"{self.stem}.csv") as file:
            file.write(self.to_csv().encode())
        values = self.to_json()
        with write_whole(folder / f"{self.stem}.json") as file:
            file.write(json.dumps(values | {"sha256": json_checksum(values)}, indent=2).encode())

    @classmethod
    def load(cls, path: str | Path) -> Finding:
        """Reads STEM.json.

        Raises:
            DamagedError: when it does not hold a finding of this version, or was changed.
        """
        path = Path(path)
        try:
            values = json.loads(path.read_text())
            if values.pop("sha256") != json_checksum(values):
                raise ValueError("its content is not what was written")
            table = values.pop("table")
            rows = tuple(map(tuple, table["rows"]))
            return cls(
                table=Table(table["caption"], tuple(table["head"]), rows, tuple(table["notes"])), **values
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedError(
                f"{path}: not a finding of this version, or a damaged one ({error}); run "
                f"higan-fast {path.name.partition('.')[0].replace('-', ' ')} again"
            ) from error
