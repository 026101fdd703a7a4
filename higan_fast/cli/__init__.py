"""The command line: the whole probe, its stages one by one, and questions about files and machines."""

from higan_fast.cli.commands import main

__all__ = ["main"]
