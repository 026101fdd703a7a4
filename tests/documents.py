"""What the documents tell users to type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "csrc" / "README.md", *(ROOT / "docs").glob("*.md")]
)


def written(program: str) -> Iterator[tuple[str, str]]:
    """Yields (page, what follows the program), of blocks and of what stands between backticks.

    Two spaces or ``#`` begin prose.
    """
    for page in PAGES:
        fences = re.split(r"^```.*$", page.read_text(), flags=re.MULTILINE)
        blocks = re.sub(r" *\\\n *", " ", "\n".join(fences[1::2])).splitlines()
        inline = re.findall(r"`([^`]*)`", "\n".join(fences[::2]))
        for text in [*blocks, *(code.replace("\n", " ") for code in inline)]:
            for command in re.split(rf"(?<![\w./-]){re.escape(program)} ", text.split(" # ")[0])[1:]:
                command = re.sub(r" +(?=\[)", " ", command)
                yield page.relative_to(ROOT).as_posix(), re.split(r" {2,}", command.strip())[0]


def variants(command: str) -> list[list[str]]:
    """Returns the commands that a line stands for, as words; ``[…]`` is optional, ``|`` means one of several.

    There are as many as the longest row of alternatives, each of which is in one of them.
    """
    groups = []
    for part in re.findall(r"\[[^\]]*\]|[^\[\]]+", command):
        if part.startswith("["):
            groups.append([one for text in part[1:-1].split(" | ") for one in _each(text.split())])
        else:
            groups.append(_each(part.split()))
    most = max(len(group) for group in groups)
    return [[word for group in groups for word in group[min(k, len(group) - 1)]] for k in range(most)]


def _each(words: list[str]) -> list[list[str]]:
    """``a|b c`` → ``a c`` and ``b c``."""
    choices = [word.split("|") for word in words]
    most = max((len(choice) for choice in choices), default=1)
    return [[choice[min(k, len(choice) - 1)] for choice in choices] for k in range(most)]
