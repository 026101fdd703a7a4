"""Hooks of the site (``make docs``): pages made from the code, and links that lead out of ``docs/``."""

from __future__ import annotations

import csv
import importlib
import inspect
import posixpath
import re
from collections.abc import Iterable
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
# A file of the repository → the page of the site that shows it.
SHOWN = {
    "CHANGELOG.md": "made/changelog.md",
    "CONTRIBUTING.md": "made/contributing.md",
    "csrc/README.md": "made/csrc.md",
    "higan_fast/weights/MODEL_CARD.md": "made/model_card.md",
    "examples": "made/examples.md",
    "README.md": "index.md",
}
# What stands on which page of the reference, beside the ops.
PYTHON = (
    ("Networks and scorers", ("load_generator", "load_predictor", "Semantic")),
    ("Probing", ("sample", "fit_boundaries", "fit_to_labels", "verify", "attribute_layers", "sweep_steps",
                 "compare_methods", "verify_directions", "verify_channels")),
    ("Pictures", ("manipulate", "jitter", "write_report")),
    ("Other people's code", ("patch", "patch_namespace")),
    ("What a probe leaves", ("Samples", "Boundaries", "Verification")),
)  # fmt: skip
BENCHMARKS = {
    "generator": "Whole generators",
    "stylegan3": "StyleGAN3",
    "verify": "Verification",
    "fit": "Fitting boundaries",
    "checkpoints": "Loading files",
    "render": "Rendering rooms",
    "workers": "Several processes",
}
# what appends their rows, where not python -m benchmarks.run
RUN_BY = {"workers": "python -m benchmarks.workers"}
# how their cases begin, where not by the name
STARTS = {"generator": "StyleGAN2", "stylegan3": "StyleGAN3", "checkpoints": "load"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that no file in ``docs/`` holds."""
    pages = {
        "made/python.md": _python(),
        "made/networks.md": _networks(),
        "made/reference_ops.md": _reference("Ops", "higan_fast.ops"),
        "made/experiments.md": _reference("Experiments", "higan_fast.experiments"),
        "made/commands.md": _commands(),
        **_benchmarks(),
        "made/examples.md": _examples(),
        **{page: (ROOT / path).read_text() for path, page in SHOWN.items() if page.startswith("made/")
           and path.endswith(".md")},
    }  # fmt: skip
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files outside of ``docs/`` lead to the pages that show them, or become plain text."""
    uri = page.file.src_uri
    here = posixpath.dirname(uri) or "."
    made = {shown: path for path, shown in SHOWN.items() if shown.startswith("made/")}
    origin = posixpath.dirname(made.get(uri, f"docs/{uri}"))  # where the page's text lies in the repository

    def led(match: re.Match[str]) -> str:
        words, target, anchor = match.group(1), match.group(2), match.group(3) or ""
        path = posixpath.normpath(posixpath.join(origin, target))
        shown = SHOWN.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        return f"`{path}`" if shown is None else f"[{words}]({posixpath.relpath(shown, here)}{anchor})"

    return re.sub(r"\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)", led, markdown)


def _python() -> str:
    known = importlib.import_module("higan_fast")
    parts = [f"# Python\n\n`import higan_fast as hf`; {inspect.getdoc(known)}\n"]
    for title, names in PYTHON:
        parts.append(f"\n## {title}\n")
        parts += [_described(name) for name in _homes(known, names)]
    return "\n".join(parts)


def _reference(title: str, module: str) -> str:
    """Everything that a package offers, in the order in which it lists it."""
    known = importlib.import_module(module)
    described = [_described(name) for name in _homes(known, known.__all__)]
    return "\n".join([f"# {title}\n", str(inspect.getdoc(known)), "", *described])


def _homes(module: Any, names: Iterable[str]) -> list[str]:
    """The dotted names under which the documentation's tools find functions and classes."""
    things = [getattr(module, name) for name in names]
    things = [thing for thing in things if inspect.isfunction(thing) or inspect.isclass(thing)]
    return [f"{thing.__module__}.{thing.__qualname__}" for thing in things]


def _described(name: str) -> str:
    return f"::: {name}\n    options: {{heading_level: 3}}\n"


def _networks() -> str:
    """The families with the options of their architecture, and the formats with what their readers say."""
    families: Any = importlib.import_module("higan_fast.generators").FAMILIES
    formats: Any = importlib.import_module("higan_fast.checkpoints.formats").FORMATS
    text = ["# Networks\n", "## Formats of weights\n", "| format | reader |", "|---|---|"]
    for module in formats:
        text.append(f"| {module.NAME} | {_first_line(module)} |")
    text.append("\nWhat is read of each, and when it needs `--config`: [Files in the wild](../formats.md).\n")
    text.append("## Families of generators\n")
    for name, (family, config) in families.items():
        text += [f"### {name}\n", f"{_first_line(family)}\n", "| option | default |", "|---|---|"]
        text += [f"| `{field.name}` | {_default(field)} |" for field in fields(config)]
        text.append("")
    return "\n".join(text)


def _default(field: Any) -> str:
    return "" if repr(field.default).startswith("<dataclasses") else f"`{field.default!r}`"


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")


def _commands() -> str:
    main: Any = importlib.import_module("higan_fast.cli").main
    text = ["# Commands\n", "Each has this with `--help` too.\n"]
    for names, command in _leaves(main, ("higan-fast",)):
        context = click.Context(command, info_name=" ".join(names), terminal_width=100, max_content_width=100)
        text += [f"## {' '.join(names)}\n", "```text", command.get_help(context), "```\n"]
    return "\n".join(text)


def _leaves(command: Any, names: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield names, command
        return
    for name in command.list_commands(click.Context(command)):
        yield from _leaves(command.get_command(click.Context(command), name), (*names, name))


def _benchmarks() -> dict[str, str]:
    """A page for each kind of benchmark, of every committed row, and one that leads to them."""
    rows = []
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.csv")):
        rows += [{"machine": path.stem, **row} for row in csv.DictReader(path.read_text().splitlines())]
    about = "`python -m benchmarks.run` appends them; `+` says that files of a commit were changed.\n\n"
    pages = {"made/benchmarks.md": f"# Every row\n\n{about}"}
    for kind, words in {**BENCHMARKS, "ops": "Single ops"}.items():
        of_kind = [row for row in rows if _kind(row["case"]) == kind]
        commits = len({row["commit"].rstrip("+") for row in of_kind})
        of_commits = f"{commits} commits" if commits > 1 else "one commit"
        pages["made/benchmarks.md"] += f"- [{words}]({kind}.md): {len(of_kind)} rows of {of_commits}\n"
        command = RUN_BY.get(kind, f"python -m benchmarks.run {kind}")
        pages[f"made/{kind}.md"] = f"# {words}\n\n`{command}`\n\n{_tables(of_kind)}"
    return pages


def _kind(case: str) -> str:
    return next((kind for kind in BENCHMARKS if case.startswith(STARTS.get(kind, kind))), "ops")


def _tables(rows: list[dict[str, str]]) -> str:
    """A table for each case, commit and machine, the newest first; ``ratio`` is to its first line."""
    text = []
    names = ("date", "commit", "machine", "torch", "threads", "case")

    def of_a_table(row: dict[str, str]) -> tuple[str, ...]:
        return tuple(row[name] for name in names)

    for (date, commit, machine, torch, threads, case), found in groupby(
        sorted(rows, key=of_a_table, reverse=True), key=of_a_table
    ):
        measured = list(found)
        text.append(f"**{case}**, {commit}, {date}, {machine}, torch {torch}, {threads} threads\n")
        columns = [name for name in measured[0] if name not in names and any(row[name] for row in measured)]
        text += [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
        text += ["| " + " | ".join(row[name] for name in columns) + " |" for row in measured] + [""]
    return "\n".join(text)


def _examples() -> str:
    text = ["# Examples\n"]
    for path in sorted((ROOT / "examples").glob("*.py")):
        text += [f"## {path.name}\n", f"```python\n{path.read_text()}```\n"]
    return "\n".join(text)
