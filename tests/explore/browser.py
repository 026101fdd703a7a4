"""The page of ``explore`` in a real browser: a server that may be killed, fixtures, and what a hand does."""

import hashlib
import shutil
import socket
from pathlib import Path

import pytest

from tests import processes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")

TOKEN = "a-token-of-the-tests-alone"
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LOST = (
    "WebSocket connection",
    "ERR_CONNECTION",
    "Failed to load resource",
)  # what browsers say of a dead server


class Server:
    """``higan-fast explore`` in a process that can be killed, always on the same port."""

    def __init__(self, run: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.run = run
        self.url = f"http://127.0.0.1:{self.port}/{TOKEN}/"
        self.start()

    def start(self) -> None:
        self.process = processes.start(explore, self.run, self.port)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def explore(run, port):
    from higan_fast.cli import main

    main(["explore", str(run), "--port", str(port), "--token", TOKEN, "--quiet"])


@pytest.fixture(scope="module")
def server(explored):
    server = Server(explored)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser):
    context = browser.new_context(viewport=WIDE)
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def open_page(context, server):
    """Opens the page, with a hash; at the end no page may have written an error to its console."""
    opened, said = [], []

    def page_of(hash="", setup=None, ready=True):
        page = context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        if setup:
            setup(page)
        opened.append(page)
        for _ in range(200):  # until the server is there
            try:
                page.goto(server.url + hash)
                break
            except sync_api.Error:
                page.wait_for_timeout(50)
        if ready:
            at_rest(page)
        return page

    yield page_of
    for page in opened:
        page.close()
    assert [line for line in said if not any(lost in line for lost in LOST)] == []


def at_rest(page):
    """Waits until the pictures are the exact ones of the state."""
    sync_api.expect(page.locator("figure[aria-busy=true]:not([hidden])")).to_have_count(0, timeout=30_000)


def painted(page, do, view="own"):
    """Does something, and waits for the exact picture that comes of it."""
    do()
    at_rest(page)
    return pixels(page, view)


def pixels(page, view="own"):
    drawn = page.evaluate(f"document.querySelector('#{view} canvas').toDataURL()")
    return hashlib.sha256(drawn.encode()).hexdigest()


def slider(page, name):
    return page.locator(f"input[data-semantic='{name}']")


def figures(page, name):
    """Base, now and change, as printed."""
    return page.locator(f"[data-score='{name}'] td.number").all_inner_texts()


def shown(page):
    """The first semantic of the page."""
    return page.locator("#sliders input[type=range]").first.get_attribute("data-semantic")
