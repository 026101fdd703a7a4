"""The output of a run: a row per measurement in ``results/MACHINE.csv``, and a line of a table."""

from __future__ import annotations

import csv
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

import torch

from higan_fast.environment import environment

RESULTS = Path(__file__).parent / "results"
QUICK = Path(__file__).parent.parent / "build" / "quick"  # rows of a few rounds, which nothing quotes

# ms: median time of one call. ratio: speed relative to the case's first backend. roofline_share: the least
# time that the bytes or products take, as a share of ms. max_error: as a share of the exact result's largest
# magnitude. A field that does not apply is empty.
COLUMNS = (
    "date", "commit", "torch", "threads", "case", "dtype", "backend", "ms", "images_per_s", "gflop_per_s",
    "ratio", "roofline_share", "max_error",
)  # fmt: skip
# column → width in the table; the first three hold text
WIDTHS = {
    "case": 50, "dtype": 8, "backend": 30, "ms": 9, "ratio": 7, "roofline_share": 14, "gflop_per_s": 11,
    "images_per_s": 12, "max_error": 9,
}  # fmt: skip
TEXTS = ("case", "dtype", "backend")


def append(row: dict[str, object], machine: str, folder: Path | None = None) -> None:
    """Appends one row to the machine's file in ``folder`` (None: ``RESULTS``); a new one gets a header.

    Raises:
        ValueError: if the file has different columns.
    """
    path = (folder or RESULTS) / f"{machine}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        with path.open(newline="") as file:
            header = next(csv.reader(file), [])
        if header != list(COLUMNS):
            raise ValueError(f"{path.name}: got the columns {header}, expected {list(COLUMNS)}")
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def record(row: dict[str, object], device: str, folder: Path | None) -> None:
    """Prints a row, and appends it with date, commit and versions to the file of the device's machine."""
    print(line(row), flush=True)
    found = environment()
    circumstances = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": found["commit"],
        "torch": found["torch"],
        "threads": torch.get_num_threads(),
    }
    append({**circumstances, **row}, machine(device), folder)


def header() -> str:
    return line({column: column for column in WIDTHS})


def line(row: dict[str, object]) -> str:
    """Formats the row as a line of an aligned table."""
    cells = []
    for column, width in WIDTHS.items():
        text = str(row.get(column, ""))
        cells.append(text.ljust(width) if column in TEXTS else text.rjust(width))
    return "  ".join(cells).rstrip()


def machine(device: str) -> str:
    """Returns a file name for the machine: the GPU's name, or the processor's with its number of cores."""
    if torch.device(device).type == "cuda":
        return _file_name(torch.cuda.get_device_name(device))
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*:\s*(.+)", info.read_text())):
        name = found.group(1)
    return _file_name(f"{name} {environment()['cpu_cores']} cores")


def _file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
