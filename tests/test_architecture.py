"""Who may know whom: an import only ever points down the list of layers."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "higan_fast"

# What each part may import of the package, besides itself.
TOOLS = {
    "checks", "devices", "files", "fingerprint", "image_shapes", "memory", "opening", "pictures", "progress",
    "refusing", "tables", "wording",
}  # fmt: skip
PROBE = ("statistics", "engine", "sampling", "boundaries")
MAY_KNOW = {
    "checks": set(),
    "wording": set(),
    "opening": set(),
    "refusing": {"wording"},
    "devices": set(),
    "fingerprint": set(),
    "memory": set(),
    "files": {"wording"},
    "progress": set(),
    "tables": set(),
    "image_shapes": set(),
    "pictures": {"files", "image_shapes"},
    "weights": set(),
    "_native": set(),
    "ops": {"_native", "wording"},
    "graph_memory": set(),
    "graphs": {"ops", "graph_memory"},
    "generators": {"graphs", "ops"} | TOOLS,
    "checkpoints": {"generators", "ops", "weights"} | TOOLS,
    "predictors": {"checkpoints", "ops", "weights"} | TOOLS,
    "compat": {"checkpoints", "generators", "ops"} | TOOLS,
    "statistics": set() | TOOLS,
    "engine": {"generators", "predictors", "graphs", "graph_memory", "ops"} | TOOLS,
    "sampling": {"engine", "generators", "predictors"} | TOOLS,
    "boundaries": {"engine", "sampling", "generators", "predictors", "checkpoints"} | TOOLS,
    "inversion": {"engine", "sampling", "checkpoints", "generators", "predictors"} | TOOLS,
    "probing": {"statistics", "engine", "sampling", "boundaries", "generators", "predictors"} | TOOLS,
    # scenes: for calibrate, which needs generators whose truth is known
    "experiments": {"scenes", "probing", *PROBE, "generators", "predictors"} | TOOLS,
    "report": {"experiments", "probing", "inversion", *PROBE, "generators", "predictors"} | TOOLS,
    "scenes": {"generators", "predictors", "ops", "checkpoints", "weights", "probing", *PROBE} | TOOLS,
    "environment": {"_native", "ops"},
    "run_settings": {"predictors"} | TOOLS,
    "run_networks": {"run_settings", "checkpoints", "predictors", "generators", "probing", "environment"}
    | {*PROBE, *TOOLS},
    "cluster": {"run_networks", "run_settings", "probing", *PROBE, "generators", "predictors"} | TOOLS,
    "run_folder": {"run_networks", "experiments", "probing", "inversion", *PROBE} | TOOLS,
    "explore": {"run_folder", "probing", *PROBE, "generators", "predictors"} | TOOLS,
    "cli": {
        "explore",
        "cluster",
        "run_folder",
        "run_settings",
        "report",
        "predictors",
        "probing",
        *PROBE,
        "checkpoints",
        "experiments",
        "inversion",
        "generators",
    }
    | {"environment", "weights"}
    | TOOLS,
    "__main__": {"cli"},
    "__init__": {
        "report",
        "probing",
        "predictors",
        "checkpoints",
        "generators",
        "ops",
        "compat",
        "experiments",
        "inversion",
    },
}
FILES = sorted(PACKAGE.rglob("*.py"))

# What a file in each part of csrc may include of the others: as csrc/README.md's table says.
CSRC = PACKAGE.parent / "csrc"
MAY_INCLUDE = {
    "include": {"emulation"},  # in its emulated half
    "emulation": {"include"},
    "kernels": {"include"},
    "cpu": {"include", "kernels"},
    "bindings": {"include", "kernels", "cpu", "emulation"},
    "older": set(),
}
SOURCES = sorted(path for path in CSRC.rglob("*") if path.suffix in (".h", ".cuh", ".cu", ".cpp"))


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
    known = set(MAY_KNOW) - {"__init__", "__main__"}
    inside = [name.split(".")[1] for name in names if name.startswith("higan_fast.")]
    return {name for name in inside if name in known}


def test_imports_point_downwards():
    assert {part_of(path) for path in FILES} <= set(MAY_KNOW), "a new part; say in MAY_KNOW what it may know"
    upwards = {str(path): imported_parts(path) - MAY_KNOW[part_of(path)] - {part_of(path)} for path in FILES}
    assert not {path: parts for path, parts in upwards.items() if parts}


def test_layers_have_no_cycle():
    order = []
    while len(order) < len(MAY_KNOW):
        free = [part for part in MAY_KNOW if part not in order and MAY_KNOW[part] - {part} <= set(order)]
        assert free, f"a cycle among {set(MAY_KNOW) - set(order)}"
        order += free


def test_files_can_be_seen_across():
    assert not [path for path in (*FILES, *SOURCES) if len(path.read_text().splitlines()) > 400]


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
    built = (".py", ".pyc", ".so")
    others = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in built}
    assert others <= taken
    assert {path.name for path in taken} >= {
        *("generator.safetensors", "predictor.safetensors", "segmenter.safetensors", "page.html")
    }
    assert sum(path.stat().st_size for path in taken if path.suffix == ".safetensors") < 12e6


def test_includes_point_downwards():
    for path in SOURCES:
        part = path.relative_to(CSRC).parts[0]
        includes = re.findall(r'^\s*#include\s+([<"])([^>"]+)', path.read_text(), re.MULTILINE)
        for bracket, name in includes:
            if bracket == "<":
                outside = "pybind11" if part != "bindings" else "torch"
                assert not name.startswith((outside, "torch", "ATen", "c10")), f"{path}: includes {name}"
                continue
            target = (path.parent / name).resolve()
            assert target.is_file(), f"{path}: {name} does not exist"
            assert target.relative_to(CSRC).parts[0] in MAY_INCLUDE[part] | {part}, f"{path}: includes {name}"


def test_every_op_has_its_files_in_every_layer():
    """One op has one name: its struct, its kernel, its CPU code, and for the public ones Python and tests."""
    from higan_fast.ops import OPS

    shared = {"device", "style_parts"}  # the latter is the second half of two ops
    cpu_only = {"winograd_conv2d"}  # GPUs have tensor cores instead
    kernels = {path.stem for path in (CSRC / "kernels").glob("*.cu")} - shared
    headers = {path.stem for path in (CSRC / "kernels").glob("*.h")} - shared - {"ops", "table"}
    assert kernels == headers - cpu_only
    assert kernels == set(OPS) | {"modulate", "conv_epilogue"}
    for op in OPS:
        assert (PACKAGE / "ops" / f"{op}.py").is_file()
        assert (PACKAGE.parent / "tests" / "ops" / f"test_{op}.py").is_file()
    # whose convolutions on the CPU are the library's and Winograd's
    assert {path.stem for path in (CSRC / "cpu").glob("*.cpp")} >= kernels - {"modulated_conv2d"} | cpu_only
