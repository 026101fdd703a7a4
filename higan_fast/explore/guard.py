"""Who may ask: only who knows the token, from the server's own page, under a name of this machine."""

from __future__ import annotations

import functools
import ipaddress
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LEAST_TOKEN = 16  # characters
IN_BRACKETS = re.compile(r"\[[0-9a-f:.]+\]")  # of an IPv6 address; a scope id ("%eth0") may hold anything


def new_token() -> str:
    """A token that nobody guesses: 22 characters, 128 bits."""
    return secrets.token_urlsafe(16)


def check_token(token: str) -> None:
    """Raises ValueError when a token is short, or has characters that a URL would escape."""
    if len(token) < LEAST_TOKEN or not (
        token.isascii() and token.replace("-", "").replace("_", "").isalnum()
    ):
        raise ValueError(
            f"token (--token): expected at least {LEAST_TOKEN} letters, digits, '-' and '_', such as "
            f"{new_token()}"
        )


class Guard:
    """Lets those requests through that are for ``/TOKEN/…``, and takes that away from their path.

    A page elsewhere that has its name point to this machine (DNS rebinding) is told by ``Host``, and one that
    asks from elsewhere by ``Origin``. Nobody gets leave to read from another origin (CORS).
    """

    def __init__(self, app: App, token: str, host: str) -> None:
        """``host`` is the one that the server listens on, as it was given."""
        self._app, self._token, self._host = app, token.encode(), host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        host, path = _only(scope, b"host"), _within(scope["path"], self._token)
        if host is None or not self._knows(host) or not _is_own(scope, host):
            await _refuse(scope, _with_headers(send), 403)
            return
        guarded = _with_headers(send, f" ws://{host} wss://{host}")
        if path is None:
            await _refuse(scope, guarded, 404)
        elif path == "":
            await _redirect(scope, guarded)
        else:
            inner = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
            await self._app(inner, receive, guarded)

    def _knows(self, host: str) -> bool:
        """Whether this is a name of this machine, and none that somebody else has chosen.

        The port may be another one, where a tunnel leads here.
        """
        name, colon, port = host.lower().rpartition(":")
        if not (colon and port.isascii() and port.isdigit()):
            name = host.lower()
        if is_loopback(self._host):
            return name == "localhost" or (_is_address(name) and is_loopback(name.strip("[]")))
        return name == self._host or name in _own_names() or _is_address(name)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@functools.cache
def _own_names() -> set[str]:
    return {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}


def _is_address(name: str) -> bool:
    """Whether it is one as ``Host`` has it: of IPv4, or of IPv6 in brackets and without a scope id."""
    try:
        if IN_BRACKETS.fullmatch(name):
            ipaddress.IPv6Address(name[1:-1])
        else:
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def _only(scope: Scope, name: bytes) -> str | None:
    """The value of a header; None: it is missing, or there are several."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else None


def _is_own(scope: Scope, host: str) -> bool:
    """Whether a request comes from the server's own page; browsers say so of everything but plain reading."""
    if not any(key == b"origin" for key, _ in scope["headers"]):
        return bool(scope["type"] == "http")
    return _only(scope, b"origin") in (f"http://{host}", f"https://{host}")


def _within(path: str, token: bytes) -> str | None:
    """``"/TOKEN/api/run"`` → ``"/api/run"``, ``"/TOKEN"`` → ``""``; None: it is not this token."""
    first, slash, rest = path[1:].partition("/")
    if not path.startswith("/") or not secrets.compare_digest(first.encode("utf-8", "replace"), token):
        return None
    return slash + rest


def _with_headers(send: Send, sockets: str = "") -> Send:
    """Adds to every response what browsers are told: nothing from elsewhere, and nothing told elsewhere."""
    headers = {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
            f"connect-src 'self'{sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    more = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return sending


async def _refuse(scope: Scope, send: Send, status: int) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = b'{"error": "not found"}' if status == 404 else b'{"error": "not from here"}'
    await _respond(send, status, [(b"content-type", b"application/json")], body)


async def _redirect(scope: Scope, send: Send) -> None:
    """From ``/TOKEN`` to ``/TOKEN/``, where relative links begin."""
    if scope["type"] == "websocket":
        await _refuse(scope, send, 404)
        return
    await _respond(send, 307, [(b"location", scope["path"].encode() + b"/")], b"")


async def _respond(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
