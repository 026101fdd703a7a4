"""A peer in a process of its own: as its users run it, untouched by what our process has set."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.peer import load_peer
from higan_fast.generators.stylegan2 import StyleGAN2


class PeerProcess:
    """The peer's synthesis network on the CPU, called with codes ``[N, L, D]`` through a pipe.

    The codes and images pass through it: milliseconds, beside hundreds of them for the images.
    """

    def __init__(self, checkout: Path, generator: StyleGAN2) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, checkout, generator, torch.get_num_threads())
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def __call__(self, codes: Tensor) -> Tensor:
        self.connection.send(codes.numpy())
        return torch.from_numpy(self.connection.recv())


def _serve(connection: Connection, checkout: Path, generator: StyleGAN2, num_threads: int) -> None:
    torch.set_num_threads(num_threads)
    synthesis = load_peer(checkout, generator)
    with torch.inference_mode():
        while True:
            try:
                codes = torch.from_numpy(connection.recv())
            except (EOFError, KeyboardInterrupt):
                return
            connection.send(synthesis(codes, noise_mode="const").float().numpy())
