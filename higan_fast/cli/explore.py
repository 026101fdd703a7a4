"""``explore``: a local web page on which samples are moved by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from higan_fast.cli.options import ELSEWHERE, PATH, QUIET, RUN, option
from higan_fast.run_settings import Places
from higan_fast.wording import listing

if TYPE_CHECKING:
    from higan_fast.explore.sources import Given
    from higan_fast.run_folder import RunFolder

LOOPBACK, PORT = "127.0.0.1", 8765
MOST_NAMES = 3  # of codes, in a note


@click.command()
@RUN
@option("--port", default=PORT, type=click.IntRange(0, 65535), help="0: a free one.")
@option("--host", default=LOOPBACK, help="Address to listen on; one that other machines reach needs --token.")
@click.option("--token", help="Part of the URL, at least 16 characters.  [default: a new one each time]")
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--codes",
    type=PATH,
    metavar="FILE|RUN",
    help="Move these in place of samples: what invert found, NVlabs' projected_w.npz, .npy, .pt.",
)
@ELSEWHERE
@QUIET
def explore(
    run: Path,
    port: int,
    host: str,
    token: str | None,
    opened: bool,
    codes: Path | None,
    places: Places,
    quiet: bool,
) -> None:
    """Serve a local page on which samples in RUN are moved along its boundaries, with their scores live.

    Prints the page's address, which has a secret token in it, and ends with Ctrl-C.
    """
    try:
        from higan_fast.explore import serving
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"explore needs {error.name}, which is not installed; pip install 'higan_fast[explore]'"
        ) from None
    from higan_fast.cli.stages import say_where
    from higan_fast.run_folder import RunFolder

    token = serving.checked_token(host, token)

    def ready(url: str) -> None:
        click.echo(url)
        if opened:
            click.launch(url)

    with serving.listening(host, port) as listener:
        folder = RunFolder.open(run, **places)
        source = None if codes is None else _source(folder, codes)
        say_where("drawing", folder, quiet)
        try:
            serving.serve(folder, listener, host, token, ready, source)
        except KeyboardInterrupt:
            return  # which is how it ends


def _source(folder: RunFolder, file: Path) -> Given:
    """Codes in a file, and the network that was tuned around them where there is one."""
    from higan_fast.checkpoints import load_generator
    from higan_fast.cli.given_codes import far_out
    from higan_fast.explore.sources import Given
    from higan_fast.inversion import read_codes
    from higan_fast.inversion.distribution import FAR

    found = read_codes(file, folder.generator)
    notes = (
        [f"{file} has noise maps for each picture; here all have the network's own."] if found.noise else []
    )
    far = [name for name, out in zip(found.names, far_out(folder, found.codes), strict=True) if out]
    if far:
        notes.append(
            f"Farther from the mean than {FAR} % of samples: {listing(far, MOST_NAMES)}. Boundaries were "
            "verified on samples: what they do so far out is not known."
        )
    tuned = None if found.tuned is None else load_generator(found.tuned, folder.generator.device)
    return Given(found.codes, found.names, folder.generator, tuned, notes)
