"""Where the command starts: Ctrl-C before it has begun."""

import signal
import subprocess
import sys

import higan_fast.cli
from higan_fast.__main__ import main

INTERRUPTED_WHILE_IMPORTED = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "higan_fast.cli":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
sys.meta_path.insert(0, Interrupting())
from higan_fast.__main__ import main
main()
"""


def test_an_interruption_while_it_is_imported_is_silent():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_WHILE_IMPORTED], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_commands_are_interrupted_as_python_is(monkeypatch):
    seen = []
    monkeypatch.setattr(higan_fast.cli, "main", lambda **_: seen.append(signal.getsignal(signal.SIGINT)))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.default_int_handler]
