"""What scores, on the command line: predictors, one or several, with their options and levels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from higan_fast.wording import in_words, printable

if TYPE_CHECKING:
    from higan_fast.predictors import Source

Command = Callable[..., Any]

# One of a list ``NAME=LEVEL,NAME=LEVEL``: a name may hold commas and "=", a level holds neither.
PAIR = re.compile("(.*?)=([^,=]*)(?:,|$)", re.DOTALL)

LONGEST_FILE = 2**24  # bytes of a file of names or levels


def listed(text: str, option: str = "--names") -> list[str]:
    """``"a,b"``, a JSON list, or a file with a name in each line or with a JSON list → the names.

    Raises:
        ValueError: when they cannot be read.
    """
    found: Any = None
    if not text.startswith("[") and "," not in text and (path := Path(text)).suffix in (".txt", ".json"):
        text = _content(path, option)
        found = None if text.lstrip().startswith("[") else text.splitlines()
    elif not text.startswith("["):
        found = text.split(",")
    found = _json(option, text) if found is None else found
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"{option}: got {in_words(found)}, expected a list of names")
    return [name.strip() for name in found if name.strip()]


def joined(names: Sequence[str]) -> str:
    """Names → the text from which ``listed`` makes them."""
    plain = all("," not in name for name in names) and not names[0].startswith("[")
    return ",".join(names) if plain else json.dumps(names)


def _number(option: str, kind: type[int] | type[float], text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        expected = "a whole number" if kind is int else "numbers with commas, such as 0.485,0.456,0.406"
        raise ValueError(f"{option}: got {in_words(text)}, expected {expected}") from None


def _channels(option: str, text: str) -> list[float]:
    return [_number(option, float, part) for part in text.split(",")]


def _size(text: str) -> int | list[int]:
    """``"224"``, or ``"256x128"``, the height first."""
    height, cross, width = text.replace("×", "x").partition("x")
    sides = [_number("--input-size", int, part) for part in ((height, width) if cross else (height,))]
    return sides if cross else sides[0]


def _written_size(size: int | Sequence[int]) -> str:
    return str(size) if isinstance(size, int) else "x".join(map(str, size))


def _written(numbers: Sequence[float]) -> str:
    return ",".join(map(str, numbers))


class Setting(NamedTuple):
    """An option that some kinds of predictors take.

    Attributes:
        name: as kinds name it in ``options``.
        metavar, help: as click takes them.
        read: text → JSON value; raises ValueError.
        write: the value → a text from which ``read`` makes it.
    """

    name: str
    metavar: str
    help: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


# Each may be given once for all predictors that take it, or once for each of these.
SETTINGS: tuple[Setting, ...] = (
    Setting(
        "names",
        "A,B,…|FILE",
        "Names of the scores, in the order of their columns; or a .txt file with a name in each line, or a "
        ".json file with a list of them.",
        listed,
        joined,
    ),
    Setting(
        "input_size",
        "N|HxW",
        "Height and width of the network's images.  [default: the file's, or the generator's]",
        _size,
        _written_size,
    ),
    Setting(
        "channels",
        "N",
        "Of the network's images: 1 for gray, 4 for RGBA.  [default: the file's, or 3]",
        partial(_number, "--channels", int),
        str,
    ),
    Setting(
        "mean",
        "R,G,B",
        "Of images in [0, 1], subtracted before the network.  [default: 0 with --std; without both, images "
        "are in [-1, 1]]",
        partial(_channels, "--mean"),
        _written,
    ),
    Setting(
        "std",
        "R,G,B",
        "Of images in [0, 1], divided by before the network.  [default: 1 with --mean]",
        partial(_channels, "--std"),
        _written,
    ),
    Setting(
        "activation",
        "sigmoid|softmax|none",
        "What makes scores of the network's output.  [default: none; softmax of a segmentation's maps]",
        str,
        str,
    ),
    Setting(
        "classes",
        "A,B,…|FILE",
        "Which classes of a segmentation to score.  [default: all, or the first 30 of more]",
        partial(listed, option="--classes"),
        joined,
    ),
    Setting(
        "measures",
        "A,B,…",
        "What to score of each class: share, presence, position.  [default: all; of wall, floor and ceiling "
        "the share]",
        partial(listed, option="--measures"),
        joined,
    ),
    Setting(
        "clip_model",
        "NAME|FILE.json",
        "Architecture of clip: one that open_clip has, or a file that describes one.  [default: ViT-B-32]",
        str,
        str,
    ),
    Setting(
        "clip_weights",
        "TAG|FILE",
        "Weights of clip: a tag that open_clip knows, or a file.  [default: laion2b_s34b_b79k]",
        str,
        str,
    ),
    Setting(
        "templates",
        "A,B,…|FILE",
        "Prompts of clip, with {} for the words, whose embeddings are averaged.  [default: {}, a photo of "
        "{}, a picture of {}]",
        partial(listed, option="--templates"),
        joined,
    ),
)


def PREDICTORS(command: Command) -> Command:  # noqa: N802 (a decorator among the others)
    """What scores; the command gets it as ``predictor``, a tuple of sources, and ``levels``."""

    @wraps(command)
    def gathered(
        *arguments: Any,
        predictor: tuple[str, ...],
        semantic: tuple[str, ...],
        versus: tuple[str, ...],
        levels: tuple[str, ...],
        **others: Any,
    ) -> Any:
        from higan_fast.predictors import sources

        predictor += in_clip(semantic, versus)
        if not predictor:
            raise click.UsageError("Missing option '--predictor' (or '--semantic').")
        given = {setting.name: _values(setting, others.pop(setting.name)) for setting in SETTINGS}
        found = {"predictor": sources(predictor, given), "levels": levels_in(levels)}
        return command(*arguments, **found, **others)

    gathered = click.option(
        "--levels",
        "--level",
        "levels",
        multiple=True,
        metavar="NAME=LEVEL,…|FILE.json",
        help="layout, object, attribute or color, for semantics whose predictor does not know, as "
        "view=layout,sofa=object; a file has an object of them. May be repeated.",
    )(gathered)
    for setting in reversed(SETTINGS):
        flag = f"--{setting.name.replace('_', '-')}"
        gathered = click.option(
            flag, setting.name, multiple=True, metavar=setting.metavar, help=setting.help
        )(gathered)
    for flag, text in (
        (
            "--semantic",
            "A semantic in words, as 'a cosy room': the same as --predictor clip:… May be repeated.",
        ),
        ("--versus", "What --semantic is compared with, as 'an empty room'; one for each, or none."),
    ):
        gathered = click.option(flag, multiple=True, metavar="WORDS", help=text)(gathered)
    return click.option(
        "--predictor",
        multiple=True,
        help="'scenes', 'color', or another that higan-fast predictors lists. May be repeated: all score. "
        "Python and TorchScript files run as your own code, without a sandbox.",
    )(gathered)


def in_clip(semantics: Sequence[str], versus: Sequence[str]) -> tuple[str, ...]:
    """``"a cosy room"`` and ``"an empty room"`` → the predictor ``"clip:a cosy room|an empty room"``.

    Raises:
        ValueError: when there are other numbers of both, or words that ``clip:`` would take apart.
    """
    if versus and len(versus) != len(semantics):
        raise ValueError(
            f"versus (--versus): got {len(versus)} for {len(semantics)} of --semantic; give one for each, or "
            "none"
        )
    for words in (*semantics, *versus):
        if not words.strip() or any(mark in words for mark in ";|="):
            raise ValueError(
                f"semantic (--semantic): got {in_words(words)}, expected words without ; | and ="
            )
    pairs = zip(semantics, versus, strict=True) if versus else ((words,) for words in semantics)
    return (f"clip:{';'.join('|'.join(pair) for pair in pairs)}",) if semantics else ()


def levels_in(texts: Sequence[str]) -> dict[str, str]:
    """``"bed=object,view=layout"`` and JSON files with such pairs → the levels by name; the last one counts.

    Raises:
        ValueError: when one cannot be read, or a level is none of the four.
        OSError: when there is no such file.
    """
    from higan_fast.predictors.base import LEVELS

    found: dict[str, str] = {}
    for text in texts:
        if not text.strip():
            raise ValueError("levels (--levels): got an empty text, expected NAME=LEVEL,… or a JSON file")
        more: Any = _pairs(text) if "=" in text else _json(text, _content(Path(text), "--levels"))
        if not isinstance(more, dict):
            raise ValueError(f'{printable(text)}: expected an object such as {{"bed": "object"}}')
        for name, level in more.items():
            if level not in LEVELS:
                raise ValueError(
                    f"levels (--levels): got {in_words(level)} for {in_words(name)}, expected one of "
                    f"{', '.join(LEVELS)}, as in bed=object"
                )
        found |= more
    return found


def _pairs(text: str) -> dict[str, str]:
    """``"bed=object,view=layout"`` → the levels by name.

    Raises:
        ValueError: when something without a level stands at the end.
    """
    pairs = list(PAIR.finditer(text))
    if rest := text[pairs[-1].end() :]:
        raise ValueError(f"levels (--levels): got {in_words(rest)} without a level, expected NAME=LEVEL,…")
    return {pair[1].strip(): pair[2].strip() for pair in pairs}


def predictor_words(given: Sequence[Source], levels: Mapping[str, str]) -> list[str]:
    """Returns the options of a command line that names these predictors."""
    from higan_fast.predictors.loading import options_of
    from higan_fast.predictors.source import OWN

    words = [word for source in given for word in ("--predictor", source.predictor)]
    for setting in SETTINGS:
        if not any(setting.name in source.options for source in given):
            continue
        taking = [source.options for source in given if setting.name in options_of(source.predictor)]
        texts = [setting.write(own[setting.name]) if setting.name in own else OWN for own in taking]
        for text in texts[:1] if len(set(texts)) == 1 else texts:
            words.append(f"--{setting.name.replace('_', '-')}={text}")
    return words + [word for name, level in levels.items() for word in ("--levels", f"{name}={level}")]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def predictors(as_json: bool) -> None:
    """List the kinds of predictors that --predictor takes, each with an example."""
    from higan_fast.predictors import KINDS

    kinds = [{"name": kind.name, "example": kind.example, "scores": kind.help} for kind in KINDS]
    if as_json:
        click.echo(json.dumps(kinds, indent=2))
        return
    for kind in kinds:
        click.echo(f"{kind['name']:12} {kind['scores']}")
        click.echo(f"{'':12} --predictor {kind['example']}")
    click.echo(
        "\n--predictor may be repeated: all score, and a name that two use is told apart by its predictor's."
    )
    code = ", ".join(
        kind.name for kind in KINDS if kind.runs_code(kind.example.split()[0].removeprefix(f"{kind.name}:"))
    )
    if code:
        click.echo(f"Not sandboxed, so trust the file: {code}. All others execute nothing that a file holds.")


def _values(setting: Setting, texts: Sequence[str]) -> list[Any]:
    from higan_fast.predictors.source import OWN

    return [text if text == OWN else setting.read(text) for text in texts]


def _content(path: Path, option: str) -> str:
    """The text of a small file; raises OSError or ValueError, one line that names it."""
    from higan_fast.opening import check_file

    size = check_file(path)
    if size > LONGEST_FILE:
        raise ValueError(f"{path}: has {size:,} bytes, expected a small text file for {option}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is no text, expected one for {option}") from None


def _json(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{printable(where)}: is no JSON ({printable(str(error))})") from None
