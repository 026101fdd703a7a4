"""Files with labels: ``sample,semantic,value``, one label a line, as a spreadsheet writes them."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from higan_fast.opening import check_file, open_bytes
from higan_fast.refusing import refusing
from higan_fast.wording import in_words, printable

COLUMNS = ("sample", "semantic", "value")
SEPARATORS = (",", ";", "\t")  # what spreadsheets write, whatever they are set to
LARGEST_FILE = 2**28  # bytes
LARGEST = 1e30  # of a value, which float32 holds


class Labels(NamedTuple):
    """What somebody says of some samples, for one semantic.

    Attributes:
        rows: which samples, ``[n]``, each once.
        values: 0 and 1, or any other numbers that rise with the semantic, ``[n]``.
    """

    rows: NDArray[np.intp]
    values: NDArray[np.float32]


def read_labels(path: str | Path, num_samples: int) -> dict[str, Labels]:
    """Reads labels of samples by semantic, in the order in which the semantics first come.

    The first line names the columns, among them ``sample``, ``semantic`` and ``value``; others are passed
    over, and so is a line whose value is empty: that sample has no label.

    Args:
        path: a text file in UTF-8 with commas, semicolons or tabs between the columns.
        num_samples: how many samples there are; the first is 0.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file and the line, if one cannot be read, or labels a sample twice.
    """
    path = Path(path)
    with refusing(path):
        if (size := check_file(path)) > LARGEST_FILE:
            raise ValueError(f"has {size} bytes, expected at most {LARGEST_FILE}; is it a file of labels?")
        lines = str(open_bytes(path), "utf-8-sig").splitlines()
        found: dict[str, dict[int, float]] = {}
        head = lines[0] if lines else ""
        separator = max(SEPARATORS, key=head.count)
        names = [name.strip().lower() for name in next(csv.reader([head], delimiter=separator), [])]
        if any(names.count(column) != 1 for column in COLUMNS):
            raise ValueError(f"line 1: got {in_words(head)}, expected the columns {','.join(COLUMNS)}")
        places = [names.index(column) for column in COLUMNS]
        reader = csv.reader(lines[1:], delimiter=separator)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            number = f"line {reader.line_num + 1}"
            if len(cells) <= max(places):
                raise ValueError(f"{number}: has {len(cells)} columns, expected {len(names)}, as in line 1")
            sample, semantic, value = (cells[place].strip() for place in places)
            if value:
                row, label = _row(number, sample, num_samples), _value(number, value)
                own = found.setdefault(_name(number, semantic), {})
                if row in own:
                    raise ValueError(f"{number}: labels sample {row} a second time for {in_words(semantic)}")
                own[row] = label
        if not found:
            raise ValueError("holds no label; write a value for some samples")
    return {
        name: Labels(np.array(list(own), np.intp), np.array(list(own.values()), np.float32))
        for name, own in found.items()
    }


def _row(number: str, text: str, num_samples: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) < num_samples):
        raise ValueError(
            f"{number}: sample is {in_words(text)}, expected a whole number from 0 to {num_samples - 1}"
        )
    return int(text)


def _name(number: str, text: str) -> str:
    if not text or printable(text) != text:
        raise ValueError(f"{number}: semantic is {in_words(text)}, expected a short name")
    return text


def _value(number: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST:
        raise ValueError(f"{number}: value is {in_words(text)}, expected a number, such as 0, 1 or 0.25")
    return value
