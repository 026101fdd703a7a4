"""Runs a peer in a separate process, as its users do, unaffected by the settings of ours."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import ADA, STYLEGAN3, higan, stylegan2_ada, stylegan3
from higan_fast.generators import Generator


def load_peer(name: str, checkout: Path, generator: Generator) -> Callable[[Tensor], Tensor]:
    """Returns a peer's synthesis, codes ``[N, L, D]`` → images; on the CPU it runs in its own process."""
    if generator.device.type == "cpu":
        return PeerProcess(name, checkout, generator)
    return _loaded(name, checkout, generator)


class PeerProcess:
    """A peer's synthesis network on the CPU, called with codes ``[N, L, D]`` through a pipe.

    Passing codes and images through the pipe takes milliseconds; making the images takes hundreds of them.
    """

    def __init__(self, name: str, checkout: Path, generator: Generator) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, name, checkout, generator, torch.get_num_threads())
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self(torch.zeros(1, generator.num_layers, generator.code_dim))  # waits until the process is ready

    def __call__(self, codes: Tensor) -> Tensor:
        self.connection.send(codes.numpy())
        return torch.from_numpy(self.connection.recv())


def _serve(connection: Connection, name: str, checkout: Path, generator: Generator, num_threads: int) -> None:
    torch.set_num_threads(num_threads)
    synthesis = _loaded(name, checkout, generator)
    with torch.inference_mode():
        while True:
            try:
                codes = torch.from_numpy(connection.recv())
            except (EOFError, KeyboardInterrupt):
                return
            connection.send(synthesis(codes).float().numpy())


def _loaded(name: str, checkout: Path, generator: Any) -> Callable[[Tensor], Tensor]:
    if name == STYLEGAN3:
        return partial(stylegan3.load_peer(checkout, generator), force_fp32=True)
    if name == ADA:
        return partial(stylegan2_ada.load_peer(checkout, generator), noise_mode="const")
    synthesis: Callable[[Tensor], Tensor] = higan.load_peer(checkout, generator)
    return synthesis
