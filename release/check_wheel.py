"""Says what a wheel is: tag, size, and what it links; ends with an error where a release must not have it.

python release/check_wheel.py WHEEL [--expect manylinux_2_28]
"""

from __future__ import annotations

import argparse
import re
import sys
import zipfile
from pathlib import Path

LARGEST = 60  # MB of 10⁶ bytes


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--expect", metavar="TAG", help="manylinux tag that the wheel must have")
    options = parser.parse_args(argv)
    size = options.wheel.stat().st_size / 1e6
    tag = options.wheel.stem.split("-")[-1]
    print(f"{options.wheel.name}: {size:.1f} MB, {tag}")
    wrong = faults(options.wheel, size, tag, options.expect)
    for fault in wrong:
        print(f"{options.wheel.name}: {fault}", file=sys.stderr)
    return 1 if wrong else 0


def faults(wheel: Path, size: float, tag: str, expected: str | None = None) -> list[str]:
    """Returns what is wrong with a wheel, a line each.

    Args:
        size: MB of 10⁶ bytes.
        tag: its platform tag, or several with dots between.
        expected: a manylinux tag without the architecture that ``tag`` must have.
    """
    found = []
    if size > LARGEST:
        found.append(f"got {size:.1f} MB, expected at most {LARGEST}: build for fewer architectures")
    if not tag.startswith("manylinux"):
        found.append(f"got the tag {tag}, expected manylinux: repair it with auditwheel")
    if expected and not re.search(rf"(^|\.){re.escape(expected)}_[a-z]", tag):
        found.append(f"got the tag {tag}, expected {expected}: build it in that image of PyPA")
    with zipfile.ZipFile(wheel) as archive:
        bundled = [name for name in archive.namelist() if ".libs/" in name]
        if bundled:
            found.append(
                f"got {', '.join(bundled)}, expected no bundled library: torch brings the OpenMP runtime"
            )
        if not any(re.fullmatch(r"higan_fast/_extension\..*\.so", name) for name in archive.namelist()):
            found.append("expected higan_fast/_extension.*.so in it")
    return found


if __name__ == "__main__":
    sys.exit(main())
