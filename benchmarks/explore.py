"""Times ``higan-fast explore`` from message to picture: ``python -m benchmarks.explore [RUN]``.

A slider is dragged: 60 states a second go to a server of its own process, as a mouse sends them, for one view
or two. What was overtaken gets no answer; of the pictures that come, the time since their state was sent is
counted, so that waiting counts too. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import numpy as np
from websockets.sync.client import ClientConnection, connect

A_SECOND = 60  # messages, as screens are drawn
SAMPLES = 256  # of a run that is made for this


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--network", default="scenes", show_default=True, help="Of a run that is made for this.")
@click.option("--predictor", default="scenes", show_default=True, help="Likewise.")
@click.option("--seconds", default=5.0, show_default=True, help="How long each slider is dragged.")
@click.option("--threads", type=int, help="CPU threads of the server.")
@click.option("--device", default="auto", show_default=True)
def main(
    run: Path | None, network: str, predictor: str, seconds: float, threads: int | None, device: str
) -> None:
    """Drag a slider of all layers, and one of the last third of them, in one view and in two."""
    with ExitStack() as stack:
        if run is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            run = made(Path(folder) / "run", network, predictor, device)
        url = stack.enter_context(server(run, threads, device))
        with urllib.request.urlopen(f"{url}api/run") as answer:
            about = json.load(answer)
        num = len(about["network"]["layers"])
        name = next(each["name"] for each in about["semantics"] if each["movable"])
        click.echo(
            f"{about['title']}, {about['network']['image']}, {num} layers, load {os.getloadavg()[0]:.2f}"
        )
        for views in (1, 2):
            for layers in (range(num), range(num - max(1, num // 3), num)):
                found = _dragged(url, name, list(layers), views, seconds)
                click.echo(
                    f"{views} view{'s' * (views > 1)}, layers {layers[0]}-{layers[-1]}: median "
                    f"{np.median(found):.1f} ms, 95th percentile {np.percentile(found, 95):.1f} ms, "
                    f"{len(found) / seconds:.0f} pictures a second"
                )


def made(out: Path, network: str, predictor: str, device: str) -> Path:
    """A run with a few samples and boundaries."""
    networks = ("--network", network, "--predictor", predictor, "--out", str(out), "--device", device)
    for command in (
        ("sample", *networks, "--num", str(SAMPLES), "--quiet"),
        ("fit", str(out), "--boundary", "difference", "--quiet"),
    ):
        subprocess.run([*HIGAN_FAST, *command], check=True, stdout=subprocess.DEVNULL)
    return out


HIGAN_FAST = (sys.executable, "-m", "higan_fast")


@contextmanager
def server(run: Path, threads: int | None, device: str) -> Iterator[str]:
    environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    command = [*HIGAN_FAST, "explore", str(run), "--port", "0", "--quiet", "--device", device]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise click.ClickException("the server did not start")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _dragged(url: str, name: str, layers: list[int], views: int, seconds: float) -> list[float]:
    """Milliseconds from each state to its picture."""
    sent: dict[tuple[str, int], float] = {}
    took: list[float] = []
    origin = f"http://{urlsplit(url).netloc}"
    with connect(url.replace("http", "ws", 1) + "ws", origin=origin, compression=None) as socket:
        _ask(socket, sent, "warm-up", 0, {"sample": 0})
        _take(socket, sent, 60)
        stop = threading.Event()

        def receive() -> None:
            while not stop.is_set():
                try:
                    took.append(_take(socket, sent))
                except TimeoutError:
                    continue

        receiving = threading.Thread(target=receive)
        receiving.start()
        begin = time.perf_counter()
        for number in range(int(seconds * A_SECOND)):
            step = 3 * np.sin(number / 20)
            for view in range(views):
                moves = [{"semantic": name, "step": float(step), "layers": layers}]
                state = {"sample": 0, "moves": moves, "all_layers": view == 1}
                _ask(socket, sent, f"view{view}", number, state)
            time.sleep(max(0.0, begin + (number + 1) / A_SECOND - time.perf_counter()))
        time.sleep(1)
        stop.set()
        receiving.join()
    return took[2 * views :]  # the first ones fill what is kept


def _ask(socket: ClientConnection, sent: dict[Any, float], view: str, number: int, state: Any) -> None:
    sent[view, number] = time.perf_counter()
    socket.send(json.dumps({"id": number, "view": view, "moving": True, "state": state}))


def _take(socket: ClientConnection, sent: dict[Any, float], timeout: float = 0.5) -> float:
    about = json.loads(socket.recv(timeout=timeout))
    if "error" in about:
        raise click.ClickException(about["error"])
    socket.recv()
    return 1e3 * (time.perf_counter() - sent[about["view"], about["id"]])


if __name__ == "__main__":
    main()
