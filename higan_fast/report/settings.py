"""What was probed and what was run, in words that a reader knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from higan_fast.boundaries.boundary import Boundaries
from higan_fast.experiments.results import Results
from higan_fast.generators.base import Generator
from higan_fast.image_shapes import shape_in_words
from higan_fast.report.numerals import count
from higan_fast.sampling.samples import Samples

# What it means that a setting has no value. None: nothing that is worth a row.
UNSET = {
    "truncation_layers": "all",
    "cuda_devices": "none",
    "decide": "nothing: every sample is measured",
    "config": None,
    "bands": None,
    "label": None,  # the generator has no classes; where it has, _text says more
}

STAGES = {
    "verification": "Verification",
    "attribution": "Layers without a direction",
    "comparison": "Methods",
    "sweep": "Dose-response",
}

# What stands elsewhere on the page; "samples" are those to which boundaries were fitted.
ELSEWHERE = ("semantics", "command", "samples", "code_deviations", "acting")


def about(
    settings: Mapping[str, Any],
    generator: Generator,
    samples: Samples,
    results: Results,
) -> list[tuple[str, str, str]]:
    """Returns what was probed, in a few words: label, value, detail."""
    size, layers = shape_in_words(generator.image_shape), count(generator.num_layers, "layer")
    images = len(samples) + sum(result.images for result in results.of_stages().values())
    verification = results.verification
    most = int(verification.samples.max()) if verification else 0
    fresh = f"and {most:,} fresh ones to verify" if verification else "none verified"
    saved = verification.images_fixed - verification.images if verification else 0
    return [
        (
            "Network",
            str(settings.get("network", generator.family)),
            ", ".join(filter(None, [generator.family, size, layers, _classes(samples)])),
        ),
        (
            "Predictor",
            str(settings.get("predictor", "given as a module")),
            count(len(samples.semantics), "semantic"),
        ),
        ("Samples", f"{len(samples):,}", fresh),
        (
            "Images",
            f"{images:,}",
            "made and scored for samples, verification, layers, methods and doses, without those of fitting, "
            f"gradients and experiments{f'; {saved:,} spared' if saved else ''}",
        ),
    ]


def _classes(samples: Samples) -> str:
    """Returns which classes they are of; an empty text where the generator has none."""
    if "label_dim" not in samples.settings:
        return ""
    label = samples.settings["label"]
    return count(samples.settings["label_dim"], "class", "classes") if label is None else f"class {label}"


def described(
    settings: Mapping[str, Any],
    samples: Samples,
    boundaries: Boundaries,
    results: Results,
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Returns the settings of every stage as texts, without those that stand elsewhere on the page."""
    stages = {
        "Run": settings,
        "Samples": samples.settings,
        "Boundaries": boundaries.settings,
        **{STAGES[name]: result.settings for name, result in results.of_stages().items()},
    }
    with_classes = "label_dim" in samples.settings
    return [(stage, _flat(values, with_classes)) for stage, values in stages.items() if values]


def _flat(values: Mapping[str, Any], with_classes: bool, prefix: str = "") -> list[tuple[str, str]]:
    """Returns nested settings as ``versions.torch`` and its text."""
    rows = []
    for name, value in values.items():
        if name in ELSEWHERE:
            continue
        if isinstance(value, Mapping):
            rows += _flat(value, with_classes, f"{prefix}{name}.")
        elif (text := _text(name, value, with_classes)) is not None:
            rows.append((f"{prefix}{name}", text))
    return rows


def _text(name: str, value: Any, with_classes: bool) -> str | None:
    """Returns a value as a reader would write it; None where there is nothing to say."""
    if value is None or value in ("", [], ()):
        if name == "label" and with_classes:
            return "drawn at random"
        if name.startswith("cupy"):
            return "not installed"
        return UNSET.get(name, "not set" if value is None else "none")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(part) for part in value)
    return str(value)
