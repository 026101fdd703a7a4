"""Who may know whom: an import only ever points down the list of layers."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "higan_fast"

# What each part may import of the package, besides itself.
TOOLS = {"devices", "files", "pictures", "progress"}
MAY_KNOW = {
    "devices": set(),
    "files": set(),
    "progress": set(),
    "pictures": {"files"},
    "weights": set(),
    "ops": set(),
    "generators": {"ops"} | TOOLS,
    "predictors": {"ops", "weights"} | TOOLS,
    "checkpoints": {"generators", "weights"} | TOOLS,
    "probing": {"generators", "predictors", "ops"} | TOOLS,
    "report": {"probing", "generators", "predictors"} | TOOLS,
    "scenes": {"generators", "predictors", "ops", "checkpoints", "weights", "probing"} | TOOLS,
    "environment": set(),
    "run_folder": {"checkpoints", "predictors", "generators", "probing", "environment"} | TOOLS,
    "cli": {"run_folder", "report", "probing", "checkpoints", "environment", "weights"} | TOOLS,
    "__init__": {"report", "probing", "predictors", "checkpoints"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """The parts of the package that a file imports, inside functions too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    known = set(MAY_KNOW) - {"__init__"}
    inside = [name.split(".")[1] for name in names if name.startswith("higan_fast.")]
    return {name for name in inside if name in known}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    part = part_of(path)
    assert part in MAY_KNOW, f"{part}: a new part; say in MAY_KNOW what it may know"
    assert imported_parts(path) <= MAY_KNOW[part] | {part}


def test_layers_have_no_cycle():
    order = []
    while len(order) < len(MAY_KNOW):
        free = [part for part in MAY_KNOW if part not in order and MAY_KNOW[part] - {part} <= set(order)]
        assert free, f"a cycle among {set(MAY_KNOW) - set(order)}"
        order += free


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_can_be_seen_across(path):
    assert len(path.read_text().splitlines()) <= 400


def test_nothing_unpickles_but_the_allowlist():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "torch.load",
                "np.load",
                "numpy.load",
            ):
                safe = {"weights_only": True, "allow_pickle": False}
                given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
                assert any(given.get(name) is value for name, value in safe.items()), f"{path}:{node.lineno}"


def test_import_is_quick_and_touches_no_torch():
    code = "import sys, higan_fast; assert 'torch' not in sys.modules; print(higan_fast.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0.1.0"


def test_what_is_not_python_travels_with_the_package():
    """Weights, templates and styles: what setuptools is told to take is what lies there."""
    declared = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    patterns = declared["tool"]["setuptools"]["package-data"]["higan_fast"]
    taken = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    others = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert others <= taken
    assert {path.name for path in taken} >= {"generator.safetensors", "predictor.safetensors", "page.html"}
    assert sum(path.stat().st_size for path in taken if path.suffix == ".safetensors") < 12e6
