"""The examples of README and docs run as they stand, with fewer samples; their links lead somewhere."""

import ast
import csv
import re

import click
import pytest
import torch

from higan_fast.cli import main
from higan_fast.probing import verify
from tests.compat.stand_ins import ada, shaken
from tests.documents import PAGES, ROOT, written
from tests.toy import toy


def examples(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


SMALLER = {
    "num=20_000": "num=256",
    "predictor, boundaries, out": "predictor, boundaries, num=2, num_null=2, out",
    "boundaries, verification=verification": "boundaries, (-1, 1), num=2, verification=verification",
    "attribute_layers(generator, predictor, out": "attribute_layers(generator, predictor, num=8, out",
}


def test_the_example(tmp_path, monkeypatch):
    example, *_ = examples("docs/quickstart.md")
    for text, smaller in SMALLER.items():
        assert example.count(text) == 1, f"quickstart.md: expected {text!r} once"
        example = example.replace(text, smaller)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(example, names)
    assert names["images"].shape == (4, 3, 3, 64, 64)
    assert len(names["verification"].rank()) >= 8
    assert names["attribution"].samples == 8 and (tmp_path / "runs/scenes/attribution.npz").is_file()
    assert names["sweep"].samples == 2 and (tmp_path / "runs/scenes/sweep.npz").is_file()
    assert (tmp_path / "runs/scenes/samples.zarr").is_dir()
    assert list((tmp_path / "runs/scenes/verification").rglob("*.npz")), "the verification can go on, too"


def test_what_readme_shows_is_of_the_quick_start():
    short, long = (statements(examples(page)[0]) for page in ("README.md", "docs/quickstart.md"))
    assert short and not (missing := [line for line in short if line not in long]), missing


def statements(example):
    return [ast.unparse(statement) for statement in ast.parse(example).body]


def test_the_two_lines_that_patch():
    _, example = examples("README.md")
    assert example == examples("docs/compat.md")[0]
    names: dict = {"G": shaken(ada.Generator()), "z": torch.randn(2, 10), "torch": torch}
    exec(example, names)
    assert names["handle"].report().fallbacks == 0
    assert names["images"].shape == (2, 3, 16, 16)


def test_the_example_of_an_op():
    (example,) = examples("docs/ops.md")
    torch.manual_seed(0)
    names: dict = {
        "x": torch.randn(2, 8, 4, 4),
        "weight": torch.randn(5, 8, 3, 3),
        "styles": torch.randn(2, 8),
        "noise": torch.randn(8, 8),
        "bias": torch.randn(5),
    }
    exec(example, names)
    assert names["y"].shape == (2, 5, 8, 8)


def test_the_example_of_an_experiment(boundaries, capsys):
    (example,) = examples("docs/cli.md")
    generator, predictor = toy()
    verification = verify(generator, predictor, boundaries, num=64, null="isotropic", progress=False)
    names: dict = {"generator": generator, "predictor": predictor, "boundaries": boundaries}
    exec(example, names | {"verification": verification})
    assert capsys.readouterr().out.startswith("Which layers decide which level")


def committed_rows():
    files = (ROOT / "benchmarks" / "results").glob("*.csv")
    return [row for path in files for row in csv.DictReader(path.read_text().splitlines())]


def test_every_speed_is_that_of_a_committed_row():
    rows = committed_rows()
    section = (ROOT / "docs" / "speed.md").read_text()
    quoted = re.findall(r"^\|.*\| ([\d.]+) \| ([0-9a-f]{7}) \|$", section, re.MULTILINE)
    assert len(quoted) == 10
    for ratio, commit in quoted:
        found = [row for row in rows if row["commit"].startswith(commit) and row["ratio"] == ratio]
        assert found, f"speed.md: no row of {commit} has the ratio {ratio}"


def test_what_sharing_costs_is_of_committed_rows():
    rows = committed_rows()
    section = (ROOT / "docs" / "cluster.md").read_text()
    (commit,) = re.findall(r"benchmarks\.workers.*` at ([0-9a-f]{7})", section)
    quoted = re.findall(r"^\| `(\w+)`, ([\d,]+) images \| (\d) \|(.*)\|$", section, re.MULTILINE)
    assert len(quoted) == 6
    for work, images, processes, figures in quoted:
        case, backend = f"workers {work} {images} images", f"{processes} process{'es' * (processes > '1')}"
        wall, processor, starts = (
            next(
                row
                for row in rows
                if (row["commit"], row["case"], row["backend"]) == (commit, f"{case}, {kind}", backend)
            )
            for kind in ("wall", "processor", "processor of starts")
        )
        each = float(processor["ms"]) / int(images.replace(",", ""))
        expected = (
            f"{float(wall['ms']) / 1000:.1f}",
            wall["ratio"],
            f"{each:.2f}",
            f"{float(starts['ms']) / 1000:.1f}",
        )
        assert tuple(figures.replace(" ", "").split("|")) == expected, f"cluster.md: {work}, {processes}"


def anchors(page):
    """As GitHub names headings: lower case, punctuation gone, spaces to hyphens."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target} leads nowhere"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{page.name}: {target}: no heading is called so"


def test_documented_commands_exist_with_their_options():
    seen = set()
    for page, text in written("higan-fast"):
        command, path, words = main, [], re.sub(r"[\[\]|]", " ", text).split()
        while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z-]+", words[0]):
            if words[0] not in command.commands:
                break
            path.append(words[0])
            command, words = command.commands[words[0]], words[1:]
        if not path:
            assert not words or words[0].startswith("-") or words[0] == "…", f"{page}: higan-fast {words[0]}"
            continue
        seen.add(" ".join(path))
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        for word in words:
            name = word.split("=")[0].rstrip(",.;)")
            if name.startswith("--") and not isinstance(command, click.Group):
                assert name in known | {"--help"}, f"{page}: higan-fast {' '.join(path)} has no {name}"
    leaves = {" ".join(names) for names in leaves_of(main)}
    assert not (missing := leaves - seen), f"no page shows {missing}"


def leaves_of(command, names=()):
    if not isinstance(command, click.Group):
        yield names
        return
    for name, below in command.commands.items():
        yield from leaves_of(below, (*names, name))
