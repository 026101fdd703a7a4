"""``clip:WORDS``: any words, by a CLIP network of open_clip."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from higan_fast.files import first_line
from higan_fast.predictors.kind import Kind, no_files, unmoved
from higan_fast.wording import in_words, printable

if TYPE_CHECKING:
    from higan_fast.predictors.clip import ClipPredictor, Words

MODEL, PRETRAINED = "ViT-B-32", "laion2b_s34b_b79k"
TEMPLATES = ("{}", "a photo of {}", "a picture of {}")
INSTALL = "pip install 'higan_fast[clip]'"
EXAMPLE = "clip:'cosy=a cosy room|an empty room; a bright room|a dark room'"


def read(argument: str, options: Mapping[str, Any]) -> ClipPredictor:
    """The network with its words.

    Raises:
        ValueError: when there are no words, or open_clip is missing, or has no such network or weights.
    """
    words = parse_words(argument)
    open_clip = _open_clip()
    from higan_fast.predictors.clip import ClipPredictor, embedded_words

    name, pretrained = (
        str(options.get(*each)) for each in (("clip_model", MODEL), ("clip_weights", PRETRAINED))
    )
    templates = options.get("templates", TEMPLATES)
    templates = list(templates) if isinstance(templates, list | tuple) else [templates]
    if not templates or not all(isinstance(each, str) and "{}" in each for each in templates):
        raise ValueError(
            f"templates (--templates): got {in_words(templates)}, expected prompts with {{}} in "
            "the place of the words"
        )
    if name.endswith(".json"):
        _check_architecture(Path(name))
        open_clip.add_model_config(name)
        name = Path(name).stem
    elif name not in open_clip.list_models():
        raise ValueError(
            f"clip_model (--clip-model): got {in_words(name)}, expected one of open_clip.list_models(), such "
            f"as {MODEL}, or a .json file of an architecture"
        )
    with _quiet():
        try:
            model = open_clip.create_model(name, pretrained=pretrained, require_pretrained=True, device="cpu")
            tokenizer = open_clip.get_tokenizer(name)
        except Exception as error:  # of files, of the hub, of the network
            what = f"weights {pretrained!r} of {name}"
            raise ValueError(
                f"clip_weights (--clip-weights): {printable(what)} cannot be loaded ({first_line(error)}); "
                "give a file that is here, or load them once where there is a network: open_clip keeps them "
                "in the cache of huggingface_hub (HF_HOME)"
            ) from error
    model.eval().requires_grad_(False)
    embeddings = embedded_words(model, tokenizer, words, templates)
    settings = model.visual.preprocess_cfg
    height, width = (
        settings["size"] if isinstance(settings["size"], tuple | list) else (settings["size"],) * 2
    )
    if height != width:
        raise ValueError(
            f"clip_model (--clip-model): {name} takes images of {height}×{width}, expected square ones"
        )
    cubic = settings.get("interpolation", "bicubic") == "bicubic"
    return ClipPredictor(model.visual, embeddings, words, height, settings["mean"], settings["std"], cubic)


def parse_words(argument: str) -> tuple[Words, ...]:
    """``"cosy=a cosy room|an empty room; a bright room"`` → its semantics.

    Raises:
        ValueError: when there are none, or one has more than two sides.
    """
    from higan_fast.predictors.clip import Words

    found = []
    for text in filter(None, map(str.strip, argument.split(";"))):
        named, equals, rest = text.partition("=")
        sides = [side.strip() for side in (rest if equals else text).split("|")]
        if len(sides) > 2 or not all(sides):
            raise ValueError(
                f"predictor (--predictor): got {in_words(text)}, expected words and perhaps, behind |, what "
                f"they are compared with, as in {EXAMPLE}"
            )
        name = named.strip() if equals else sides[0]
        found.append(Words(name, *sides))
    names = [each.name for each in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(
            f"predictor (--predictor): got {in_words(twice[0])} twice, expected names that differ"
        )
    if not found:
        raise ValueError(f"predictor (--predictor): got 'clip' without words, expected them, as in {EXAMPLE}")
    return tuple(found)


def _check_architecture(path: Path) -> None:
    """Raises ValueError where a file describes no architecture: open_clip would remember it."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"clip_model (--clip-model): {printable(str(path))} cannot be read as JSON ({first_line(error)})"
        ) from error
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
        raise ValueError(
            f"clip_model (--clip-model): {printable(str(path))} describes no architecture of open_clip, with "
            "embed_dim, vision_cfg and text_cfg"
        )


def _open_clip() -> Any:
    """The library, or a ValueError with one line that says how to install it."""
    try:
        with _quiet():
            return import_module("open_clip")
    except ImportError as error:
        raise ValueError(
            f"predictor (--predictor): clip needs open_clip ({first_line(error)}); {INSTALL}"
        ) from error
    except RuntimeError as error:  # of a torchvision that is of another torch
        raise ValueError(
            f"predictor (--predictor): open_clip cannot be imported ({first_line(error)}); install the "
            "torchvision that belongs to this torch"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what open_clip logs besides what it raises."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


KIND = Kind(
    name="clip",
    example=EXAMPLE,
    help="any words, against others behind |: the difference of cosines of a CLIP network (open_clip)",
    read=read,
    options=("clip_model", "clip_weights", "templates"),
    file_options=("clip_model", "clip_weights"),
    files=no_files,
    moved=unmoved,
)
