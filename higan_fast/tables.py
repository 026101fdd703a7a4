"""Small tables for people: as text for a terminal, as HTML for a notebook."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

STYLE = "text-align:left;font-variant-numeric:tabular-nums;padding:2px 10px 2px 0;white-space:nowrap"


class Table(NamedTuple):
    """Rows of texts below their headings.

    Attributes:
        caption: one sentence above the table.
        notes: lines below it.
    """

    caption: str
    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def text(self) -> str:
        """With columns that are aligned by spaces."""
        table = [self.head, *self.rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(self.head))]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table
        )
        return "\n".join([self.caption, *(f"  {line.rstrip()}" for line in lines if self.rows), *self.notes])

    def html(self) -> str:
        """A ``<table>``; every text is escaped, for names come from files."""
        head = "".join(f'<th style="{STYLE}">{escape(cell)}</th>' for cell in self.head)
        cells = ("".join(f'<td style="{STYLE}">{escape(cell)}</td>' for cell in row) for row in self.rows)
        rows = "".join(f"<tr>{row}</tr>" for row in cells)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        caption = f'<caption style="text-align:left;white-space:normal">{escape(self.caption)}</caption>'
        body = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>" if self.rows else ""
        return f"<div><table>{caption}{body}</table>{notes}</div>"


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV text with a header; None, and what a row does not have, are empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def shown(value: float | None, layout: str = ".3f") -> str:
    """A number as a table shows it; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:{layout}}".replace("-", "−")
