"""``higan-fast explore``: its one line, its end, and what is refused before it starts."""

import os
import shutil
import signal
import socket
import time
import urllib.request

import pytest

from higan_fast.cli import main
from tests.processes import ended, start
from tests.test_cli import run


def explore(*arguments):
    main(["explore", *arguments])


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_quietly(explored, tmp_path, told):
    log = tmp_path / "log"
    process = start(explore, str(explored), "--port", "0", "--quiet", log=log)
    while not (log.exists() and log.read_text().endswith("\n")):
        assert process.is_alive()
        time.sleep(0.02)
    url = log.read_text().strip()
    with urllib.request.urlopen(url, timeout=30) as page:
        assert b"<html" in page.read()
    os.kill(process.pid, told)
    assert ended(process) == 0 and log.read_text().strip() == url
    assert url.startswith("http://127.0.0.1:") and len(url.split("/")[3]) == 22


def test_what_cannot_be_served_is_refused(explored, tmp_path):
    open_host = run("explore", explored, "--host", "0.0.0.0", code=1).output
    assert "host (--host): got '0.0.0.0', which other machines can reach; give a --token" in open_host
    assert "at least 16 letters" in run("explore", explored, "--token", "short", code=1).output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        in_use = run("explore", explored, "--port", port, code=1).output
    assert f"port (--port): cannot listen on 127.0.0.1, port {port} (Address already in use)" in in_use
    assert "no probe was begun here" in run("explore", tmp_path, "--port", 0, code=1).output
    in_z = shutil.copytree(explored, tmp_path / "in z")
    run("fit", in_z, "--space", "z", "--boundary", "difference", "--chosen-num", 0.4, "--quiet")
    latents = run("explore", in_z, "--port", 0, "--quiet", code=1).output
    assert "was fitted in z, which moves latents and not layer codes; fit one in w or layers" in latents
    unfitted = shutil.copytree(explored, tmp_path / "unfitted")
    (unfitted / "boundaries.safetensors").unlink()
    assert "make it with higan-fast fit" in run("explore", unfitted, "--port", 0, code=1).output
