"""Who may ask: not without the token, from another page, or under a name that somebody else has chosen."""

import json
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from higan_fast.explore.app import MOST_CONNECTIONS
from higan_fast.explore.guard import Guard, check_token, new_token

ELSEWHERE = "http://elsewhere.example"


def test_without_the_token_there_is_nothing(served):
    root = served.origin
    for path in ("/", "/api/run", "/x/api/run", served.url[len(root) : -2] + "/", "//", "/%2e%2e/", "/docs"):
        status, content, _ = served.ask(root + path)
        assert (status, json.loads(content)) == (404, {"error": "not found"}), path
    assert served.ask(served.url[:-1])[0] == 200, "its slash may be left out"
    for path in (
        "docs",
        "openapi.json",
        "page/",
        "page/../app.py",
        "page/%2e%2e/app.py",
        "page/none",
        "api/thumb/128.jpg",
    ):
        assert served.ask(path)[0] == 404, path


def test_another_page_gets_nothing(served):
    for headers in ({"Origin": ELSEWHERE}, {"Origin": "null"}, {"Host": "elsewhere.example"}, {"Host": ""}):
        assert served.ask("api/run", **headers)[0] == 403
        assert served.ask("api/png", {"sample": 0}, **headers)[0] == 403
    status, _, headers = served.ask("api/run", Origin=served.origin)
    assert status == 200 and "Access-Control-Allow-Origin" not in headers
    for options in (
        {"origin": ELSEWHERE},
        {"origin": None},
        {"additional_headers": {"Host": "elsewhere.example"}},
    ):
        with pytest.raises(InvalidStatus, match=r"40[03]"):  # 400: two of a header
            served.page(**options).close()


def test_browsers_are_told_to_take_nothing_from_elsewhere(served):
    for path in ("", "api/run", "none"):
        _, _, headers = served.ask(path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'" in policy and "unsafe" not in policy
        assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff"


def test_sizes_and_numbers_are_bounded(served):
    assert served.ask("api/png", b" " * (2**16 + 1))[0] == 413
    with served.page() as socket:
        socket.send(" " * (2**16 + 1))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=30)
        assert closed.value.rcvd.code == 1009
    with ExitStack() as pages:
        for _ in range(MOST_CONNECTIONS):
            pages.enter_context(served.page())
        with served.page() as one_more, pytest.raises(ConnectionClosed) as closed:
            one_more.recv(timeout=30)
    assert closed.value.rcvd.code == 1013


def test_names_of_this_machine():
    def knows(host, name):
        return Guard(None, "", host)._knows(name)

    assert all(
        knows("127.0.0.1", name) for name in ("127.0.0.1:80", "localhost:9000", "LOCALHOST", "[::1]:80")
    )
    assert not any(
        knows("127.0.0.1", name)
        for name in ("127.0.0.1.elsewhere.example", "10.0.0.1", "[fe80::1]", "", "a:80")
    )
    assert knows("a.name", "a.name:80") and knows("a.name", "10.0.0.1") and not knows("a.name", "b.name:80")
    for name in (
        "[::1%;script-src *]:80",
        "::1%;script-src *",
        "[::1%lo]:80",
        "[127.0.0.1]",
        "[[::1]]:80",
        "localhost:²",
    ):
        assert not knows("127.0.0.1", name) and not knows("0.0.0.0", name), "it would stand in a header"
    assert knows("0.0.0.0", "10.0.0.2:80") and knows("0.0.0.0", "[fe80::1]:80")
    assert not knows("0.0.0.0", "elsewhere.example:80")


def test_tokens():
    assert len({new_token() for _ in range(100)}) == 100
    check_token(new_token())
    for token in ("short", "a/slash/within/it", "ümläuts-are-escaped"):
        with pytest.raises(ValueError, match=r"token .--token.: expected at least 16 letters"):
            check_token(token)
