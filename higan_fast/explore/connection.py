"""One open page: takes what it asks for, and sends a picture at a time, always of the latest state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from fastapi import WebSocket, WebSocketDisconnect

from higan_fast.engine.redrawing import Canvas
from higan_fast.explore.drawing import Drawing
from higan_fast.explore.expectations import Expectations
from higan_fast.explore.files import jpeg, png
from higan_fast.explore.states import Request, identified, read
from higan_fast.wording import LONGEST_MESSAGE, printable

T = TypeVar("T")

LONGEST_TEXT = 2**16  # bytes of a message
MOST_VIEWS = 8


class Worker:
    """The one thread that draws. Whoever waits for it waits without holding up anybody else."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "drawing")

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Returns what a function gives, after those that came before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(function, *arguments))

    def stop(self) -> None:
        """Lets the thread end what it is at, and nothing else."""
        self._thread.shutdown(wait=True, cancel_futures=True)


class Connection:
    """A WebSocket, the latest request for each of its views, and what was drawn there."""

    def __init__(
        self, socket: WebSocket, worker: Worker, drawing: Drawing, expectations: Expectations
    ) -> None:
        self._socket, self._worker, self._drawing, self._expectations = socket, worker, drawing, expectations
        self._latest: dict[str, Request] = {}  # by view; the one that has waited longest comes first
        self._canvases: dict[str, Canvas] = {}
        self._asked, self._turn = asyncio.Event(), asyncio.Lock()

    async def serve(self) -> None:
        """Answers until the page is gone."""
        tasks = [asyncio.create_task(part) for part in (self._listen(), self._show())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            error = task.exception()
            if error is not None and not isinstance(error, WebSocketDisconnect):
                raise error

    async def _listen(self) -> None:
        while (message := await self._socket.receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text is None:
                await self._refuse({}, "a message: got bytes, expected JSON text")
            elif len(text) > LONGEST_TEXT:
                await self._refuse({}, f"a message: got {len(text):,} characters, expected {LONGEST_TEXT:,}")
            else:
                await self._take(text)

    async def _take(self, text: str) -> None:
        try:
            request = read(Request, text)
            if request.view not in self._canvases and len(self._canvases) >= MOST_VIEWS:
                raise ValueError(f"view: got another one, and there may be {MOST_VIEWS}")
            self._drawing.check(request.state)
        except ValueError as error:
            await self._refuse(identified(text), str(error))
            return
        self._canvases.setdefault(request.view, Canvas())
        self._latest[request.view] = request
        self._asked.set()

    async def _show(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._latest:
                request = self._latest.pop(next(iter(self._latest)))
                try:
                    about, content = await self._worker.run(self._answer, request)
                except (ValueError, RuntimeError, MemoryError, OSError) as error:
                    await self._refuse(request.model_dump(include={"id", "view"}), str(error))
                    continue
                async with self._turn:
                    await self._socket.send_json(about)
                    await self._socket.send_bytes(content)

    def _answer(self, request: Request) -> tuple[dict[str, Any], bytes]:
        begin = time.perf_counter()
        drawing, state = self._drawing, request.state
        drawn = drawing.draw(state, self._canvases[request.view], request.moving)
        content = (jpeg if request.moving else png)(drawn.picture)
        height, width = drawn.picture.shape[:2]
        about = {
            "id": request.id,
            "view": request.view,
            "moving": request.moving,
            "format": "jpeg" if request.moving else "png",
            "width": width,
            "height": height,
            "bytes": len(content),
            "milliseconds": round(1e3 * (time.perf_counter() - begin), 2),
            "layers_run": drawn.layers_run,
            "scores": drawing.named(drawn.scores),
            "base": drawing.named(drawn.base),
            "expected": self._expectations.of(drawing.active(state)),
        }
        return about, content

    async def _refuse(self, what: dict[str, Any], error: str) -> None:
        async with self._turn:
            line = printable(error or "failed", LONGEST_MESSAGE)
            await self._socket.send_json({"id": None, "view": None, **what, "error": line})
