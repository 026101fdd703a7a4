"""``explore``: a local web page on which samples are moved by hand."""

from __future__ import annotations

from pathlib import Path

import click

from higan_fast.cli.options import ELSEWHERE, QUIET, RUN, option
from higan_fast.run_settings import Places

LOOPBACK, PORT = "127.0.0.1", 8765


@click.command()
@RUN
@option("--port", default=PORT, type=click.IntRange(0, 65535), help="0: a free one.")
@option("--host", default=LOOPBACK, help="Address to listen on; one that other machines reach needs --token.")
@click.option("--token", help="Part of the URL, at least 16 characters.  [default: a new one each time]")
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@ELSEWHERE
@QUIET
def explore(
    run: Path, port: int, host: str, token: str | None, opened: bool, places: Places, quiet: bool
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
        say_where("drawing", folder, quiet)
        try:
            serving.serve(folder, listener, token, ready)
        except KeyboardInterrupt:
            return  # which is how it ends
