"""The page's server: what it shows, what it saves, and the WebSocket over which it moves a sample."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import PurePath
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from higan_fast.explore.connection import LONGEST_TEXT, Connection, Worker
from higan_fast.explore.drawing import Drawing
from higan_fast.explore.facts import Facts
from higan_fast.explore.files import LARGEST, animation, codes_file, file_name, jpeg, png, why_no_mp4
from higan_fast.explore.states import Animation, Move, State, read
from higan_fast.wording import LONGEST_MESSAGE, printable

T = TypeVar("T")
Read = TypeVar("Read", bound=BaseModel)

MOST_CONNECTIONS = 16

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
}


def app_of(drawing: Drawing, facts: Facts, about: dict[str, Any]) -> FastAPI:
    """The server of one run, without the guard before it.

    Args:
        about: what ``GET api/run`` says.
    """
    worker, expectations = Worker(), facts.expectations
    connections: set[WebSocket] = set()
    # One thing besides what moves is drawn at a time, and the frames of one animation are kept.
    aside, animating = asyncio.Lock(), asyncio.Lock()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        worker.stop()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    page = _page()
    content = json.dumps({**about, "session": secrets.token_hex(8)}, allow_nan=False).encode()

    async def drawn(function: Callable[..., T], *arguments: Any) -> T:
        async with aside:
            return await worker.run(function, *arguments)

    @app.exception_handler(HTTPException)
    async def failed(_: Request, error: HTTPException) -> Response:
        return _error(str(error.detail), error.status_code)

    @app.exception_handler(ValueError)
    async def refused(_: Request, error: ValueError) -> Response:
        return _error(str(error), 400)

    @app.exception_handler(OSError)
    @app.exception_handler(MemoryError)
    @app.exception_handler(RuntimeError)
    async def broken(_: Request, error: Exception) -> Response:
        return _error(str(error) or type(error).__name__, 500)

    @app.get("/")
    async def index() -> Response:
        return _file(page, "index.html")

    @app.get("/page/{name}")
    async def file(name: str) -> Response:
        return _file(page, name)

    @app.get("/api/run")
    async def run() -> Response:
        return Response(content, media_type="application/json")

    @app.get("/api/thumb/{index:int}.jpg")
    async def thumb(index: int) -> Response:
        if index >= len(drawing.source):
            raise HTTPException(404, f"sample: got {index}, and there are 0 to {len(drawing.source) - 1}")
        return Response(jpeg(await drawn(drawing.thumb, index)), media_type="image/jpeg")

    @app.get("/api/order/{score:int}")
    async def order(score: int) -> Response:
        return Response(await drawn(drawing.order, score), media_type="application/octet-stream")

    @app.post("/api/png")
    async def save_png(request: Request) -> Response:
        state = await _body(request, State)
        picture = await drawn(drawing.picture, state)
        return _saved(
            await asyncio.to_thread(png, picture, small=True), "image/png", file_name(state, ".png")
        )

    @app.post("/api/codes")
    async def save_codes(request: Request) -> Response:
        state = await _body(request, State)
        saved = codes_file(drawing.codes(state), state)
        return _saved(saved, "application/octet-stream", file_name(state, ".npz"))

    @app.post("/api/video")
    async def save_video(request: Request) -> Response:
        asked = await _body(request, Animation)
        drawing.check_movable(asked.semantic)
        if asked.format == "mp4" and (why := why_no_mp4()) is not None:
            return _error(why, 501)
        frames, ending = [], f".{asked.format}"
        async with animating:
            for state in _along(asked, facts.own_layers):
                if await request.is_disconnected():
                    raise HTTPException(400, "nobody waits for it")
                frames.append(await drawn(drawing.picture, state, LARGEST))
            saved = await asyncio.to_thread(animation, frames, ending)
        kind = "video/mp4" if asked.format == "mp4" else "image/gif"
        return _saved(saved, kind, file_name(asked.state, ending, asked))

    @app.websocket("/ws")
    async def move(socket: WebSocket) -> None:
        await socket.accept()
        if len(connections) >= MOST_CONNECTIONS:
            await socket.close(1013, "too many pages are open")
            return
        connections.add(socket)
        try:
            await Connection(socket, worker, drawing, expectations).serve()
        finally:
            connections.discard(socket)

    return app


def _along(asked: Animation, own_layers: Callable[[str], list[int]]) -> list[State]:
    """The states of an animation: one semantic goes along, on its layers in the state, and the rest stays."""
    state = asked.state
    own = [move for move in state.moves if move.semantic == asked.semantic]
    layers = next((move.layers for move in own if move.layers), None) or own_layers(asked.semantic)
    others = [move for move in state.moves if move.semantic != asked.semantic]
    found = []
    for frame in range(asked.frames):
        step = asked.start + (asked.stop - asked.start) * frame / (asked.frames - 1)
        moves = [*others, Move(semantic=asked.semantic, step=step, layers=layers)]
        found.append(state.model_copy(update={"moves": moves}))
    return found


def _page() -> dict[str, Response]:
    """The files of the page, by name. Nothing else is served."""
    folders = files("higan_fast.explore").joinpath("page"), files("higan_fast").joinpath("report")
    found = [file for file in folders[0].iterdir() if PurePath(file.name).suffix in KINDS]
    found.append(folders[1].joinpath("colors.css"))
    return {
        file.name: Response(file.read_bytes(), media_type=KINDS[PurePath(file.name).suffix]) for file in found
    }


def _file(page: dict[str, Response], name: str) -> Response:
    if name not in page:
        raise HTTPException(404, "not found")
    return page[name]


async def _body(request: Request, kind: type[Read]) -> Read:
    """What a request holds; never more than a message may."""
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LONGEST_TEXT:
            raise HTTPException(413, f"expected at most {LONGEST_TEXT:,} bytes")
    return read(kind, content)


def _saved(content: bytes, kind: str, name: str) -> Response:
    return Response(
        content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _error(line: str, status: int) -> Response:
    return JSONResponse({"error": printable(line, LONGEST_MESSAGE)}, status)
