"""The options that several commands share; how a command ends on bad input, or when it is interrupted."""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import click

from higan_fast.cli.predictor_options import PREDICTORS
from higan_fast.files import FULL, unwritable
from higan_fast.wording import line_of, printable

Command = Callable[..., Any]

INTERRUPTED = 130
LONGEST_HELP = 300  # characters; the first sentence of every command is shorter
MOST_STEPS = 1000
REPORTED = ValueError, KeyError, OSError, RuntimeError, MemoryError, ImportError, OverflowError
MOST_INDICES = 1_000_000
MOST_DIGITS = 9  # of an index


class SomePath(click.Path):
    """A path that is not empty: ``Path("")`` would be the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Returns the path; raises ValueError when it is empty."""
        if str(value) == "":
            option = param.opts[0] if param else "path"
            raise ValueError(f"{option}: got an empty path; '.' is the current folder")
        return Path(value)


class Weight(click.ParamType[float | str]):
    """A number, or "auto"."""

    name = "weight"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | Literal["auto"]:
        """Returns it; a usage error where it is neither."""
        return "auto" if value == "auto" else float(click.FLOAT.convert(value, param, ctx))


PATH = SomePath(path_type=Path)


class FriendlyGroup(click.Group):
    """Bad input ends in one line that says what to do; an interrupted job says how to go on.

    Its help lists the commands by section, each with its whole first sentence.
    """

    def __init__(
        self, *arguments: Any, sections: Mapping[str, Sequence[str]] = MappingProxyType({}), **settings: Any
    ):
        """Commands that are in none of the sections come last."""
        super().__init__(*arguments, **settings)
        self.sections = sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the sections."""
        known = [name for names in self.sections.values() for name in names]
        others = [name for name in self.list_commands(ctx) if name not in known]
        for section, names in {**self.sections, "Files and tools": others}.items():
            commands = [(name, self.commands[name]) for name in names if name in self.commands]
            if commands:
                with formatter.section(section):
                    formatter.write_dl(
                        [(name, each.get_short_help_str(LONGEST_HELP)) for name, each in commands]
                    )

    def main(self, *arguments: Any, **settings: Any) -> Any:
        """As click's; where a stream is closed (``2>&-``), nothing that is opened later takes its place."""
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:
                setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
        try:
            return super().main(*arguments, **settings)
        except OSError as error:  # in printing a help text
            if error.errno not in FULL or "--debug" in sys.argv:
                raise
            click.echo(f"Error: {_said(error)}", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        previous = signal.signal(signal.SIGTERM, _interrupt)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a name that it cannot encode ends no output
        try:
            return super().invoke(ctx)
        except REPORTED as error:
            if ctx.params["debug"] or isinstance(error, BrokenPipeError | click.exceptions.Exit):
                raise
            _echo_missing_shards(error)
            raise click.ClickException(_said(error)) from error
        except KeyboardInterrupt:
            logging.getLogger("asyncio").disabled = True  # a write cut short would complain after this line
            click.echo("\ninterrupted; run the same command again to go on from here", err=True)
            sys.exit(INTERRUPTED)
        finally:
            signal.signal(signal.SIGTERM, previous)


def _echo_missing_shards(error: Exception) -> None:
    """Prints the command of each shard, where some are missing."""
    from higan_fast.sampling.manifests import MissingShardsError

    if isinstance(error, MissingShardsError):
        from higan_fast.cli.commandlines import shard_commands

        for command in shard_commands(error):
            click.echo(command)


def _said(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory; take a smaller --batch, or close other programs"
    if isinstance(error, OverflowError):
        return f"a number is too large to go on with ({line_of(error)}); give smaller ones"
    if isinstance(error, OSError) and error.errno in FULL and error.strerror == os.strerror(error.errno):
        return line_of(unwritable(error, error.filename or "the output"))
    return line_of(error)


def _interrupt(*_: object) -> None:
    """A job that is told to end leaves as one does that is interrupted from the keyboard."""
    raise KeyboardInterrupt


def options(*several: Command) -> Command:
    """Several options as one decorator."""

    def decorate(command: Command) -> Command:
        for option in reversed(several):
            command = option(command)
        return command

    return decorate


def option(*names: str, **settings: Any) -> Command:
    """An option whose help shows its default."""
    return click.option(*names, show_default=True, **settings)


def indices(option: str, text: str) -> list[int]:
    """``"17,3,20-22"`` → ``[17, 3, 20, 21, 22]``, in the order given, each once.

    Raises:
        click.UsageError: when the text cannot be read.
    """
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text.replace(" ", "")):
        raise click.UsageError(f"{option}: got {text!r}, expected indices with commas, such as 3,17 or 0-3,8")
    found: dict[int, None] = {}  # in order
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if max(len(first), len(last)) > MOST_DIGITS or int(last or first) - int(first) >= MOST_INDICES:
            raise click.UsageError(
                f"{option}: got {printable(part)!r}, expected at most {MOST_INDICES:,} indices, below 10^9"
            )
        found |= dict.fromkeys(range(int(first), int(last or first) + 1))
    if not found:
        raise click.UsageError(f"{option}: got {text!r}, which runs backwards; expected such as 0-3")
    return list(found)


def channels_in(text: str) -> tuple[int, ...]:
    """``"3,2,1"`` → ``(3, 2, 1)``.

    Raises:
        click.UsageError: when the text cannot be read.
    """
    if not re.fullmatch(r"\d{1,5}(,\d{1,5})*", text.replace(" ", "")):
        raise click.UsageError(f"--bands: got {text!r}, expected channels with commas, such as 3,2,1")
    return tuple(map(int, text.split(",")))


def numbers(option: str, text: str) -> list[float]:
    """``"-3,0,1.5"`` → ``[-3.0, 0.0, 1.5]``; ``"-6..6"`` → every whole number from −6 to 6.

    Raises:
        click.UsageError: when the text cannot be read.
    """
    found: list[float] = []
    try:
        for part in text.split(","):
            first, dots, last = part.partition("..")
            if dots and int(last) - int(first) >= MOST_STEPS:
                raise click.UsageError(f"{option}: got {part!r}, expected at most {MOST_STEPS} steps")
            found += map(float, range(int(first), int(last) + 1) if dots else [first])
    except (ValueError, OverflowError):
        raise click.UsageError(
            f"{option}: got {text!r}, expected numbers with commas, such as -3,0,3, or -6..6"
        ) from None
    return found


RUN = click.argument("run", type=PATH)
CONFIG = click.option(
    "--config", help="JSON file with what a format does not store, such as BN_eps of BigGAN-PyTorch."
)
BANDS = click.option(
    "--bands",
    metavar="C,C,C",
    callback=lambda _context, _parameter, text: None if text is None else channels_in(text),
    help="Channels of the network's images that are kept, counted from 0: 3,2,1 of seven; 0,1,2 of RGBA, "
    "without alpha.  [default: all]",
)
NETWORKS = options(
    option(
        "--network",
        required=True,
        help="'scenes'; or a .pkl of NVlabs (torch or TensorFlow), a .pth of genforce, higan, BigGAN-PyTorch "
        "or pytorch_GAN_zoo, a .pt of rosinality, a folder of Hugging Face's BigGAN, or a .safetensors of "
        "ours.",
    ),
    CONFIG,
    BANDS,
    PREDICTORS,
    option("--out", type=PATH, required=True, help="Run folder."),
)
DEVICE = option(
    "--device", default="auto", help="cpu, cuda, cuda:1, …; auto: a CUDA device where there is one."
)
PRECISION = option(
    "--precision",
    default="auto",
    type=click.Choice(["auto", "exact", "fast"]),
    help="exact: in 32 bits; fast: in 16; auto: fast on CUDA devices with tensor cores, else exact; for "
    "samples, as those that are there.",
)


def ELSEWHERE(command: Command) -> Command:  # noqa: N802 (a decorator among the others)
    """Where the networks of a run folder are now; the command gets what is given as ``places``."""

    @wraps(command)
    def gathered(
        *arguments: Any,
        network: str | None,
        predictor: tuple[str, ...],
        config: str | None,
        device: str | None,
        **others: Any,
    ) -> Any:
        places = {"network": network, "predictor": predictor or None, "config": config, "device": device}
        return command(*arguments, places=places, **others)

    return options(
        click.option("--network", help="The generator, if it is not where it was."),
        click.option(
            "--predictor",
            multiple=True,
            help="The predictor, if it is not where it was; of several, all of them in their order.",
        ),
        click.option("--config", help="The generator's JSON file, if it is not where it was."),
        click.option("--device", help="cpu, cuda, cuda:1, …, auto.  [default: the run's, if it is here]"),
    )(gathered)


SAMPLING = options(
    option("--num", default=20_000, help="How many samples."),
    option("--seed", default=0),
    option("--trunc", "truncation_psi", default=1.0, help="Truncation psi."),
    option("--trunc-layers", "truncation_layers", type=int, help="Default: all layers."),
    click.option(
        "--class",
        "label",
        type=int,
        help="Class of all images, for conditional generators.  [default: each image draws its own]",
    ),
    DEVICE,
)
RECIPE = click.option(
    "--recipe",
    type=click.Choice(["higan"]),
    help="Do as HiGAN: a linear SVM with C = 1; all effects on --max-samples, ranked by HiGAN's delta.",
)
STEP_UNIT = option(
    "--step-unit",
    default="norm",
    type=click.Choice(["norm", "sd"]),
    help="Of steps: length, or standard deviations of the codes along each boundary.",
)
FITTING = options(
    click.option(
        "--boundary",
        "method",
        type=click.Choice(["svm", "logistic", "ridge", "lda", "difference", "pattern", "gradient"]),
        help="How to find each direction; gradient needs scores that can be differentiated.  "
        "[default: logistic]",
    ),
    click.option(
        "--C",
        "C",
        type=Weight(),
        metavar="FLOAT|auto",
        help="Weight of the data: the smaller, the more regularised; auto: by what moves "
        "most.  [default: auto for logistic, 1 for svm]",
    ),
    RECIPE,
    option("--chosen-num", default=2000.0, help="Samples per side; in (0, 1]: a ratio; at most half."),
    click.option(
        "--space",
        type=click.Choice(["w", "layers", "z"]),
        help="Where to fit.  [default: w; layers where each has a code of its own, as in BigGAN]",
    ),
)
VERIFYING = options(
    option("--step", default=2.0, help="How far along each boundary (HiGAN's lambda)."),
    STEP_UNIT,
    click.option(
        "--decide",
        type=click.Choice(["effect", "top-layer", "ranking"]),
        help="The question; samples are drawn until it is answered.  "
        "[default: top-layer; effect in z, which moves all layers, and where there is one layer]",
    ),
    option("--confidence", default=0.99, help="Of the decisions and of the intervals."),
    option("--max-samples", default=2000, help="Where to stop at the latest (HiGAN's K)."),
    option("--exhaustive", is_flag=True, help="Measure everything on all of --max-samples, as HiGAN does."),
    option(
        "--null",
        default="both",
        type=click.Choice(["both", "isotropic", "covariance", "shuffled"]),
        help="Random directions that an effect must be beyond: even in all directions, with the codes' "
        "covariance, or both; or boundaries that are fitted to shuffled scores.",
    ),
    option("--num-null", default=32, help="Random directions of each kind."),
    PRECISION,
    option("--screening", default=0, help="Samples for profiles by gradients, beside."),
)
ATTRIBUTED = "Samples to attribute scores to layers with; each takes an image, and one more for every layer"
DOSED = "Samples of the dose-response; each takes an image for every boundary and step"
BATCH = click.option("--batch", type=int, help="Images at once.  [default: as many as are worth it]")
METHODS_HELP = "Commas between them, C behind '=' where there is one: svm=0.01,difference"
CODES_HELP = "Fresh codes to move, at least 24; each takes two images for every method and semantic."
QUIET = click.option("--quiet", is_flag=True, help="Print results and errors alone: no progress.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
