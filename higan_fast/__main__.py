"""Where the command starts: ``higan-fast``, or ``python -m higan_fast``."""

from __future__ import annotations

import signal


def main() -> None:
    """Runs the command line. Ctrl-C while it is still being imported ends the process without a traceback."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from higan_fast.cli import main as run  # with torch, which takes seconds

    signal.signal(signal.SIGINT, handler)
    run(prog_name="higan-fast")


if __name__ == "__main__":
    main()
