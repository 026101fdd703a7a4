"""Serves the page of a run until it is interrupted."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from higan_fast.explore.app import app_of
from higan_fast.explore.connection import LONGEST_TEXT
from higan_fast.explore.drawing import Drawing
from higan_fast.explore.facts import Facts
from higan_fast.explore.files import why_no_mp4
from higan_fast.explore.guard import Guard, check_token, is_loopback, new_token
from higan_fast.explore.sources import OfRun, Source
from higan_fast.explore.states import State
from higan_fast.run_folder import RunFolder

EVERYWHERE = ("0.0.0.0", "::")
MOST_REQUESTS = 128  # at once, WebSockets among them
SECONDS_TO_END = 3  # for what is being answered when the server is told to end


def checked_token(host: str, token: str | None) -> str:
    """Returns the token, a new one where none is given.

    Raises:
        ValueError: when other machines can reach the host and none is given, or it is too short.
    """
    if token is None and not is_loopback(host):
        raise ValueError(
            f"host (--host): got {host!r}, which other machines can reach; give a --token for them, such as "
            f"{new_token()}, or leave --host out"
        )
    if token is not None:
        check_token(token)
    return token or new_token()


def listening(host: str, port: int) -> socket.socket:
    """Returns a socket on which to listen; port 0 takes a free one.

    Raises:
        OSError: when the port is taken, or there is no such host; the message says what to do.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family)
    except socket.gaierror as error:
        raise OSError(f"host (--host): got {host!r}, which cannot be found ({error.strerror})") from error
    except OSError as error:
        raise OSError(
            f"port (--port): cannot listen on {host}, port {port} ({os.strerror(error.errno or 0)}); take "
            "another, or --port 0 for a free one"
        ) from error


def serve(
    run: RunFolder,
    listener: socket.socket,
    host: str,
    token: str,
    ready: Callable[[str], None],
    source: Source | None = None,
) -> None:
    """Serves the page of a run until the process is interrupted, which is a KeyboardInterrupt then.

    Args:
        run: whose boundaries move.
        listener: see ``listening``.
        host: on which that listens, as it was given.
        token: see ``checked_token``.
        ready: is told the URL once the page is there.
        source: of the samples; None: those of the run.

    Raises:
        FileNotFoundError: when the run has no samples or boundaries.
        ValueError: when the boundaries do not move the codes of its generator.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    server_of(explorer(run, source), listener, host, token, ready).run(sockets=[listener])


def server_of(
    app: Any, listener: socket.socket, host: str, token: str, ready: Callable[[str], None]
) -> uvicorn.Server:
    """A server of an application behind the guard; see ``serve``."""
    address, port = listener.getsockname()[:2]
    shown = socket.gethostname() if address in EVERYWHERE else f"[{address}]" if ":" in address else address
    config = uvicorn.Config(
        Guard(app, token, host),
        log_config=None,
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=LONGEST_TEXT,
        limit_concurrency=MOST_REQUESTS,
        timeout_graceful_shutdown=SECONDS_TO_END,
        server_header=False,
        proxy_headers=False,
    )
    return _Server(config, lambda: ready(f"http://{shown}:{port}/{token}/"))


def explorer(run: RunFolder, source: Source | None = None) -> Any:
    """The application of a run, without its guard; see ``serve``."""
    facts = Facts.of(run)
    drawing = Drawing(run, OfRun(run.samples) if source is None else source, facts.movable, facts.unit)
    facts.notes.extend(drawing.source.notes)
    return app_of(drawing, facts, _about(run, facts, drawing))


def _about(run: RunFolder, facts: Facts, drawing: Drawing) -> dict[str, Any]:
    """What the page shows that depends on no state; draws the first sample, which also warms up."""
    drawing.picture(State(sample=0))
    why = why_no_mp4()
    return {
        "title": run.settings.network,
        "run": str(run.path),
        "network": {
            "family": drawing.generator.family,
            "image": list(drawing.generator.image_shape),
            "layers": [
                {"index": each.index, "name": each.name, "pixels": each.pixels, "group": each.group}
                for each in drawing.generator.layers
            ],
        },
        "samples": {
            "num": len(drawing.source),
            "kind": drawing.source.kind,
            "names": None if drawing.source.names is None else list(drawing.source.names),
        },
        **facts.described(run.samples),
        "video": {"mp4": why is None, "why": why},
    }


class _Server(uvicorn.Server):
    """Says when it is there."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()
