"""A small run with everything that the page shows, and its server in a thread."""

import json
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import torch
from websockets.sync.client import connect

from higan_fast.checkpoints import save_generator
from higan_fast.explore import serving
from higan_fast.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from higan_fast.run_folder import RunFolder
from tests.test_cli import run

TOKEN = "a-token-for-tests_0"


@pytest.fixture(scope="session")
def explored(tmp_path_factory):
    """128 samples of seed 3; ``warmth`` and ``brightness`` are shown, and the former is swept."""
    folder = tmp_path_factory.mktemp("explored")
    torch.manual_seed(0)
    config = StyleGAN2Config(channels={4: 8, 8: 8, 16: 8}, latent_dim=32, code_dim=32, mapping_depth=1)
    save_generator(StyleGAN2(config), folder / "generator.safetensors", {"origin": "a test"})
    out = folder / "run"
    networks = ("--network", folder / "generator.safetensors", "--predictor", "color", "--out", out)
    run("sample", *networks, "--num", 128, "--seed", 3, "--trunc", 0.8, "--quiet")
    run("fit", out, "--boundary", "gradient", "--chosen-num", 0.4, "--quiet")
    three = ("--semantic", "warmth", "--semantic", "brightness", "--semantic", "dominant_red_green")
    few = ("--exhaustive", "--max-samples", 48, "--num-null", 6, "--step", 6, "--confidence", 0.9)
    run("verify", out, *few, *three, "--quiet")
    run("dose", out, "--steps=-6,0,6", "--num", 8, "--semantic", "warmth", "--quiet")
    run("layers", out, "--num", 8, "--quiet")
    return out


class Served:
    """A server that answers, and how to ask it."""

    def __init__(self, url):
        self.url, self.origin = url, f"http://{urlsplit(url).netloc}"

    def ask(self, path, body=None, **headers):
        """Returns status, content and headers; ``path`` may be a whole URL."""
        url = path if path.startswith("http") else self.url + path
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        asked = urllib.request.Request(
            url, data, {name.replace("_", "-"): text for name, text in headers.items()}
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as found:
                return found.status, found.read(), found.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers

    def json(self, path, body=None):
        return json.loads(self.ask(path, body)[1])

    def page(self, **options):
        """A WebSocket as the page opens it."""
        return connect(self.url.replace("http", "ws") + "ws", **{"origin": self.origin, **options})


@contextmanager
def serving_in_a_thread(application):
    """Serves an application until the end of the context."""
    listener, there, urls = serving.listening("127.0.0.1", 0), threading.Event(), []
    server = serving.server_of(
        application, listener, "127.0.0.1", TOKEN, lambda url: (urls.append(url), there.set())
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert there.wait(30)
        yield Served(urls[0])
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def served(explored):
    with serving_in_a_thread(serving.explorer(RunFolder.open(explored))) as found:
        yield found
