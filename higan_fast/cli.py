"""The command line: the whole probe, its stages one by one, and questions about files and machines."""

from __future__ import annotations

import json
import logging
import shlex
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]

INTERRUPTED = 130
RUN = click.argument("run", type=click.Path(path_type=Path))


class FriendlyGroup(click.Group):
    """Bad input ends in one line that says what to do; an interrupted job says how to go on."""

    def invoke(self, ctx: click.Context) -> Any:
        previous = signal.signal(signal.SIGTERM, _interrupt)
        try:
            return super().invoke(ctx)
        except (ValueError, KeyError, OSError, RuntimeError) as error:
            if ctx.params["debug"] or isinstance(error, BrokenPipeError):
                raise
            message = error.args[0] if isinstance(error, KeyError) else error
            raise click.ClickException(str(message)) from error
        except KeyboardInterrupt:
            logging.getLogger("asyncio").disabled = True  # a write cut short would complain after this line
            click.echo("\ninterrupted; run the same command again to go on from here", err=True)
            sys.exit(INTERRUPTED)
        finally:
            signal.signal(signal.SIGTERM, previous)


def _interrupt(*_: object) -> None:
    """A job that is told to end leaves as one does that is interrupted from the keyboard."""
    raise KeyboardInterrupt


@click.group(cls=FriendlyGroup)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="higan_fast")
def main(debug: bool) -> None:
    """Find out which layer of an image generator decides what you see, and prove it."""
    from higan_fast.memory import keep_freed_memory

    keep_freed_memory()


def _options(*options: Command) -> Command:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _option(*names: str, **settings: Any) -> Command:
    return click.option(*names, show_default=True, **settings)


COUNT, SEVERAL, INDEX = click.IntRange(1), click.IntRange(2), click.IntRange(0)
NETWORKS = _options(
    _option("--network", required=True, help="'scenes', or a .safetensors file."),
    _option("--predictor", required=True, help="'scenes', 'color', or a .safetensors file."),
    _option("--out", type=click.Path(path_type=Path), required=True, help="Run folder."),
)
SAMPLING = _options(
    _option("--num", default=20_000, type=COUNT, help="How many samples."),
    _option("--seed", default=0, type=INDEX),
    _option("--trunc", "truncation_psi", default=1.0, help="Truncation psi."),
    _option("--trunc-layers", "truncation_layers", type=INDEX, help="Default: all layers."),
    _option("--device", default="cpu", help="cpu, cuda, cuda:1, …"),
)
FITTING = _options(
    _option("--chosen-num", default=2000.0, help="Samples per side; in (0, 1]: a ratio; at most half."),
    _option("--space", default="w", type=click.Choice(["w", "layers", "z"])),
)
VERIFYING = _options(
    _option("--step", default=2.0, help="How far along each boundary (HiGAN's lambda)."),
    click.option(
        "--decide",
        type=click.Choice(["effect", "top-layer", "ranking"]),
        help="The question; samples are drawn until it is answered.  "
        "[default: top-layer; effect in z, which moves all layers]",
    ),
    _option("--confidence", default=0.99, help="Of the decisions and of the intervals."),
    _option("--max-samples", default=2000, type=SEVERAL, help="Where to stop at the latest (HiGAN's K)."),
    _option("--exhaustive", is_flag=True, help="Measure everything on all of --max-samples, as HiGAN does."),
    _option("--null", "num_null", default=32, type=SEVERAL, help="Random directions."),
    _option("--precision", default="exact", type=click.Choice(["exact", "fast"]), help="fast: in 16 bits."),
    _option("--screening", default=0, type=INDEX, help="Samples for profiles by gradients, beside."),
)
BATCH = click.option("--batch", type=COUNT, help="Images at once.  [default: as many as are worth it]")


@main.command()
@NETWORKS
@SAMPLING
@BATCH
def sample(out: Path, num: int, batch: int | None, **settings: Any) -> None:
    """Draw codes, synthesise their images, and score them."""
    _sample(out, num, batch, settings)


@main.command()
@RUN
@FITTING
def fit(run: Path, chosen_num: float, space: str) -> None:
    """Fit a boundary for each semantic to the samples in RUN."""
    _fit(run, chosen_num, space)


@main.command()
@RUN
@VERIFYING
@BATCH
@click.option("--semantic", "semantics", multiple=True, help="Only this one; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(run: Path, as_json: bool, semantics: tuple[str, ...], **options: Any) -> None:
    """Measure what every boundary in RUN changes: all layers together, and each layer alone."""
    verification = _verify(run, semantics=semantics or None, **options)
    if as_json:
        click.echo(json.dumps(verification.to_json(), indent=2))
    else:
        _print_ranking(verification)


@main.command()
@RUN
def report(run: Path) -> None:
    """Write RUN/report.html, one self-contained page."""
    _report(run)


@main.command()
@NETWORKS
@SAMPLING
@FITTING
@VERIFYING
@BATCH
def probe(out: Path, num: int, batch: int | None, chosen_num: float, space: str, **options: Any) -> None:
    """Sample, fit, verify and report: the whole job in one run folder."""
    _probe(out, num, batch, chosen_num, space, options)


@main.command()
@_option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"))
def demo(out: Path) -> None:
    """Probe the embedded generator of rooms, and report."""
    settings = {"network": "scenes", "predictor": "scenes", "seed": 0, "device": "cpu"}
    truncation = {"truncation_psi": 1.0, "truncation_layers": None}
    verifying = {
        "step": 2.0,
        "decide": "top-layer",
        "confidence": 0.99,
        "max_samples": 1_000,
        "exhaustive": False,
        "num_null": 32,
        "precision": "exact",
        "screening": 8,
    }
    _probe(out, 6_000, None, 1_000, "w", settings | truncation | verifying)


@main.command()
@RUN
@click.option(
    "--semantic", "names", multiple=True, required=True, help="Repeat it to move along several at once."
)
@_option("--layers", default="all", help="Such as 6-7 or 0,2-4.")
@_option("--steps", default="-3,0,3", help="Comma-separated.")
@_option("--num", default=8, type=COUNT, help="How many samples.")
@click.option("--jitter", "variants", type=COUNT, help="Instead of steps: so many random variants.")
@_option("--scale", default=1.0, help="Standard deviation of a random step.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="PNG file; default: RUN/manipulate-NAMES-LAYERS.png."
)
def manipulate(
    run: Path,
    names: tuple[str, ...],
    layers: str,
    steps: str,
    num: int,
    variants: int | None,
    scale: float,
    out: Path | None,
) -> None:
    """Move samples along boundaries, and write a strip for each as one PNG."""
    from higan_fast import probing
    from higan_fast.pictures import image_grid, save_png
    from higan_fast.run_folder import RunFolder

    folder = RunFolder.open(run)
    boundaries = [folder.boundaries[name] for name in names]
    codes = folder.samples.codes[:num]
    if variants is None:
        move = partial(probing.manipulate, boundary=boundaries, steps=_numbers(steps))
    elif len(boundaries) == 1:
        move = partial(probing.jitter, boundary=boundaries[0], num=variants, scale=scale)
    else:
        raise click.UsageError("--jitter moves along one boundary; give one --semantic")
    images = move(folder.generator, codes, layers=layers, **folder.settings.truncation)
    out = out or run / f"manipulate-{'+'.join(names)}-{layers}.png"
    save_png(out, image_grid(images))
    click.echo(out)


@main.command()
@click.argument("file")
def inspect(file: str) -> None:
    """Say what FILE ('scenes', or a .safetensors) holds: family, layers, codes, origin."""
    from higan_fast.checkpoints import generator_file, load_generator, read_header

    generator, header = load_generator(file), read_header(generator_file(file))
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    click.echo(f"family      {header.family}")
    click.echo(f"resolution  {generator.resolution} × {generator.resolution}")
    click.echo(
        f"codes       latent {generator.latent_dim}, {generator.num_layers} layers of {generator.code_dim}"
    )
    click.echo(f"parameters  {parameters:,}")
    for layer in generator.layers:
        click.echo(f"  layer {layer.index:2}  {layer.group:6}  {layer.name}")
    for name, value in header.about.items():
        click.echo(f"{name:11} {value}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> None:
    """Say what is installed, which devices there are, and which implementation each op runs."""
    from higan_fast.environment import environment, native
    from higan_fast.weights import embedded

    found = environment()
    found["embedded_weights"] = {name: embedded(name).is_file() for name in ("generator", "predictor")}
    found.update(native())
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        _print_found(name, value, 0)


def _print_found(name: str, value: Any, depth: int) -> None:
    label = f"{'  ' * depth}{name}".ljust(28)
    if isinstance(value, dict):
        click.echo(label.rstrip())
        for key, entry in value.items():
            _print_found(key, entry, depth + 1)
        return
    if isinstance(value, list):
        value = ", ".join(value) or "none"
    click.echo(f"{label} {'not installed' if value is None else value}")


def _probe(
    out: Path, num: int, batch: int | None, chosen_num: float, space: str, options: dict[str, Any]
) -> None:
    names = (
        "step", "decide", "confidence", "max_samples", "exhaustive", "num_null", "precision", "screening",
    )  # fmt: skip
    verifying = {name: options.pop(name) for name in names}
    _sample(out, num, batch, options)
    if _fit(out, chosen_num, space):
        _print_ranking(_verify(out, batch=batch, **verifying))
    _report(out)


def _sample(out: Path, num: int, batch: int | None, settings: dict[str, Any]) -> None:
    from higan_fast import probing
    from higan_fast.run_folder import RunFolder, Settings

    run = RunFolder(out, Settings(**settings))
    generator, predictor = run.generator, run.predictor  # a wrong name fails before a folder is made
    run.begin()
    probing.sample(
        generator, predictor, num, out, seed=run.settings.seed, batch_size=batch, **run.settings.truncation
    )


def _fit(out: Path, chosen_num: float, space: Any) -> Any:
    from higan_fast import probing
    from higan_fast.run_folder import RunFolder

    run = RunFolder.open(out)
    boundaries = probing.fit_boundaries(run.samples, chosen_num=chosen_num, space=space)
    boundaries.save(run.boundaries_file)
    for name, boundary in boundaries.items():
        click.echo(f"{name:16} held-out accuracy {boundary.accuracy:.3f}", err=True)
    for name, reason in boundaries.skipped.items():
        click.echo(f"{name:16} skipped: {reason}", err=True)
    return boundaries


def _verify(out: Path, *, exhaustive: bool, max_samples: int, batch: int | None, **options: Any) -> Any:
    from higan_fast import probing
    from higan_fast.run_folder import RunFolder

    run = RunFolder.open(out)
    verification = probing.verify(
        run.generator, run.predictor, run.boundaries, num=max_samples if exhaustive else None,
        max_samples=max_samples, batch_size=batch, seed=run.settings.seed, out=out,
        **run.settings.truncation, **options,
    )  # fmt: skip
    verification.save(run.verification_file)
    return verification


def _report(out: Path) -> None:
    from higan_fast.report import write_report
    from higan_fast.run_folder import RunFolder

    run = RunFolder.open(out)
    path = write_report(
        out / "report.html",
        title=f"What each layer decides: {run.settings.network}",
        settings={**run.about, "command": _command(run, out)},
        generator=run.generator,
        samples=run.samples,
        boundaries=run.boundaries,
        verification=run.verification if run.boundaries else None,
    )
    click.echo(path)


def _command(run: Any, out: Path) -> str:
    """What makes this run again, from its first sample on."""
    settings, samples, boundaries = run.settings, run.samples, run.boundaries
    words = ["higan-fast", "probe", "--network", settings.network, "--predictor", settings.predictor]
    words += ["--out", str(out), "--num", str(len(samples)), "--seed", str(settings.seed)]
    words += ["--trunc", f"{settings.truncation_psi:g}"]
    if settings.truncation_layers is not None:
        words += ["--trunc-layers", str(settings.truncation_layers)]
    words += [
        "--chosen-num",
        f"{boundaries.settings['chosen_num']:g}",
        "--space",
        boundaries.settings["space"],
    ]
    if boundaries:
        verified = run.verification.settings
        words += ["--step", f"{verified['step']:g}", "--confidence", f"{verified['confidence']:g}"]
        if verified["decide"] is None:
            words += ["--exhaustive", "--max-samples", str(verified["num"])]
        else:
            words += ["--decide", verified["decide"], "--max-samples", str(verified["max_samples"])]
        words += ["--null", str(verified["num_null"]), "--precision", verified["precision"]]
        words += ["--screening", str(verified["screening"])]
    return shlex.join(words)


def _print_ranking(verification: Any) -> None:
    result = verification.to_json()
    click.echo(f"{'semantic':16} {'level':9}  effect [interval]            null     best layer")
    for row in result["semantics"]:
        effect, low, high, null = (
            "–" if row[name] is None else f"{row[name]:+.3f}"
            for name in ("effect", "low", "high", "null_high")
        )
        layer = "–" if row["best_layer"] is None else row["best_layer"]
        verdict = "" if row["beats_null"] else "  within the null"
        figures = f"{effect} [{low}, {high}]"
        click.echo(
            f"{row['name']:16} {row['level']:9}  {figures:26} ±{null.removeprefix('+')}  {layer:>4}{verdict}"
        )
    for level, mean in result["mean_layer_by_level"].items():
        click.echo(f"mean layer, {level:9} {'–' if mean is None else f'{mean:.2f}'}")
    saved = result["images_fixed"] - result["images"]
    if saved:
        click.echo(f"{result['images']:,} images; {saved:,} were not needed to decide")


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise click.UsageError(
            f"--steps: got {text!r}, expected numbers with commas, such as -3,0,3"
        ) from None


if __name__ == "__main__":
    main()
