"""Options that have several processes do a command's work, and the crews that they ask for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from higan_fast.cli.options import Command, options
from higan_fast.wording import listing

if TYPE_CHECKING:
    from higan_fast.engine.crew import Crew
    from higan_fast.run_folder import RunFolder
    from higan_fast.run_settings import Places
    from higan_fast.sampling.manifests import Shard


class Asked(NamedTuple):
    """Which processes are to work.

    Attributes:
        shard: which one this process is, as text; None: it has no such part.
        ray: the address of a Ray cluster, or "local".
        slurm: a partition, "default" or "local".
        workers: how many; None: as many as there is room for.
        minutes: that a SLURM job may take.
        gpus: of a SLURM job; None: one where the run is on CUDA.
        settings: further ones for sbatch.
    """

    shard: str | None = None
    ray: str | None = None
    slurm: str | None = None
    workers: int | None = None
    minutes: int = 240
    gpus: int | None = None
    settings: tuple[str, ...] = ()

    @property
    def part(self) -> Shard | None:
        """Which of several processes this one is.

        Raises:
            ValueError: when the text is no shard, or other options contradict it.
        """
        from higan_fast.sampling.manifests import Shard

        given = [f"--{name}" for name in ("shard", "ray", "slurm") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]}: got {listing(given)}, expected one of them")
        if self.workers is not None:
            if self.ray is None and self.slurm is None:
                raise ValueError("workers (--workers): is for --ray and --slurm; else use --shard i/n")
            if self.workers < 1:
                raise ValueError(f"workers (--workers): got {self.workers}, expected at least 1")
        elif self.slurm is not None:
            raise ValueError("workers (--workers): --slurm needs to know how many jobs; give --workers N")
        return None if self.shard is None else Shard.read(self.shard)


ALONE = Asked()


def CREW(command: Command) -> Command:  # noqa: N802 (a decorator, as those of ``options``)
    """Which processes work; the command gets an ``Asked`` as ``crew``."""

    @wraps(command)
    def gathered(*arguments: Any, **given: Any) -> Any:
        crew = Asked(**{name: given.pop(name) for name in Asked._fields})
        return command(*arguments, crew=crew, **given)

    return options(
        click.option(
            "--shard", metavar="i/n", help="This process is the i-th of n that share the work and the folder."
        ),
        click.option("--ray", metavar="ADDRESS|local", help="Workers on a Ray cluster (extra ray)."),
        click.option(
            "--slurm",
            metavar="PARTITION|default|local",
            help="Workers as SLURM jobs (extra slurm); local: as processes of this machine.",
        ),
        click.option(
            "--workers", type=int, help="How many, for --ray (default: all GPUs, or CPUs) and --slurm."
        ),
        click.option("--slurm-time", "minutes", default=240, show_default=True, help="Minutes of a job."),
        click.option("--slurm-gpus", "gpus", type=int, help="Of a job.  [default: 1 on CUDA]"),
        click.option(
            "--slurm-set",
            "settings",
            multiple=True,
            metavar="NAME=VALUE",
            help="For sbatch, such as account=vision; may be repeated.",
        ),
    )(gathered)


@contextmanager
def crew_of(asked: Asked, run: RunFolder, places: Places) -> Iterator[Crew | None]:
    """Workers on Ray or SLURM that hold the networks of a run; none where none are asked for.

    Args:
        asked: which.
        run: the run folder, which has been begun.
        places: where its networks are, if they are elsewhere now.

    Raises:
        ImportError: when Ray or submitit is not installed.
        ConnectionError: when no Ray cluster answers.
        ValueError: when the options do not fit the cluster.
    """
    from higan_fast.cluster.worker import networks_of

    path, device = run.path.absolute(), run.generator.device
    # what this process was given, and not the one device of its own
    networks = partial(networks_of, path, dict(places) | {"device": device.type})
    if asked.ray is not None:
        from higan_fast.cluster.ray_crew import RayCrew

        with RayCrew(path, networks, asked.ray, asked.workers, cuda=device.type == "cuda") as workers:
            yield workers
    elif asked.slurm is not None:
        from higan_fast.cluster.slurm_crew import SlurmCrew

        assert asked.workers is not None
        cluster = "local" if asked.slurm == "local" else "slurm"
        session = {"session": uuid.uuid4().hex}
        with SlurmCrew(
            path, networks, asked.workers, session, cluster=cluster, **job_of(asked, device.type)
        ) as jobs:
            yield jobs
    else:
        yield None


def job_of(asked: Asked, device: str) -> dict[str, Any]:
    """Parameters of submitit's executor."""
    gpus = asked.gpus if asked.gpus is not None else int(device == "cuda")
    found: dict[str, Any] = {"timeout_min": asked.minutes, "gpus_per_node": gpus}
    if asked.slurm not in ("local", "default"):
        found["slurm_partition"] = asked.slurm
    further: dict[str, str] = {}
    for text in asked.settings:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise ValueError(
                f"settings (--slurm-set): got {text!r}, expected NAME=VALUE, such as account=vision"
            )
        further[name] = value
    if further and asked.slurm != "local":
        found["slurm_additional_parameters"] = further
    return found
